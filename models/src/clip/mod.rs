//! CLIP, of OpenAI and of all who kept its shape (Radford et al. 2021, arXiv:2103.00020).
//!
//! Vectors equal those of transformers' `CLIPModel` in f32, scaled to unit length, to within 1e-5.

pub(crate) mod config;
mod cpu;
mod text;
mod vision;

use crate::{
    checkpoint::Checkpoint,
    encoder::{Encoder, PictureBatch, Vectors},
    tokenizer::{PaddedIds, TitleTokenizer, pad},
    weights::Weights,
};
use candle_core::Device;
use config::{Config, PooledPosition};
use imagefleet_common::{Context, Error, Result};
use text::TextTower;
use vision::VisionTower;

/// Titles that are encoded at once. More do not make it faster, and padding and memory grow.
const TITLES_AT_ONCE: usize = 64;

pub struct Clip {
    tokenizer: TitleTokenizer,
    towers: Towers,
    dims: usize,
    side: usize,
}

#[expect(clippy::large_enum_variant, reason = "a model has one of it")]
enum Towers {
    Cpu { text: cpu::Text, vision: cpu::Vision },
    Device { text: TextTower, vision: VisionTower },
}

impl Towers {
    fn load(weights: &Weights, config: &Config, device: &Device) -> Result<Self> {
        if device.is_cpu() { Self::packed(weights, config) } else { Self::on_device(weights, config, device) }
    }

    fn packed(weights: &Weights, config: &Config) -> Result<Self> {
        let packing = || "pack the model's weights".to_owned();
        // One tower after the other, for less memory.
        let text = TextTower::load(weights, &config.text, config.dims, &Device::Cpu)?;
        let text = cpu::Text::pack(text).permanent(packing)?;
        let vision = VisionTower::load(weights, &config.vision, config.dims, &Device::Cpu)?;
        Ok(Self::Cpu { text, vision: cpu::Vision::pack(vision).permanent(packing)? })
    }

    fn on_device(weights: &Weights, config: &Config, device: &Device) -> Result<Self> {
        let text = TextTower::load(weights, &config.text, config.dims, device)?;
        Ok(Self::Device { text, vision: VisionTower::load(weights, &config.vision, config.dims, device)? })
    }

    fn pictures(&mut self, batch: &PictureBatch) -> candle_core::Result<Vec<f32>> {
        match self {
            Self::Cpu { vision, .. } => Ok(vision.features(batch)),
            Self::Device { vision, .. } => vision.forward(batch)?.flatten_all()?.to_vec1(),
        }
    }

    fn titles(&mut self, batch: &PaddedIds) -> candle_core::Result<Vec<f32>> {
        match self {
            Self::Cpu { text, .. } => Ok(text.features(batch)),
            Self::Device { text, .. } => text.forward(batch)?.flatten_all()?.to_vec1(),
        }
    }
}

impl Clip {
    pub fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let dir = checkpoint.dir();
        let config = Config::read(dir)?;
        let tokenizer = TitleTokenizer::open(dir, config.text.positions)?;
        check_agreement(&config, &tokenizer)?;
        let weights = Weights::open(dir, device)?;
        Ok(Self {
            tokenizer,
            towers: Towers::load(&weights, &config, device)?,
            dims: config.dims,
            side: config.vision.side,
        })
    }
}

/// A tokenizer of another model would give ids without a row in the table, or titles without the end token
/// that their vector is taken from: all titles would then have one vector.
fn check_agreement(config: &Config, tokenizer: &TitleTokenizer) -> Result<()> {
    // The empty title has all that the tokenizer adds to one, which need not stand in its vocabulary.
    let empty = tokenizer.ids(&[String::new()])?;
    let highest = empty.iter().flatten().copied().fold(tokenizer.highest_id(), u32::max);
    let (vocabulary, positions) = (config.text.vocabulary, config.text.positions);
    if empty.iter().any(|ids| ids.len() > positions) {
        return Err(Error::permanent(format!(
            "tokenizer.json adds more tokens to a title than config.json's max_position_embeddings, {positions}"
        )));
    }
    if highest as usize >= vocabulary {
        return Err(Error::permanent(format!(
            "tokenizer.json has ids up to {highest}, but config.json a vocab_size of {vocabulary}: they are of different models"
        )));
    }
    if empty.iter().any(Vec::is_empty) {
        return Err(Error::permanent("tokenizer.json adds no start and end token to a title"));
    }
    let PooledPosition::First(end) = config.text.pooled else { return Ok(()) };
    if !empty.iter().all(|ids| ids.contains(&end)) {
        return Err(Error::permanent(format!(
            "tokenizer.json ends no title with config.json's eos_token_id {end}: they are of different models"
        )));
    }
    Ok(())
}

impl Encoder for Clip {
    fn dims(&self) -> usize {
        self.dims
    }

    fn picture_side(&self) -> usize {
        self.side
    }

    fn encode_pictures(&mut self, batch: &PictureBatch) -> Result<Vectors> {
        batch.check(self.side)?;
        if batch.count == 0 {
            return Ok(Vectors { dims: self.dims, values: Vec::new() });
        }
        let features = self.towers.pictures(batch).transient(|| format!("encode {} pictures", batch.count))?;
        Ok(Vectors::of_features(self.dims, features))
    }

    /// Titles of like length are encoded together, so that little is computed for padding.
    fn encode_texts(&mut self, texts: &[String]) -> Result<Vectors> {
        let ids = self.tokenizer.ids(texts)?;
        let mut by_length: Vec<usize> = (0..ids.len()).collect();
        by_length.sort_by_key(|&index| ids[index].len());
        let mut values = vec![0.0; texts.len() * self.dims];
        for indexes in by_length.chunks(TITLES_AT_ONCE) {
            let batch = pad(indexes.iter().map(|&index| ids[index].as_slice()), self.tokenizer.pad_id());
            let features = self.towers.titles(&batch).transient(|| format!("encode {} titles", batch.rows))?;
            let vectors = Vectors::of_features(self.dims, features);
            for (row, &index) in vectors.rows().zip(indexes) {
                values[index * self.dims..][..self.dims].copy_from_slice(row);
            }
        }
        Ok(Vectors { dims: self.dims, values })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::path::Path;

    #[test]
    fn towers_of_tensors_give_the_vectors_that_packed_towers_give() {
        for name in ["clip-tiny", "clip-legacy"] {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
            let config = Config::read(&dir).unwrap();
            let weights = Weights::open(&dir, &Device::Cpu).unwrap();
            let side = config.vision.side;
            let pixels = (0..3 * 3 * side * side).map(|i| (i * 7919 % 1009) as f32 / 252.0 - 2.0).collect();
            let pictures = PictureBatch { count: 3, side, pixels };
            let tokenizer = TitleTokenizer::open(&dir, config.text.positions).unwrap();
            let titles = tokenizer.ids(&["a boat".to_owned(), "the harbour at night, in winter".to_owned()]).unwrap();
            let titles = pad(titles.iter().map(Vec::as_slice), tokenizer.pad_id());

            let towers = [Towers::packed(&weights, &config), Towers::on_device(&weights, &config, &Device::Cpu)];
            let [packed, tensors] = towers.map(|towers| {
                let mut towers = towers.unwrap();
                let features = [towers.pictures(&pictures).unwrap(), towers.titles(&titles).unwrap()].concat();
                Vectors::of_features(config.dims, features)
            });
            assert_eq!(packed.len(), 5);
            let worst = packed.values.iter().zip(&tensors.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 1e-5, "{name}: off by {worst}");
        }
    }
}
