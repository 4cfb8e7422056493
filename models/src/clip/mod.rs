//! CLIP, of OpenAI and of all who kept its shape (Radford et al. 2021, arXiv:2103.00020).
//!
//! Vectors equal those of transformers' `CLIPModel` in f32, scaled to unit length, to within 1e-5.

pub(crate) mod config;
mod text;
mod vision;

use crate::{
    checkpoint::Checkpoint,
    encoder::{Encoder, PictureBatch, Vectors},
    tokenizer::{TitleTokenizer, pad},
    weights::Weights,
};
use candle_core::{Device, Tensor};
use config::{Config, PooledPosition};
use imagefleet_common::{Context, Error, Result};
use text::TextTower;
use vision::VisionTower;

/// Titles that are encoded at once. More do not make it faster, and padding and memory grow.
const TITLES_AT_ONCE: usize = 64;

pub struct Clip {
    tokenizer: TitleTokenizer,
    text: TextTower,
    vision: VisionTower,
    dims: usize,
    side: usize,
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
            text: TextTower::load(&weights, &config.text, config.dims, device)?,
            vision: VisionTower::load(&weights, &config.vision, config.dims, device)?,
            dims: config.dims,
            side: config.vision.side,
        })
    }

    fn vectors(&self, features: candle_core::Result<Tensor>, doing: impl Fn() -> String) -> Result<Vectors> {
        let values = features.and_then(|features| features.flatten_all()?.to_vec1()).transient(doing)?;
        Ok(Vectors::of_features(self.dims, values))
    }
}

/// A tokenizer of another model would give ids without a row in the table, or titles without the end token
/// that their vector is taken from: all titles would then have one vector.
fn check_agreement(config: &Config, tokenizer: &TitleTokenizer) -> Result<()> {
    let (highest, vocabulary) = (tokenizer.highest_id(), config.text.vocabulary);
    if highest as usize >= vocabulary {
        return Err(Error::permanent(format!(
            "tokenizer.json has ids up to {highest}, but config.json a vocab_size of {vocabulary}: they are of different models"
        )));
    }
    let empty = tokenizer.ids(&[String::new()])?;
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
        self.vectors(self.vision.forward(batch), || format!("encode {} pictures", batch.count))
    }

    /// Titles of like length are encoded together, so that little is computed for padding.
    fn encode_texts(&mut self, texts: &[String]) -> Result<Vectors> {
        let ids = self.tokenizer.ids(texts)?;
        let mut by_length: Vec<usize> = (0..ids.len()).collect();
        by_length.sort_by_key(|&index| ids[index].len());
        let mut values = vec![0.0; texts.len() * self.dims];
        for indexes in by_length.chunks(TITLES_AT_ONCE) {
            let batch = pad(indexes.iter().map(|&index| ids[index].as_slice()), self.tokenizer.pad_id());
            let vectors = self.vectors(self.text.forward(&batch), || format!("encode {} titles", batch.rows))?;
            for (row, &index) in vectors.rows().zip(indexes) {
                values[index * self.dims..][..self.dims].copy_from_slice(row);
            }
        }
        Ok(Vectors { dims: self.dims, values })
    }
}
