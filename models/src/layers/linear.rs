//! `x · Wᵀ + b`.

use crate::weights::Weights;
use candle_core::Tensor;
use imagefleet_common::{Context, Result};

pub(crate) struct Linear {
    /// out × in, as stored: the product reads it transposed, without a copy.
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
}

impl Linear {
    /// `NAME.weight` (out × in) and `NAME.bias`.
    pub(crate) fn load(weights: &Weights, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let bias = weights.get(&format!("{name}.bias"), &[outputs])?;
        Ok(Self { bias: Some(bias), ..Self::load_without_bias(weights, name, inputs, outputs)? })
    }

    /// `NAME.weight` (out × in).
    pub(crate) fn load_without_bias(weights: &Weights, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let weight = weights.get(&format!("{name}.weight"), &[outputs, inputs])?;
        Ok(Self::of(weight, None))
    }

    pub(crate) fn of(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// One layer that gives what `parts`, which have equal inputs and a bias, give side by side.
    pub(crate) fn side_by_side(parts: &[Self]) -> Result<Self> {
        let join = |tensors: Vec<&Tensor>| Tensor::cat(&tensors, 0).permanent(|| "join layers".to_owned());
        let weight = join(parts.iter().map(|part| &part.weight).collect())?;
        let bias = join(parts.iter().filter_map(|part| part.bias.as_ref()).collect())?;
        Ok(Self::of(weight, Some(bias)))
    }

    pub(crate) fn outputs(&self) -> candle_core::Result<usize> {
        self.weight.dim(0)
    }

    /// rows × in → rows × out
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let product = x.matmul(&self.weight.t()?)?;
        match &self.bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }
}
