//! Self-attention over packed sequences. One product gives query, key and value side by side.

use super::Linear;
use crate::weights::Weights;
use candle_core::{D, Tensor};
use imagefleet_common::Result;

/// What a position sees of its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visible {
    All,
    /// Itself and what stands before it. Padding on the right is therefore seen by padding only.
    Past,
}

pub(crate) struct Attention {
    pub(super) query_key_value: Linear,
    pub(super) out: Linear,
    pub(super) heads: usize,
    pub(super) visible: Visible,
}

impl Attention {
    /// `NAME.{q_proj,k_proj,v_proj,out_proj}`, all width × width with a bias.
    pub(crate) fn load(weights: &Weights, name: &str, width: usize, heads: usize, visible: Visible) -> Result<Self> {
        let part = |part: &str| Linear::load(weights, &format!("{name}.{part}_proj"), width, width);
        let query_key_value = Linear::side_by_side(&[part("q")?, part("k")?, part("v")?])?;
        Ok(Self { query_key_value, out: part("out")?, heads, visible })
    }

    /// softmax(q · kᵀ / √depth) · v for every head, and the layer after it: rows × width → the same, where each
    /// `length` rows are one sequence.
    pub(crate) fn forward(&self, x: &Tensor, length: usize) -> candle_core::Result<Tensor> {
        let packed = self.query_key_value.forward(x)?;
        let (rows, columns) = packed.dims2()?;
        let width = columns / 3;
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
        let shares = candle_nn::ops::softmax(&scores, D::Minus1)?;
        let mixed = shares.matmul(&value)?.transpose(1, 2)?.contiguous()?.reshape((rows, width))?;
        self.out.forward(&mixed)
    }
}
