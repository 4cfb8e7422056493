//! What goes around a port: retries, faults, counts. A [`Layer`] sees every call of every port as "this method,
//! do it (again)"; the forwarding is written here once for each port.

use super::{
    broker::{Broker, Delivery, Message},
    catalog::{Catalog, Chunk, ChunkLedger, Shard, Writers},
    index::{Doomed, Hit, Index, Point, PointHead, Queries, Scope, Sealed, SearchFilter, Stored},
    jobs::{
        Control, JobView, Jobs, NewJob, NewSearch, OldSearch, Pace, Plan, Planned, Progress, Step, Submitted,
        TaskDetail, TaskView,
    },
    objects::{ObjectMeta, Objects, Page},
    tasks::{Beat, Claim, Failure, Holding, NewSession, Outcome, QueueLoad, SessionView, Tasks, Written},
};
use crate::{
    error::{Next, Result},
    ids::{CollectionId, CorpusId, Epoch, JobId, Millis, Queue, SessionId, TaskId},
    job::spec::{CollectionSpec, CorpusSpec},
    ledger::{RejectedRow, Takedown},
    task::State,
    work::{ChunkRef, Kind},
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{any::Any, future::Future, ops::Range, pin::Pin, sync::Arc, time::Duration};
use uuid::Uuid;

/// A method of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Op {
    pub port: &'static str,
    pub method: &'static str,
}

pub type Effect<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Decides how often `effect` happens and what its caller is told.
#[async_trait]
pub trait Layer: Send + Sync + 'static {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T>;
}

/// A port with a layer around it.
pub struct Layered<P: ?Sized, L> {
    port: Arc<P>,
    layer: L,
}

impl<P: ?Sized, L> Layered<P, L> {
    pub fn new(port: Arc<P>, layer: L) -> Self {
        Self { port, layer }
    }
}

macro_rules! forward {
    ($port:ident, $name:literal { $(fn $method:ident($($arg:ident: $ty:ty),*) -> $out:ty;)* }) => {
        #[async_trait]
        impl<L: Layer> $port for Layered<dyn $port, L> {
            $(async fn $method(&self, $($arg: $ty),*) -> Result<$out> {
                let op = Op { port: $name, method: stringify!($method) };
                self.layer.call(op, &|| self.port.$method($(Clone::clone(&$arg)),*)).await
            })*
        }
    };
}

forward!(Broker, "broker" {
    fn publish(queue: &Queue, messages: &[Message]) -> ();
    fn depth(queue: &Queue) -> usize;
    fn receive(queue: &Queue) -> Delivery;
    fn ack(delivery: &Delivery) -> ();
    fn give_back(delivery: &Delivery) -> ();
});

forward!(Objects, "objects" {
    fn list(prefix: &str, after: Option<&str>) -> Page;
    fn head(path: &str) -> Option<ObjectMeta>;
    fn read(path: &str, etag: &str, range: Range<u64>) -> Bytes;
    fn put(path: &str, bytes: Bytes) -> ();
    fn delete(path: &str) -> ();
});

forward!(Tasks, "tasks" {
    fn queues(republish_after: Duration, count_to: u32) -> Vec<QueueLoad>;
    fn running() -> Vec<(Queue, u64)>;
    fn mark(queue: &Queue, limit: usize, token: Uuid, republish_after: Duration) -> Vec<Message>;
    fn published(token: Uuid) -> ();
    fn open_session(session: &NewSession) -> ();
    fn beat(session: SessionId) -> Beat;
    fn close_session(session: SessionId) -> ();
    fn reap() -> Vec<SessionId>;
    fn claim(message: &Message, session: SessionId, claim: Uuid) -> Claim;
    fn progress(holding: Holding, done: u64) -> Written;
    fn stands_at(holding: Holding, ordinal: Option<u64>) -> Written;
    fn succeed(holding: Holding, outcome: &Outcome) -> Written;
    fn fail(holding: Holding, failure: &Failure) -> Written;
    fn hand_back(holding: Holding, delay: Duration, why: Option<&str>) -> Written;
    fn embed_again(seal: Holding, chunk: ChunkRef) -> bool;
    fn counts() -> Vec<(Kind, State, u64)>;
    fn sessions() -> Vec<SessionView>;
    fn drain(sessions: &[SessionId]) -> u64;
    fn now() -> Millis;
});

forward!(Jobs, "jobs" {
    fn submit(job: &NewJob) -> Submitted;
    fn search(search: &NewSearch) -> ();
    fn old_searches(age: Duration) -> Vec<OldSearch>;
    fn forget_searches(searches: &[JobId]) -> ();
    fn not_planned(job: JobId, why: &str) -> ();
    fn submitted() -> Vec<JobView>;
    fn job(job: JobId) -> Option<JobView>;
    fn jobs() -> Vec<JobView>;
    fn plan(job: JobId, plan: &Plan) -> Planned;
    fn advance() -> Vec<(JobId, Step)>;
    fn control(job: JobId, control: Control) -> ();
    fn repair(job: JobId, chunks: &[ChunkRef]) -> ();
    fn progress(job: JobId) -> Progress;
    fn pace(job: JobId, lately: Duration) -> Pace;
    fn tasks(job: JobId) -> Vec<TaskView>;
    fn task(task: TaskId) -> Option<TaskDetail>;
    fn dead() -> Vec<(TaskView, Vec<JobId>)>;
    fn remove(job: JobId) -> ();
});

forward!(Catalog, "catalog" {
    fn corpus(id: &CorpusId) -> Option<CorpusSpec>;
    fn collection(id: &CollectionId) -> Option<CollectionSpec>;
    fn collections() -> Vec<CollectionSpec>;
    fn adopt(corpus: &CorpusSpec, collection: &CollectionSpec) -> ();
    fn shards(corpus: &CorpusId) -> Vec<Shard>;
    fn shard(corpus: &CorpusId, number: i64) -> Option<Shard>;
    fn job_shards(job: JobId) -> Vec<Shard>;
    fn chunks(collection: &CollectionId, shard: i64) -> Vec<Chunk>;
    fn ledger(job: JobId) -> Vec<ChunkLedger>;
    fn writers(job: JobId) -> Writers;
    fn last_epoch() -> Epoch;
    fn rejected(collection: &CollectionId, chunk: ChunkRef) -> Vec<RejectedRow>;
    fn swept(corpus: &CorpusId, shard: i64) -> ();
    fn take_down(key: &str, why: &str) -> Takedown;
    fn takedowns(after: i64) -> Vec<Takedown>;
    fn take_out(collection: &CollectionId, point: &Stored) -> bool;
    fn taken_from(key: &str) -> Vec<(CollectionId, ChunkRef)>;
    fn forget(collection: &CollectionId) -> Vec<TaskId>;
});

forward!(Index, "index" {
    fn ensure(collection: &CollectionSpec) -> ();
    fn put(collection: &CollectionId, at: ChunkRef, epoch: Epoch, points: &[Point]) -> ();
    fn chunk(collection: &CollectionId, shard: i64, chunk: i64) -> Vec<PointHead>;
    fn delete(collection: &CollectionId, doomed: &Doomed) -> ();
    fn counts(collection: &CollectionId, scope: &Scope) -> Vec<(ChunkRef, u64)>;
    fn payloads(collection: &CollectionId, keys: &[String]) -> Vec<Option<Stored>>;
    fn vectors(collection: &CollectionId, keys: &[String]) -> Vec<Option<Vec<f32>>>;
    fn seal(collection: &CollectionId, shards: &[i64]) -> Sealed;
    fn search(collection: &CollectionId, queries: &Queries, k: usize, scope: &Scope, filter: &SearchFilter) -> Vec<Vec<Hit>>;
    fn remove(collection: &CollectionId) -> ();
    fn alias(name: &str, collection: &CollectionId) -> ();
    fn resolve(name: &str) -> Option<CollectionId>;
});

/// Asks again while the error says that this may help: every port's methods may be called again.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    pub tries: u32,
    pub first_delay: Duration,
    pub max_delay: Duration,
}

impl Default for Retry {
    /// Six tries within about a second and a half: what outlasts that is the task's failure, not the call's.
    fn default() -> Self {
        Self { tries: 6, first_delay: Duration::from_millis(50), max_delay: Duration::from_secs(2) }
    }
}

#[async_trait]
impl Layer for Retry {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        let mut delay = self.first_delay;
        for attempt in 1.. {
            let error = match effect().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Next::Retry { after } = error.next() else { return Err(error) };
            // Whoever is asked to wait for longer has more to decide than when to call again.
            let is_long = after.is_some_and(|after| after > self.max_delay);
            if is_long || attempt >= self.tries {
                return Err(error.while_doing(format_args!("{} {} ({attempt} tries)", op.port, op.method)));
            }
            tracing::debug!(port = op.port, method = op.method, attempt, %error, "a call failed, trying again");
            let spread = delay.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            tokio::time::sleep(spread.max(after.unwrap_or_default())).await;
            delay = (delay * 2).min(self.max_delay);
        }
        unreachable!("the loop above has no end but its returns")
    }
}
