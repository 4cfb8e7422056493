//! From stage to stage (protocol §4).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{Lab, chunk, cut, eight_at_once, embedded, job, listing},
    ledger::Reason,
    ports::{
        jobs::{Control, JobState, Jobs, NewJob, Step, TaskView},
        tasks::{Outcome, Written},
    },
    task::State,
    work::{Kind, Stage, Work},
};
use std::time::Duration;

/// One shard with one chunk, listed and embedded.
async fn embed_all(lab: &Lab, job: &NewJob) {
    lab.start(job, &["a.zip"]).await;
    lab.list(job, 1, listing("etag", vec![cut(0)])).await;
    lab.embed(job, chunk(1, 1, 0)).await;
}

pub async fn a_job_goes_from_stage_to_stage_to_its_end(lab: &Lab) {
    let job = NewJob { blocks: 2, ..job("a") };
    let id = job.id;
    lab.start(&job, &["a.zip"]).await;
    assert_eq!(lab.advance(&job).await, []);
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    assert_eq!(lab.advance(&job).await, []);
    lab.embed(&job, chunk(1, 1, 0)).await;
    let stages = [
        (Stage::Seal, vec![Work::Seal { job: id }]),
        (Stage::Retrieve, vec![Work::Retrieve { job: id, block: 0 }, Work::Retrieve { job: id, block: 1 }]),
        (Stage::Rerank, (0..2).map(|block| Work::Rerank { job: id, reranker: 0, block }).collect()),
        (Stage::Finalize, vec![Work::Finalize { job: id }]),
    ];
    for (stage, tasks) in stages {
        assert_eq!(lab.state(&job, &tasks[0]).await, State::Pending);
        assert_eq!(lab.advance(&job).await, [Step::Began(stage)]);
        assert_eq!(lab.store.job(id).await.unwrap().unwrap().stage, stage);
        for work in tasks {
            assert_eq!(lab.advance(&job).await, []);
            let holding = lab.take(&job, &work).await;
            assert_eq!(lab.advance(&job).await, []);
            let artifact = Some(format!("what {} wrote", work.kind()));
            lab.succeed(holding, Outcome::Finished { artifact: artifact.clone() }).await;
            assert_eq!(lab.view(&job, &work).await.artifact, artifact);
        }
    }
    assert_eq!(lab.advance(&job).await, [Step::Succeeded]);
    assert_eq!(lab.job_state(&job).await, JobState::Succeeded);
    assert!(lab.store.job(id).await.unwrap().unwrap().ended.is_some());
    assert_eq!(lab.advance(&job).await, []);
}

pub async fn of_eight_coordinators_one_makes_each_step(lab: &Lab) {
    let job = NewJob { blocks: 0, rerankers: 0, ..job("a") };
    embed_all(lab, &job).await;
    lab.advance(&job).await;
    lab.finish(&job, &Work::Seal { job: job.id }).await;
    let steps = eight_at_once(|_| {
        let store = lab.store.clone();
        async move { store.advance().await.unwrap() }
    })
    .await;
    let mut stages: Vec<_> = steps.into_iter().flatten().map(|(_, step)| step).collect();
    stages.sort_by_key(|step| match step {
        Step::Began(stage) => *stage,
        other => panic!("no step of this job: {other:?}"),
    });
    assert_eq!(stages, [Stage::Retrieve, Stage::Rerank, Stage::Finalize].map(Step::Began));
}

pub async fn a_job_without_pictures_or_titles_ends(lab: &Lab) {
    let job = NewJob { blocks: 0, rerankers: 0, ..job("a") };
    lab.start(&job, &[]).await;
    lab.run_own_tasks(&job).await;
}

pub async fn a_stage_with_only_dead_tasks_left_blocks_the_job(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip", "b.zip", "c.zip"]).await;
    lab.kill(&job, &job.list(1)).await;
    assert_eq!(lab.advance(&job).await, [], "other tasks are open");
    lab.kill(&job, &job.list(2)).await;
    lab.list(&job, 3, listing("etag", vec![])).await;
    assert_eq!(lab.advance(&job).await, [Step::Blocked(Stage::Embed, 2)]);
    assert_eq!(lab.job_state(&job).await, JobState::Blocked);
    assert_eq!(lab.advance(&job).await, []);
    assert_eq!(lab.state(&job, &Work::Seal { job: job.id }).await, State::Pending);
}

pub async fn another_jobs_open_tasks_hold_up_nobody(lab: &Lab) {
    let (job, other) = (job("a"), job("other").with_model("siglip"));
    embed_all(lab, &job).await;
    lab.start(&other, &["a.zip"]).await;
    // The shared listing is open again, and this job needs it.
    assert_eq!(lab.advance(&job).await, []);
    lab.list(&other, 1, listing("etag", vec![cut(0)])).await;
    // The other collection's chunk is open, and this job does not.
    assert_eq!(lab.state(&other, &other.embed(chunk(1, 1, 0))).await, State::Ready);
    assert_eq!(lab.advance(&job).await, [Step::Began(Stage::Seal)]);
}

/// A later job finds the shard changed while this one seals: what it is to search is not all there.
pub async fn what_is_listed_and_embedded_again_holds_up_later_stages_too(lab: &Lab) {
    let (job, later) = (job("a"), job("later"));
    embed_all(lab, &job).await;
    assert_eq!(lab.advance(&job).await, [Step::Began(Stage::Seal)]);
    lab.start(&later, &["a.zip"]).await;
    lab.finish(&job, &Work::Seal { job: job.id }).await;
    assert_eq!(lab.advance(&job).await, [], "its shard is being listed");
    lab.list(&later, 1, listing("new etag", vec![cut(0)])).await;
    assert_eq!(lab.advance(&job).await, [], "its chunk is being embedded");
    lab.embed(&job, chunk(1, 2, 0)).await;
    assert_eq!(lab.advance(&job).await, [Step::Began(Stage::Retrieve)]);
}

pub async fn an_unchanged_corpus_leaves_nothing_to_do(lab: &Lab) {
    let job = job("a");
    embed_all(lab, &job).await;
    lab.run_own_tasks(&job).await;
    let done = lab.store.tasks(job.id).await.unwrap();
    lab.start_again(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    assert_eq!(lab.advance(&job).await, [Step::Succeeded]);
    let attempts = |tasks: &[TaskView]| tasks[1..].iter().map(|task| task.attempt).collect::<Vec<_>>();
    assert_eq!(attempts(&lab.store.tasks(job.id).await.unwrap()), attempts(&done), "nothing ran but the listing");
}

async fn begins_seal_again(lab: &Lab, job: &NewJob) {
    assert_eq!(lab.advance(job).await, [Step::Began(Stage::Seal)]);
    assert_eq!(lab.state(job, &Work::Seal { job: job.id }).await, State::Ready);
    assert_eq!(lab.state(job, &Work::Finalize { job: job.id }).await, State::Pending);
    lab.run_own_tasks(job).await;
}

pub async fn a_changed_corpus_is_sealed_and_searched_again(lab: &Lab) {
    let job = job("a");
    embed_all(lab, &job).await;
    lab.run_own_tasks(&job).await;
    lab.start_again(&job, &["a.zip", "b.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    lab.list(&job, 2, listing("etag", vec![])).await;
    begins_seal_again(lab, &job).await;
    // One of its shards has changed.
    lab.start_again(&job, &["a.zip", "b.zip"]).await;
    lab.list(&job, 1, listing("new etag", vec![cut(0)])).await;
    lab.list(&job, 2, listing("etag", vec![])).await;
    lab.embed(&job, chunk(1, 2, 0)).await;
    begins_seal_again(lab, &job).await;
}

pub async fn a_removed_shard_is_sealed_and_searched_again(lab: &Lab) {
    let job = NewJob { allow_delete: true, ..job("a") };
    lab.start(&job, &["a.zip", "b.zip"]).await;
    for shard in [1, 2] {
        lab.list(&job, shard, listing("etag", vec![])).await;
    }
    lab.run_own_tasks(&job).await;
    lab.start_again(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![])).await;
    begins_seal_again(lab, &job).await;
}

pub async fn a_run_that_did_not_end_is_not_taken_for_done(lab: &Lab) {
    let job = job("a");
    embed_all(lab, &job).await;
    lab.advance(&job).await;
    lab.finish(&job, &Work::Seal { job: job.id }).await;
    lab.store.control(job.id, Control::Cancel).await.unwrap();
    lab.advance(&job).await;
    lab.start_again(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    begins_seal_again(lab, &job).await;
}

pub async fn progress_counts_tasks_shards_and_pictures(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip", "b.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0), cut(1), cut(2)])).await;
    for number in [0, 1] {
        let holding = lab.take(&job, &job.embed(chunk(1, 1, number))).await;
        let outcome = embedded("vectors", &[("a/1", Reason::Empty), ("a/2", Reason::Empty)]);
        lab.succeed(holding, Outcome::Embedded(outcome)).await;
    }
    let progress = Jobs::progress(&*lab.store, job.id).await.unwrap();
    assert_eq!((progress.shards, progress.shards_listed, progress.pictures), (2, 1, 30));
    assert_eq!((progress.counts.seen, progress.counts.embedded), (20, 16));
    assert_eq!(progress.counts.rejected, [(Reason::Empty, 4)].into());
    let tasks = [
        (Kind::List, State::Ready, 1),
        (Kind::List, State::Succeeded, 1),
        (Kind::Embed, State::Ready, 1),
        (Kind::Embed, State::Succeeded, 2),
        (Kind::Seal, State::Pending, 1),
        (Kind::Retrieve, State::Pending, 1),
        (Kind::Rerank, State::Pending, 1),
        (Kind::Finalize, State::Pending, 1),
    ];
    assert_eq!(progress.tasks, tasks);
    let holding = lab.take(&job, &job.list(2)).await;
    assert_eq!(lab.store.hand_back(holding, Duration::ZERO, None).await.unwrap(), Written::Done);
    assert_eq!(Jobs::progress(&*lab.store, job.id).await.unwrap(), progress);
}
