//! Submissions (protocol §7, §9).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{HOUR, Lab, eight_at_once, job, listing},
    ids::JobId,
    job::spec::IndexKind,
    ports::{
        jobs::{Control, How, JobState, NewJob, Submitted},
        tasks::{Outcome, Written},
    },
    task::State,
    work::{Kind, Stage, Work},
};

pub async fn a_submission_creates_the_job_and_its_own_tasks(lab: &Lab) {
    let job = NewJob { blocks: 2, rerankers: 2, ..job("a") };
    lab.submit(&job).await;
    let view = lab.store.job(job.id).await.unwrap().unwrap();
    assert_eq!(
        (view.name.as_str(), view.spec, view.state, view.stage),
        ("a", job.spec.clone(), JobState::Submitted, Stage::Embed)
    );
    let tasks = lab.store.tasks(job.id).await.unwrap();
    assert!(tasks.iter().all(|task| task.state == State::Pending && task.id == task.work.id()));
    let kinds: Vec<_> = tasks.iter().map(|task| task.work.kind()).collect();
    let (retrieve, rerank) = ([Kind::Retrieve; 2], [Kind::Rerank; 4]);
    assert_eq!(kinds, [&[Kind::Seal][..], &retrieve, &rerank, &[Kind::Finalize]].concat());
    assert_eq!(lab.store.corpus(&job.corpus.id).await.unwrap(), Some(job.corpus.clone()));
    assert_eq!(lab.store.collection(&job.collection.id).await.unwrap(), Some(job.collection.clone()));
    assert_eq!(lab.store.queues(HOUR, 10).await.unwrap(), [], "nothing is ready yet");
    assert_eq!(lab.advance(&job).await, []);
}

pub async fn of_eight_submitters_one_creates_the_job(lab: &Lab) {
    let submitted = eight_at_once(|_| {
        let store = lab.store.clone();
        async move { store.submit(&job("a")).await.unwrap() }
    })
    .await;
    let new: Vec<_> = submitted.iter().filter(|submitted| submitted.how == How::New).collect();
    assert_eq!(new.len(), 1);
    assert!(submitted.iter().all(|submitted| submitted.job == new[0].job));
    assert_eq!(lab.store.jobs().await.unwrap().len(), 1);
}

pub async fn a_spec_that_is_active_is_not_submitted_twice(lab: &Lab) {
    let first = job("a");
    lab.submit(&first).await;
    lab.submit(&first).await;
    let same = NewJob { id: JobId::random(), ..first.clone() };
    let active = Submitted { job: first.id, how: How::Active, cancelled: vec![] };
    assert_eq!(lab.store.submit(&same).await.unwrap(), active);
    lab.plan(&first, &["a.zip"]).await;
    assert_eq!(lab.store.submit(&same).await.unwrap(), active);
    assert_eq!(lab.job_state(&first).await, JobState::Running);
}

pub async fn a_blocked_or_ended_job_is_submitted_again(lab: &Lab) {
    let first = job("a");
    lab.start(&first, &["a.zip"]).await;
    lab.kill(&first, &first.list(1)).await;
    lab.advance(&first).await;
    lab.store.control(first.id, Control::AcceptDead).await.unwrap();
    lab.run_own_tasks(&first).await;
    assert!(lab.store.job(first.id).await.unwrap().unwrap().ended.is_some());
    let same = NewJob { id: JobId::random(), allow_delete: true, ..first.clone() };
    let again = Submitted { job: first.id, how: How::Again, cancelled: vec![] };
    assert_eq!(lab.store.submit(&same).await.unwrap(), again);
    let view = lab.store.job(first.id).await.unwrap().unwrap();
    assert_eq!((view.state, view.stage, view.ended), (JobState::Submitted, Stage::Embed, None));
    assert_eq!((view.accept_dead, view.allow_delete), (false, true));
    lab.plan(&first, &["a.zip"]).await;
    lab.kill(&first, &first.list(1)).await;
    lab.advance(&first).await;
    assert_eq!(lab.job_state(&first).await, JobState::Blocked);
    assert_eq!(lab.store.submit(&same).await.unwrap(), again);
}

pub async fn what_was_submitted_last_says_when_and_how_widely_a_job_runs(lab: &Lab) {
    let job = job("a");
    let runs_at = async || {
        let view = lab.store.job(job.id).await.unwrap().unwrap();
        (view.priority, view.max_tasks)
    };
    lab.start(&job, &["a.zip", "b.zip"]).await;
    assert_eq!(runs_at().await, (0, 0));
    let urgent = NewJob { id: JobId::random(), priority: 7, max_tasks: 1, ..job.clone() };
    assert_eq!(lab.store.submit(&urgent).await.unwrap().how, How::Active);
    assert_eq!(runs_at().await, (7, 1));
    let queue = Kind::List.queue("");
    let marked = lab.store.mark(&queue, 9, uuid::Uuid::now_v7(), HOUR).await.unwrap();
    assert_eq!(marked.len(), 1, "the bound holds for a job that was running");
    lab.store.submit(&job).await.unwrap();
    assert_eq!(runs_at().await, (0, 0));
}

pub async fn a_collection_keeps_its_storage_settings(lab: &Lab) {
    let first = job("a");
    lab.submit(&first).await;
    let mut other = job("b");
    other.collection.model_path = "elsewhere".into();
    other.collection.storage.kind = IndexKind::Hnsw;
    let error = lab.store.submit(&other).await.unwrap_err();
    assert!(error.is_permanent());
    assert!(error.to_string().contains("flat_ip") && error.to_string().contains("hnsw"), "{error}");
    assert_eq!(lab.store.job(other.id).await.unwrap(), None);
    assert_eq!(lab.store.collection(&first.collection.id).await.unwrap(), Some(first.collection.clone()));
    // Where the model stands may change.
    other.collection.storage = first.collection.storage.clone();
    lab.submit(&other).await;
    assert_eq!(lab.store.collection(&first.collection.id).await.unwrap(), Some(other.collection));
}

pub async fn another_spec_of_the_same_name_takes_the_older_jobs_place(lab: &Lab) {
    let old = job("a");
    lab.start(&old, &["a.zip"]).await;
    let other_name = job("b");
    lab.submit(&other_name).await;
    let new = NewJob { hash: "a changed file".into(), ..job("a") };
    let submitted = lab.store.submit(&new).await.unwrap();
    assert_eq!(submitted.cancelled, [], "only an embedded run takes the place");
    let new = NewJob { hash: "changed once more".into(), replaces_same_name: true, ..job("a") };
    let mut replaced = lab.store.submit(&new).await.unwrap().cancelled;
    replaced.sort();
    assert_eq!(replaced, [old.id, submitted.job]);
    lab.store.advance().await.unwrap();
    assert_eq!(lab.job_state(&old).await, JobState::Cancelled);
    assert_eq!(lab.state(&old, &old.list(1)).await, State::Cancelled);
    assert_eq!(lab.job_state(&other_name).await, JobState::Submitted);
    assert_eq!(lab.job_state(&new).await, JobState::Submitted);
}

pub async fn a_job_submitted_again_while_it_is_cancelled_runs_nothing_yet(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![])).await;
    lab.advance(&job).await;
    let seal = Work::Seal { job: job.id };
    let holding = lab.take(&job, &seal).await;
    lab.store.control(job.id, Control::Cancel).await.unwrap();
    lab.start_again(&job, &["a.zip"]).await;
    // The seal of before would work against what is embedded now.
    assert_eq!(lab.state(&job, &seal).await, State::Pending);
    assert_eq!(lab.store.succeed(holding, &Outcome::Finished { artifact: None }).await.unwrap(), Written::Stale);
}
