//! The step after a product: bias, then activation, in one pass.

use super::rows::{contiguous, rows_per_piece};
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail, cpu::erf::erf_f32};
use rayon::prelude::*;

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

    /// f(x + bias), where x is rows × width and `bias` of that width.
    pub(crate) fn after_bias(self, x: Tensor, bias: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() {
            x.inplace_op2(bias, &self)?;
            Ok(x)
        } else {
            self.with_tensor_operations(&x, bias)
        }
    }

    fn with_tensor_operations(self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let x = x.broadcast_add(bias)?;
        match self {
            Activation::None => Ok(x),
            Activation::QuickGelu => &x * candle_nn::ops::sigmoid(&(&x * 1.702)?)?,
            Activation::Gelu => x.gelu_erf(),
            Activation::GeluTanh => x.gelu(),
        }
    }
}

impl InplaceOp2 for Activation {
    fn name(&self) -> &'static str {
        "bias and activation"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, x_layout: &Layout, bias: &CpuStorage, bias_layout: &Layout) -> Result<()> {
        let bias = contiguous(bias, bias_layout)?;
        let (CpuStorage::F32(x), Some((start, end))) = (x, x_layout.contiguous_offsets()) else {
            bail!("bias and activation need contiguous f32 rows");
        };
        let width = bias.len();
        x[start..end].par_chunks_mut(width * rows_per_piece(width)).for_each(|piece| {
            for row in piece.chunks_exact_mut(width) {
                let row = row.iter_mut().zip(bias);
                match self {
                    Activation::None => row.for_each(|(x, b)| *x += b),
                    Activation::QuickGelu => row.for_each(|(x, b)| *x = quick_gelu(*x + b)),
                    Activation::Gelu => row.for_each(|(x, b)| *x = gelu(*x + b)),
                    Activation::GeluTanh => row.for_each(|(x, b)| *x = gelu_tanh(*x + b)),
                }
            }
        });
        Ok(())
    }
}

fn quick_gelu(x: f32) -> f32 {
    x / (1.0 + (-1.702 * x).exp())
}

fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf_f32(x * std::f32::consts::FRAC_1_SQRT_2))
}

fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    0.5 * x * (1.0 + (SQRT_2_OVER_PI * x * (1.0 + 0.044_715 * x * x)).tanh())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use candle_core::Device;

    /// f(x + bias) as the CPU's operator and as tensor operations compute it.
    fn both_ways(activation: Activation, x: &[f32], bias: &[f32]) -> [Vec<f32>; 2] {
        let rows = Tensor::from_slice(x, (x.len() / bias.len(), bias.len()), &Device::Cpu).unwrap();
        let bias = Tensor::from_slice(bias, bias.len(), &Device::Cpu).unwrap();
        let plain = activation.with_tensor_operations(&rows, &bias);
        [activation.after_bias(rows, &bias), plain].map(|got| got.unwrap().flatten_all().unwrap().to_vec1().unwrap())
    }

    fn assert_close(got: &[f32], expected: &[f32]) {
        assert_eq!(got.len(), expected.len());
        let close = got.iter().zip(expected).all(|(g, e)| (g - e).abs() <= 1e-6 * e.abs().max(1.0));
        assert!(close, "got {got:?}, expected {expected:?}");
    }

    #[test]
    fn the_bias_of_a_column_is_added_to_every_row() {
        for got in both_ways(Activation::None, &[1.0, 2.0, 3.0, 4.0], &[10.0, 20.0]) {
            assert_eq!(got, [11.0, 22.0, 13.0, 24.0]);
        }
    }

    #[test]
    fn gelus_take_the_values_of_their_definitions_out_to_the_ends() {
        let x = [-200.0, -3.0, -0.5, 0.0, 1.0, 200.0];
        // Computed in double precision from their definitions.
        let quick = [0.0, -0.018_071_3, -0.149_611_5, 0.0, 0.845_795_8, 200.0];
        let exact = [0.0, -0.004_049_7, -0.154_268_8, 0.0, 0.841_344_7, 200.0];
        let tanh = [0.0, -0.003_637_4, -0.154_286, 0.0, 0.841_192, 200.0];
        for (activation, expected) in
            [(Activation::QuickGelu, quick), (Activation::Gelu, exact), (Activation::GeluTanh, tanh)]
        {
            for got in both_ways(activation, &x, &[0.0]) {
                assert_close(&got, &expected);
            }
        }
    }
}
