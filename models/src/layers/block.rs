//! A transformer block with normalisation before each half:
//! x + attention(norm(x)), then x + outer(activation(inner(norm(x)))).

use super::{Activation, Attention, LayerNorm, Linear, Visible};
use crate::weights::Weights;
use candle_core::Tensor;
use imagefleet_common::Result;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BlockShape {
    pub(crate) width: usize,
    /// Width between the two layers of the second half.
    pub(crate) inner: usize,
    pub(crate) heads: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f64,
    pub(crate) visible: Visible,
}

pub(crate) struct Block {
    pub(super) before_attention: LayerNorm,
    pub(super) attention: Attention,
    pub(super) before_inner: LayerNorm,
    pub(super) inner: Linear,
    pub(super) activation: Activation,
    pub(super) outer: Linear,
}

impl Block {
    /// `NAME.{layer_norm1,self_attn,layer_norm2,mlp.fc1,mlp.fc2}`
    pub(crate) fn load(weights: &Weights, name: &str, shape: BlockShape) -> Result<Self> {
        let BlockShape { width, inner, heads, activation, epsilon, visible } = shape;
        let part = |part: &str| format!("{name}.{part}");
        Ok(Self {
            before_attention: LayerNorm::load(weights, &part("layer_norm1"), width, epsilon)?,
            attention: Attention::load(weights, &part("self_attn"), width, heads, visible)?,
            before_inner: LayerNorm::load(weights, &part("layer_norm2"), width, epsilon)?,
            inner: Linear::load(weights, &part("mlp.fc1"), width, inner)?,
            activation,
            outer: Linear::load(weights, &part("mlp.fc2"), inner, width)?,
        })
    }

    /// `NAME.0` to `NAME.{count − 1}`
    pub(crate) fn load_stack(weights: &Weights, name: &str, count: usize, shape: BlockShape) -> Result<Vec<Self>> {
        (0..count).map(|index| Self::load(weights, &format!("{name}.{index}"), shape)).collect()
    }

    /// rows × width → the same, where each `length` rows are one sequence.
    pub(crate) fn forward(&self, x: &Tensor, length: usize) -> candle_core::Result<Tensor> {
        let x = (x + self.attention.forward(&self.before_attention.forward(x)?, length)?)?;
        let inner = self.inner.forward(&self.before_inner.forward(&x)?)?;
        x + self.outer.forward(&self.activation.of(inner)?)?
    }
}
