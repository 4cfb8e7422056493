//! Matrices in memory that is used again and again.

use super::simd::{Chunk, LANES};
use std::marker::PhantomData;

/// Rows of f32 whose memory stays when the shape changes, so that a run neither allocates nor touches fresh pages
/// once it has seen its largest batch.
///
/// Rows are whole chunks: what stands between `columns` and the row's end has no meaning. They are an odd number
/// of cache lines apart, so that the same column of neighbouring rows does not compete for a set of the cache.
#[derive(Default)]
pub(crate) struct Matrix {
    chunks: Vec<Chunk>,
    rows: usize,
    columns: usize,
}

impl Matrix {
    /// Gives it this shape. Its numbers are whatever was there.
    pub(crate) fn reshape(&mut self, rows: usize, columns: usize) {
        (self.rows, self.columns) = (rows, columns);
        let chunks = rows * self.chunks_per_row();
        if self.chunks.len() < chunks {
            self.chunks.resize(chunks, Chunk::ZERO);
        }
    }

    fn chunks_per_row(&self) -> usize {
        self.columns.div_ceil(LANES) | 1
    }

    fn stride(&self) -> usize {
        self.chunks_per_row() * LANES
    }

    fn numbers(&self) -> &[f32] {
        // The array inside a chunk is all there is of it.
        let numbers = self.chunks.as_ptr().cast::<f32>();
        // SAFETY: a chunk is 16 f32 without padding.
        unsafe { std::slice::from_raw_parts(numbers, self.chunks.len() * LANES) }
    }

    fn numbers_mut(&mut self) -> &mut [f32] {
        let numbers = self.chunks.as_mut_ptr().cast::<f32>();
        // SAFETY: a chunk is 16 f32 without padding.
        unsafe { std::slice::from_raw_parts_mut(numbers, self.chunks.len() * LANES) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.numbers()[row * self.stride()..][..self.columns]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        let (stride, columns) = (self.stride(), self.columns);
        &mut self.numbers_mut()[row * stride..][..columns]
    }

    /// Puts row `from` in the place of row `to`.
    pub(crate) fn copy_row(&mut self, from: usize, to: usize) {
        let (stride, columns) = (self.stride(), self.columns);
        self.numbers_mut().copy_within(from * stride..from * stride + columns, to * stride);
    }

    pub(super) fn view(&self) -> View<'_> {
        self.part(0, self.rows, 0, self.columns)
    }

    /// `rows` rows from `row` on, `columns` of their columns from `column` on.
    pub(super) fn part(&self, row: usize, rows: usize, column: usize, columns: usize) -> View<'_> {
        assert!(row + rows <= self.rows && column + columns <= self.columns);
        let stride = self.stride();
        let numbers = self.numbers().get(row * stride + column..).unwrap_or_default();
        View { numbers, rows, columns, stride }
    }

    pub(super) fn shared(&mut self) -> SharedMatrix<'_> {
        let (rows, stride) = (self.rows, self.stride());
        SharedMatrix { numbers: self.chunks.as_mut_ptr().cast(), rows, stride, lifetime: PhantomData }
    }
}

/// A part of a matrix, to read: row r is `columns` numbers at r · stride.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a> View<'a> {
    pub(super) fn of(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns);
        Self { numbers, rows, columns, stride: columns }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn row(&self, row: usize) -> &'a [f32] {
        &self.numbers[row * self.stride..][..self.columns]
    }
}

/// A matrix of which several threads write different columns.
#[derive(Clone, Copy)]
pub(super) struct SharedMatrix<'a> {
    numbers: *mut f32,
    rows: usize,
    stride: usize,
    lifetime: PhantomData<&'a mut Matrix>,
}

// SAFETY: it is a borrow of plain numbers; who writes which of them is the promise that `columns` asks for.
unsafe impl Send for SharedMatrix<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedMatrix<'_> {}

impl SharedMatrix<'_> {
    /// `columns` numbers of a row from `column` on; they may reach to the end of its last chunk.
    ///
    /// # Safety
    /// Nobody else holds any of them.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller's promise")]
    pub(super) unsafe fn columns(&self, row: usize, column: usize, columns: usize) -> &mut [f32] {
        assert!(row < self.rows && column + columns <= self.stride);
        // SAFETY: `rows` × `stride` numbers are borrowed, and the assertion puts these within; the caller
        // promises that they are his alone.
        unsafe { std::slice::from_raw_parts_mut(self.numbers.add(row * self.stride + column), columns) }
    }
}
