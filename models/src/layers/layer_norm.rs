//! Layer normalisation: (x − mean) / √(variance + ε) · weight + bias, over each row.

use crate::weights::Weights;
use candle_core::{D, Tensor};
use imagefleet_common::Result;

pub(crate) struct LayerNorm {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) epsilon: f64,
}

impl LayerNorm {
    /// `NAME.weight` and `NAME.bias`, of `width` numbers each.
    pub(crate) fn load(weights: &Weights, name: &str, width: usize, epsilon: f64) -> Result<Self> {
        let weight = weights.get(&format!("{name}.weight"), &[width])?;
        let bias = weights.get(&format!("{name}.bias"), &[width])?;
        Ok(Self { weight, bias, epsilon })
    }

    /// rows × width → the same. Mean first, then the variance of what is left, as in [`super::cpu`].
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scaled = centred.broadcast_div(&(variance + self.epsilon)?.sqrt()?)?;
        scaled.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}
