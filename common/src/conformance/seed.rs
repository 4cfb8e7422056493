//! Small corpora, jobs and sessions for the suites of stores, and the steps that most cases begin with.
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    filter::Filter,
    ids::{CollectionId, CorpusId, JobId, SessionId},
    job::spec::{CollectionSpec, CorpusSpec, Decoding, IndexSection, Layout, Limits, Precision},
    ledger::{Counts, EmbeddedRow, Reason, RejectedRow, Spent},
    ports::{
        broker::Message,
        catalog::{Catalog, ChunkLedger, Shard},
        jobs::{How, JobState, Jobs, NewJob, Plan, Planned, Step, TaskView},
        tasks::{ChunkCut, Claim, Claimed, Embedded, Failure, Holding, Listing, NewSession, Outcome, Tasks, Written},
    },
    task::{RetryRules, State},
    work::{ChunkRef, Work},
};
use std::{any::Any, sync::Arc, time::Duration};
use tokio::sync::Barrier;
use uuid::Uuid;

/// What one adapter implements as a whole, because its transactions reach over all three.
pub trait Store: Tasks + Jobs + Catalog + 'static {}

impl<T: Tasks + Jobs + Catalog + 'static> Store for T {}

/// An empty store, and what must live as long as it (its folder, its schema).
pub struct Made {
    pub store: Arc<dyn Store>,
    pub keep: Box<dyn Any + Send>,
}

/// The rules that a suite's store follows: three failures, six crashes, and no rest that a test would have to wait for.
pub fn rules() -> RetryRules {
    RetryRules { max_failures: 3, max_crashes: 6, first_delay: Duration::ZERO, max_delay: Duration::ZERO }
}

/// Longer than any test.
pub const HOUR: Duration = Duration::from_secs(3600);

/// A job over the corpus "photos" with one block of titles and one reranker.
pub fn job(name: &str) -> NewJob {
    let corpus = CorpusSpec {
        id: CorpusId("photos".into()),
        name: "photos".into(),
        source: "photos".into(),
        layout: Layout::Zip,
        shards: "**/*.zip".into(),
        metadata: None,
        pictures: vec!["*.jpg".into()],
    };
    NewJob {
        id: JobId::random(),
        name: name.into(),
        spec: format!("the spec of {name}"),
        hash: format!("hash of {name}"),
        collection: collection(&corpus, "clip"),
        corpus,
        priority: 0,
        max_tasks: 0,
        blocks: 1,
        rerankers: 1,
        allow_delete: false,
        replaces_same_name: false,
    }
}

fn collection(corpus: &CorpusSpec, model: &str) -> CollectionSpec {
    CollectionSpec {
        id: CollectionId(format!("{}-{model}", corpus.id)),
        corpus: corpus.id.clone(),
        model_path: format!("models/{model}"),
        revision: model.into(),
        precision: Precision::F32,
        decoding: Decoding::Exact,
        preprocessing: "none".into(),
        limits: Limits::default(),
        filter: Filter::default(),
        dims: 4,
        batch: 32,
        storage: IndexSection::default(),
    }
}

impl NewJob {
    /// The same job with another model, so in another collection.
    #[must_use]
    pub fn with_model(mut self, model: &str) -> Self {
        self.collection = collection(&self.corpus, model);
        self
    }

    /// The same job over another corpus.
    #[must_use]
    pub fn over(mut self, corpus: &str) -> Self {
        self.corpus.id = CorpusId(corpus.into());
        self.collection = collection(&self.corpus, "clip");
        self
    }

    pub fn list(&self, shard: i64) -> Work {
        Work::List { corpus: self.corpus.id.clone(), shard }
    }

    pub fn embed(&self, chunk: ChunkRef) -> Work {
        Work::Embed { collection: self.collection.id.clone(), chunk }
    }
}

pub fn chunk(shard: i64, version: i64, chunk: i64) -> ChunkRef {
    ChunkRef { shard, version, chunk }
}

/// Chunk number `chunk` of ten pictures each.
pub fn cut(chunk: i64) -> ChunkCut {
    let first = u64::try_from(chunk).unwrap() * 10;
    ChunkCut { chunk, first, end: Some(first + 10), offset: 0, pictures: Some(10), listing: String::new() }
}

/// A bucket of a folder, which keeps its version while its listing is the same.
pub fn bucket(chunk: i64, listing: &str) -> ChunkCut {
    ChunkCut { listing: listing.into(), ..cut(chunk) }
}

pub fn listing(name: &str, chunks: Vec<ChunkCut>) -> Listing {
    let keeps_equal_chunks = chunks.iter().any(|cut| !cut.listing.is_empty());
    Listing { listing: name.into(), keeps_equal_chunks, is_unchanged: false, chunks, missing: 0 }
}

/// Ten pictures seen, of which these were rejected.
pub fn embedded(artifact: &str, rejected: &[(&str, Reason)]) -> Embedded {
    let rows: Vec<_> = rejected
        .iter()
        .map(|(key, reason)| RejectedRow {
            key: (*key).into(),
            shard: "a.zip".into(),
            entry: format!("{key}.jpg"),
            reason: *reason,
            detail: "because".into(),
        })
        .collect();
    let mut counts = Counts { seen: 10, embedded: 10 - rows.len() as u64, ..Counts::default() };
    for row in &rows {
        *counts.rejected.entry(row.reason).or_default() += 1;
    }
    let spent = Spent { read: 1, decode: 20, encode: 300, upsert: 4, decoders: 2 };
    let kept = 10 - u64::try_from(rows.len()).unwrap();
    let picture = |number: u64| EmbeddedRow {
        key: format!("a/embedded-{number}"),
        entry: format!("embedded-{number}.jpg"),
        unattributed: false,
    };
    let pictures = (0..kept).map(picture).collect();
    Embedded { artifact: artifact.into(), counts, rejected: rows, pictures, takedowns: 0, spent, rest: None }
}

pub fn failure(permanent: bool) -> Failure {
    Failure { permanent, retry_after: None, message: "the disk is on fire".into() }
}

/// A store under test, and a session in which most of it happens.
pub struct Lab {
    pub store: Arc<dyn Store>,
    pub session: SessionId,
    _keep: Box<dyn Any + Send>,
}

impl Lab {
    pub async fn new(made: Made) -> Self {
        let Made { store, keep } = made;
        let session = open_session(&store, HOUR).await;
        Self { store, session, _keep: keep }
    }

    pub async fn submit(&self, job: &NewJob) {
        let submitted = self.store.submit(job).await.unwrap();
        assert_eq!((submitted.job, submitted.how), (job.id, How::New));
    }

    pub async fn plan(&self, job: &NewJob, shards: &[&str]) -> Planned {
        let plan = Plan { shards: shards.iter().map(|path| (*path).to_owned()).collect() };
        self.store.plan(job.id, &plan).await.unwrap()
    }

    /// Submitted and planned.
    pub async fn start(&self, job: &NewJob, shards: &[&str]) {
        self.submit(job).await;
        self.plan(job, shards).await;
    }

    /// Submitted again after it had ended, and planned.
    pub async fn start_again(&self, job: &NewJob, shards: &[&str]) {
        assert_eq!(self.store.submit(job).await.unwrap().how, How::Again);
        self.plan(job, shards).await;
    }

    /// The task as the job sees it; `None` where the job does not need it.
    pub async fn find(&self, job: &NewJob, work: &Work) -> Option<TaskView> {
        self.store.tasks(job.id).await.unwrap().into_iter().find(|task| task.id == work.id())
    }

    pub async fn view(&self, job: &NewJob, work: &Work) -> TaskView {
        self.find(job, work).await.unwrap_or_else(|| panic!("{} does not need {work:?}", job.name))
    }

    pub async fn state(&self, job: &NewJob, work: &Work) -> State {
        self.view(job, work).await.state
    }

    pub async fn job_state(&self, job: &NewJob) -> JobState {
        self.store.job(job.id).await.unwrap().unwrap().state
    }

    /// A message for the task as it stands.
    pub async fn message(&self, job: &NewJob, work: &Work) -> Message {
        Message { task: work.id(), attempt: self.view(job, work).await.attempt }
    }

    pub async fn claim(&self, message: Message, session: SessionId) -> Claim {
        self.store.claim(&message, session, Uuid::now_v7()).await.unwrap()
    }

    pub async fn take_in(&self, session: SessionId, job: &NewJob, work: &Work) -> Claimed {
        match self.claim(self.message(job, work).await, session).await {
            Claim::Granted(claimed) => claimed,
            refused => panic!("{work:?} was not granted: {refused:?}"),
        }
    }

    pub async fn take(&self, job: &NewJob, work: &Work) -> Holding {
        self.take_in(self.session, job, work).await.holding
    }

    pub async fn succeed(&self, holding: Holding, outcome: Outcome) {
        assert_eq!(self.store.succeed(holding, &outcome).await.unwrap(), Written::Done);
    }

    pub async fn list(&self, job: &NewJob, shard: i64, found: Listing) {
        let holding = self.take(job, &job.list(shard)).await;
        self.succeed(holding, Outcome::Listed(found)).await;
    }

    /// The first listing of a shard, without asking for all of the job's tasks first.
    pub async fn list_blind(&self, job: &NewJob, shard: i64, found: Listing) {
        let message = Message { task: job.list(shard).id(), attempt: 0 };
        let Claim::Granted(claimed) = self.claim(message, self.session).await else { panic!("it was listed before") };
        self.succeed(claimed.holding, Outcome::Listed(found)).await;
    }

    pub async fn embed(&self, job: &NewJob, chunk: ChunkRef) {
        let holding = self.take(job, &job.embed(chunk)).await;
        self.succeed(holding, Outcome::Embedded(embedded(&format!("vectors of {chunk}"), &[]))).await;
    }

    pub async fn kill(&self, job: &NewJob, work: &Work) {
        let holding = self.take(job, work).await;
        assert_eq!(self.store.fail(holding, &failure(true)).await.unwrap(), Written::Done);
        assert_eq!(self.state(job, work).await, State::Dead);
    }

    pub async fn finish(&self, job: &NewJob, work: &Work) {
        let holding = self.take(job, work).await;
        self.succeed(holding, Outcome::Finished { artifact: None }).await;
    }

    /// The steps that this job makes now.
    pub async fn advance(&self, job: &NewJob) -> Vec<Step> {
        let steps = self.store.advance().await.unwrap();
        steps.into_iter().filter(|(id, _)| *id == job.id).map(|(_, step)| step).collect()
    }

    /// Its shared work is done: through all stages to the end.
    pub async fn run_own_tasks(&self, job: &NewJob) {
        while self.job_state(job).await == JobState::Running {
            self.advance(job).await;
            for task in self.store.tasks(job.id).await.unwrap() {
                if task.state == State::Ready {
                    self.finish(job, &task.work).await;
                }
            }
        }
        assert_eq!(self.job_state(job).await, JobState::Succeeded);
    }

    pub async fn shard(&self, job: &NewJob, number: i64) -> Shard {
        self.store.shard(&job.corpus.id, number).await.unwrap().unwrap()
    }

    pub async fn ledger(&self, job: &NewJob) -> Vec<ChunkLedger> {
        self.store.ledger(job.id).await.unwrap()
    }

    /// The chunks of a shard: number, version, first entry, one past the last.
    pub async fn chunks(&self, job: &NewJob, shard: i64) -> Vec<(i64, i64, u64, Option<u64>)> {
        let chunks = self.store.chunks(&job.collection.id, shard).await.unwrap();
        chunks.iter().map(|chunk| (chunk.at.chunk, chunk.at.version, chunk.cut.first, chunk.cut.end)).collect()
    }
}

pub async fn open_session(store: &Arc<dyn Store>, lease: Duration) -> SessionId {
    let session = NewSession { id: SessionId::random(), worker: "a worker".into(), slots: 2, lease, replaces: None };
    store.open_session(&session).await.unwrap();
    session.id
}

/// The same call from eight tasks that begin together.
pub async fn eight_at_once<T, F>(call: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(8));
    let calls: Vec<_> = (0..8)
        .map(|caller| {
            let (barrier, call) = (barrier.clone(), call(caller));
            tokio::spawn(async move {
                barrier.wait().await;
                call.await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

/// A test for each case of the module that is in scope as `suite`: `conformance_cases!(make: case, case)` with
/// `async fn make() -> Made`.
#[macro_export]
macro_rules! conformance_cases {
    ($make:path: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let lab = $crate::conformance::seed::Lab::new($make().await).await;
                suite::$case(&lab).await;
            }
        )*
    };
}
