//! The catalog: what a corpus is made of, and the ledger of what became of it. Written by the ends of tasks
//! ([`Tasks::succeed`](super::tasks::Tasks::succeed)) and by plans ([`Jobs::plan`](super::jobs::Jobs::plan)); read here.

use super::tasks::ChunkCut;
use crate::{
    error::Result,
    ids::{CollectionId, CorpusId, Epoch, JobId, Millis, TaskId},
    job::spec::{CollectionSpec, CorpusSpec},
    ledger::{Counts, RejectedRow, Spent, Takedown},
    ports::index::Stored,
    task::State,
    work::ChunkRef,
};
use async_trait::async_trait;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The catalog's number, unique in the corpus, never given twice.
    pub number: i64,
    /// Path below the corpus root.
    pub path: String,
    /// 0 until first listed; raised by one whenever its content changes.
    pub version: i64,
    /// What named the content when it was last listed; empty until then.
    pub listing: String,
    pub missing: u64,
    /// Gone from the corpus: searches leave it out, and a seal sweeps it from the index.
    pub removed: bool,
}

/// A chunk as the catalog knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub at: ChunkRef,
    pub cut: ChunkCut,
}

/// What one collection knows of one chunk: its embed task and, once that has succeeded, the ledger's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkLedger {
    pub at: ChunkRef,
    /// Path of the shard below the corpus root.
    pub shard: String,
    pub task: TaskId,
    pub state: State,
    /// Of the last claim; the winner's where the task has succeeded.
    pub epoch: Epoch,
    /// Seen pictures where the listing knows.
    pub pictures: Option<u64>,
    /// The winning attempt's.
    pub counts: Option<Counts>,
    pub artifact: Option<String>,
    pub spent: Option<Spent>,
    /// The last error's message, where there is one.
    pub error: Option<String>,
}

/// Who may still write points of a job's shards, of whatever version, or of removed ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writers {
    /// Embed attempts that sessions hold.
    pub running: u64,
    /// When the session of such an attempt was last lost: its writes may be under way.
    pub lost_at: Option<Millis>,
}

#[async_trait]
pub trait Catalog: Send + Sync {
    async fn corpus(&self, id: &CorpusId) -> Result<Option<CorpusSpec>>;

    async fn collection(&self, id: &CollectionId) -> Result<Option<CollectionSpec>>;

    /// Every collection, by id.
    async fn collections(&self) -> Result<Vec<CollectionSpec>>;

    /// Takes in a collection whose points no job embedded. Permanent error where there is one of its id.
    async fn adopt(&self, corpus: &CorpusSpec, collection: &CollectionSpec) -> Result<()>;

    /// All shards of a corpus, removed ones too, by number.
    async fn shards(&self, corpus: &CorpusId) -> Result<Vec<Shard>>;

    async fn shard(&self, corpus: &CorpusId, number: i64) -> Result<Option<Shard>>;

    /// The shards that a job searches, by number.
    async fn job_shards(&self, job: JobId) -> Result<Vec<Shard>>;

    /// The chunks of a shard as it was last listed and as this collection has split them, by number.
    async fn chunks(&self, collection: &CollectionId, shard: i64) -> Result<Vec<Chunk>>;

    /// One row for each chunk of the job's shards, by shard and chunk number; chunks whose task does not exist yet are left out.
    async fn ledger(&self, job: JobId) -> Result<Vec<ChunkLedger>>;

    /// Who may still write into the job's collection.
    async fn writers(&self, job: JobId) -> Result<Writers>;

    /// The rejected pictures of one chunk in one collection, by key.
    async fn rejected(&self, collection: &CollectionId, chunk: ChunkRef) -> Result<Vec<RejectedRow>>;

    /// A removed shard's points are gone from an index: its chunks and their ledger go too. Other collections' points are
    /// swept by their own seals, since the shard itself stays on record.
    async fn swept(&self, corpus: &CorpusId, shard: i64) -> Result<()>;

    /// No attempt that ends from now on counts this picture as embedded, in whatever collection. Taking down again changes
    /// nothing, the reason neither.
    async fn take_down(&self, key: &str, why: &str) -> Result<Takedown>;

    /// Every takedown after that number, by number.
    async fn takedowns(&self, after: i64) -> Result<Vec<Takedown>>;

    /// What was embedded before its takedown is counted as rejected for that from now on. `false`: the ledger counts this
    /// point's picture so already, or does not count this point's attempt. Permanent error where it was not taken down.
    async fn take_out(&self, collection: &CollectionId, point: &Stored) -> Result<bool>;

    /// The chunks, by collection, whose ledger counts this picture as taken down.
    async fn taken_from(&self, key: &str) -> Result<Vec<(CollectionId, ChunkRef)>>;

    /// Forgets a collection that no job needs, its ledger and its embed tasks; with the last collection over a corpus
    /// that corpus, too. Returns the tasks that it forgot. Forgetting what is not there succeeds. Permanent error where jobs
    /// need it; transient while an attempt for it still runs.
    async fn forget(&self, collection: &CollectionId) -> Result<Vec<TaskId>>;
}
