//! Access to the contiguous f32 rows behind a tensor, for operators on the CPU.

use candle_core::{CpuStorage, Layout, Result, bail};

/// The tensor's numbers. An error where it is not contiguous f32: no layer here makes such a tensor.
pub(crate) fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("an operator on rows needs a contiguous tensor, got strides {:?}", layout.stride()),
    }
}

/// How many rows of this width make a piece of work worth handing to another core.
pub(crate) fn rows_per_piece(width: usize) -> usize {
    const NUMBERS: usize = 16 * 1024;
    (NUMBERS / width.max(1)).max(1)
}
