//! The step after a product: bias, then activation.

use candle_core::{Result, Tensor};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    /// x · σ(1.702 x), of the first CLIP models.
    QuickGelu,
    /// x · Φ(x), through the error function.
    Gelu,
    /// ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), which some call gelu.
    GeluTanh,
}

impl Activation {
    pub(crate) const NAMES: [&str; 5] = ["quick_gelu", "gelu", "gelu_pytorch_tanh", "gelu_new", "gelu_fast"];

    /// By transformers' name of it (`hidden_act`).
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "quick_gelu" => Some(Activation::QuickGelu),
            "gelu" => Some(Activation::Gelu),
            // Three ways to write down one function.
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Some(Activation::GeluTanh),
            _ => None,
        }
    }

    pub(crate) fn of(self, x: Tensor) -> Result<Tensor> {
        match self {
            Activation::None => Ok(x),
            Activation::QuickGelu => &x * candle_nn::ops::sigmoid(&(&x * 1.702)?)?,
            Activation::Gelu => x.gelu_erf(),
            Activation::GeluTanh => x.gelu(),
        }
    }
}
