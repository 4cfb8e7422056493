//! Jobs and collections that are forgotten.
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::{
        seed::{self, Lab, chunk, cut, embedded, failure, listing, open_session},
        tasks::sessions::{MOMENT, reap},
    },
    ids::JobId,
    ledger::Reason,
    ports::{
        jobs::{Control, How, JobState, NewJob, NewSearch},
        tasks::{Outcome, Written},
    },
    task::State,
    work::Work,
};
use std::time::Duration;

async fn exists(lab: &Lab, work: &Work) -> bool {
    lab.store.task(work.id()).await.unwrap().is_some()
}

/// Over one shard with one chunk, to its end.
async fn succeeded(lab: &Lab, job: &NewJob) {
    lab.start(job, &["a.zip"]).await;
    lab.list(job, 1, listing("etag", vec![cut(0)])).await;
    if lab.state(job, &job.embed(chunk(1, 1, 0))).await == State::Ready {
        let holding = lab.take(job, &job.embed(chunk(1, 1, 0))).await;
        lab.succeed(holding, Outcome::Embedded(embedded("vectors", &[("a/1", Reason::Empty)]))).await;
    }
    lab.run_own_tasks(job).await;
}

async fn cancelled(lab: &Lab, job: &NewJob) {
    lab.store.control(job.id, Control::Cancel).await.unwrap();
    lab.advance(job).await;
    assert_eq!(lab.job_state(job).await, JobState::Cancelled);
}

pub async fn a_removed_job_is_gone_with_its_own_tasks(lab: &Lab) {
    let job = seed::job("a");
    succeeded(lab, &job).await;
    lab.store.remove(job.id).await.unwrap();
    assert_eq!(lab.store.job(job.id).await.unwrap(), None);
    assert_eq!(lab.store.tasks(job.id).await.unwrap(), []);
    assert!(!exists(lab, &Work::Seal { job: job.id }).await && !exists(lab, &Work::Finalize { job: job.id }).await);
    lab.store.remove(job.id).await.unwrap();
}

pub async fn a_job_that_has_not_ended_is_not_removed(lab: &Lab) {
    let job = seed::job("a");
    lab.submit(&job).await;
    let refuses = async |state: &str| {
        let error = lab.store.remove(job.id).await.unwrap_err();
        assert!(error.is_permanent() && error.to_string().contains(&format!("it is {state}")), "{error}");
    };
    refuses("submitted").await;
    lab.plan(&job, &["a.zip"]).await;
    refuses("running").await;
    let holding = lab.take(&job, &job.list(1)).await;
    lab.store.control(job.id, Control::Cancel).await.unwrap();
    lab.advance(&job).await;
    refuses("cancelling").await;
    assert_eq!(lab.store.hand_back(holding, Duration::ZERO, None).await.unwrap(), Written::Done);
    lab.advance(&job).await;
    lab.store.remove(job.id).await.unwrap();
    assert!(!exists(lab, &job.list(1)).await, "nobody needs it, and it left nothing");

    let blocked = seed::job("b");
    lab.start(&blocked, &["a.zip"]).await;
    lab.kill(&blocked, &blocked.list(1)).await;
    lab.advance(&blocked).await;
    let error = lab.store.remove(blocked.id).await.unwrap_err();
    assert!(error.to_string().contains("it is blocked: cancel it first"), "{error}");
}

pub async fn shared_tasks_stay_for_other_jobs_and_for_the_ledger(lab: &Lab) {
    let (first, second) = (seed::job("a"), seed::job("b"));
    lab.start(&first, &["a.zip", "b.zip"]).await;
    lab.start(&second, &["a.zip", "b.zip"]).await;
    lab.list(&first, 1, listing("etag", vec![cut(0), cut(1)])).await;
    lab.embed(&first, chunk(1, 1, 0)).await;
    cancelled(lab, &first).await;
    lab.store.remove(first.id).await.unwrap();
    for work in [first.list(1), first.list(2), first.embed(chunk(1, 1, 0)), first.embed(chunk(1, 1, 1))] {
        assert!(exists(lab, &work).await, "{work:?}: the other job needs it");
    }
    assert_eq!(lab.state(&second, &second.embed(chunk(1, 1, 1))).await, State::Ready);
    cancelled(lab, &second).await;
    lab.store.remove(second.id).await.unwrap();
    assert!(exists(lab, &first.embed(chunk(1, 1, 0))).await, "the ledger names it");
    for work in [first.list(1), first.list(2), first.embed(chunk(1, 1, 1))] {
        assert!(!exists(lab, &work).await, "{work:?}");
    }
}

pub async fn a_task_stays_whose_lost_attempt_may_still_write(lab: &Lab) {
    let job = seed::job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let embed = job.embed(chunk(1, 1, 0));
    let session = open_session(&lab.store, MOMENT).await;
    lab.take_in(session, &job, &embed).await;
    reap(lab, session).await;
    cancelled(lab, &job).await;
    lab.store.remove(job.id).await.unwrap();
    assert!(exists(lab, &embed).await, "seals of its corpus must wait for it");
}

pub async fn a_removed_job_is_submitted_anew_and_embeds_nothing(lab: &Lab) {
    let job = seed::job("a");
    succeeded(lab, &job).await;
    lab.store.remove(job.id).await.unwrap();
    let anew = seed::job("a");
    assert_eq!(lab.store.submit(&anew).await.unwrap().how, How::New);
    lab.plan(&anew, &["a.zip"]).await;
    lab.list(&anew, 1, listing("etag", vec![cut(0)])).await;
    assert_eq!(lab.state(&anew, &anew.embed(chunk(1, 1, 0))).await, State::Succeeded);
    assert_eq!(lab.ledger(&anew).await[0].counts.as_ref().unwrap().embedded, 9);
}

pub async fn a_collection_that_a_job_needs_is_not_forgotten(lab: &Lab) {
    let job = seed::job("a");
    lab.start(&job, &["a.zip"]).await;
    let error = lab.store.forget(&job.collection.id).await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("jobs need it: a"), "{error}");
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let holding = lab.take(&job, &job.embed(chunk(1, 1, 0))).await;
    assert_eq!(lab.store.fail(holding, &failure(true)).await.unwrap(), Written::Done);
    cancelled(lab, &job).await;
    assert!(lab.store.forget(&job.collection.id).await.is_err());
    let search = NewSearch { id: JobId::random(), collection: job.collection.id.clone(), spec: "a bicycle".into() };
    lab.store.search(&search).await.unwrap();
    lab.store.remove(job.id).await.unwrap();
    let error = lab.store.forget(&job.collection.id).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("searched a moment ago"), "{error}");
    lab.store.forget_searches(&[search.id]).await.unwrap();
    lab.store.forget(&job.collection.id).await.unwrap();
    assert_eq!(lab.store.collections().await.unwrap(), []);
    assert_eq!(lab.store.forget(&job.collection.id).await.unwrap(), [], "again changes nothing");
}

pub async fn a_collection_into_which_an_attempt_writes_is_not_forgotten(lab: &Lab) {
    let (first, second) = (seed::job("a"), seed::job("b"));
    lab.start(&first, &["a.zip"]).await;
    lab.list(&first, 1, listing("etag", vec![cut(0)])).await;
    let holding = lab.take(&first, &first.embed(chunk(1, 1, 0))).await;
    // Its chunk is cut anew meanwhile: no job needs the attempt, and none waits for it.
    lab.start(&second, &["a.zip"]).await;
    lab.list(&second, 1, listing("other", vec![cut(0)])).await;
    for job in [&first, &second] {
        cancelled(lab, job).await;
        lab.store.remove(job.id).await.unwrap();
    }
    let error = lab.store.forget(&first.collection.id).await.unwrap_err();
    assert!(!error.is_permanent() && error.to_string().contains("still runs"), "{error}");
    assert_eq!(lab.store.hand_back(holding, Duration::ZERO, None).await.unwrap(), Written::Done);
    lab.store.forget(&first.collection.id).await.unwrap();
}

pub async fn a_forgotten_collection_leaves_others_over_its_corpus_alone(lab: &Lab) {
    let (clip, siglip) = (seed::job("a"), seed::job("b").with_model("siglip"));
    succeeded(lab, &clip).await;
    succeeded(lab, &siglip).await;
    lab.store.remove(clip.id).await.unwrap();
    let forgotten = lab.store.forget(&clip.collection.id).await.unwrap();
    assert_eq!(forgotten, [clip.embed(chunk(1, 1, 0)).id()]);
    assert!(!exists(lab, &clip.embed(chunk(1, 1, 0))).await);
    assert_eq!(lab.store.rejected(&clip.collection.id, chunk(1, 1, 0)).await.unwrap(), []);
    assert_eq!(lab.store.collections().await.unwrap(), std::slice::from_ref(&siglip.collection));
    assert_eq!(lab.ledger(&siglip).await[0].counts.as_ref().unwrap().embedded, 9);
    assert_eq!(lab.chunks(&siglip, 1).await.len(), 1);
}

pub async fn the_last_collection_takes_its_corpus_along(lab: &Lab) {
    let (job, other) = (seed::job("a"), seed::job("b").over("others"));
    succeeded(lab, &job).await;
    succeeded(lab, &other).await;
    lab.store.remove(job.id).await.unwrap();
    lab.store.forget(&job.collection.id).await.unwrap();
    assert_eq!(lab.store.corpus(&job.corpus.id).await.unwrap(), None);
    assert_eq!(lab.store.shards(&job.corpus.id).await.unwrap(), []);
    assert!(!exists(lab, &job.list(1)).await && exists(lab, &other.list(1)).await);
    let anew = seed::job("a");
    succeeded(lab, &anew).await;
    assert_eq!(lab.shard(&anew, 1).await.version, 1, "it begins anew");
}
