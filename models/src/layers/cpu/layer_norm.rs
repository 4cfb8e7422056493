//! Layer normalisation: (x − mean) / √(variance + ε) · weight + bias, over each row.
//!
//! Mean first, then the variance of what is left. candle's own layer takes both from one pass in f32, whose
//! error grows with mean²/variance: a row with a mean of 300 deviations is off by a sixth, and one of 3000 is NaN.

use super::{
    matrix::Matrix,
    simd::{InstructionSet, LANES, Lanes, Task},
};

pub(crate) struct LayerNorm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) epsilon: f64,
}

impl LayerNorm {
    /// `out` takes the shape of `x`.
    pub(crate) fn forward(&self, x: &Matrix, out: &mut Matrix) {
        out.reshape(x.rows(), x.columns());
        InstructionSet::best().run(Normalise { layer: self, x, out });
    }
}

struct Normalise<'a> {
    layer: &'a LayerNorm,
    x: &'a Matrix,
    out: &'a mut Matrix,
}

impl Task for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for row in 0..self.x.rows() {
            normalise::<L>(self.layer, self.x.row(row), self.out.row_mut(row));
        }
    }
}

#[inline(always)]
fn normalise<L: Lanes>(layer: &LayerNorm, x: &[f32], out: &mut [f32]) {
    let width = x.len() as f64;
    let mean = (sum::<L>(x, |x| x, |x| x) / width) as f32;
    let means = L::splat(mean);
    let variance = sum::<L>(x, |x| (x - means) * (x - means), |x| (x - mean) * (x - mean)) / width;
    let scale = (1.0 / (variance + layer.epsilon).sqrt()) as f32;
    let scales = L::splat(scale);
    let apply = |x: L, weight, bias| ((x - means) * scales).mul_add(weight, bias);
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (weight, weight_rest) = layer.weight.as_chunks::<LANES>();
    let (bias, bias_rest) = layer.bias.as_chunks::<LANES>();
    let (out, out_rest) = out.as_chunks_mut::<LANES>();
    for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
        apply(L::load(x), L::load(weight), L::load(bias)).store(out);
    }
    apply(L::load_part(x_rest), L::load_part(weight_rest), L::load_part(bias_rest)).store_part(out_rest);
}

/// Sums in f32 lane by lane, and in f64 over the lanes.
#[inline(always)]
fn sum<L: Lanes>(row: &[f32], terms: impl Fn(L) -> L, term: impl Fn(f32) -> f32) -> f64 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = L::splat(0.0);
    for chunk in chunks {
        sums = sums + terms(L::load(chunk));
    }
    let mut lanes = [0.0; LANES];
    sums.store(&mut lanes);
    lanes.into_iter().chain(rest.iter().map(|&x| term(x))).map(f64::from).sum()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::layers;
    use candle_core::{Device, Tensor};

    /// What the layer makes of one row, here and as a layer of tensors.
    fn both_ways(weight: &[f32], bias: &[f32], epsilon: f64, row: &[f32]) -> [Vec<f32>; 2] {
        let tensor = |numbers: &[f32]| Tensor::from_slice(numbers, numbers.len(), &Device::Cpu).unwrap();
        let tensors = layers::LayerNorm { weight: tensor(weight), bias: tensor(bias), epsilon };
        let mut x = Matrix::default();
        x.reshape(1, row.len());
        x.row_mut(0).copy_from_slice(row);
        let mut out = Matrix::default();
        LayerNorm::pack(&tensors).unwrap().forward(&x, &mut out);
        let plain = tensors.forward(&tensor(row).unsqueeze(0).unwrap()).unwrap();
        [out.row(0).to_vec(), plain.flatten_all().unwrap().to_vec1().unwrap()]
    }

    /// A row of deviation 1 around `mean`, and what double precision makes of it.
    fn row_around(mean: f32, width: usize) -> (Vec<f32>, Vec<f64>) {
        let x: Vec<f32> = (0..width).map(|i| mean + ((i * 37 % 101) as f32 / 101.0 - 0.5) * 3.46).collect();
        let exact = x.iter().map(|&x| f64::from(x));
        let centre = exact.clone().sum::<f64>() / width as f64;
        let variance = exact.clone().map(|x| (x - centre).powi(2)).sum::<f64>() / width as f64;
        (x.clone(), exact.map(|x| (x - centre) / (variance + 1e-5).sqrt()).collect())
    }

    #[test]
    fn a_row_far_from_zero_is_normalised_as_exactly_as_its_numbers_allow() {
        for (mean, allowed) in [(0.0, 1e-6), (30.0, 1e-5), (300.0, 1e-4), (3000.0, 1e-3)] {
            for width in [768, 771] {
                let (x, expected) = row_around(mean, width);
                for got in both_ways(&vec![1.0; width], &vec![0.0; width], 1e-5, &x) {
                    let worst = got.iter().zip(&expected).map(|(g, e)| (f64::from(*g) - e).abs()).fold(0.0, f64::max);
                    assert!(worst <= allowed, "mean {mean}, width {width}: off by {worst}");
                }
            }
        }
    }

    #[test]
    fn weight_and_bias_apply_to_their_column_and_epsilon_bounds_a_flat_row() {
        // Deviation 1, ε 3: half of what it was.
        for (row, expected) in [([4.0, 6.0], [9.0, 21.5]), ([5.0, 5.0], [10.0, 20.0])] {
            for got in both_ways(&[2.0, 3.0], &[10.0, 20.0], 3.0, &row) {
                assert_eq!(got, expected);
            }
        }
    }
}
