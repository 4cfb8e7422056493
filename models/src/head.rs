//! Linear heads on a picture's vector, as LAION's aesthetic predictors are: a score of how much people like it.
//!
//! A head is trained on the unit vectors of one model and means nothing on those of another.

use crate::weights::torch::TorchFile;
use candle_core::DType;
use imagefleet_common::{Error, Result};

/// Far beyond any linear head: 16,384 values and torch's own wrapping.
const LARGEST_FILE: usize = 1 << 20;

/// `score = weight · vector + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearHead {
    weight: Vec<f32>,
    bias: f32,
}

impl LinearHead {
    /// Reads what `torch.save(linear.state_dict())` wrote: `weight`, 1 × `dims`, and `bias`, 1. Errors are permanent.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > LARGEST_FILE {
            return Err(Error::permanent(format!(
                "read the head: {} bytes are too many for a linear one",
                bytes.len()
            )));
        }
        let file = TorchFile::of(bytes.to_vec()).map_err(|error| error.while_doing("read the head"))?;
        let weight = numbers(&file, "weight")?;
        let bias = numbers(&file, "bias")?;
        match (file.shape("weight"), bias.as_slice()) {
            (Some([1, dims]), [bias]) if *dims > 0 => Ok(Self { weight, bias: *bias }),
            (weight, bias) => {
                let (weight, bias) = (weight.unwrap_or_default(), bias.len());
                Err(Error::permanent(format!(
                    "read the head: its weight has the shape {weight:?} and its bias {bias} values; a linear head has [1, dims] and 1"
                )))
            }
        }
    }

    /// Values of the vectors that it takes.
    pub fn dims(&self) -> usize {
        self.weight.len()
    }

    /// A permanent error where vectors of `dims` values are not what it was trained on.
    pub fn must_fit(&self, dims: usize) -> Result<()> {
        let own = self.dims();
        if own == dims {
            return Ok(());
        }
        let backbone = match own {
            512 => " (of CLIP ViT-B/32 or ViT-B/16)",
            640 => " (of CLIP RN50x4)",
            768 => " (of CLIP ViT-L/14)",
            1024 => " (of CLIP ViT-H/14 or RN50)",
            _ => "",
        };
        Err(Error::permanent(format!(
            "use the head: it takes vectors of {own} values{backbone} and the model makes {dims}; choose the head that was trained on this model's vectors, or the model that the head was trained on"
        )))
    }

    /// The score of a picture's unit vector of [`dims`](Self::dims) values, summed in f64.
    pub fn score(&self, vector: &[f32]) -> f32 {
        let product = |(weight, value): (&f32, &f32)| f64::from(*weight) * f64::from(*value);
        (self.weight.iter().zip(vector).map(product).sum::<f64>() + f64::from(self.bias)) as f32
    }
}

fn numbers(file: &TorchFile, name: &str) -> Result<Vec<f32>> {
    let (dtype, bytes) = file.numbers(name).map_err(|error| error.while_doing(format!("read the head's {name}")))?;
    if dtype != DType::F32 {
        return Err(Error::permanent(format!("read the head's {name}: it is stored as {dtype:?}, supported: f32")));
    }
    let (values, _) = bytes.as_chunks();
    let values: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err(Error::permanent(format!("read the head's {name}: it has numbers that are not finite"))),
    }
}
