//! The folder of segments and graphs, and those of them that are open.
//!
//! A file's name says its content: collection, shard and count of changes, or the hash of the segments that a graph
//! was built over. So an open file never goes stale, only out of use.

use super::{
    database::{Collection, Sealed},
    graph::Graph,
    segment::Segment,
};
use crate::objects::fs::{durable, io_error};
use imagefleet_common::{
    error::{Error, Result},
    ids::content_hash,
    job::spec::IndexKind,
};
use std::{
    collections::{HashMap, HashSet},
    fs,
    hash::Hash,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(super) struct Files {
    folder: PathBuf,
    segments: Mutex<HashMap<String, Arc<Segment>>>,
    graphs: Mutex<HashMap<String, Arc<Graph>>>,
}

/// What a search looks through. `graph` stands for all of the segments or is not there.
pub(super) struct Opened {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) graph: Option<Arc<Graph>>,
}

pub(super) fn segment_name(collection: &Collection, sealed: Sealed) -> String {
    format!("c{}-s{}-{}.rows", collection.id, sealed.shard, sealed.changes)
}

/// What a graph over these segments is called, and the segments as text.
pub(super) fn graph_name(collection: &Collection, sealed: &[Sealed]) -> (String, String) {
    let parts: Vec<(i64, i64)> = sealed.iter().map(|sealed| (sealed.shard, sealed.changes)).collect();
    let parts = serde_json::to_string(&parts).expect("numbers serialise");
    (format!("c{}-{}.graph", collection.id, &content_hash(parts.as_bytes())[..16]), parts)
}

impl Files {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, segments: Mutex::default(), graphs: Mutex::default() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Opens the segments of `sealed` and the graph of that name; `None` where a file is gone, because a seal has
    /// put others in their place since the caller looked.
    pub(super) fn open(
        &self,
        collection: &Collection,
        sealed: &[Sealed],
        graph: Option<&str>,
    ) -> Result<Option<Opened>> {
        let mut segments = Vec::with_capacity(sealed.len());
        for sealed in sealed {
            let name = segment_name(collection, *sealed);
            let open = |path: &Path| match Segment::open(path, collection.dims) {
                Ok(segment) => Ok(Some(segment)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    Err(Error::permanent("open a segment").because(error))
                }
                Err(error) => Err(io_error(format!("open {}", path.display()), error)),
            };
            match cached(&self.segments, &name, || open(&self.path(&name)))? {
                Some(segment) => segments.push(segment),
                None => return Ok(None),
            }
        }
        let Some(name) = graph else { return Ok(Some(Opened { segments, graph: None })) };
        let open = |path: &Path| match path.exists() {
            true => Graph::open(path, collection.dims, collection.storage.hnsw).map(Some),
            false => Ok(None),
        };
        let graph = cached(&self.graphs, name, || open(&self.path(name)))?;
        Ok(graph.map(|graph| Opened { segments, graph: Some(graph) }))
    }

    /// Closes what no search will ask for any more, and removes the collection's files that are not `live`.
    pub(super) fn sweep(&self, collection: &Collection, live: &HashSet<String>) -> Result<()> {
        let prefix = format!("c{}-", collection.id);
        let stale = |name: &str| name.starts_with(&prefix) && !live.contains(name);
        locked(&self.segments).retain(|name, _| !stale(name));
        locked(&self.graphs).retain(|name, _| !stale(name));
        let remove = || -> std::io::Result<()> {
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                if entry.file_name().to_str().is_some_and(stale) {
                    fs::remove_file(entry.path())?;
                }
            }
            durable::sweep(&self.folder)
        };
        remove().map_err(|error| io_error(format!("sweep {}", self.folder.display()), error))
    }
}

/// Is a graph of use for this collection?
pub(super) fn wants_graph(collection: &Collection) -> bool {
    collection.storage.kind == IndexKind::Hnsw
}

fn locked<K: Eq + Hash, V>(map: &Mutex<HashMap<K, V>>) -> MutexGuard<'_, HashMap<K, V>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cached<V>(
    open: &Mutex<HashMap<String, Arc<V>>>,
    name: &str,
    make: impl FnOnce() -> Result<Option<V>>,
) -> Result<Option<Arc<V>>> {
    if let Some(found) = locked(open).get(name) {
        return Ok(Some(Arc::clone(found)));
    }
    let Some(made) = make()?.map(Arc::new) else { return Ok(None) };
    // Where two opened it at once, both use the first.
    Ok(Some(Arc::clone(locked(open).entry(name.to_owned()).or_insert(made))))
}
