//! What is kept of attempts that did not succeed.
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{HOUR, Lab, chunk, cut, embedded, failure, job, listing, open_session},
    ids::TaskId,
    ports::{
        jobs::{ATTEMPTS_KEPT, AttemptEnd, AttemptView, NewJob, TaskDetail},
        tasks::{Failure, Outcome, Written},
    },
    task::State,
    work::Work,
};
use std::time::Duration;

async fn detail(lab: &Lab, work: &Work) -> TaskDetail {
    lab.store.task(work.id()).await.unwrap().unwrap()
}

/// Number and end of each attempt that is kept.
async fn kept(lab: &Lab, work: &Work) -> Vec<(u32, AttemptEnd)> {
    detail(lab, work).await.attempts.iter().map(|attempt| (attempt.attempt, attempt.end)).collect()
}

async fn listing_job(lab: &Lab) -> (NewJob, Work) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let work = job.list(1);
    (job, work)
}

pub async fn attempts_that_did_not_succeed_are_kept_with_how_they_ended(lab: &Lab) {
    assert_eq!(lab.store.task(TaskId::of_key("none")).await.unwrap(), None);
    let (job, work) = listing_job(lab).await;
    let before = lab.store.now().await.unwrap();
    let holding = lab.take(&job, &work).await;
    let failed = Failure { message: "the disk is on fire".into(), ..failure(false) };
    assert_eq!(lab.store.fail(holding, &failed).await.unwrap(), Written::Done);
    assert_eq!(lab.store.fail(holding, &failed).await.unwrap(), Written::Stale);
    let holding = lab.take(&job, &work).await;
    assert_eq!(lab.store.hand_back(holding, Duration::ZERO, None).await.unwrap(), Written::Done);
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let after = lab.store.now().await.unwrap();

    let shown = detail(lab, &work).await;
    assert_eq!((shown.task.state, shown.task.attempt, &shown.jobs), (State::Succeeded, 3, &vec![job.id]));
    assert_eq!(shown.task, lab.view(&job, &work).await);
    let [failed, handed_back] = shown.attempts.try_into().unwrap();
    let AttemptView { attempt, worker, began, ended, end, error } = failed;
    assert_eq!((attempt, worker.as_deref(), end), (1, Some("a worker"), AttemptEnd::Failed));
    assert_eq!(error.as_deref(), Some("the disk is on fire"));
    assert!(before <= began.unwrap() && began.unwrap() <= ended && ended <= after);
    assert_eq!((handed_back.attempt, handed_back.end, handed_back.error), (2, AttemptEnd::HandedBack, None));
}

pub async fn an_attempt_that_only_waited_leaves_nothing(lab: &Lab) {
    let (job, work) = listing_job(lab).await;
    let holding = lab.take(&job, &work).await;
    assert_eq!(lab.store.hand_back(holding, HOUR, None).await.unwrap(), Written::Done);
    assert_eq!(kept(lab, &work).await, []);
    assert!(detail(lab, &work).await.run_after > lab.store.now().await.unwrap());
}

pub async fn the_last_attempts_are_kept(lab: &Lab) {
    let (job, work) = listing_job(lab).await;
    for _ in 0..ATTEMPTS_KEPT + 2 {
        let holding = lab.take(&job, &work).await;
        assert_eq!(lab.store.hand_back(holding, Duration::ZERO, None).await.unwrap(), Written::Done);
    }
    let numbers: Vec<u32> = kept(lab, &work).await.into_iter().map(|(attempt, _)| attempt).collect();
    assert_eq!(numbers, (3..=ATTEMPTS_KEPT + 2).collect::<Vec<_>>());
}

pub async fn a_lost_attempt_and_a_superseded_one_are_told_apart(lab: &Lab) {
    let (job, work) = listing_job(lab).await;
    let session = open_session(&lab.store, Duration::from_millis(1)).await;
    lab.take_in(session, &job, &work).await;
    while !lab.store.reap().await.unwrap().contains(&session) {
        tokio::task::yield_now().await;
    }
    let session = open_session(&lab.store, HOUR).await;
    lab.take_in(session, &job, &work).await;
    lab.store.close_session(session).await.unwrap();
    assert_eq!(kept(lab, &work).await, [(1, AttemptEnd::Lost), (2, AttemptEnd::HandedBack)]);

    lab.list(&job, 1, listing("etag", vec![cut(0), cut(1)])).await;
    let (embed, replaced) = (job.embed(chunk(1, 1, 0)), job.embed(chunk(1, 1, 1)));
    let (holding, late) = (lab.take(&job, &embed).await, lab.take(&job, &replaced).await);
    lab.succeed(holding, Outcome::Superseded { detail: "the tag differs".into() }).await;
    let shown = detail(lab, &embed).await;
    assert_eq!(shown.attempts[0].end, AttemptEnd::Superseded);
    assert_eq!(shown.attempts[0].error.as_deref(), Some("the tag differs"));
    lab.list(&job, 1, listing("other", vec![cut(0), cut(1)])).await;
    lab.succeed(late, Outcome::Embedded(embedded("vectors", &[]))).await;
    assert_eq!(kept(lab, &replaced).await, [(1, AttemptEnd::Superseded)]);
}

pub async fn dead_tasks_are_listed_with_the_jobs_that_need_them(lab: &Lab) {
    let (first, second) = (job("a"), job("b"));
    lab.start(&first, &["a.zip", "b.zip"]).await;
    lab.start(&second, &["a.zip", "b.zip"]).await;
    assert_eq!(lab.store.dead().await.unwrap(), []);
    lab.kill(&first, &first.list(2)).await;
    let dead = lab.store.dead().await.unwrap();
    let mut jobs = vec![first.id, second.id];
    jobs.sort_unstable();
    assert_eq!(dead, [(lab.view(&first, &first.list(2)).await, jobs)]);
}
