//! The port through which a worker sees a model.

use imagefleet_common::{Error, Result};

/// Turns titles and pictures into vectors of one space: similarity is the inner product.
///
/// One thread owns an encoder. The vector of a row depends on that row alone: batch composition and padding
/// move it by no more than rounding (1e-6).
///
/// A batch that does not fit the model is a permanent error; a computation that the device failed (out of
/// memory, driver) is a transient one, and a smaller batch may pass.
pub trait Encoder: Send {
    /// Components of a vector.
    fn dims(&self) -> usize;

    /// Height and width of the pictures that the model takes, in pixels.
    fn picture_side(&self) -> usize;

    /// One vector a picture, in order. A picture whose feature is not finite or has no length gets a row of
    /// NaN, and the others theirs.
    fn encode_pictures(&mut self, batch: &PictureBatch) -> Result<Vectors>;

    /// One vector a text, in order. Texts of any length and any number; the empty text has a vector too.
    fn encode_texts(&mut self, texts: &[String]) -> Result<Vectors>;
}

/// Did a computation fail for want of the device's memory? Drivers say so in words only: CUDA's error 2 is
/// `CUDA_ERROR_OUT_OF_MEMORY`, "out of memory".
pub fn is_out_of_memory(error: &Error) -> bool {
    let said = error.to_string().to_ascii_lowercase();
    said.contains("out of memory") || said.contains("out_of_memory")
}

/// Pictures ready for the model: `count` × 3 × `side` × `side` f32, channel first, normalised.
#[derive(Debug, Clone)]
pub struct PictureBatch {
    pub count: usize,
    pub side: usize,
    pub pixels: Vec<f32>,
}

impl PictureBatch {
    /// Refuses a batch of another side than the model's, or one whose pixels do not make `count` pictures.
    pub(crate) fn check(&self, side: usize) -> Result<()> {
        if self.side != side {
            return Err(Error::permanent(format!(
                "encode pictures of {0}×{0} pixels: the model takes {side}×{side}",
                self.side
            )));
        }
        let expected = self.count * 3 * side * side;
        if self.pixels.len() != expected {
            let (count, given) = (self.count, self.pixels.len());
            return Err(Error::permanent(format!("encode {count} pictures: got {given} numbers, expected {expected}")));
        }
        Ok(())
    }
}

/// Rows × `dims` f32, row-major. Every row has unit length, or is NaN throughout.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    pub dims: usize,
    pub values: Vec<f32>,
}

impl Vectors {
    /// Scales each row of `features` to unit length. A row that is not finite or has no length becomes NaN.
    ///
    /// The length is summed in f64, so that no finite row overflows.
    pub(crate) fn of_features(dims: usize, mut features: Vec<f32>) -> Self {
        for row in features.chunks_exact_mut(dims) {
            let length = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
            if length.is_finite() && length > 0.0 {
                row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
            } else {
                row.fill(f32::NAN);
            }
        }
        Self { dims, values: features }
    }

    pub fn len(&self) -> usize {
        self.values.len() / self.dims
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.dims)
    }

    /// Panics where there is no such row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dims..][..self.dims]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_direction_becomes_nan_and_leaves_its_neighbours_alone() {
        let features = vec![3.0, 4.0, 0.0, 0.0, 1.0, f32::NAN, f32::INFINITY, 1.0, 0.0, -2.0];
        let vectors = Vectors::of_features(2, features);
        assert_eq!(vectors.len(), 5);
        assert_eq!(vectors.row(0), [0.6, 0.8]);
        for lost in 1..4 {
            assert!(vectors.row(lost).iter().all(|x| x.is_nan()), "row {lost}");
        }
        assert_eq!(vectors.row(4), [0.0, -1.0]);
    }

    #[test]
    fn very_long_and_very_short_features_still_have_unit_length() {
        let vectors = Vectors::of_features(2, vec![3e38, 3e38, 1e-40, 0.0]);
        assert!((vectors.row(0)[0] - 0.5f32.sqrt()).abs() < 1e-7);
        assert_eq!(vectors.row(1), [1.0, 0.0]);
    }

    #[test]
    fn a_batch_that_does_not_fit_the_model_is_refused_with_both_sizes() {
        let batch = PictureBatch { count: 2, side: 8, pixels: vec![0.0; 3 * 8 * 8] };
        let wrong_side = batch.check(16).expect_err("sides differ");
        assert!(wrong_side.is_permanent() && wrong_side.to_string().contains("8×8"), "{wrong_side}");
        let too_few = batch.check(8).expect_err("one picture is missing");
        assert!(too_few.is_permanent() && too_few.to_string().contains("expected 384"), "{too_few}");
    }
}
