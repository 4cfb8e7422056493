//! Rows of pixels in memory, named by their places in the whole picture.

use std::ops::Range;

/// Some columns of some rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines<'a> {
    pub(super) bytes: &'a [u8],
    /// Bytes from row to row.
    pub(super) stride: usize,
    /// Bytes of a row.
    pub(super) len: usize,
    left: usize,
    top: usize,
}

/// A pass across may write so many rows together, the last of which are beyond those that are asked for.
pub(super) const ROWS: usize = 4;

/// Bytes that a pass needs to write its rows.
pub(super) fn room(rows: usize, columns: usize) -> usize {
    rows.next_multiple_of(ROWS) * stride(columns)
}

/// Bytes from row to row of what a pass writes: a sample more than the pixels have, so that four may be written at
/// once, and whole vectors.
pub(super) fn stride(columns: usize) -> usize {
    (3 * columns + 1).next_multiple_of(32)
}

impl<'a> Lines<'a> {
    /// A whole picture without padding.
    pub(super) fn whole(bytes: &'a [u8], width: usize) -> Self {
        Self { bytes, stride: 3 * width, len: 3 * width, left: 0, top: 0 }
    }

    /// What a pass wrote: all rows from `top` on.
    pub(super) fn part(bytes: &'a [u8], columns: Range<usize>, top: usize) -> Self {
        Self { bytes, stride: stride(columns.len()), len: 3 * columns.len(), left: columns.start, top }
    }

    /// Where a row begins among the bytes.
    pub(super) fn start(&self, row: usize) -> usize {
        (row - self.top) * self.stride
    }

    /// Where a column begins in a row.
    pub(super) fn offset(&self, column: usize) -> usize {
        3 * (column - self.left)
    }

    /// The pixels of some columns of a row.
    pub(super) fn row(&self, row: usize, columns: Range<usize>) -> &'a [u8] {
        let (start, end) = (self.offset(columns.start), self.offset(columns.end));
        &self.bytes[self.start(row)..][..self.len][start..end]
    }

    /// All pixels of a row.
    pub(super) fn all(&self, row: usize) -> &'a [u8] {
        &self.bytes[self.start(row)..][..self.len]
    }
}
