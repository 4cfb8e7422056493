//! The index: vectors with their payloads, searched by inner product. Its unit is the chunk.
//!
//! A collection's name is its id. Points are unique by key in a collection. Every write carries the epoch of the
//! claim it was made under, and a point is replaced only where the stored epoch is not above it.

pub use crate::attribution::Attribution;

use crate::{
    error::Result,
    filter::Filter,
    ids::{CollectionId, Epoch},
    job::spec::CollectionSpec,
    work::ChunkRef,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What stands beside a vector: enough to show, attribute and fetch the picture again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Payload {
    /// Path of the shard below the corpus root.
    pub shard_path: String,
    /// The entry's name in its shard.
    pub entry: String,
    /// Object (path below the corpus root), offset and length that hold the entry's stored bytes.
    pub object: String,
    pub offset: u64,
    pub length: u64,
    pub crc32: u32,
    /// Pixels.
    pub width: u32,
    pub height: u32,
    /// Empty where nothing is known.
    #[serde(flatten)]
    pub attribution: Attribution,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub key: String,
    /// `dims` values of unit length.
    pub vector: Vec<f32>,
    pub payload: Payload,
}

/// A point as it is read back: without its vector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PointHead {
    pub key: String,
    pub at: ChunkRef,
    pub epoch: Epoch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub head: PointHead,
    pub payload: Payload,
}

/// Which points a deletion takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doomed {
    /// What earlier attempts of this chunk left: same shard and chunk number, epoch below `before`, any version.
    /// Only for a task that covers the whole chunk.
    OlderInChunk { shard: i64, chunk: i64, before: Epoch },
    /// What stands under this exact chunk and version, where its epoch is `up_to` or older.
    Chunk { at: ChunkRef, up_to: Epoch },
    /// A whole shard, the same.
    Shard { shard: i64, up_to: Epoch },
    /// These keys, where their epoch is `up_to` or older.
    Keys { keys: Vec<String>, up_to: Epoch },
}

/// Row-major `count` × `dims` unit vectors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Queries {
    pub dims: usize,
    pub values: Vec<f32>,
}

impl Queries {
    pub fn count(&self) -> usize {
        self.values.len().checked_div(self.dims).unwrap_or(0)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    pub key: String,
    /// Inner product.
    pub score: f32,
    pub epoch: Epoch,
}

/// What a search or a count looks through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The whole collection.
    All,
    /// These shards, by number, ascending.
    Shards(Vec<i64>),
}

/// Which points of its scope a search may give: those that both let through. The default lets all through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchFilter {
    /// By what the payload says.
    pub filter: Filter,
    /// These keys only; no payload is read for them.
    pub keys: Option<BTreeSet<String>>,
}

impl SearchFilter {
    pub fn is_empty(&self) -> bool {
        self.filter.is_empty() && self.keys.is_none()
    }
}

/// How ready an index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sealed {
    Ready,
    /// A server still builds, and says this of it. Answers are right already; they may be slow, and those of a graph poorer
    /// than they will be.
    Building(String),
}

#[async_trait]
pub trait Index: Send + Sync {
    /// Makes the collection where it is not there. Storage settings that differ from those it was made with are
    /// a permanent error that names both.
    async fn ensure(&self, collection: &CollectionSpec) -> Result<()>;

    /// Durable on return. Points with the same key are replaced where their stored epoch ≤ `epoch`, else left alone.
    async fn put(&self, collection: &CollectionId, at: ChunkRef, epoch: Epoch, points: &[Point]) -> Result<()>;

    /// Reads a chunk (shard and chunk number, every version) back from storage, by key.
    async fn chunk(&self, collection: &CollectionId, shard: i64, chunk: i64) -> Result<Vec<PointHead>>;

    async fn delete(&self, collection: &CollectionId, doomed: &Doomed) -> Result<()>;

    /// Points by chunk, ascending.
    async fn counts(&self, collection: &CollectionId, scope: &Scope) -> Result<Vec<(ChunkRef, u64)>>;

    /// In the order of `keys`; `None` where there is no such point.
    async fn payloads(&self, collection: &CollectionId, keys: &[String]) -> Result<Vec<Option<Stored>>>;

    /// Vectors in the order of `keys`, each of `dims` values; `None` where there is no such point.
    async fn vectors(&self, collection: &CollectionId, keys: &[String]) -> Result<Vec<Option<Vec<f32>>>>;

    /// Builds what searches need over these shards, or says how far that is. Searches see at least what was there at
    /// the last seal of each shard. An index of one process sees nothing else; a served one, which other jobs write to
    /// while it is searched, sees later points too: a job keeps to its own shards by its [`Scope`], and tells by
    /// its epoch whether a result was replaced since.
    async fn seal(&self, collection: &CollectionId, shards: &[i64]) -> Result<Sealed>;

    /// For each query the `k` best points, best first, ties by key. With a filter these are exactly the best of those
    /// that it lets through, whatever the storage. A sealed point whose payload has changed since is judged by what is
    /// stored now or was stored at some moment since the seal; one that is gone may be left out. So after a seal, and
    /// until the next put or deletion, the answer is the stored payloads'.
    async fn search(
        &self,
        collection: &CollectionId,
        queries: &Queries,
        k: usize,
        scope: &Scope,
        filter: &SearchFilter,
    ) -> Result<Vec<Vec<Hit>>>;

    /// Removes the collection with its points and what it is in service as. Removing what is not there succeeds.
    async fn remove(&self, collection: &CollectionId) -> Result<()>;

    /// Puts `collection` in service under `name`, in one step for all searches by that name.
    async fn alias(&self, name: &str, collection: &CollectionId) -> Result<()>;

    /// The collection in service under `name`.
    async fn resolve(&self, name: &str) -> Result<Option<CollectionId>>;
}
