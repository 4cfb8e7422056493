//! Self-attention over packed sequences, each head read where it lies in the product that made it.

use super::{
    functions::exp,
    matrix::{Matrix, SharedMatrix},
    product::{Finish, Panels, multiply_here},
    simd::{InstructionSet, LANES, Lanes, Task},
};
use crate::layers::Visible;
use rayon::prelude::*;
use std::{cell::RefCell, ops::Range};

/// Rows of one title or picture, and those of them whose result is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// Its rows among those of the batch.
    pub(crate) rows: Range<usize>,
    /// A part of `rows`.
    pub(crate) wanted: Range<usize>,
}

/// softmax(q · kᵀ / √depth) · v, for every head of every sequence: rows × 3·width → the wanted rows × width, one
/// sequence's after the other's.
pub(super) fn attend(packed: &Matrix, sequences: &[Sequence], heads: usize, visible: Visible, out: &mut Matrix) {
    let width = packed.columns() / 3;
    let depth = width / heads;
    assert_eq!(packed.columns(), 3 * heads * depth);
    out.reshape(sequences.iter().map(|sequence| sequence.wanted.len()).sum(), width);
    let out = out.shared();
    let mut next = 0;
    let places: Vec<(&Sequence, usize)> = sequences
        .iter()
        .map(|sequence| {
            let place = next;
            next += sequence.wanted.len();
            (sequence, place)
        })
        .collect();
    let set = InstructionSet::best();
    // A head of a short sequence is some microseconds of work; a core takes several.
    (0..places.len() * heads).into_par_iter().with_min_len(heads.div_ceil(4)).for_each(|index| {
        let (sequence, place) = places[index / heads];
        let head = Head { packed, sequence, depth, visible };
        ROOM.with_borrow_mut(|room| head.mix(set, index % heads, room, out, place));
    });
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// What one head of one sequence needs besides its input. It stays, as large as the longest sequence made it.
#[derive(Default)]
struct Room {
    keys: Panels,
    values: Panels,
    shares: Matrix,
    mixed: Matrix,
}

struct Head<'a> {
    packed: &'a Matrix,
    sequence: &'a Sequence,
    depth: usize,
    visible: Visible,
}

impl Head<'_> {
    /// Writes the head's columns of the rows of `out` from `place` on; nobody else does.
    fn mix(&self, set: InstructionSet, head: usize, room: &mut Room, out: SharedMatrix<'_>, place: usize) {
        let Self { packed, depth, .. } = *self;
        let (rows, wanted) = (&self.sequence.rows, &self.sequence.wanted);
        let width = packed.columns() / 3;
        let part =
            |part: usize, rows: &Range<usize>| packed.part(rows.start, rows.len(), part * width + head * depth, depth);
        room.keys.pack_transposed(part(1, rows));
        multiply_here(set, part(0, wanted), &room.keys, Finish::NOTHING, &mut room.shares);
        let first = wanted.start - rows.start;
        let scale = (depth as f32).powf(-0.5);
        set.run(Softmax { shares: &mut room.shares, first, scale, visible: self.visible });
        room.values.pack(part(2, rows));
        multiply_here(set, room.shares.view(), &room.values, Finish::NOTHING, &mut room.mixed);
        for row in 0..wanted.len() {
            // SAFETY: the caller calls this once for each head and sequence.
            unsafe { out.columns(place + row, head * depth, depth) }.copy_from_slice(room.mixed.row(row));
        }
    }
}

/// softmax(scale · scores) of every row, the first of which is the sequence's position `first`.
struct Softmax<'a> {
    shares: &'a mut Matrix,
    first: usize,
    scale: f32,
    visible: Visible,
}

impl Task for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for row in 0..self.shares.rows() {
            let scores = self.shares.row_mut(row);
            let seen = match self.visible {
                Visible::All => scores.len(),
                Visible::Past => self.first + row + 1,
            };
            let (seen, hidden) = scores.split_at_mut(seen);
            softmax::<L>(seen, self.scale);
            hidden.fill(0.0);
        }
    }
}

#[inline(always)]
fn softmax<L: Lanes>(scores: &mut [f32], scale: f32) {
    let highest = L::splat(highest::<L>(scores));
    let scale = L::splat(scale);
    let power = |score: L| exp((score - highest) * scale);
    let (chunks, rest) = scores.as_chunks_mut::<LANES>();
    let mut sums = L::splat(0.0);
    for chunk in chunks.iter_mut() {
        let powers = power(L::load(chunk));
        powers.store(chunk);
        sums = sums + powers;
    }
    power(L::load_part(rest)).store_part(rest);
    let mut lanes = [0.0; LANES];
    sums.store(&mut lanes);
    let share = 1.0 / lanes.iter().chain(rest.iter()).sum::<f32>();
    scores.iter_mut().for_each(|x| *x *= share);
}

/// NaN does not count.
#[inline(always)]
fn highest<L: Lanes>(scores: &[f32]) -> f32 {
    let (chunks, rest) = scores.as_chunks::<LANES>();
    let mut highest = L::splat(f32::NEG_INFINITY);
    for chunk in chunks {
        highest = L::load(chunk).max(highest);
    }
    let mut lanes = [0.0; LANES];
    highest.store(&mut lanes);
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}
