//! Layer normalisation: (x − mean) / √(variance + ε) · weight + bias, over each row.
//!
//! Mean first, then the variance of what is left. candle's own layer takes both from one pass in f32, whose
//! error grows with mean²/variance: a row with a mean of 300 deviations is off by a sixth, and one of 3000 is NaN.

use super::rows::{contiguous, rows_per_piece};
use crate::weights::Weights;
use candle_core::{CpuStorage, CustomOp3, D, Layout, Shape, Tensor};
use imagefleet_common::Result;
use rayon::prelude::*;

pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// `NAME.weight` and `NAME.bias`, of `width` numbers each.
    pub(crate) fn load(weights: &Weights, name: &str, width: usize, epsilon: f64) -> Result<Self> {
        let weight = weights.get(&format!("{name}.weight"), &[width])?;
        let bias = weights.get(&format!("{name}.bias"), &[width])?;
        Ok(Self { weight, bias, epsilon })
    }

    /// rows × width → the same
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        if x.device().is_cpu() {
            x.apply_op3_no_bwd(&self.weight, &self.bias, &Rows { epsilon: self.epsilon })
        } else {
            self.with_tensor_operations(x)
        }
    }

    fn with_tensor_operations(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scaled = centred.broadcast_div(&(variance + self.epsilon)?.sqrt()?)?;
        scaled.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

struct Rows {
    epsilon: f64,
}

impl CustomOp3 for Rows {
    fn name(&self) -> &'static str {
        "two-pass layer norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = contiguous(x, x_layout)?;
        let (weight, bias) = (contiguous(weight, weight_layout)?, contiguous(bias, bias_layout)?);
        let width = weight.len();
        let piece = width * rows_per_piece(width);
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(piece).zip(x.par_chunks(piece)).for_each(|(out, x)| {
            for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                self.normalise(x, weight, bias, out);
            }
        });
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }
}

impl Rows {
    fn normalise(&self, x: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
        let width = x.len() as f64;
        let mean = (sum(x, |x| x) / width) as f32;
        let variance = sum(x, |x| (x - mean) * (x - mean)) / width;
        let scale = (1.0 / (variance + self.epsilon).sqrt()) as f32;
        for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *out = (x - mean) * scale * weight + bias;
        }
    }
}

/// Sums in f32 over short lanes, which the compiler keeps in one register, and in f64 over the lanes.
fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    const LANES: usize = 16;
    let (lanes, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for lane in lanes {
        for (sum, &x) in sums.iter_mut().zip(lane) {
            *sum += term(x);
        }
    }
    sums.into_iter().chain(rest.iter().map(|&x| term(x))).map(f64::from).sum()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use candle_core::Device;

    /// A row of deviation 1 around `mean`, and what double precision makes of it.
    fn row_around(mean: f32) -> (Vec<f32>, Vec<f64>) {
        let x: Vec<f32> = (0..768).map(|i| mean + ((i * 37 % 101) as f32 / 101.0 - 0.5) * 3.46).collect();
        let exact = x.iter().map(|&x| f64::from(x));
        let centre = exact.clone().sum::<f64>() / 768.0;
        let variance = exact.clone().map(|x| (x - centre).powi(2)).sum::<f64>() / 768.0;
        (x.clone(), exact.map(|x| (x - centre) / (variance + 1e-5).sqrt()).collect())
    }

    #[test]
    fn a_row_far_from_zero_is_normalised_as_exactly_as_its_numbers_allow() {
        let plain = LayerNorm {
            weight: Tensor::ones(768, candle_core::DType::F32, &Device::Cpu).unwrap(),
            bias: Tensor::zeros(768, candle_core::DType::F32, &Device::Cpu).unwrap(),
            epsilon: 1e-5,
        };
        for (mean, allowed) in [(0.0, 1e-6), (30.0, 1e-5), (300.0, 1e-4), (3000.0, 1e-3)] {
            let (x, expected) = row_around(mean);
            let x = Tensor::from_vec(x, (1, 768), &Device::Cpu).unwrap();
            for got in [plain.forward(&x), plain.with_tensor_operations(&x)] {
                let got: Vec<f32> = got.unwrap().flatten_all().unwrap().to_vec1().unwrap();
                let worst = got.iter().zip(&expected).map(|(g, e)| (f64::from(*g) - e).abs()).fold(0.0, f64::max);
                assert!(worst <= allowed, "mean {mean}: off by {worst}");
            }
        }
    }

    #[test]
    fn weight_and_bias_apply_to_their_column_and_epsilon_bounds_a_flat_row() {
        let layer = LayerNorm {
            weight: Tensor::from_slice(&[2.0f32, 3.0], 2, &Device::Cpu).unwrap(),
            bias: Tensor::from_slice(&[10.0f32, 20.0], 2, &Device::Cpu).unwrap(),
            epsilon: 3.0,
        };
        // Deviation 1, ε 3: half of what it was.
        let x = Tensor::from_slice(&[4.0f32, 6.0, 5.0, 5.0], (2, 2), &Device::Cpu).unwrap();
        for got in [layer.forward(&x), layer.with_tensor_operations(&x)] {
            assert_eq!(got.unwrap().to_vec2::<f32>().unwrap(), [[9.0, 21.5], [10.0, 20.0]]);
        }
    }
}
