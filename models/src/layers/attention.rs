//! Self-attention over packed sequences.
//!
//! One product gives query, key and value side by side; on the CPU each head is then read where it lies in
//! that product's rows, without a copy, one sequence a core.

use super::{Linear, rows::contiguous};
use crate::weights::Weights;
use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Shape, Tensor, bail};
use imagefleet_common::Result;
use rayon::prelude::*;

/// What a position sees of its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visible {
    All,
    /// Itself and what stands before it. Padding on the right is therefore seen by padding only.
    Past,
}

pub(crate) struct Attention {
    query_key_value: Linear,
    out: Linear,
    heads: usize,
    visible: Visible,
}

impl Attention {
    /// `NAME.{q_proj,k_proj,v_proj,out_proj}`, all width × width with a bias.
    pub(crate) fn load(weights: &Weights, name: &str, width: usize, heads: usize, visible: Visible) -> Result<Self> {
        let part = |part: &str| Linear::load(weights, &format!("{name}.{part}_proj"), width, width);
        let query_key_value = Linear::side_by_side(&[part("q")?, part("k")?, part("v")?])?;
        Ok(Self { query_key_value, out: part("out")?, heads, visible })
    }

    /// rows × width → the same, where each `length` rows are one sequence.
    pub(crate) fn forward(&self, x: &Tensor, length: usize) -> candle_core::Result<Tensor> {
        let packed = self.query_key_value.forward(x)?;
        let heads = Heads { length, heads: self.heads, visible: self.visible };
        let mixed = if packed.device().is_cpu() {
            packed.apply_op1_no_bwd(&heads)?
        } else {
            heads.with_tensor_operations(&packed)?
        };
        self.out.forward(&mixed)
    }
}

/// softmax(q · kᵀ / √depth) · v, for every head of every sequence: rows × 3·width → rows × width.
struct Heads {
    length: usize,
    heads: usize,
    visible: Visible,
}

impl Heads {
    fn with_tensor_operations(&self, packed: &Tensor) -> candle_core::Result<Tensor> {
        let (rows, columns) = packed.dims2()?;
        let (length, width) = (self.length, columns / 3);
        let depth = width / self.heads;
        let parts = packed.reshape((rows / length, length, 3, self.heads, depth))?;
        let parts = parts.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let (query, key, value) = (parts.get(0)?, parts.get(1)?, parts.get(2)?);
        let mut scores = (query.matmul(&key.t()?)? * (depth as f64).powf(-0.5))?;
        if self.visible == Visible::Past {
            let hidden = (0..length * length).map(|i| if i % length > i / length { f32::NEG_INFINITY } else { 0.0 });
            let mask = Tensor::from_iter(hidden, packed.device())?.reshape((length, length))?;
            scores = scores.broadcast_add(&mask)?;
        }
        debug_assert_eq!(scores.dtype(), DType::F32);
        let shares = candle_nn::ops::softmax(&scores, D::Minus1)?;
        shares.matmul(&value)?.transpose(1, 2)?.contiguous()?.reshape((rows, width))
    }

    /// One sequence: `packed` is length × 3·width, `out` length × width, `shares` room for length × length.
    fn mix(&self, packed: &[f32], out: &mut [f32], shares: &mut [f32]) {
        let length = self.length;
        let width = out.len() / length;
        let depth = width / self.heads;
        let scale = (depth as f32).powf(-0.5);
        assert!(packed.len() == length * 3 * width && shares.len() == length * length && depth * self.heads == width);
        for head in 0..self.heads {
            let at = head * depth;
            let (query, key, value) = (&packed[at..], &packed[width + at..], &packed[2 * width + at..]);
            // SAFETY: row r < length of a part is `depth` numbers at r·3·width of its slice. The last ends at
            // (length − 1)·3·width + depth, which the assertion above puts within even value's, the shortest:
            // it has length·3·width − 2·width − at numbers, and at + depth ≤ width. `shares` is length × length.
            unsafe {
                multiply(
                    (length, length, depth),
                    scale,
                    Matrix { at: query.as_ptr(), row: 3 * width, column: 1 },
                    Matrix { at: key.as_ptr(), row: 1, column: 3 * width },
                    shares.as_mut_ptr(),
                    length,
                );
            }
            for (position, row) in shares.chunks_exact_mut(length).enumerate() {
                let seen = if self.visible == Visible::Past { position + 1 } else { length };
                let (seen, hidden) = row.split_at_mut(seen);
                softmax(seen);
                hidden.fill(0.0);
            }
            let out = &mut out[at..];
            // SAFETY: as above; row r < length of `out` is `depth` numbers at r·width of its slice.
            unsafe {
                multiply(
                    (length, depth, length),
                    1.0,
                    Matrix { at: shares.as_ptr(), row: length, column: 1 },
                    Matrix { at: value.as_ptr(), row: 3 * width, column: 1 },
                    out.as_mut_ptr(),
                    width,
                );
            }
        }
    }
}

impl CustomOp1 for Heads {
    fn name(&self) -> &'static str {
        "attention heads"
    }

    fn cpu_fwd(&self, packed: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let packed = contiguous(packed, layout)?;
        let (rows, columns) = layout.shape().dims2()?;
        let width = columns / 3;
        if width * 3 != columns || width % self.heads != 0 || rows % self.length != 0 {
            bail!("{rows} × {columns} numbers are not sequences of {} for {} heads", self.length, self.heads);
        }
        let mut out = vec![0.0; rows * width];
        out.par_chunks_mut(self.length * width).zip(packed.par_chunks(self.length * columns)).for_each_init(
            || vec![0.0; self.length * self.length],
            |shares, (out, packed)| self.mix(packed, out, shares),
        );
        Ok((CpuStorage::F32(out), (rows, width).into()))
    }
}

/// A matrix in memory: where its first number is, and how far it is to the next row and column.
struct Matrix {
    at: *const f32,
    row: usize,
    column: usize,
}

/// out (rows × columns, `out_row` apart) = scale · left (rows × inner) · right (inner × columns), on this thread.
///
/// # Safety
/// All numbers of the three matrices lie within memory that may be read, and for `out` written.
unsafe fn multiply(
    (rows, columns, inner): (usize, usize, usize),
    scale: f32,
    left: Matrix,
    right: Matrix,
    out: *mut f32,
    out_row: usize,
) {
    let steps = |matrix: &Matrix| (matrix.column as isize, matrix.row as isize);
    let ((left_column, left_row), (right_column, right_row)) = (steps(&left), steps(&right));
    // SAFETY: the caller's promise. `out` is not read, so it need not hold numbers yet.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out,
            1,
            out_row as isize,
            false,
            left.at,
            left_column,
            left_row,
            right.at,
            right_column,
            right_row,
            0.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

fn softmax(row: &mut [f32]) {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = (*x - highest).exp();
        sum += *x;
    }
    let share = 1.0 / sum;
    row.iter_mut().for_each(|x| *x *= share);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use candle_core::Device;

    const LENGTH: usize = 5;
    const WIDTH: usize = 12;

    fn packed(sequences: usize) -> Tensor {
        Tensor::randn(0.0f32, 1.0, (sequences * LENGTH, 3 * WIDTH), &Device::Cpu).unwrap()
    }

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn distance(a: &Tensor, b: &Tensor) -> f32 {
        numbers(a).iter().zip(numbers(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn the_fused_operator_gives_what_tensor_operations_give() {
        for visible in [Visible::All, Visible::Past] {
            let heads = Heads { length: LENGTH, heads: 3, visible };
            let packed = packed(4);
            let fused = packed.apply_op1_no_bwd(&heads).unwrap();
            let plain = heads.with_tensor_operations(&packed).unwrap();
            assert!(distance(&fused, &plain) <= 1e-6, "{visible:?}: {}", distance(&fused, &plain));
        }
    }

    #[test]
    fn a_position_that_sees_the_past_does_not_notice_what_follows() {
        let heads = Heads { length: LENGTH, heads: 3, visible: Visible::Past };
        let before = packed(1);
        let changed = Tensor::cat(&[before.narrow(0, 0, 3).unwrap(), packed(1).narrow(0, 3, 2).unwrap()], 0).unwrap();
        let [a, b] = [before, changed].map(|packed| packed.apply_op1_no_bwd(&heads).unwrap());
        let first = |tensor: &Tensor| tensor.narrow(0, 0, 3).unwrap();
        assert_eq!(numbers(&first(&a)), numbers(&first(&b)));
        assert!(distance(&a, &b) > 1e-2);
    }

    #[test]
    fn a_lost_sequence_leaves_the_others_as_they_are() {
        let heads = Heads { length: LENGTH, heads: 3, visible: Visible::All };
        let whole = packed(3);
        let lost = Tensor::full(f32::NAN, (LENGTH, 3 * WIDTH), &Device::Cpu).unwrap();
        let with_lost = Tensor::cat(&[&whole, &lost], 0).unwrap();
        let rows = numbers(&with_lost.apply_op1_no_bwd(&heads).unwrap());
        let (good, bad) = rows.split_at(3 * LENGTH * WIDTH);
        assert_eq!(good, numbers(&whole.apply_op1_no_bwd(&heads).unwrap()));
        assert!(bad.iter().all(|x| x.is_nan()));
    }
}
