//! `imagefleet encode`: texts and pictures to unit vectors, outside of any job.

use crate::{args::EncodeArgs, exit::Exit, logging::print, models::folder_of, run::blocking};
use imagefleet_common::{Context, Error, Result, job::spec::Limits};
use imagefleet_models::{Device, PictureBatch};
use imagefleet_pictures::processor::{Processor, Scratch};
use serde::Serialize;
use std::path::Path;

/// Prints one JSON object: the model's revision, the vectors' length, and each text's and picture's vector, in the order
/// in which they were given, texts first.
pub(crate) async fn command(args: EncodeArgs) -> Result<Exit> {
    let encoded = blocking(move || encode(&args)).await?;
    let text = serde_json::to_string_pretty(&encoded).permanent(|| "print the vectors".to_owned())?;
    print(format_args!("{text}"));
    Ok(Exit::Done)
}

/// What is printed. Not through `Value`, which knows f64 only and would show digits that no f32 has.
#[derive(Serialize)]
struct Encoded {
    /// Of the model, as collections have it.
    revision: String,
    dims: usize,
    vectors: Vec<Vector>,
}

#[derive(Serialize)]
struct Vector {
    #[serde(flatten)]
    of: Input,
    vector: Vec<f32>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Input {
    Text(String),
    Image(String),
}

fn encode(args: &EncodeArgs) -> Result<Encoded> {
    let EncodeArgs { model, texts, images } = args;
    let model = &folder_of(model)?;
    let mut encoder = imagefleet_models::load(model, Device::Cpu)?;
    let mut vectors = Vec::new();
    for (text, vector) in texts.iter().zip(encoder.encode_texts(texts)?.rows()) {
        vectors.push(Vector { of: Input::Text(text.clone()), vector: vector.to_vec() });
    }
    if !images.is_empty() {
        let processor = Processor::read(model)?;
        processor.must_fit(encoder.picture_side())?;
        for path in images {
            let batch = pixels(&processor, path)?;
            let vector = encoder.encode_pictures(&batch)?;
            vectors
                .push(Vector { of: Input::Image(path.to_string_lossy().into_owned()), vector: vector.row(0).to_vec() });
        }
    }
    if let Some(lost) = vectors.iter().find(|found| found.vector.iter().any(|value| !value.is_finite())) {
        let (Input::Text(what) | Input::Image(what)) = &lost.of;
        return Err(Error::permanent(format!("encode {what:?}: the model gave no vector of any length")));
    }
    Ok(Encoded { revision: imagefleet_models::revision(model)?, dims: encoder.dims(), vectors })
}

/// A picture's file, prepared for the model.
pub(crate) fn pixels(processor: &Processor, path: &Path) -> Result<PictureBatch> {
    let doing = || format!("read picture {}", path.display());
    let bytes = std::fs::read(path).permanent(doing)?;
    let (width, height) = processor.size();
    let mut pixels = vec![0.0; 3 * width as usize * height as usize];
    processor
        .load(&bytes, &Limits::default(), &mut Scratch::default(), &mut pixels)
        .map_err(|refused| Error::permanent(format!("{}: {}: {}", doing(), refused.reason, refused.detail)))?;
    Ok(PictureBatch { count: 1, side: width as usize, pixels })
}
