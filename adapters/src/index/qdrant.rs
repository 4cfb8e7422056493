//! The fleet's index: Qdrant, by its gRPC protocol.
//!
//! - A put is durable when it returns: each batch waits until it is applied, by all replicas and in one order, under the
//!   condition that the stored epoch is not above its own. Only `completed` counts as that. What was put is proven
//!   by reading the chunk back, which asks all replicas and sees what every one of them has.
//! - A point's id is made from its key, so that a key stands once. Beside the payload stand the fields that points are
//!   deleted, counted and filtered by. All of them are indexed before there are points.
//! - Storage settings are kept with the collection, as the job file had them, and never change.
//! - A search is exact where the collection is, and where it has a filter. Filters are looked for in stored
//!   fields that the filter's own rules made from the payload, when the point was put.
//!
//! Calls are not repeated here. A call ends after [`Settings::timeout`]; the server may still do what was asked of it.

mod collections;
mod fields;
mod read;
mod search;
mod status;
mod storage;
mod wire;
mod write;

use async_trait::async_trait;
use collections::Known;
use imagefleet_common::{
    error::{Error, Result},
    ids::{CollectionId, Epoch},
    job::spec::CollectionSpec,
    ports::index::{Doomed, Hit, Index, Point, PointHead, Queries, Scope, Sealed, SearchFilter, Stored},
    work::ChunkRef,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use wire::Wire;

/// Where a server is, and how to speak to it.
#[derive(Clone)]
pub struct Settings {
    /// `http://host:6334` or `https://host:6334`: the port of gRPC, not of REST.
    pub url: String,
    pub api_key: Option<String>,
    /// Collections and aliases are called `{namespace}-{name}`; others are left alone. Letters, digits, `-`, `_`, `.`.
    pub namespace: String,
    /// How long a call may take, and how long the server may take to apply a change. At most the time that a seal waits
    /// for writes of lost attempts.
    pub timeout: Duration,
    /// PEM of certificates that are trusted beside the system's.
    pub ca: Option<Vec<u8>>,
}

/// The index behind one server or cluster. Connections are made when they are needed, and anew when they broke.
pub struct QdrantIndex {
    wire: Wire,
    version: String,
    namespace: String,
    known: Mutex<HashMap<CollectionId, Arc<Known>>>,
}

impl QdrantIndex {
    /// Asks the server for its version and whether it takes the key. Permanent errors: settings that cannot be meant, a
    /// server before 1.16, a key that is missing or wrong. Transient: no server there.
    pub async fn connect(settings: Settings) -> Result<Self> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if settings.namespace.is_empty() || !settings.namespace.chars().all(is_plain) {
            let namespace = &settings.namespace;
            return Err(Error::permanent(format!(
                "use the index's namespace {namespace:?}: it must be letters, digits, \"-\", \"_\" and \".\""
            )));
        }
        let wire = Wire::new(&settings)?;
        let version = wire.check_server().await?;
        Ok(Self { wire, version, namespace: settings.namespace, known: Mutex::default() })
    }

    /// As the server said when it was connected to.
    pub fn server_version(&self) -> &str {
        &self.version
    }

    /// What a collection or an alias is called on the server.
    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.namespace)
    }
}

#[async_trait]
impl Index for QdrantIndex {
    async fn ensure(&self, collection: &CollectionSpec) -> Result<()> {
        self.ensure_collection(collection).await
    }

    async fn put(&self, collection: &CollectionId, at: ChunkRef, epoch: Epoch, points: &[Point]) -> Result<()> {
        let known = self.known(collection).await?;
        self.put_points(&known, at, epoch, points).await
    }

    async fn chunk(&self, collection: &CollectionId, shard: i64, chunk: i64) -> Result<Vec<PointHead>> {
        self.read_chunk(&self.name(&collection.0), shard, chunk).await
    }

    async fn delete(&self, collection: &CollectionId, doomed: &Doomed) -> Result<()> {
        self.delete_points(&self.name(&collection.0), doomed).await
    }

    async fn counts(&self, collection: &CollectionId, scope: &Scope) -> Result<Vec<(ChunkRef, u64)>> {
        self.count_chunks(&self.name(&collection.0), scope).await
    }

    async fn payloads(&self, collection: &CollectionId, keys: &[String]) -> Result<Vec<Option<Stored>>> {
        self.read_payloads(&self.name(&collection.0), keys).await
    }

    async fn vectors(&self, collection: &CollectionId, keys: &[String]) -> Result<Vec<Option<Vec<f32>>>> {
        let known = self.known(collection).await?;
        self.read_vectors(&known, keys).await
    }

    async fn seal(&self, collection: &CollectionId, _shards: &[i64]) -> Result<Sealed> {
        self.state(&self.name(&collection.0)).await
    }

    async fn search(
        &self,
        collection: &CollectionId,
        queries: &Queries,
        k: usize,
        scope: &Scope,
        filter: &SearchFilter,
    ) -> Result<Vec<Vec<Hit>>> {
        let known = self.known(collection).await?;
        self.search_points(&known, queries, k, scope, filter).await
    }

    async fn remove(&self, collection: &CollectionId) -> Result<()> {
        self.remove_collection(collection).await
    }

    async fn alias(&self, name: &str, collection: &CollectionId) -> Result<()> {
        self.set_alias(name, collection).await
    }

    async fn resolve(&self, name: &str) -> Result<Option<CollectionId>> {
        self.resolve_alias(name).await
    }
}
