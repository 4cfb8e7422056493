//! What people do to jobs (protocol §4).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{Lab, chunk, cut, embedded, job, listing},
    ids::JobId,
    ports::{
        jobs::{Control, JobState, NewJob, Step},
        tasks::{Outcome, Written},
    },
    task::State,
    work::{Stage, Work},
};
use std::time::Duration;

async fn control(lab: &Lab, job: &NewJob, control: Control) {
    lab.store.control(job.id, control).await.unwrap();
    // Its answer was lost; it comes again.
    lab.store.control(job.id, control).await.unwrap();
}

pub async fn an_unknown_job_cannot_be_controlled(lab: &Lab) {
    assert!(lab.store.control(JobId::random(), Control::Cancel).await.unwrap_err().is_permanent());
}

/// One shard with two chunks; the first is dead.
async fn blocked(lab: &Lab) -> NewJob {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0), cut(1)])).await;
    lab.kill(&job, &job.embed(chunk(1, 1, 0))).await;
    lab.embed(&job, chunk(1, 1, 1)).await;
    assert_eq!(lab.advance(&job).await, [Step::Blocked(Stage::Embed, 1)]);
    job
}

pub async fn accepting_the_dead_goes_on_without_them(lab: &Lab) {
    let job = blocked(lab).await;
    control(lab, &job, Control::AcceptDead).await;
    assert_eq!(lab.job_state(&job).await, JobState::Running);
    assert_eq!(lab.advance(&job).await, [Step::Began(Stage::Seal)]);
    assert_eq!(lab.state(&job, &job.embed(chunk(1, 1, 0))).await, State::Dead);
    assert!(lab.store.job(job.id).await.unwrap().unwrap().accept_dead);
    // Without a step of its own there would be no results.
    lab.kill(&job, &Work::Seal { job: job.id }).await;
    assert_eq!(lab.advance(&job).await, [Step::Blocked(Stage::Seal, 1)]);
}

pub async fn a_retry_revives_the_dead_and_reopens_what_comes_after(lab: &Lab) {
    let job = blocked(lab).await;
    let (seal, finalize) = (Work::Seal { job: job.id }, Work::Finalize { job: job.id });
    control(lab, &job, Control::AcceptDead).await;
    lab.advance(&job).await;
    lab.finish(&job, &seal).await;
    lab.advance(&job).await;
    let retrieve = lab.take(&job, &Work::Retrieve { job: job.id, block: 0 }).await;
    control(lab, &job, Control::RetryDead).await;
    let revived = lab.view(&job, &job.embed(chunk(1, 1, 0))).await;
    assert_eq!((revived.state, revived.failures), (State::Ready, 0));
    assert_eq!(lab.store.job(job.id).await.unwrap().unwrap().stage, Stage::Embed);
    for work in [&seal, &finalize] {
        assert_eq!(lab.state(&job, work).await, State::Pending);
    }
    let late = lab.store.succeed(retrieve, &Outcome::Finished { artifact: None }).await.unwrap();
    assert_eq!(late, Written::Stale, "what was retrieved is of before");
    assert_eq!(lab.advance(&job).await, []);
    lab.embed(&job, chunk(1, 1, 0)).await;
    lab.run_own_tasks(&job).await;
    assert_eq!(lab.view(&job, &seal).await.attempt, 2);
}

pub async fn a_retry_goes_back_to_the_earliest_dead_task(lab: &Lab) {
    let job = blocked(lab).await;
    let seal = Work::Seal { job: job.id };
    control(lab, &job, Control::RetryDead).await;
    assert_eq!(lab.job_state(&job).await, JobState::Running);
    lab.embed(&job, chunk(1, 1, 0)).await;
    lab.advance(&job).await;
    lab.kill(&job, &seal).await;
    assert_eq!(lab.advance(&job).await, [Step::Blocked(Stage::Seal, 1)]);
    control(lab, &job, Control::RetryDead).await;
    assert_eq!(lab.store.job(job.id).await.unwrap().unwrap().stage, Stage::Seal);
    assert_eq!(lab.state(&job, &seal).await, State::Ready);
    assert_eq!(lab.state(&job, &job.embed(chunk(1, 1, 0))).await, State::Succeeded);
    lab.run_own_tasks(&job).await;
}

pub async fn a_retry_before_the_plan_leaves_own_tasks_for_later(lab: &Lab) {
    let job = blocked(lab).await;
    let seal = Work::Seal { job: job.id };
    control(lab, &job, Control::AcceptDead).await;
    lab.advance(&job).await;
    lab.kill(&job, &seal).await;
    lab.store.control(job.id, Control::Cancel).await.unwrap();
    lab.advance(&job).await;
    lab.store.submit(&job).await.unwrap();
    control(lab, &job, Control::RetryDead).await;
    assert_eq!(lab.job_state(&job).await, JobState::Submitted);
    assert_eq!(lab.state(&job, &job.embed(chunk(1, 1, 0))).await, State::Ready);
    assert_eq!(lab.state(&job, &seal).await, State::Pending);
}

pub async fn cancelling_leaves_what_another_job_wants(lab: &Lab) {
    let (first, second) = (job("first"), job("second"));
    lab.start(&first, &["a.zip", "b.zip"]).await;
    lab.start(&second, &["a.zip"]).await;
    lab.list(&first, 1, listing("etag", vec![cut(0)])).await;
    control(lab, &first, Control::Cancel).await;
    assert_eq!(lab.state(&second, &second.embed(chunk(1, 1, 0))).await, State::Ready);
    assert_eq!(lab.state(&first, &first.list(2)).await, State::Cancelled);
    for work in [Work::Seal { job: first.id }, Work::Finalize { job: first.id }] {
        assert_eq!(lab.state(&first, &work).await, State::Cancelled);
    }
    assert_eq!(lab.advance(&first).await, [Step::Cancelled]);
    lab.embed(&second, chunk(1, 1, 0)).await;
    lab.run_own_tasks(&second).await;
}

pub async fn cancelling_waits_for_what_only_this_job_runs(lab: &Lab) {
    let (first, second) = (job("first"), job("second"));
    lab.start(&first, &["a.zip", "b.zip"]).await;
    lab.start(&second, &["a.zip"]).await;
    let (shared, own) = (lab.take(&first, &first.list(1)).await, lab.take(&first, &first.list(2)).await);
    control(lab, &first, Control::Cancel).await;
    assert_eq!(lab.advance(&first).await, []);
    assert_eq!(lab.job_state(&first).await, JobState::Cancelling);
    assert_eq!(lab.store.beat(lab.session).await.unwrap().unneeded, [own]);
    assert_eq!(lab.store.hand_back(own, Duration::ZERO, None).await.unwrap(), Written::Done);
    assert_eq!(lab.advance(&first).await, [Step::Cancelled], "the other still runs, for the second job");
    lab.succeed(shared, Outcome::Listed(listing("etag", vec![]))).await;
}

pub async fn a_paused_job_wants_its_tasks_still(lab: &Lab) {
    let (first, second) = (job("first"), job("second"));
    lab.start(&first, &["a.zip"]).await;
    lab.start(&second, &["a.zip"]).await;
    control(lab, &second, Control::Pause).await;
    assert!(lab.store.job(second.id).await.unwrap().unwrap().paused);
    control(lab, &first, Control::Cancel).await;
    assert_eq!(lab.state(&second, &second.list(1)).await, State::Ready);
    control(lab, &second, Control::Resume).await;
    lab.take(&second, &second.list(1)).await;
}

pub async fn a_cancelled_job_ends_after_what_was_running(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let holding = lab.take(&job, &job.embed(chunk(1, 1, 0))).await;
    control(lab, &job, Control::Cancel).await;
    assert_eq!(lab.advance(&job).await, []);
    // It was quicker than the word; what it did counts.
    lab.succeed(holding, Outcome::Embedded(embedded("vectors", &[]))).await;
    assert_eq!(lab.advance(&job).await, [Step::Cancelled]);
    assert!(lab.ledger(&job).await[0].counts.is_some());
}

pub async fn an_ended_job_is_left_alone(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &[]).await;
    lab.run_own_tasks(&job).await;
    let before = lab.store.job(job.id).await.unwrap();
    for doing in [Control::Cancel, Control::Pause, Control::RetryDead, Control::AcceptDead] {
        control(lab, &job, doing).await;
        assert_eq!(lab.advance(&job).await, []);
        assert_eq!(lab.store.job(job.id).await.unwrap(), before);
    }
}

pub async fn a_repair_embeds_its_chunks_again_and_does_anew_what_comes_after(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0), cut(1)])).await;
    let (lost, kept) = (chunk(1, 1, 0), chunk(1, 1, 1));
    lab.embed(&job, lost).await;
    lab.embed(&job, kept).await;
    lab.run_own_tasks(&job).await;
    assert_eq!(lab.job_state(&job).await, JobState::Succeeded);
    for _ in 0..2 {
        // Its answer was lost; it comes again.
        lab.store.repair(job.id, &[lost]).await.unwrap();
        assert_eq!(lab.job_state(&job).await, JobState::Running);
        assert_eq!(lab.state(&job, &job.embed(lost)).await, State::Ready);
        assert_eq!(lab.state(&job, &job.embed(kept)).await, State::Succeeded);
    }
    assert_eq!(lab.advance(&job).await, []);
    lab.embed(&job, lost).await;
    assert_eq!(lab.advance(&job).await, [Step::Began(Stage::Seal)]);
    assert_eq!(lab.state(&job, &Work::Finalize { job: job.id }).await, State::Pending);
    lab.finish(&job, &Work::Seal { job: job.id }).await;
    lab.run_own_tasks(&job).await;
    assert_eq!(lab.job_state(&job).await, JobState::Succeeded);
}

pub async fn a_repair_without_chunks_seals_and_searches_again(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &[]).await;
    lab.run_own_tasks(&job).await;
    lab.store.repair(job.id, &[]).await.unwrap();
    assert_eq!(lab.advance(&job).await, [Step::Began(Stage::Seal)]);
}

pub async fn a_cancelled_job_is_not_repaired(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.store.control(job.id, Control::Cancel).await.unwrap();
    lab.advance(&job).await;
    let before = lab.store.job(job.id).await.unwrap();
    let error = lab.store.repair(job.id, &[chunk(1, 1, 0)]).await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("cancelled"), "{error}");
    assert_eq!(lab.store.job(job.id).await.unwrap(), before);
    assert!(lab.store.repair(JobId::random(), &[]).await.unwrap_err().is_permanent());
}
