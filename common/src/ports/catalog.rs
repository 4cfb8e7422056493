//! The catalog: what a corpus is made of, and the ledger of what became of it. Written by the ends of tasks
//! ([`Tasks::succeed`](super::tasks::Tasks::succeed)) and by plans ([`Jobs::plan`](super::jobs::Jobs::plan)); read here.

use super::{index::Scope, tasks::ChunkCut};
use crate::{
    error::{Error, Result},
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

    /// The last epoch that was drawn: what is written from now on carries a newer one.
    async fn last_epoch(&self) -> Result<Epoch>;

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

/// The collection of this id, or the only one over a corpus of this name; without a name the only one there is. Permanent
/// error where there is none or more than one: it names them.
pub async fn named_collection(catalog: &dyn Catalog, name: Option<&str>) -> Result<CollectionSpec> {
    let mut all = catalog.collections().await?;
    if let Some(at) = all.iter().position(|spec| Some(spec.id.0.as_str()) == name) {
        return Ok(all.swap_remove(at));
    }
    let mut of_corpus = Vec::new();
    for spec in &all {
        let is_it = match name {
            None => true,
            Some(name) => catalog.corpus(&spec.corpus).await?.is_some_and(|corpus| corpus.name == name),
        };
        if is_it {
            of_corpus.push(spec.clone());
        }
    }
    let doing = name.map_or_else(|| "find the collection".to_owned(), |name| format!("find collection {name}"));
    let ids = |specs: &[CollectionSpec]| specs.iter().map(|spec| spec.id.0.as_str()).collect::<Vec<_>>().join(", ");
    match of_corpus.len() {
        1 => Ok(of_corpus.remove(0)),
        0 if all.is_empty() => Err(Error::permanent(format!("{doing}: there is none yet; run or submit a job first"))),
        0 => Err(Error::permanent(format!("{doing}: there are {}", ids(&all)))),
        _ => Err(Error::permanent(format!("{doing}: say which of {}", ids(&of_corpus)))),
    }
}

/// All that is there: points of shards that are gone stay until a seal sweeps them. A collection that was imported has no
/// shards.
pub async fn whole_scope(catalog: &dyn Catalog, corpus: &CorpusId) -> Result<Scope> {
    let shards = catalog.shards(corpus).await?;
    Ok(match shards.iter().all(|shard| !shard.removed) {
        true => Scope::All,
        false => Scope::Shards(shards.iter().filter(|shard| !shard.removed).map(|shard| shard.number).collect()),
    })
}
