//! Approximate search: a navigable small-world graph (usearch) over the segments of one set of shards.
//!
//! Node `n` is the `n`-th row of the segments in the order of their shards. The graph only proposes: scores are
//! computed anew from the segments, so that they are the exact index's. It is built by all cores at once, hence
//! two builds over the same points may propose slightly different rows.

use super::{scan::hit_of, segment::Segment};
use crate::objects::fs::{durable::Draft, io_error};
use imagefleet_common::{
    error::{Context, Error, Result},
    job::spec::Hnsw,
    ports::index::{Hit, Queries},
};
use rayon::prelude::*;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

pub(super) struct Graph {
    index: Index,
    /// usearch refuses more searches at once than it has threads, so that one batch goes in at a time.
    turn: Mutex<()>,
}

/// The cores a batch or a build runs on.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn options(dims: usize, settings: Hnsw) -> IndexOptions {
    IndexOptions {
        dimensions: dims,
        metric: MetricKind::IP,
        quantization: ScalarKind::F32,
        connectivity: settings.m,
        expansion_add: settings.ef_construct,
        expansion_search: settings.ef_search,
        multi: false,
    }
}

/// Builds the graph over `segments` and puts it in `path`, durably.
pub(super) fn build(path: &Path, dims: usize, settings: Hnsw, segments: &[Arc<Segment>]) -> Result<()> {
    let doing = || format!("build graph {}", path.display());
    let rows: usize = segments.iter().map(|segment| segment.rows()).sum();
    let threads = threads();
    let index = Index::new(&options(dims, settings)).permanent(doing)?;
    index.reserve_capacity_and_threads(rows, threads).transient(doing)?;
    if index.capacity() < rows {
        return Err(Error::transient(doing()).because(format!("no memory for {rows} nodes")));
    }
    let nodes: Vec<(u64, &[f32])> = nodes(segments).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let add = || -> Result<()> {
        while let Some((node, vector)) = nodes.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            index.add(*node, vector).transient(doing)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(add)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("adding a node does not panic"))
    })?;
    let draft = Draft::new(path).map_err(|error| io_error(doing(), error))?;
    index.save(text(draft.path())?).transient(doing)?;
    draft.place().map_err(|error| io_error(doing(), error))
}

fn nodes(segments: &[Arc<Segment>]) -> impl Iterator<Item = (u64, &[f32])> {
    let vectors = segments.iter().flat_map(|segment| (0..segment.rows()).map(|row| segment.row(row)));
    (0..).zip(vectors)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::permanent(format!("{} is not UTF-8", path.display())))
}

impl Graph {
    /// Maps a graph's file; its nodes are read as searches come by.
    pub(super) fn open(path: &Path, dims: usize, settings: Hnsw) -> Result<Self> {
        let doing = || format!("open graph {}", path.display());
        let index = Index::new(&options(dims, settings)).permanent(doing)?;
        index.view(text(path)?).transient(doing)?;
        index.change_expansion_search(settings.ef_search);
        Ok(Self { index, turn: Mutex::new(()) })
    }

    /// For each query up to `k` of the best rows, best first, ties by key.
    pub(super) fn search(&self, segments: &[Arc<Segment>], queries: &Queries, k: usize) -> Result<Vec<Vec<Hit>>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut firsts = Vec::with_capacity(segments.len());
        let mut rows = 0;
        for segment in segments {
            firsts.push(rows);
            rows += segment.rows();
        }
        let one = |query: &[f32]| -> Result<Vec<Hit>> {
            let proposed = self.index.search(query, k.min(rows)).transient(|| "search the graph".to_owned())?;
            let hit = |node: u64| {
                let node = node as usize;
                let at = firsts.partition_point(|first| *first <= node) - 1;
                let row = node - firsts[at];
                hit_of(&segments[at], row, inner_product(query, segments[at].row(row)))
            };
            let mut hits: Vec<Hit> = proposed.keys.into_iter().map(hit).collect();
            hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
            Ok(hits)
        };
        if k == 0 || rows == 0 {
            return Ok(vec![Vec::new(); queries.count()]);
        }
        let (workers, count) = (threads(), queries.count());
        let share = count.div_ceil(workers).max(1) * queries.dims;
        let answers: Vec<Result<Vec<Vec<Hit>>>> =
            queries.values.par_chunks(share).map(|share| share.chunks(queries.dims).map(one).collect()).collect();
        answers.into_iter().collect::<Result<Vec<_>>>().map(|answers| answers.into_iter().flatten().collect())
    }
}

/// Summed in f64, hence closer to the true value than the exact search's own rounding.
fn inner_product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
}
