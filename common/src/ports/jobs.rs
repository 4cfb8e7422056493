//! Jobs: submitted, planned, advanced from stage to stage, controlled and looked at by people.

use crate::{
    error::Result,
    ids::{CollectionId, CorpusId, JobId, Millis, TaskId},
    job::spec::{CollectionSpec, CorpusSpec},
    ledger::{Counts, Spent},
    task::State,
    work::{ChunkRef, Kind, Stage, Work},
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for a coordinator to list its corpus.
    Submitted,
    Running,
    /// Only dead tasks are left in its stage; a person decides.
    Blocked,
    /// Waits until no attempt that only it needs is running.
    Cancelling,
    Cancelled,
    Succeeded,
}

impl JobState {
    pub const ALL: [Self; 6] =
        [Self::Submitted, Self::Running, Self::Blocked, Self::Cancelling, Self::Cancelled, Self::Succeeded];

    pub fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Succeeded => "succeeded",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Do its tasks run?
    pub fn is_active(self) -> bool {
        matches!(self, Self::Submitted | Self::Running)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A job file that was read and checked, with everything it names resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Drawn by the submitter; used where no job with this spec is there yet.
    pub id: JobId,
    pub name: String,
    /// The canonical spec, as text.
    pub spec: String,
    /// Hash of the canonical spec: two submissions of one spec are one job.
    pub hash: String,
    pub corpus: CorpusSpec,
    pub collection: CollectionSpec,
    /// Higher runs first.
    pub priority: i32,
    /// The most tasks of this job marked or running at a time; 0 = no limit.
    pub max_tasks: u32,
    /// Titles, cut into blocks for retrieve and rerank tasks.
    pub blocks: u32,
    pub rerankers: u32,
    /// Remove pictures of shards that are gone, however many.
    pub allow_delete: bool,
    /// Cancel an active or blocked job of the same name and another spec (embedded runs).
    pub replaces_same_name: bool,
}

/// A text that somebody waits for: a job of the one task [`Work::Search`], which runs before all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSearch {
    pub id: JobId,
    pub collection: CollectionId,
    /// A [`Search`](crate::job::search::Search) as JSON.
    pub spec: String,
}

/// A search that is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldSearch {
    pub id: JobId,
    /// Its answer, where it had one.
    pub artifact: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// No job with this spec was there.
    New,
    /// A job with this spec is active; this is it.
    Active,
    /// A job with this spec had ended or was blocked: it lists again and does what it finds to do.
    Again,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    pub job: JobId,
    pub how: How,
    /// Older jobs of the same name that were cancelled.
    pub cancelled: Vec<JobId>,
}

/// What a complete listing of the corpus root found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Paths of the shards below the corpus root.
    pub shards: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planned {
    /// Gone from the corpus and now removed.
    pub removed: Vec<String>,
    /// Gone from the corpus and kept, because removing needs `allow_delete`.
    pub kept: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Cancel,
    Pause,
    Resume,
    /// Go on without the shards and chunks whose list or embed task is dead, now or later. A dead task of the job's own
    /// blocks it all the same: without that there are no results.
    AcceptDead,
    /// Revive the dead tasks and reopen what comes after them.
    RetryDead,
}

/// A step that [`Jobs::advance`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Began(Stage),
    /// With the number of dead tasks.
    Blocked(Stage, usize),
    Succeeded,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    pub id: JobId,
    pub name: String,
    pub state: JobState,
    pub paused: bool,
    pub stage: Stage,
    pub spec: String,
    pub corpus: CorpusId,
    pub collection: CollectionId,
    pub accept_dead: bool,
    pub allow_delete: bool,
    pub created: Millis,
    pub ended: Option<Millis>,
    /// Shards that are gone from the corpus and were kept.
    pub kept_shards: Vec<String>,
    /// Why it could not be planned so far.
    pub error: Option<String>,
    /// Higher runs first.
    pub priority: i32,
    /// The most tasks of this job marked or running at a time; 0 = no limit.
    pub max_tasks: u32,
}

/// How far a job is: what it needs, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    pub tasks: Vec<(Kind, State, u64)>,
    /// Shards that the job searches, and how many of them this submission has listed.
    pub shards: u64,
    pub shards_listed: u64,
    /// Seen pictures, where listings know.
    pub pictures: u64,
    /// Sum of the ledger over the job's shards.
    pub counts: Counts,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TaskView {
    pub id: TaskId,
    pub work: Work,
    pub state: State,
    pub attempt: u32,
    pub failures: u32,
    pub crashes: u32,
    pub error: Option<String>,
    /// The winning attempt's.
    pub artifact: Option<String>,
    /// When it was last claimed, and by which worker.
    pub claimed: Option<Millis>,
    pub worker: Option<String>,
    /// When it last succeeded.
    pub finished: Option<Millis>,
}

/// How fast a job goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pace {
    /// Sessions that run tasks which the job needs.
    pub workers: u64,
    /// Pictures of chunks under way that have been looked at.
    pub under_way: u64,
    /// Chunks that were embedded within what was asked for, their pictures, and what their stages took.
    pub chunks: u64,
    pub pictures: u64,
    pub spent: Spent,
    /// When the first of these chunks was claimed.
    pub since: Option<Millis>,
    /// The store's clock.
    pub now: Millis,
}

/// How an attempt ended that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptEnd {
    Failed,
    /// Drained, or not needed any more.
    HandedBack,
    /// Its session's lease ran out.
    Lost,
    /// Its chunk was no longer there in this form.
    Superseded,
}

impl AttemptEnd {
    pub const ALL: [Self; 4] = [Self::Failed, Self::HandedBack, Self::Lost, Self::Superseded];

    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::HandedBack => "handed-back",
            Self::Lost => "lost",
            Self::Superseded => "superseded",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.name() == name)
    }
}

/// An attempt that ended otherwise than by success. Attempts that merely waited leave none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptView {
    /// Which attempt of its task, from 1.
    pub attempt: u32,
    pub worker: Option<String>,
    pub began: Option<Millis>,
    pub ended: Millis,
    pub end: AttemptEnd,
    pub error: Option<String>,
}

/// One task with all that is kept of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskDetail {
    pub task: TaskView,
    /// Not to be claimed before this time.
    pub run_after: Millis,
    /// How far the last attempt said that it had come, in pictures.
    pub done: u64,
    /// The jobs that need it, oldest first.
    pub jobs: Vec<JobId>,
    /// Its last attempts that did not succeed, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// Attempts that a task keeps: enough to see a pattern.
pub const ATTEMPTS_KEPT: u32 = 20;

#[async_trait]
pub trait Jobs: Send + Sync {
    /// One transaction: the job, its corpus and collection, its own tasks (pending). Idempotent by `hash`.
    async fn submit(&self, job: &NewJob) -> Result<Submitted>;

    async fn job(&self, job: JobId) -> Result<Option<JobView>>;

    /// One transaction: a job whose one task is ready. Idempotent by id. Permanent error where there is no such collection.
    async fn search(&self, search: &NewSearch) -> Result<()>;

    /// The searches that were asked for at least this long ago and that nobody runs, oldest first.
    async fn old_searches(&self, age: Duration) -> Result<Vec<OldSearch>>;

    /// Removes those of these searches that nobody runs.
    async fn forget_searches(&self, searches: &[JobId]) -> Result<()>;

    /// Why a submitted job could not be planned: kept until it is.
    async fn not_planned(&self, job: JobId, why: &str) -> Result<()>;

    /// The jobs that wait for a plan, oldest first.
    async fn submitted(&self) -> Result<Vec<JobView>>;

    /// All jobs but searches, oldest first.
    async fn jobs(&self) -> Result<Vec<JobView>>;

    /// What a complete listing found, in one transaction: new shards into the catalog, gone ones removed as far as the job
    /// may (protocol §7), a list task for each shard, and the job runs. Does nothing unless the job is submitted.
    async fn plan(&self, job: JobId, plan: &Plan) -> Result<Planned>;

    /// Moves every active job as far as its tasks allow, each step a compare-and-set; says what it did.
    async fn advance(&self) -> Result<Vec<(JobId, Step)>>;

    async fn control(&self, job: JobId, control: Control) -> Result<()>;

    /// Has these chunks of the job embedded again, whatever the ledger says of them, and then everything that comes
    /// after, from the seal on. A job that had ended or was blocked runs again. Permanent error where it was cancelled or waits
    /// for a plan.
    async fn repair(&self, job: JobId, chunks: &[ChunkRef]) -> Result<()>;

    async fn progress(&self, job: JobId) -> Result<Progress>;

    /// Who works for the job now, and what was embedded within the last `lately`.
    async fn pace(&self, job: JobId, lately: Duration) -> Result<Pace>;

    /// Every task that the job needs, by kind and key.
    async fn tasks(&self, job: JobId) -> Result<Vec<TaskView>>;

    async fn task(&self, task: TaskId) -> Result<Option<TaskDetail>>;

    /// Every dead task that a job needs, with these jobs, by kind and key.
    async fn dead(&self) -> Result<Vec<(TaskView, Vec<JobId>)>>;

    /// Forgets a job that has ended, and its own tasks. Of the shared tasks that only it needed, those stay that the ledger
    /// names, and those whose writes may still be under way. Removing what is not there succeeds; permanent error where the job
    /// has not ended.
    async fn remove(&self, job: JobId) -> Result<()>;
}
