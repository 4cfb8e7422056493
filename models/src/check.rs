//! Whether a checkpoint is sound: all of it is read, and it makes vectors.

use crate::{
    Device, PictureBatch, Vectors,
    checkpoint::{Family, open_checkpoint, revision},
    load,
};
use imagefleet_common::{Error, Result};
use std::path::Path;

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub family: Family,
    /// Components of a vector.
    pub dims: usize,
    /// Height and width of the pictures that the model takes, in pixels.
    pub picture_side: usize,
    /// As [`revision`](crate::revision) says it.
    pub revision: String,
}

/// Opens the checkpoint in `dir` in full: every tensor is there, of the right shape and finite, and a title and
/// a grey picture get unit vectors.
pub fn check(dir: &Path) -> Result<Report> {
    let family = open_checkpoint(dir)?.family();
    let mut encoder = load(dir, Device::Cpu)?;
    let side = encoder.picture_side();
    let grey = PictureBatch { count: 1, side, pixels: vec![0.0; 3 * side * side] };
    let title = ["a photo of a cat".to_owned()];
    for (what, vectors) in [("title", encoder.encode_texts(&title)?), ("picture", encoder.encode_pictures(&grey)?)] {
        if !all_have_unit_length(&vectors) {
            return Err(Error::permanent(format!("check model {}: a {what} gets no vector", dir.display())));
        }
    }
    Ok(Report { family, dims: encoder.dims(), picture_side: side, revision: revision(dir)? })
}

fn all_have_unit_length(vectors: &Vectors) -> bool {
    let length = |row: &[f32]| row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    vectors.rows().all(|row| (length(row) - 1.0).abs() <= 1e-5)
}
