//! Exact search: every query against every row, as one matrix product a block, the best `k` of each query kept.
//!
//! Among equal scores the smaller key is the better one, so the answer depends on neither the order of the
//! rows nor the number of threads.

use super::{mask::Mask, segment::Segment};
use gemm::Parallelism;
use imagefleet_common::ports::index::{Hit, Queries};
use rayon::prelude::*;
use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

/// Rows a product: with 512 dimensions 8 MiB of vectors, read once for all queries of a batch.
const BLOCK_ROWS: usize = 4_096;
/// Queries a product: bounds the block of scores to 16 MiB.
const BLOCK_QUERIES: usize = 1_024;

/// For each query the `k` best rows of all segments, best first; with `masks`, one for each segment, of the rows that
/// these let through. Other rows cost nothing.
pub(super) fn search(
    segments: &[Arc<Segment>],
    masks: Option<&[Arc<Mask>]>,
    queries: &Queries,
    k: usize,
) -> Vec<Vec<Hit>> {
    let dims = queries.dims;
    let blocks = blocks(segments, masks);
    let rows: usize = blocks.iter().flatten().map(|piece| piece.rows).sum();
    if k == 0 || rows == 0 {
        return vec![Vec::new(); queries.count()];
    }
    let mut found = Vec::with_capacity(queries.count());
    for block in queries.values.chunks(BLOCK_QUERIES * dims) {
        let mut best: Vec<Best<'_>> = (0..block.len() / dims).map(|_| Best::new(segments, k.min(rows))).collect();
        scan(segments, &blocks, block, dims, &mut best);
        found.extend(best.into_iter().map(Best::into_hits));
    }
    found
}

/// Rows of one segment, next to each other.
#[derive(Clone, Copy)]
struct Piece {
    segment: u32,
    row: u32,
    rows: usize,
}

/// The rows to be searched in blocks: a long run of rows gives several, short ones share one.
fn blocks(segments: &[Arc<Segment>], masks: Option<&[Arc<Mask>]>) -> Vec<Vec<Piece>> {
    let whole = |number: usize| vec![(number, 0..segments[number].rows())];
    let masked = |number: usize, masks: &[Arc<Mask>]| masks[number].runs().map(|run| (number, run)).collect();
    let runs =
        (0..segments.len()).flat_map(|number| masks.map_or_else(|| whole(number), |masks| masked(number, masks)));
    let (mut blocks, mut open, mut filled) = (Vec::new(), Vec::new(), 0);
    for (segment, run) in runs {
        let mut row = run.start;
        while row < run.end {
            let taken = (run.end - row).min(BLOCK_ROWS - filled);
            open.push(Piece { segment: segment as u32, row: row as u32, rows: taken });
            (row, filled) = (row + taken, filled + taken);
            if filled == BLOCK_ROWS {
                blocks.push(std::mem::take(&mut open));
                filled = 0;
            }
        }
    }
    if !open.is_empty() {
        blocks.push(open);
    }
    blocks
}

fn scan(segments: &[Arc<Segment>], blocks: &[Vec<Piece>], queries: &[f32], dims: usize, best: &mut [Best<'_>]) {
    let mut scores = vec![0.0; best.len() * BLOCK_ROWS];
    let mut gathered = Vec::new();
    for block in blocks {
        let matrix = match block.as_slice() {
            [piece] => rows_of(segments, *piece, dims),
            pieces => {
                gathered.clear();
                for piece in pieces {
                    gathered.extend_from_slice(rows_of(segments, *piece, dims));
                }
                &gathered
            }
        };
        let rows = matrix.len() / dims;
        product(queries, matrix, dims, &mut scores[..best.len() * rows]);
        best.par_iter_mut().zip(scores.par_chunks(rows)).for_each(|(best, mut scores)| {
            for piece in block {
                let (of_piece, rest) = scores.split_at(piece.rows);
                best.offer_all(*piece, of_piece);
                scores = rest;
            }
        });
    }
}

fn rows_of(segments: &[Arc<Segment>], piece: Piece, dims: usize) -> &[f32] {
    let start = piece.row as usize * dims;
    &segments[piece.segment as usize].matrix()[start..start + piece.rows * dims]
}

/// `scores[q][r]` = inner product of query `q` and row `r`; all three row-major.
fn product(queries: &[f32], rows: &[f32], dims: usize, scores: &mut [f32]) {
    let (m, n) = (queries.len() / dims, rows.len() / dims);
    assert!(scores.len() == m * n && queries.len() == m * dims && rows.len() == n * dims, "shapes agree");
    // SAFETY: the pointers are to slices of the sizes asserted above, and `scores` overlaps neither of the others.
    unsafe {
        gemm::gemm(
            m,
            n,
            dims,
            scores.as_mut_ptr(),
            1,
            n as isize,
            false,
            queries.as_ptr(),
            1,
            dims as isize,
            rows.as_ptr(),
            dims as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
}

/// A row with its score; the greater one is the *worse* one, so that a heap gives up the worst first.
struct Candidate<'a> {
    score: f32,
    key: &'a [u8],
    segment: u32,
    row: u32,
}

impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Scores are finite: vectors are checked when they are put, queries when they are asked.
        let by_score = other.score.partial_cmp(&self.score).unwrap_or(Ordering::Equal);
        by_score.then_with(|| self.key.cmp(other.key))
    }
}

impl PartialOrd for Candidate<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate<'_> {}

/// The best `k` candidates of one query so far.
struct Best<'a> {
    segments: &'a [Arc<Segment>],
    k: usize,
    heap: BinaryHeap<Candidate<'a>>,
    /// No score below this one gets in.
    bar: f32,
}

impl<'a> Best<'a> {
    fn new(segments: &'a [Arc<Segment>], k: usize) -> Self {
        Self { segments, k, heap: BinaryHeap::with_capacity(k + 1), bar: f32::NEG_INFINITY }
    }

    fn offer_all(&mut self, piece: Piece, scores: &[f32]) {
        const LANES: usize = 32;
        for (lane, some) in scores.chunks(LANES).enumerate() {
            // Most runs hold nothing good enough: this comparison without branches is all they cost.
            if !some.iter().fold(false, |any, score| any | (*score >= self.bar)) {
                continue;
            }
            for (at, score) in some.iter().enumerate() {
                if *score >= self.bar {
                    self.offer(piece.segment, piece.row + (lane * LANES + at) as u32, *score);
                }
            }
        }
    }

    fn offer(&mut self, segment: u32, row: u32, score: f32) {
        let key = self.segments[segment as usize].key(row as usize);
        let candidate = Candidate { score, key, segment, row };
        if self.heap.len() < self.k {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
        if self.heap.len() == self.k
            && let Some(worst) = self.heap.peek()
        {
            self.bar = worst.score;
        }
    }

    fn into_hits(self) -> Vec<Hit> {
        let segments = self.segments;
        let hit = |found: Candidate<'_>| hit_of(&segments[found.segment as usize], found.row as usize, found.score);
        self.heap.into_sorted_vec().into_iter().map(hit).collect()
    }
}

/// A row of a segment as a search gives it.
pub(super) fn hit_of(segment: &Segment, row: usize, score: f32) -> Hit {
    let key = String::from_utf8_lossy(segment.key(row)).into_owned();
    Hit { key, score, epoch: segment.epoch(row) }
}
