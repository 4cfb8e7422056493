//! Layers on the CPU from those that a checkpoint was read into.

use super::{
    Block, LayerNorm, Linear, Tower,
    matrix::View,
    product::Panels,
    simd::{Chunk, LANES},
};
use crate::layers::{self as tensors, Activation};
use candle_core::{Result, Tensor};

pub(crate) fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

impl Linear {
    pub(crate) fn pack(layer: &tensors::Linear, activation: Activation) -> Result<Self> {
        let (outputs, inputs) = layer.weight.dims2()?;
        let weight = Panels::of_transposed(View::of(&numbers(&layer.weight)?, outputs, inputs));
        let bias = layer.bias.as_ref().map(numbers).transpose()?.map(|bias| {
            let mut chunks = vec![Chunk::ZERO; outputs.div_ceil(LANES)];
            chunks
                .iter_mut()
                .zip(bias.chunks(LANES))
                .for_each(|(chunk, part)| chunk.0[..part.len()].copy_from_slice(part));
            chunks
        });
        Ok(Self { weight, bias, activation })
    }
}

impl LayerNorm {
    pub(crate) fn pack(layer: &tensors::LayerNorm) -> Result<Self> {
        Ok(Self { weight: numbers(&layer.weight)?, bias: numbers(&layer.bias)?, epsilon: layer.epsilon })
    }
}

impl Block {
    pub(crate) fn pack(block: &tensors::Block) -> Result<Self> {
        Ok(Self {
            before_attention: LayerNorm::pack(&block.before_attention)?,
            query_key_value: Linear::pack(&block.attention.query_key_value, Activation::None)?,
            out: Linear::pack(&block.attention.out, Activation::None)?,
            heads: block.attention.heads,
            visible: block.attention.visible,
            before_inner: LayerNorm::pack(&block.before_inner)?,
            inner: Linear::pack(&block.inner, block.activation)?,
            outer: Linear::pack(&block.outer, Activation::None)?,
        })
    }
}

impl Tower {
    /// Each block's tensors are dropped before the next is packed: weights are in memory once.
    pub(crate) fn pack(
        blocks: Vec<tensors::Block>,
        after: &tensors::LayerNorm,
        projection: &tensors::Linear,
    ) -> Result<Self> {
        Ok(Self {
            blocks: blocks.into_iter().map(|block| Block::pack(&block)).collect::<Result<_>>()?,
            after: LayerNorm::pack(after)?,
            projection: Linear::pack(projection, Activation::None)?,
        })
    }
}
