//! Encoders that hold, fail or give nonsense.

use imagefleet_common::Result;
use imagefleet_models::{Encoder, PictureBatch, Vectors};
use imagefleet_worker::engine::Load;
use std::sync::{Arc, Mutex};

type Pictures = dyn Fn(&mut dyn Encoder, &PictureBatch) -> Result<Vectors> + Send + Sync;

struct Disturbed {
    encoder: Box<dyn Encoder>,
    pictures: Arc<Pictures>,
}

impl Encoder for Disturbed {
    fn dims(&self) -> usize {
        self.encoder.dims()
    }

    fn picture_side(&self) -> usize {
        self.encoder.picture_side()
    }

    fn encode_pictures(&mut self, batch: &PictureBatch) -> Result<Vectors> {
        (self.pictures)(self.encoder.as_mut(), batch)
    }

    fn encode_texts(&mut self, texts: &[String]) -> Result<Vectors> {
        self.encoder.encode_texts(texts)
    }
}

/// Loads the shipped encoder, and asks `pictures` for vectors of pictures instead of it.
pub fn disturbed(
    pictures: impl Fn(&mut dyn Encoder, &PictureBatch) -> Result<Vectors> + Send + Sync + 'static,
) -> Arc<Load> {
    let pictures: Arc<Pictures> = Arc::new(pictures);
    Arc::new(move |path| {
        let pictures = Arc::clone(&pictures);
        Ok(Box::new(Disturbed { encoder: imagefleet::run::load(path)?, pictures }))
    })
}

/// Loads the shipped encoder, which aborts its process where a picture's pixels are such.
pub fn dies_at(is_deadly: fn(&[f32]) -> bool) -> Arc<Load> {
    disturbed(move |encoder, batch| {
        if batch.pixels.chunks_exact(batch.pixels.len() / batch.count).any(is_deadly) {
            std::process::abort();
        }
        encoder.encode_pictures(batch)
    })
}

/// One picture, known by its pixels: the first that is ever looked for.
#[derive(Debug, Default)]
pub struct Victim(Mutex<Option<Vec<f32>>>);

impl Victim {
    /// Where it stands in a batch.
    pub fn place_in(&self, batch: &PictureBatch) -> Option<usize> {
        let mut pictures = batch.pixels.chunks_exact(batch.pixels.len() / batch.count);
        let mut victim = self.0.lock().unwrap();
        let victim = victim.get_or_insert_with(|| pictures.clone().next().unwrap().to_vec());
        pictures.position(|picture| picture == victim)
    }
}
