//! CLIP's text tower: ids → features, before they are scaled to unit length.
//!
//! As tensors; on the CPU it becomes a [`super::cpu::Text`].

use super::config::{PooledPosition, TextConfig};
use crate::{
    layers::{Block, LayerNorm, Linear},
    tokenizer::PaddedIds,
    weights::Weights,
};
use candle_core::{Device, Tensor};
use imagefleet_common::Result;

pub(super) struct TextTower {
    /// vocabulary × width
    pub(super) tokens: Tensor,
    /// positions × width
    pub(super) positions: Tensor,
    pub(super) blocks: Vec<Block>,
    pub(super) norm: LayerNorm,
    pub(super) projection: Linear,
    pub(super) pooled: PooledPosition,
    device: Device,
}

impl TextTower {
    pub(super) fn load(weights: &Weights, config: &TextConfig, dims: usize, device: &Device) -> Result<Self> {
        let width = config.block.width;
        let embedding =
            |name: &str, rows| weights.get(&format!("text_model.embeddings.{name}_embedding.weight"), &[rows, width]);
        Ok(Self {
            tokens: embedding("token", config.vocabulary)?,
            positions: embedding("position", config.positions)?,
            blocks: Block::load_stack(weights, "text_model.encoder.layers", config.layers, config.block)?,
            norm: LayerNorm::load(weights, "text_model.final_layer_norm", width, config.block.epsilon)?,
            projection: Linear::load_without_bias(weights, "text_projection", width, dims)?,
            pooled: config.pooled,
            device: device.clone(),
        })
    }

    /// Features of `batch`, rows × dims.
    ///
    /// No padding mask: padding stands on the right, where no position of a title looks, and a title's vector
    /// is taken from one of its own positions.
    pub(super) fn forward(&self, batch: &PaddedIds) -> candle_core::Result<Tensor> {
        let (rows, length) = (batch.rows, batch.length);
        let width = self.tokens.dim(1)?;
        let ids = Tensor::from_slice(&batch.ids, rows * length, &self.device)?;
        let tokens = self.tokens.index_select(&ids, 0)?.reshape((rows, length, width))?;
        let mut x = tokens.broadcast_add(&self.positions.narrow(0, 0, length)?)?.reshape((rows * length, width))?;
        for block in &self.blocks {
            x = block.forward(&x, length)?;
        }
        let titles = batch.titles().enumerate();
        let ends: Vec<u32> = titles.map(|(row, ids)| (row * length + self.pooled.of(ids)) as u32).collect();
        let ends = Tensor::from_vec(ends, rows, &self.device)?;
        self.projection.forward(&self.norm.forward(&x.index_select(&ends, 0)?)?)
    }
}
