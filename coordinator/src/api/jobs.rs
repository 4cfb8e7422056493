//! `/v1/jobs`: listed, shown, controlled. Jobs are not submitted here: what a job file names is read where it is submitted.

use super::{Refusal, Shared, State};
use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, Query,
        rejection::{BytesRejection, QueryRejection},
    },
    http::StatusCode,
};
use imagefleet_common::{
    ids::{CollectionId, CorpusId, JobId, Millis, TaskId},
    ledger::Counts,
    ports::jobs::{Control, JobState, JobView, Progress, TaskView},
    task::State as TaskState,
    work::{Kind, Stage},
};
use serde::{Deserialize, Serialize};

/// Items an answer has unless fewer or more are asked for.
const USUAL: usize = 100;
const MOST: usize = 1000;

#[derive(Serialize)]
pub(super) struct Jobs {
    /// Of all jobs that were asked for, not only of this answer's.
    total: usize,
    jobs: Vec<Job>,
}

#[derive(Serialize)]
struct Job {
    id: JobId,
    name: String,
    state: JobState,
    paused: bool,
    stage: Stage,
    corpus: CorpusId,
    collection: CollectionId,
    created: Millis,
    ended: Option<Millis>,
    /// Why it could not be planned so far.
    error: Option<String>,
}

impl From<JobView> for Job {
    fn from(view: JobView) -> Self {
        let JobView { id, name, state, paused, stage, corpus, collection, created, ended, error, .. } = view;
        Self { id, name, state, paused, stage, corpus, collection, created, ended, error }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    state: Option<String>,
    kind: Option<String>,
    offset: Option<usize>,
    limit: Option<usize>,
}

impl Asked {
    fn of(query: Result<Query<Self>, QueryRejection>) -> Result<Self, Refusal> {
        let Query(asked) = query.map_err(|wrong| Refusal::bad(wrong.body_text()))?;
        match asked.limit {
            Some(limit) if !(1..=MOST).contains(&limit) => {
                Err(Refusal::bad(format!("limit {limit}: expected 1 to {MOST}")))
            }
            _ => Ok(asked),
        }
    }

    fn page<T>(&self, all: impl Iterator<Item = T>) -> (usize, Vec<T>) {
        let (from, to) =
            (self.offset.unwrap_or(0), self.offset.unwrap_or(0).saturating_add(self.limit.unwrap_or(USUAL)));
        let (mut total, mut page) = (0, Vec::new());
        for item in all {
            if (from..to).contains(&total) {
                page.push(item);
            }
            total += 1;
        }
        (total, page)
    }
}

/// What a name of the query means; `None` where it was not given.
fn named<T>(given: Option<&String>, what: &str, from_name: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
    given
        .map(|name| from_name(name).ok_or_else(|| Refusal::bad(format!("{what} {name:?}: there is none of this name"))))
        .transpose()
}

/// The newest first.
pub(super) async fn list(shared: State, query: Result<Query<Asked>, QueryRejection>) -> Result<Json<Jobs>, Refusal> {
    let asked = Asked::of(query)?;
    if asked.kind.is_some() {
        return Err(Refusal::bad("kind: jobs have none"));
    }
    let state = named(asked.state.as_ref(), "state", JobState::from_name)?;
    let all = shared.api.ports.jobs.jobs().await?;
    let wanted = all.into_iter().rev().filter(|job| state.is_none_or(|state| job.state == state));
    let (total, page) = asked.page(wanted);
    Ok(Json(Jobs { total, jobs: page.into_iter().map(Job::from).collect() }))
}

#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    job: Job,
    tasks: Vec<Tally>,
    shards: Shards,
    /// Seen pictures, where listings know.
    pictures: u64,
    counts: Counts,
    /// Paths of shards that are gone from the corpus and were kept.
    kept_shards: Vec<String>,
}

#[derive(Serialize)]
struct Tally {
    kind: Kind,
    state: TaskState,
    count: u64,
}

#[derive(Serialize)]
struct Shards {
    all: u64,
    listed: u64,
}

pub(super) async fn show(shared: State, Path(id): Path<String>) -> Result<Json<Shown>, Refusal> {
    let view = find(&shared, &id).await?;
    let Progress { tasks, shards, shards_listed, pictures, counts } = shared.api.ports.jobs.progress(view.id).await?;
    let tasks = tasks.into_iter().map(|(kind, state, count)| Tally { kind, state, count }).collect();
    let kept_shards = view.kept_shards.clone();
    let shards = Shards { all: shards, listed: shards_listed };
    Ok(Json(Shown { job: view.into(), tasks, shards, pictures, counts, kept_shards }))
}

#[derive(Serialize)]
pub(super) struct Tasks {
    total: usize,
    tasks: Vec<Task>,
}

#[derive(Serialize)]
struct Task {
    id: TaskId,
    kind: Kind,
    key: String,
    state: TaskState,
    attempt: u32,
    failures: u32,
    crashes: u32,
    error: Option<String>,
    worker: Option<String>,
    claimed: Option<Millis>,
    finished: Option<Millis>,
}

impl From<TaskView> for Task {
    fn from(view: TaskView) -> Self {
        let TaskView { id, work, state, attempt, failures, crashes, error, artifact: _, claimed, worker, finished } =
            view;
        let (kind, key) = (work.kind(), work.key());
        Self { id, kind, key, state, attempt, failures, crashes, error, worker, claimed, finished }
    }
}

pub(super) async fn tasks(
    shared: State,
    Path(id): Path<String>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Tasks>, Refusal> {
    let asked = Asked::of(query)?;
    let state = named(asked.state.as_ref(), "state", TaskState::from_name)?;
    let kind = named(asked.kind.as_ref(), "kind", Kind::from_name)?;
    let job = find(&shared, &id).await?.id;
    let all = shared.api.ports.jobs.tasks(job).await?;
    let wanted = all.into_iter().filter(|task| {
        state.is_none_or(|state| task.state == state) && kind.is_none_or(|kind| task.work.kind() == kind)
    });
    let (total, page) = asked.page(wanted);
    Ok(Json(Tasks { total, tasks: page.into_iter().map(Task::from).collect() }))
}

#[derive(Serialize)]
pub(super) struct Controlled {
    id: JobId,
    /// After a cancel `cancelling`, until no attempt that only this job needs is running; a job that had ended is left
    /// alone.
    state: JobState,
    paused: bool,
}

/// The body is read, so that one that is too large is refused, and says nothing.
pub(super) async fn control(
    shared: State,
    Path(id): Path<String>,
    control: Control,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Controlled>), Refusal> {
    body?;
    let job = find(&shared, &id).await?.id;
    shared.api.ports.jobs.control(job, control).await?;
    let JobView { state, paused, .. } = find(&shared, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(Controlled { id: job, state, paused })))
}

async fn find(shared: &Shared, id: &str) -> Result<JobView, Refusal> {
    let none = || Refusal::not_found(format!("job {id:?}: there is none of this id; see /v1/jobs"));
    let job: JobId = id.parse().map_err(|_| none())?;
    shared.api.ports.jobs.job(job).await?.ok_or_else(none)
}
