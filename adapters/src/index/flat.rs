//! The embedded index: points in SQLite, searched through sealed matrices.
//!
//! - A put is durable when it returns: the point is one row of `vectors.sqlite`, committed with full sync.
//! - A seal writes, for each shard that changed since its last one, a segment: a matrix in a file of its own. It is in
//!   use from the moment that the database names it, so a process that dies leaves the old one in use.
//! - A search maps segments and looks at no row of the database but their names. Exact search is one matrix product a
//!   block for the whole batch; HNSW asks a graph built at seal for exactly the searched shards, and where there is
//!   none (another job sealed a shard since) it is exact.
//! - A filtered search is exact too, whatever the storage: it scans the rows that the filter lets through. Which ones
//!   these are is read from the payloads when a filter is first used on a segment, and kept.
//!
//! One process writes; others may open the same folder and read at any time.

mod database;
mod files;
mod graph;
mod mask;
mod scan;
mod segment;

use super::check::{check_point, check_queries};
use crate::objects::fs::{durable, io_error};
use async_trait::async_trait;
use database::{Collection, Database, Sealed};
use files::{Files, Opened, graph_name, segment_name, wants_graph};
use imagefleet_common::{
    error::{Context, Error, Result},
    filter::Filter,
    ids::{CollectionId, Epoch},
    job::spec::CollectionSpec,
    ports::index::{self, Doomed, Hit, Index, Point, PointHead, Queries, Scope, SearchFilter, Stored},
    work::ChunkRef,
};
use mask::Mask;
use segment::{Segment, SegmentWriter};
use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
    sync::Arc,
};

/// Points a seal holds in memory: 2 MiB of vectors at 512 dimensions.
const SEAL_PART: i64 = 1_000;
/// How often a search looks anew because a seal took a segment away under it.
const LOOKS: usize = 5;

/// The index in one folder.
pub struct FlatIndex {
    database: Database,
    files: Arc<Files>,
    /// One seal at a time: it removes files that nothing names, and another's may not be named yet.
    sealing: tokio::sync::Mutex<()>,
    /// One filter at a time is evaluated: who asks for the same one waits and finds it.
    masking: tokio::sync::Mutex<()>,
}

impl FlatIndex {
    /// Opens the index in `dir`, making it where there is none. Takes no lock when it is there.
    pub async fn open(dir: &Path) -> Result<Self> {
        let folder = dir.join("segments");
        let made = folder.clone();
        blocking(move || {
            durable::create_folders(&made).map_err(|error| io_error(format!("create {}", made.display()), error))
        })
        .await?;
        let database = Database::open(&dir.join("vectors.sqlite")).await?;
        let files = Arc::new(Files::new(folder));
        Ok(Self { database, files, sealing: tokio::sync::Mutex::default(), masking: tokio::sync::Mutex::default() })
    }

    async fn seal_shard(&self, collection: &Collection, shard: i64) -> Result<()> {
        let mut view = self.database.view(collection, shard).await?;
        let mut sealed = Sealed { shard, changes: view.changes, rows: 0 };
        let mut part = view.part(SEAL_PART).await?;
        if !part.is_empty() {
            let (path, dims) = (self.files.path(&segment_name(collection, sealed)), collection.dims);
            let mut writer = blocking(move || SegmentWriter::new(path, dims)).await?;
            while !part.is_empty() {
                writer = blocking(move || writer.add(&part).map(|()| writer)).await?;
                part = view.part(SEAL_PART).await?;
            }
            sealed.rows = blocking(move || writer.finish()).await?;
        }
        drop(view);
        self.database.mark_sealed(collection, sealed).await
    }

    /// Builds the graph over the sealed shards among `shards`, unless it is there.
    async fn build_graph(&self, collection: &Arc<Collection>, shards: &[i64]) -> Result<()> {
        let sealed = in_scope(self.database.sealed(collection).await?, &Scope::Shards(shards.to_vec()));
        let (name, parts) = graph_name(collection, &sealed);
        if sealed.is_empty() || self.database.graphs(collection).await?.iter().any(|(known, _)| *known == name) {
            return Ok(());
        }
        let (files, built, path) = (Arc::clone(&self.files), Arc::clone(collection), self.files.path(&name));
        blocking(move || {
            let opened = files.open(&built, &sealed, None)?;
            let segments = opened.ok_or_else(|| Error::transient("build a graph: a segment is gone"))?.segments;
            graph::build(&path, built.dims, built.storage.hnsw, &segments)
        })
        .await?;
        self.database.add_graph(collection, &name, &parts).await
    }

    /// Forgets graphs over segments that are no longer in use, then removes all files that are not.
    async fn sweep(&self, collection: &Arc<Collection>) -> Result<()> {
        let sealed = self.database.sealed(collection).await?;
        let current: HashSet<(i64, i64)> = sealed.iter().map(|sealed| (sealed.shard, sealed.changes)).collect();
        let mut live: HashSet<String> = sealed.iter().map(|sealed| segment_name(collection, *sealed)).collect();
        for (name, parts) in self.database.graphs(collection).await? {
            let parts: Vec<(i64, i64)> = serde_json::from_str(&parts).permanent(|| format!("read graph {name}"))?;
            match parts.iter().all(|part| current.contains(part)) {
                true => drop(live.insert(name)),
                false => self.database.drop_graph(collection, &name).await?,
            }
        }
        let (files, collection) = (Arc::clone(&self.files), Arc::clone(collection));
        blocking(move || files.sweep(&collection, &live)).await
    }

    async fn open_scope(&self, collection: &Arc<Collection>, scope: &Scope, by_graph: bool) -> Result<Opened> {
        for _ in 0..LOOKS {
            let sealed = in_scope(self.database.sealed(collection).await?, scope);
            let graph = match by_graph && wants_graph(collection) && !sealed.is_empty() {
                true => {
                    let (name, _) = graph_name(collection, &sealed);
                    let graphs = self.database.graphs(collection).await?;
                    graphs.into_iter().map(|(known, _)| known).find(|known| *known == name)
                }
                false => None,
            };
            let (files, collection) = (Arc::clone(&self.files), Arc::clone(collection));
            if let Some(opened) = blocking(move || files.open(&collection, &sealed, graph.as_deref())).await? {
                return Ok(opened);
            }
        }
        Err(Error::transient("open the segments: they are sealed faster than they can be opened"))
    }

    /// The rows of a segment whose payload the filter lets through.
    async fn mask(&self, collection: &Collection, segment: &Arc<Segment>, filter: &Filter) -> Result<Arc<Mask>> {
        if let Some(known) = segment.masks.get(filter) {
            return Ok(known);
        }
        let _masking = self.masking.lock().await;
        if let Some(known) = segment.masks.get(filter) {
            return Ok(known);
        }
        let rows = Arc::clone(segment);
        let key = move |row: usize| String::from_utf8_lossy(rows.key(row)).into_owned();
        let rows = segment.rows();
        let keys: Vec<String> = blocking(move || Ok((0..rows).map(key).collect())).await?;
        let let_through = self.database.lets_through(collection, &keys, filter).await?;
        let mask = Arc::new(let_through.into_iter().collect());
        segment.masks.put(filter.clone(), Arc::clone(&mask));
        Ok(mask)
    }
}

#[async_trait]
impl Index for FlatIndex {
    async fn ensure(&self, collection: &CollectionSpec) -> Result<()> {
        self.database.ensure(collection).await
    }

    async fn put(&self, collection: &CollectionId, at: ChunkRef, epoch: Epoch, points: &[Point]) -> Result<()> {
        let collection = self.database.collection(collection).await?;
        points.iter().try_for_each(|point| check_point(point, collection.dims))?;
        self.database.put(&collection, at, epoch, points).await
    }

    async fn chunk(&self, collection: &CollectionId, shard: i64, chunk: i64) -> Result<Vec<PointHead>> {
        let collection = self.database.collection(collection).await?;
        self.database.chunk(&collection, shard, chunk).await
    }

    async fn delete(&self, collection: &CollectionId, doomed: &Doomed) -> Result<()> {
        let collection = self.database.collection(collection).await?;
        self.database.delete(&collection, doomed).await
    }

    async fn counts(&self, collection: &CollectionId, scope: &Scope) -> Result<Vec<(ChunkRef, u64)>> {
        let collection = self.database.collection(collection).await?;
        self.database.counts(&collection, scope).await
    }

    async fn payloads(&self, collection: &CollectionId, keys: &[String]) -> Result<Vec<Option<Stored>>> {
        let collection = self.database.collection(collection).await?;
        self.database.payloads(&collection, keys).await
    }

    async fn vectors(&self, collection: &CollectionId, keys: &[String]) -> Result<Vec<Option<Vec<f32>>>> {
        let collection = self.database.collection(collection).await?;
        self.database.vectors(&collection, keys).await
    }

    async fn seal(&self, collection: &CollectionId, shards: &[i64]) -> Result<index::Sealed> {
        let _sealing = self.sealing.lock().await;
        let collection = self.database.collection(collection).await?;
        for shard in self.database.unsealed(&collection, shards).await? {
            self.seal_shard(&collection, shard)
                .await
                .map_err(|error| error.while_doing(format!("seal shard {shard}")))?;
        }
        if wants_graph(&collection) {
            self.build_graph(&collection, shards).await?;
        }
        self.sweep(&collection).await?;
        Ok(index::Sealed::Ready)
    }

    async fn search(
        &self,
        collection: &CollectionId,
        queries: &Queries,
        k: usize,
        scope: &Scope,
        filter: &SearchFilter,
    ) -> Result<Vec<Vec<Hit>>> {
        let collection = self.database.collection(collection).await?;
        check_queries(queries, collection.dims)?;
        let Opened { segments, graph } = self.open_scope(&collection, scope, filter.is_empty()).await?;
        let SearchFilter { filter, keys } = filter.clone();
        let masks = match filter.is_empty() {
            true => None,
            false => {
                let mut masks = Vec::with_capacity(segments.len());
                for segment in &segments {
                    masks.push(self.mask(&collection, segment, &filter).await?);
                }
                Some(masks)
            }
        };
        let queries = queries.clone();
        blocking(move || match graph {
            Some(graph) => graph.search(&segments, &queries, k),
            None => {
                let masks = mask::with_keys(&segments, masks, keys.as_ref());
                Ok(scan::search(&segments, masks.as_deref(), &queries, k))
            }
        })
        .await
    }

    async fn remove(&self, collection: &CollectionId) -> Result<()> {
        let _sealing = self.sealing.lock().await;
        if !self.database.is_there(collection).await? {
            return Ok(());
        }
        let known = self.database.collection(collection).await?;
        self.database.empty(&known).await?;
        // Its number may be given again: no file of that number may be left by then.
        self.sweep(&known).await?;
        self.database.forget(collection).await
    }

    async fn alias(&self, name: &str, collection: &CollectionId) -> Result<()> {
        self.database.alias(name, collection).await
    }

    async fn resolve(&self, name: &str) -> Result<Option<CollectionId>> {
        self.database.resolve(name).await
    }
}

/// Runs file work and arithmetic where no async task waits for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.transient(|| "wait for work on the index's files".to_owned())?
}

/// The sealed shards of the scope that have rows.
fn in_scope(mut sealed: Vec<Sealed>, scope: &Scope) -> Vec<Sealed> {
    sealed.retain(|sealed| sealed.rows > 0);
    if let Scope::Shards(shards) = scope {
        let shards = BTreeSet::from_iter(shards);
        sealed.retain(|sealed| shards.contains(&sealed.shard));
    }
    sealed
}
