//! Matrix products with the right side packed beforehand.
//!
//! Every number of a product is the sum over the inner dimension from its first term to its last, one
//! multiply-add each, wherever its row stands and whatever stands beside it: a row's result has the same bits in
//! every batch, on every number of threads.

use super::{
    functions::{gelu, gelu_tanh, quick_gelu},
    matrix::{Matrix, SharedMatrix, View},
    simd::{Chunk, InstructionSet, LANES, Lanes, Task},
};
use crate::layers::Activation;
use rayon::prelude::*;
use std::ops::Range;

/// How much of the inner dimension is summed before moving on: a tile's part of the right side then stays in the
/// first-level cache for all rows.
const INNER_AT_ONCE: usize = 256;
/// Products of fewer multiplications than this are not worth another core's attention.
const WORTH_SPLITTING: usize = 1 << 20;
/// Parts for each core: with more than one, a core that is late delays the others less.
const PARTS: usize = 2;

/// A matrix, inner × columns, as the product reads it: 16 columns side by side from the first row to the last,
/// then the next 16. Missing columns are zeros.
#[derive(Default)]
pub(crate) struct Panels {
    chunks: Vec<Chunk>,
    inner: usize,
    columns: usize,
}

impl Panels {
    /// The transpose of `rows`, which has one row a column, as weights are stored.
    pub(super) fn of_transposed(rows: View<'_>) -> Self {
        let mut panels = Self::default();
        panels.pack_transposed(rows);
        panels
    }

    pub(super) fn pack_transposed(&mut self, rows: View<'_>) {
        self.reshape(rows.columns(), rows.rows());
        for (panel, chunks) in
            self.chunks.chunks_exact_mut(rows.columns()).enumerate().take(rows.rows().div_ceil(LANES))
        {
            let first = panel * LANES;
            for lane in 0..LANES {
                if first + lane < rows.rows() {
                    chunks.iter_mut().zip(rows.row(first + lane)).for_each(|(chunk, x)| chunk.0[lane] = *x);
                } else {
                    chunks.iter_mut().for_each(|chunk| chunk.0[lane] = 0.0);
                }
            }
        }
    }

    pub(super) fn pack(&mut self, matrix: View<'_>) {
        self.reshape(matrix.rows(), matrix.columns());
        for row in 0..matrix.rows() {
            for (panel, part) in matrix.row(row).chunks(LANES).enumerate() {
                let chunk = &mut self.chunks[panel * matrix.rows() + row].0;
                chunk[..part.len()].copy_from_slice(part);
                chunk[part.len()..].fill(0.0);
            }
        }
    }

    fn reshape(&mut self, inner: usize, columns: usize) {
        (self.inner, self.columns) = (inner, columns);
        let chunks = inner * self.count();
        if self.chunks.len() < chunks {
            self.chunks.resize(chunks, Chunk::ZERO);
        }
    }

    fn count(&self) -> usize {
        self.columns.div_ceil(LANES)
    }
}

/// What follows a product: activation(product + bias).
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    /// As many chunks as the right side has panels, or none.
    pub(super) bias: Option<&'a [Chunk]>,
    pub(super) activation: Activation,
}

impl Finish<'_> {
    pub(super) const NOTHING: Self = Self { bias: None, activation: Activation::None };
}

/// out = finish(left · right) on all cores. `out` takes the product's shape.
pub(super) fn multiply(left: View<'_>, right: &Panels, finish: Finish<'_>, out: &mut Matrix) {
    let panels = right.count();
    let threads = rayon::current_num_threads();
    let parts =
        if threads == 1 || left.rows() * right.inner * right.columns < WORTH_SPLITTING { 1 } else { threads * PARTS };
    // Whole tiles of every instruction set.
    let part = panels.div_ceil(parts).next_multiple_of(2);
    out.reshape(left.rows(), right.columns);
    let out = out.shared();
    let set = InstructionSet::best();
    (0..panels.div_ceil(part)).into_par_iter().with_max_len(1).for_each(|index| {
        let panels = index * part..panels.min((index + 1) * part);
        // The parts' columns are disjoint.
        set.run(Multiply { left, right, panels, finish, out });
    });
}

/// As [`multiply`], on this thread.
pub(super) fn multiply_here(set: InstructionSet, left: View<'_>, right: &Panels, finish: Finish<'_>, out: &mut Matrix) {
    out.reshape(left.rows(), right.columns);
    set.run(Multiply { left, right, panels: 0..right.count(), finish, out: out.shared() });
}

/// Those columns of a product that some panels make. Nobody else writes them.
struct Multiply<'a> {
    left: View<'a>,
    right: &'a Panels,
    panels: Range<usize>,
    finish: Finish<'a>,
    out: SharedMatrix<'a>,
}

impl Task for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { left, right, panels, .. } = &self;
        assert_eq!(left.columns(), right.inner);
        assert!(right.chunks.len() >= right.inner * panels.end);
        let tiles = left.rows().div_ceil(L::ROWS);
        for from in (0..right.inner.max(1)).step_by(INNER_AT_ONCE) {
            let inner = from..right.inner.min(from + INNER_AT_ONCE);
            let mut panel = panels.start;
            while panel < panels.end {
                let wide = L::WIDE.min(panels.end - panel);
                for tile in 0..tiles {
                    // Tiles as equal as can be: none is left with a single row.
                    let rows = tile * left.rows() / tiles..(tile + 1) * left.rows() / tiles;
                    // Weights come from memory, and in time where each tile asks for its share of the next ones.
                    let share = |tile: usize| inner.start + tile * inner.len() / tiles;
                    let next = share(tile)..share(tile + 1);
                    match wide {
                        2 => self.tile_of::<L, 2>(rows, panel, inner.clone(), next),
                        _ => self.tile_of::<L, 1>(rows, panel, inner.clone(), next),
                    }
                }
                if inner.end == right.inner {
                    self.finish::<L>(panel..panel + wide);
                }
                panel += wide;
            }
        }
    }
}

impl Multiply<'_> {
    #[inline(always)]
    fn tile_of<L: Lanes, const WIDE: usize>(
        &self,
        rows: Range<usize>,
        panel: usize,
        inner: Range<usize>,
        next: Range<usize>,
    ) {
        macro_rules! by_height {
            ($($height:literal)*) => {
                match rows.len() {
                    $($height if $height <= L::ROWS => self.tile::<L, $height, WIDE>(rows.start, panel, inner, next),)*
                    height => unreachable!("a tile of {height} rows"),
                }
            };
        }
        by_height!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }

    /// Adds the terms `inner` to `HEIGHT` rows from `row` on and `WIDE` panels from `panel` on, and asks for the
    /// terms `next` of the panels after these.
    #[inline(always)]
    fn tile<L: Lanes, const HEIGHT: usize, const WIDE: usize>(
        &self,
        row: usize,
        panel: usize,
        inner: Range<usize>,
        next: Range<usize>,
    ) {
        let mut sums = [[L::splat(0.0); WIDE]; HEIGHT];
        if inner.start > 0 {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (w, sum) in sums.iter_mut().enumerate() {
                    *sum = L::load(self.chunk(row + r, panel + w));
                }
            }
        }
        let right: [&[Chunk]; WIDE] = std::array::from_fn(|w| {
            let first = (panel + w) * self.right.inner;
            &self.right.chunks[first + inner.start..first + inner.end]
        });
        let left: [&[f32]; HEIGHT] = std::array::from_fn(|r| &self.left.row(row + r)[inner.clone()]);
        let ahead: [*const Chunk; WIDE] = std::array::from_fn(|w| {
            let first = (panel + WIDE + w) * self.right.inner + next.start;
            self.right.chunks.as_ptr().wrapping_add(first)
        });
        for k in 0..inner.len() {
            if k < next.len() {
                ahead.iter().for_each(|ahead| L::prefetch(ahead.wrapping_add(k)));
            }
            // SAFETY: all of these slices are as long as `inner`.
            let right: [L; WIDE] = std::array::from_fn(|w| L::load(unsafe { &right[w].get_unchecked(k).0 }));
            for (sums, left) in sums.iter_mut().zip(&left) {
                // SAFETY: as above.
                let left = L::splat(unsafe { *left.get_unchecked(k) });
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = left.mul_add(right, *sum);
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (w, sum) in sums.into_iter().enumerate() {
                sum.store(self.chunk(row + r, panel + w));
            }
        }
    }

    #[inline(always)]
    fn finish<L: Lanes>(&self, panels: Range<usize>) {
        let Finish { bias, activation } = self.finish;
        if bias.is_none() && activation == Activation::None {
            return;
        }
        for row in 0..self.left.rows() {
            for panel in panels.clone() {
                let chunk = self.chunk(row, panel);
                let bias = L::load(&bias.map_or(Chunk::ZERO, |bias| bias[panel]).0);
                let x = L::load(chunk) + bias;
                let y = match activation {
                    Activation::None => x,
                    Activation::QuickGelu => quick_gelu(x),
                    Activation::Gelu => gelu(x),
                    Activation::GeluTanh => gelu_tanh(x),
                };
                y.store(chunk);
            }
        }
    }

    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "it is what the struct stands for")]
    fn chunk(&self, row: usize, panel: usize) -> &mut [f32; LANES] {
        // SAFETY: a `Multiply` alone writes its panels' columns, and holds one chunk at a time.
        let chunk = unsafe { self.out.columns(row, panel * LANES, LANES) };
        chunk.try_into().expect("it is as long as a chunk")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of −1 to 1 without a pattern.
    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn matrix(rows: usize, columns: usize, numbers: &[f32]) -> Matrix {
        let mut matrix = Matrix::default();
        matrix.reshape(rows, columns);
        for (row, part) in numbers.chunks_exact(columns).enumerate() {
            matrix.row_mut(row).copy_from_slice(part);
        }
        matrix
    }

    fn bits(matrix: &Matrix) -> Vec<u32> {
        (0..matrix.rows()).flat_map(|row| matrix.row(row)).map(|x| x.to_bits()).collect()
    }

    #[test]
    fn products_of_every_shape_equal_double_precision_to_rounding() {
        let shapes = [(1, 1, 1), (3, 17, 16), (13, 256, 33), (15, 257, 31), (29, 600, 70), (50, 64, 1)];
        for (set, (rows, inner, columns)) in
            InstructionSet::available().flat_map(|set| shapes.map(|shape| (set, shape)))
        {
            let (left, right) = (noise(rows * inner, 1), noise(columns * inner, 2));
            let stored = View::of(&right, columns, inner);
            let transposed: Vec<f32> =
                (0..inner).flat_map(|k| (0..columns).map(move |c| (c, k))).map(|(c, k)| right[c * inner + k]).collect();
            let mut packed = Panels::default();
            packed.pack(View::of(&transposed, inner, columns));
            for right_side in [&Panels::of_transposed(stored), &packed] {
                let mut out = Matrix::default();
                multiply_here(set, matrix(rows, inner, &left).view(), right_side, Finish::NOTHING, &mut out);
                for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                    let terms = left[row * inner..][..inner].iter().zip(&right[column * inner..][..inner]);
                    let exact: f64 = terms.map(|(l, r)| f64::from(*l) * f64::from(*r)).sum();
                    let error = (f64::from(out.row(row)[column]) - exact).abs();
                    assert!(error <= 1e-6 * (inner as f64).sqrt(), "{set:?} {rows}×{inner}×{columns}: off by {error}");
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_any_company_on_any_threads_with_any_instruction_set() {
        const ROWS: usize = 41;
        const INNER: usize = 300;
        const COLUMNS: usize = 150;
        let left = noise(ROWS * INNER, 3);
        let right = Panels::of_transposed(View::of(&noise(COLUMNS * INNER, 4), COLUMNS, INNER));
        let mut whole = Matrix::default();
        multiply(matrix(ROWS, INNER, &left).view(), &right, Finish::NOTHING, &mut whole);
        let whole = bits(&whole);
        for set in InstructionSet::available().filter(|&set| set != InstructionSet::Portable) {
            for row in 0..ROWS {
                let mut alone = Matrix::default();
                let left = matrix(1, INNER, &left[row * INNER..][..INNER]);
                multiply_here(set, left.view(), &right, Finish::NOTHING, &mut alone);
                assert_eq!(bits(&alone), whole[row * COLUMNS..][..COLUMNS], "{set:?}, row {row}");
            }
        }
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
            let mut out = Matrix::default();
            pool.install(|| multiply(matrix(ROWS, INNER, &left).view(), &right, Finish::NOTHING, &mut out));
            assert_eq!(bits(&out), whole, "{threads} threads");
        }
    }

    #[test]
    fn the_bias_of_a_column_is_added_to_every_row_before_the_activation() {
        let right = Panels::of_transposed(View::of(&[1.0, 2.0], 2, 1));
        let mut bias = [Chunk::ZERO];
        bias[0].0[..2].copy_from_slice(&[10.0, -20.0]);
        for set in InstructionSet::available() {
            let mut out = Matrix::default();
            let finish = |activation| Finish { bias: Some(&bias), activation };
            let left = matrix(2, 1, &[3.0, 5.0]);
            multiply_here(set, left.view(), &right, finish(Activation::None), &mut out);
            assert_eq!([out.row(0), out.row(1)], [[13.0, -14.0], [15.0, -10.0]], "{set:?}");
            multiply_here(set, left.view(), &right, finish(Activation::QuickGelu), &mut out);
            assert!((out.row(0)[0] - 13.0).abs() < 1e-5 && out.row(0)[1].abs() < 1e-5, "{set:?}");
        }
    }
}
