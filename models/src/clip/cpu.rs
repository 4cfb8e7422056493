//! CLIP's towers on the CPU.

use super::{
    config::PooledPosition,
    text::TextTower,
    vision::{VisionTower, patch_corners, patch_rows},
};
use crate::{
    encoder::PictureBatch,
    layers::{
        Activation,
        cpu::{LayerNorm, Linear, Pooled, Rooms, Tower, Workspace, group_size, numbers},
    },
    tokenizer::PaddedIds,
};
use candle_core::Result;

pub(super) struct Vision {
    patches: Linear,
    /// (1 + patches) × width; the class embedding is added to the first.
    positions: Vec<f32>,
    before: LayerNorm,
    tower: Tower,
    dims: usize,
    side: usize,
    patch: usize,
    rooms: Rooms,
}

impl Vision {
    pub(super) fn pack(tower: VisionTower) -> Result<Self> {
        let mut positions = numbers(&tower.positions)?;
        positions.iter_mut().zip(numbers(&tower.class)?).for_each(|(position, class)| *position += class);
        Ok(Self {
            patches: Linear::pack(&tower.patches, Activation::None)?,
            positions,
            before: LayerNorm::pack(&tower.before)?,
            dims: tower.projection.outputs()?,
            tower: Tower::pack(tower.blocks, &tower.after, &tower.projection)?,
            side: tower.side,
            patch: tower.patch,
            rooms: Rooms::default(),
        })
    }

    /// Features of `batch`, count × dims.
    pub(super) fn features(&mut self, batch: &PictureBatch) -> Vec<f32> {
        let mut features = vec![0.0; batch.count * self.dims];
        let mut rooms = std::mem::take(&mut self.rooms);
        let group = group_size(batch.count, self.length());
        let pictures = batch.pixels.chunks(group * 3 * self.side * self.side);
        rooms.share(pictures.zip(features.chunks_mut(group * self.dims)), |room, (pictures, features)| {
            self.embed(pictures, room);
            let pooled = Pooled { length: self.length(), position: 0 };
            self.tower.features(room, std::iter::repeat_n(pooled, features.len() / self.dims), features);
        });
        self.rooms = rooms;
        features
    }

    /// Rows of a picture: one for the class and one for each patch.
    fn length(&self) -> usize {
        1 + (self.side / self.patch).pow(2)
    }

    fn embed(&self, pictures: &[f32], room: &mut Workspace) {
        let Workspace { x, normal, wide: patches, .. } = room;
        let pictures = pictures.chunks_exact(3 * self.side * self.side);
        patches.reshape(pictures.len() * self.length(), 3 * self.patch * self.patch);
        for (index, picture) in pictures.enumerate() {
            let first = index * self.length();
            patches.row_mut(first).fill(0.0);
            for (corner, row) in patch_corners(self.side, self.patch).zip(first + 1..) {
                let parts = patches.row_mut(row).chunks_exact_mut(self.patch);
                let pixels = patch_rows(picture, self.side, self.patch, corner);
                parts.zip(pixels).for_each(|(part, pixels)| part.copy_from_slice(pixels));
            }
        }
        self.patches.forward(patches, normal);
        let positions = self.positions.chunks_exact(normal.columns()).cycle();
        for (row, positions) in (0..normal.rows()).zip(positions) {
            normal.row_mut(row).iter_mut().zip(positions).for_each(|(x, position)| *x += position);
        }
        self.before.forward(normal, x);
    }
}

pub(super) struct Text {
    /// vocabulary × width
    tokens: Vec<f32>,
    /// positions × width
    positions: Vec<f32>,
    width: usize,
    tower: Tower,
    dims: usize,
    pooled: PooledPosition,
    rooms: Rooms,
}

impl Text {
    pub(super) fn pack(tower: TextTower) -> Result<Self> {
        Ok(Self {
            tokens: numbers(&tower.tokens)?,
            positions: numbers(&tower.positions)?,
            width: tower.tokens.dim(1)?,
            dims: tower.projection.outputs()?,
            tower: Tower::pack(tower.blocks, &tower.norm, &tower.projection)?,
            pooled: tower.pooled,
            rooms: Rooms::default(),
        })
    }

    /// Features of `batch`, rows × dims.
    ///
    /// A title ends where its vector is taken from: its end token sees nothing that follows, so that padding
    /// costs nothing.
    pub(super) fn features(&mut self, batch: &PaddedIds) -> Vec<f32> {
        let titles: Vec<&[u32]> = batch.titles().map(|ids| &ids[..=self.pooled.of(ids)]).collect();
        let longest = titles.iter().map(|title| title.len()).max().unwrap_or(1);
        let mut features = vec![0.0; titles.len() * self.dims];
        let mut rooms = std::mem::take(&mut self.rooms);
        let group = group_size(titles.len(), longest);
        rooms.share(titles.chunks(group).zip(features.chunks_mut(group * self.dims)), |room, (titles, features)| {
            self.embed(titles, room);
            let pooled = titles.iter().map(|title| Pooled { length: title.len(), position: title.len() - 1 });
            self.tower.features(room, pooled, features);
        });
        self.rooms = rooms;
        features
    }

    fn embed(&self, titles: &[&[u32]], room: &mut Workspace) {
        room.x.reshape(titles.iter().map(|title| title.len()).sum(), self.width);
        let positions = |title: &'_ &[u32]| title.iter().copied().enumerate().collect::<Vec<_>>();
        for (row, (position, id)) in titles.iter().flat_map(positions).enumerate() {
            let token = &self.tokens[id as usize * self.width..][..self.width];
            let position = &self.positions[position * self.width..][..self.width];
            let x = room.x.row_mut(row).iter_mut().zip(token).zip(position);
            x.for_each(|((x, token), position)| *x = token + position);
        }
    }
}
