//! CLIP's picture tower: pixels → features, before they are scaled to unit length.
//!
//! As tensors; on the CPU it becomes a [`super::cpu::Vision`].

use super::config::VisionConfig;
use crate::{
    encoder::PictureBatch,
    layers::{Block, LayerNorm, Linear},
    weights::Weights,
};
use candle_core::{Device, Tensor};
use imagefleet_common::{Context, Result};

pub(super) struct VisionTower {
    /// A convolution whose stride is its kernel, as a product over flattened patches.
    pub(super) patches: Linear,
    /// 1 × 1 × width: stands before the patches, and becomes the picture's feature.
    pub(super) class: Tensor,
    /// (1 + patches) × width
    pub(super) positions: Tensor,
    /// transformers' name of it is misspelt, and so is the tensors'.
    pub(super) before: LayerNorm,
    pub(super) blocks: Vec<Block>,
    pub(super) after: LayerNorm,
    pub(super) projection: Linear,
    pub(super) side: usize,
    pub(super) patch: usize,
    device: Device,
}

impl VisionTower {
    pub(super) fn load(weights: &Weights, config: &VisionConfig, dims: usize, device: &Device) -> Result<Self> {
        let (width, patch, epsilon) = (config.block.width, config.patch, config.block.epsilon);
        let reshape = |tensor: Tensor, shape: &[usize]| {
            tensor.reshape(shape).permanent(|| "shape the picture tower's embeddings".to_owned())
        };
        let kernel = weights.get("vision_model.embeddings.patch_embedding.weight", &[width, 3, patch, patch])?;
        let class = weights.get("vision_model.embeddings.class_embedding", &[width])?;
        let rows = 1 + config.grid() * config.grid();
        Ok(Self {
            patches: Linear::of(reshape(kernel, &[width, 3 * patch * patch])?, None),
            class: reshape(class, &[1, 1, width])?,
            positions: weights.get("vision_model.embeddings.position_embedding.weight", &[rows, width])?,
            before: LayerNorm::load(weights, "vision_model.pre_layrnorm", width, epsilon)?,
            blocks: Block::load_stack(weights, "vision_model.encoder.layers", config.layers, config.block)?,
            after: LayerNorm::load(weights, "vision_model.post_layernorm", width, epsilon)?,
            projection: Linear::load_without_bias(weights, "visual_projection", width, dims)?,
            side: config.side,
            patch,
            device: device.clone(),
        })
    }

    /// Features of `batch`, count × dims.
    pub(super) fn forward(&self, batch: &PictureBatch) -> candle_core::Result<Tensor> {
        let (count, length, width) = (batch.count, self.positions.dim(0)?, self.positions.dim(1)?);
        let patches = cut_into_patches(&batch.pixels, self.side, self.patch);
        let patches = Tensor::from_vec(patches, (count * (length - 1), 3 * self.patch * self.patch), &self.device)?;
        let patches = self.patches.forward(&patches)?.reshape((count, length - 1, width))?;
        let class = self.class.broadcast_as((count, 1, width))?;
        let x = Tensor::cat(&[&class, &patches], 1)?.broadcast_add(&self.positions)?;
        let mut x = self.before.forward(&x.reshape((count * length, width))?)?;
        for block in &self.blocks {
            x = block.forward(&x, length)?;
        }
        let firsts = x.reshape((count, length, width))?.narrow(1, 0, 1)?.contiguous()?.reshape((count, width))?;
        self.projection.forward(&self.after.forward(&firsts)?)
    }
}

/// Pictures × 3 × side × side → (pictures · patches) × (3 · patch · patch).
fn cut_into_patches(pixels: &[f32], side: usize, patch: usize) -> Vec<f32> {
    let mut patches = Vec::with_capacity(pixels.len());
    for picture in pixels.chunks_exact(3 * side * side) {
        patch_corners(side, patch).for_each(|corner| {
            patch_rows(picture, side, patch, corner).for_each(|row| patches.extend_from_slice(row));
        });
    }
    patches
}

/// (down, across) of a picture's patches, row by row; what does not fill a patch is left out.
pub(super) fn patch_corners(side: usize, patch: usize) -> impl Iterator<Item = (usize, usize)> {
    let grid = side / patch;
    (0..grid * grid).map(move |index| (index / grid * patch, index % grid * patch))
}

/// The rows of a picture's patch, `patch` numbers each, its channels one after the other.
pub(super) fn patch_rows(
    picture: &[f32],
    side: usize,
    patch: usize,
    (down, across): (usize, usize),
) -> impl Iterator<Item = &[f32]> {
    let rows =
        picture.chunks_exact(side * side).flat_map(move |channel| channel.chunks_exact(side).skip(down).take(patch));
    rows.map(move |row| &row[across..][..patch])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_go_row_by_row_and_hold_their_channels_one_after_the_other() {
        let picture: Vec<f32> = (0..3 * 5 * 5).map(|i| i as f32).collect();
        let patches = cut_into_patches(&picture, 5, 2);
        assert_eq!(patches.len(), 4 * 3 * 4);
        assert_eq!(patches[..12], [0., 1., 5., 6., 25., 26., 30., 31., 50., 51., 55., 56.]);
        assert_eq!(patches[12..16], [2., 3., 7., 8.], "to the right");
        assert_eq!(patches[24..28], [10., 11., 15., 16.], "below");
    }
}
