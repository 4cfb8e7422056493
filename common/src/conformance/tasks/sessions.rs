//! Sessions and their leases (protocol §3).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{HOUR, Lab, chunk, cut, job, listing, open_session},
    ids::SessionId,
    ports::{
        catalog::Writers,
        jobs::{Control, NewJob},
        tasks::{Beat, Claim, NewSession, Outcome, Written},
    },
    task::State,
};
use std::time::Duration;

pub(in crate::conformance) const MOMENT: Duration = Duration::from_millis(1);

/// Asks until the session is reaped, which its lease of a moment allows soon.
pub(in crate::conformance) async fn reap(lab: &Lab, session: SessionId) {
    while !lab.store.reap().await.unwrap().contains(&session) {
        tokio::task::yield_now().await;
    }
}

async fn replace(lab: &Lab, old: SessionId) -> NewSession {
    let session =
        NewSession { id: SessionId::random(), worker: "the same".into(), slots: 2, lease: HOUR, replaces: Some(old) };
    lab.store.open_session(&session).await.unwrap();
    session
}

pub async fn a_session_past_its_lease_is_reaped_and_its_tasks_crashed(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let session = open_session(&lab.store, MOMENT).await;
    let holding = lab.take_in(session, &job, &job.list(1)).await.holding;
    reap(lab, session).await;
    let lost = lab.view(&job, &job.list(1)).await;
    assert_eq!((lost.state, lost.crashes, lost.failures), (State::Ready, 1, 0));
    assert_eq!(
        lab.store.succeed(holding, &Outcome::Listed(listing("etag", vec![cut(0)]))).await.unwrap(),
        Written::Stale
    );
    assert_eq!(lab.view(&job, &job.list(1)).await, lost);
    assert_eq!(lab.take_in(lab.session, &job, &job.list(1)).await.crashes, 1);
    assert_eq!(lab.store.reap().await.unwrap(), []);
}

pub async fn a_session_that_beats_is_not_reaped(lab: &Lab) {
    const LEASE_MS: i64 = 1500;
    let session = open_session(&lab.store, Duration::from_millis(LEASE_MS as u64)).await;
    let opened = lab.store.now().await.unwrap();
    while lab.store.now().await.unwrap() <= opened + LEASE_MS {
        assert_eq!(lab.store.beat(session).await.unwrap(), Beat { alive: true, ..Beat::default() });
        assert_eq!(lab.store.reap().await.unwrap(), []);
    }
}

pub async fn a_reaped_session_never_revives(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let session =
        NewSession { id: SessionId::random(), worker: "slow".into(), slots: 2, lease: MOMENT, replaces: None };
    lab.store.open_session(&session).await.unwrap();
    reap(lab, session.id).await;
    lab.store.open_session(&session).await.unwrap();
    assert_eq!(lab.store.beat(session.id).await.unwrap(), Beat::default());
    let message = lab.message(&job, &job.list(1)).await;
    assert_eq!(lab.claim(message, session.id).await, Claim::SessionGone);
}

pub async fn a_living_process_takes_its_crashes_back_once(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let crashes = async || lab.view(&job, &job.list(1)).await.crashes;
    let earlier = open_session(&lab.store, MOMENT).await;
    lab.take_in(earlier, &job, &job.list(1)).await;
    reap(lab, earlier).await;
    let session = open_session(&lab.store, MOMENT).await;
    lab.take_in(session, &job, &job.list(1)).await;
    reap(lab, session).await;
    assert_eq!(crashes().await, 2);
    let new = replace(lab, session).await;
    assert_eq!(crashes().await, 1);
    lab.store.open_session(&new).await.unwrap();
    assert_eq!(crashes().await, 1, "the answer was lost and the call came again");
    assert!(lab.store.beat(new.id).await.unwrap().alive);
}

pub async fn a_crash_of_another_session_is_not_taken_back(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let first = open_session(&lab.store, MOMENT).await;
    lab.take_in(first, &job, &job.list(1)).await;
    reap(lab, first).await;
    let second = open_session(&lab.store, MOMENT).await;
    reap(lab, second).await;
    replace(lab, second).await;
    assert_eq!(lab.view(&job, &job.list(1)).await.crashes, 1);
}

pub async fn a_session_replaced_before_it_was_reaped_puts_its_tasks_down(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let session = open_session(&lab.store, HOUR).await;
    lab.take_in(session, &job, &job.list(1)).await;
    replace(lab, session).await;
    let task = lab.view(&job, &job.list(1)).await;
    assert_eq!((task.state, task.crashes), (State::Ready, 0));
    assert!(!lab.store.beat(session).await.unwrap().alive);
}

pub async fn closing_a_session_hands_its_tasks_back(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let session = open_session(&lab.store, HOUR).await;
    lab.take_in(session, &job, &job.list(1)).await;
    lab.store.close_session(session).await.unwrap();
    let task = lab.view(&job, &job.list(1)).await;
    assert_eq!((task.state, task.crashes, task.failures), (State::Ready, 0, 0));
    lab.take(&job, &job.list(1)).await;
    lab.store.close_session(session).await.unwrap();
    assert_eq!(lab.state(&job, &job.list(1)).await, State::Running, "it is another session's now");
}

pub async fn a_beat_names_what_no_job_needs_any_more(lab: &Lab) {
    let (first, second) = (job("first"), job("second"));
    lab.start(&first, &["a.zip"]).await;
    lab.start(&second, &["a.zip"]).await;
    let holding = lab.take(&first, &first.list(1)).await;
    let unneeded = async || lab.store.beat(lab.session).await.unwrap().unneeded;
    lab.store.control(first.id, Control::Cancel).await.unwrap();
    assert_eq!(unneeded().await, []);
    lab.store.control(second.id, Control::Pause).await.unwrap();
    assert_eq!(unneeded().await, [holding]);
    lab.store.control(second.id, Control::Resume).await.unwrap();
    assert_eq!(unneeded().await, []);
}

pub async fn a_lost_task_that_no_job_wants_is_cancelled(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let session = open_session(&lab.store, MOMENT).await;
    lab.take_in(session, &job, &job.list(1)).await;
    lab.store.control(job.id, Control::Cancel).await.unwrap();
    reap(lab, session).await;
    assert_eq!(lab.state(&job, &job.list(1)).await, State::Cancelled);
}

pub async fn only_a_lost_attempt_is_waited_out(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0), cut(1)])).await;
    let (closed, lost) = (open_session(&lab.store, HOUR).await, open_session(&lab.store, MOMENT).await);
    lab.take_in(closed, &job, &job.embed(chunk(1, 1, 0))).await;
    lab.take_in(lost, &job, &job.embed(chunk(1, 1, 1))).await;
    lab.store.close_session(closed).await.unwrap();
    assert_eq!(lab.store.writers(job.id).await.unwrap(), Writers { running: 1, lost_at: None });
    let before = lab.store.now().await.unwrap();
    reap(lab, lost).await;
    let writers = lab.store.writers(job.id).await.unwrap();
    assert_eq!(writers.running, 0);
    assert!(writers.lost_at.unwrap() >= before);
}

pub async fn who_writes_into_a_removed_shard_is_waited_out(lab: &Lab) {
    let (job, later) = (job("a"), NewJob { allow_delete: true, ..job("later") });
    lab.start(&job, &["a.zip", "b.zip"]).await;
    lab.list(&job, 2, listing("etag", vec![cut(0)])).await;
    lab.take(&job, &job.embed(chunk(2, 1, 0))).await;
    lab.start(&later, &["a.zip"]).await;
    assert_eq!(lab.store.writers(later.id).await.unwrap().running, 1);
}

pub async fn sessions_are_seen_with_what_they_run_until_they_end(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip", "b.zip"]).await;
    let (idle, lost) = (open_session(&lab.store, HOUR).await, open_session(&lab.store, MOMENT).await);
    lab.take(&job, &job.list(1)).await;
    lab.take(&job, &job.list(2)).await;
    reap(lab, lost).await;
    let now = lab.store.now().await.unwrap();
    let seen = async || -> Vec<(SessionId, u64)> {
        let sessions = lab.store.sessions().await.unwrap();
        assert!(
            sessions
                .iter()
                .all(|session| (session.worker.as_str(), session.slots) == ("a worker", 2) && session.expires > now)
        );
        sessions.iter().map(|session| (session.id, session.running)).collect()
    };
    let mut expected = vec![(lab.session, 2), (idle, 0)];
    expected.sort_unstable();
    assert_eq!(seen().await, expected);
    lab.store.close_session(idle).await.unwrap();
    assert_eq!(seen().await, [(lab.session, 2)]);
}
