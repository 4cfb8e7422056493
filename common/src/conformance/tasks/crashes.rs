//! Tasks whose process dies, and the pictures that kill it (protocol §3).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use super::sessions::{MOMENT, reap};
use crate::{
    conformance::seed::{HOUR, Lab, chunk, cut, job, listing, open_session, rules},
    ids::SessionId,
    ports::{
        jobs::{NewJob, Step},
        tasks::{Claimed, NewSession, Written},
    },
    task::State,
    work::{Stage, Work},
};
use std::time::Duration;

async fn listed(lab: &Lab) -> (NewJob, Work) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let work = job.embed(chunk(1, 1, 0));
    (job, work)
}

/// Claimed in a session of its own, in which it comes to `at`.
async fn run(lab: &Lab, job: &NewJob, work: &Work, at: Option<u64>) -> (Claimed, SessionId) {
    let session = open_session(&lab.store, MOMENT).await;
    let claimed = lab.take_in(session, job, work).await;
    for ordinal in 0..at.map_or(0, |at| at + 1) {
        assert_eq!(lab.store.stands_at(claimed.holding, Some(ordinal)).await.unwrap(), Written::Done);
    }
    (claimed, session)
}

/// Runs to that place and dies there; what was poison when it began.
async fn crash(lab: &Lab, job: &NewJob, work: &Work, at: Option<u64>) -> Vec<u64> {
    let (claimed, session) = run(lab, job, work, at).await;
    reap(lab, session).await;
    claimed.poison
}

pub async fn a_picture_at_which_the_process_died_twice_is_poison(lab: &Lab) {
    let (job, work) = listed(lab).await;
    for _ in 0..2 {
        assert_eq!(crash(lab, &job, &work, None).await, [0; 0], "nobody knows where");
    }
    assert_eq!(crash(lab, &job, &work, Some(3)).await, [0; 0]);
    assert_eq!(crash(lab, &job, &work, Some(3)).await, [0; 0], "once may be chance");
    assert_eq!(crash(lab, &job, &work, Some(7)).await, [3]);
    let (claimed, _) = run(lab, &job, &work, None).await;
    assert_eq!((claimed.poison, claimed.crashes), (vec![3], 5));
}

pub async fn two_places_are_no_poison(lab: &Lab) {
    let (job, work) = listed(lab).await;
    for at in [None, None, Some(3), Some(4)] {
        assert_eq!(crash(lab, &job, &work, at).await, [0; 0]);
    }
    assert_eq!(lab.take_in(lab.session, &job, &work).await.poison, [0; 0]);
}

pub async fn who_has_left_a_picture_did_not_die_at_it(lab: &Lab) {
    let (job, work) = listed(lab).await;
    for _ in 0..2 {
        crash(lab, &job, &work, None).await;
    }
    for _ in 0..2 {
        let (claimed, session) = run(lab, &job, &work, Some(3)).await;
        assert_eq!(lab.store.stands_at(claimed.holding, None).await.unwrap(), Written::Done);
        reap(lab, session).await;
    }
    assert_eq!(lab.take_in(lab.session, &job, &work).await.poison, [0; 0]);
}

/// Runs to that place in a process whose session is given up, reaped or not, for a new one.
async fn live_on(lab: &Lab, job: &NewJob, work: &Work, at: u64, is_reaped: bool) {
    let (_, alive) = run(lab, job, work, Some(at)).await;
    if is_reaped {
        reap(lab, alive).await;
    }
    let (id, worker) = (SessionId::random(), "a worker".to_owned());
    let anew = NewSession { id, worker, slots: 1, lease: HOUR, replaces: Some(alive) };
    lab.store.open_session(&anew).await.unwrap();
}

/// Each way twice, as often as it takes to be poison.
pub async fn who_handed_back_or_lives_did_not_die(lab: &Lab) {
    let (job, work) = listed(lab).await;
    for _ in 0..2 {
        crash(lab, &job, &work, None).await;
    }
    for _ in 0..2 {
        let (handed, _) = run(lab, &job, &work, Some(1)).await;
        assert_eq!(lab.store.hand_back(handed.holding, Duration::ZERO, None).await.unwrap(), Written::Done);
    }
    for _ in 0..2 {
        let (_, closed) = run(lab, &job, &work, Some(2)).await;
        lab.store.close_session(closed).await.unwrap();
    }
    for (at, is_reaped) in [(3, true), (3, true), (4, false), (4, false)] {
        live_on(lab, &job, &work, at, is_reaped).await;
    }
    for _ in 0..2 {
        assert_eq!(crash(lab, &job, &work, Some(5)).await, [0; 0]);
    }
    assert_eq!(lab.take_in(lab.session, &job, &work).await.poison, [5]);
}

pub async fn a_stale_holder_stands_nowhere(lab: &Lab) {
    let (job, work) = listed(lab).await;
    let (claimed, session) = run(lab, &job, &work, None).await;
    reap(lab, session).await;
    assert_eq!(lab.store.stands_at(claimed.holding, Some(1)).await.unwrap(), Written::Stale);
    let (again, _) = run(lab, &job, &work, Some(2)).await;
    assert_eq!(lab.store.stands_at(claimed.holding, Some(1)).await.unwrap(), Written::Stale);
    assert_eq!(lab.store.stands_at(again.holding, None).await.unwrap(), Written::Done);
}

pub async fn the_last_crash_is_deadly_and_says_so(lab: &Lab) {
    let (job, work) = listed(lab).await;
    for _ in 0..rules().max_crashes {
        assert_eq!(lab.state(&job, &work).await, State::Ready);
        crash(lab, &job, &work, None).await;
    }
    let task = lab.view(&job, &work).await;
    let error = task.error.unwrap_or_default();
    assert!(task.state == State::Dead && error.contains("died 6 times"), "{}: {error}", task.state);
    assert_eq!(lab.advance(&job).await, [Step::Blocked(Stage::Embed, 1)]);
}
