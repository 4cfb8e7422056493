//! The weights of one pass: which inputs each output takes, and how much of each.

use super::{Backend, Filter};
use std::ops::Range;

/// One direction's weights for a range of outputs.
#[derive(Debug)]
pub(super) struct Pass {
    /// One an output.
    pub(super) taps: Vec<Taps>,
    weights: Vec<i32>,
    /// Fractional bits of the weights.
    pub(super) precision: u32,
    /// The same weights as 16-bit numbers, for instructions that multiply those.
    split: Split,
}

/// Where an output's inputs begin, and where its weights lie.
#[derive(Debug, Clone)]
pub(super) struct Taps {
    pub(super) first: usize,
    weights: Range<usize>,
    /// Begin of its weights in [`Split`].
    split: usize,
}

impl Taps {
    /// The inputs that are taken.
    pub(super) fn inputs(&self) -> Range<usize> {
        self.first..self.first + self.weights.len()
    }
}

/// Each weight is `high << 15 | low`. They lie by pairs in 32 bits, and an output's are followed by zeros up to a
/// multiple of [`GROUP`] weights.
#[derive(Debug)]
struct Split {
    low: Vec<i32>,
    /// Empty where all weights fit 16 bits: then `low` is the whole weight.
    high: Vec<i32>,
}

/// As many inputs are taken together.
pub(super) const GROUP: usize = 4;

/// What a pass depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Side {
    /// Samples that there are.
    pub(super) inputs: usize,
    /// How many of them the side truly is long: the last one may reach beyond its end.
    pub(super) length: f64,
    pub(super) outputs: usize,
}

impl Side {
    /// Whether the side stays as it is.
    pub(super) fn is_kept(&self) -> bool {
        self.length == self.outputs as f64 && self.inputs == self.outputs
    }
}

impl Pass {
    /// Weights for the `wanted` ones of the side's outputs.
    pub(super) fn new(side: Side, wanted: Range<usize>, filter: Filter, backend: Backend) -> Self {
        let kernel = Kernel::new(side, filter);
        let precision = match backend {
            Backend::Pillow => PILLOW_PRECISION,
            Backend::Torchvision => torchvision_precision(&kernel, side.outputs),
        };
        let one = f64::from(1_u32 << precision);
        let split = Split { low: Vec::new(), high: Vec::new() };
        let mut pass = Self { taps: Vec::with_capacity(wanted.len()), weights: Vec::new(), precision, split };
        let mut weights = Vec::new();
        for output in wanted {
            let first = kernel.weights(output, &mut weights);
            let start = pass.weights.len();
            // Rounds half away from zero, as both references do; a cast towards zero ends the rounding.
            pass.weights.extend(weights.iter().map(|&weight| (weight * one + 0.5_f64.copysign(weight)) as i32));
            pass.taps.push(Taps { first, weights: start..pass.weights.len(), split: 0 });
        }
        pass.split();
        pass
    }

    fn split(&mut self) {
        let Self { taps, weights, split, .. } = self;
        let is_narrow = weights.iter().all(|&weight| i16::try_from(weight).is_ok());
        for taps in taps {
            taps.split = split.low.len();
            for group in weights[taps.weights.clone()].chunks(GROUP) {
                let mut whole = [0; GROUP];
                whole[..group.len()].copy_from_slice(group);
                if is_narrow {
                    split.low.extend(pairs(whole));
                } else {
                    split.low.extend(pairs(whole.map(|weight| weight & LOW)));
                    split.high.extend(pairs(whole.map(|weight| weight >> LOW_BITS)));
                }
            }
        }
    }

    /// The weights of an output's inputs.
    pub(super) fn weights(&self, taps: &Taps) -> &[i32] {
        &self.weights[taps.weights.clone()]
    }

    /// The weights of an output's inputs, or their low 15 bits if there are [high ones](Self::high), in pairs.
    pub(super) fn low(&self, taps: &Taps) -> &[[i32; GROUP / 2]] {
        self.split.low[taps.split..].as_chunks().0.split_at(taps.weights.len().div_ceil(GROUP)).0
    }

    /// What stands above the low 15 bits; empty where nothing does.
    pub(super) fn high(&self, taps: &Taps) -> &[[i32; GROUP / 2]] {
        if self.is_narrow() {
            return &[];
        }
        self.split.high[taps.split..].as_chunks().0.split_at(taps.weights.len().div_ceil(GROUP)).0
    }

    /// Whether all weights fit 16 bits.
    pub(super) fn is_narrow(&self) -> bool {
        self.split.high.is_empty()
    }

    /// What is added to a sum so that cutting off its fraction rounds.
    pub(super) fn half(&self) -> i32 {
        1 << (self.precision - 1)
    }

    /// All inputs that any of the outputs takes.
    pub(super) fn inputs(&self) -> Range<usize> {
        let start = self.taps.first().map_or(0, |taps| taps.first);
        let end = self.taps.iter().map(|taps| taps.inputs().end).max().unwrap_or(start);
        start..end
    }
}

/// With 15 bits the low part is never negative as a 16-bit number.
pub(super) const LOW_BITS: u32 = 15;
const LOW: i32 = (1 << LOW_BITS) - 1;

fn pairs([first, second, third, fourth]: [i32; GROUP]) -> [i32; GROUP / 2] {
    let pair = |first: i32, second: i32| first & 0xffff | second << 16;
    [pair(first, second), pair(third, fourth)]
}

/// Pillow keeps weights in 32 bits: 8 are the sample's, 2 are spare for sums above one.
const PILLOW_PRECISION: u32 = 32 - 8 - 2;

/// The most fractional bits, up to 22, with which no weight of *any* output leaves 16 bits.
fn torchvision_precision(kernel: &Kernel, outputs: usize) -> u32 {
    let mut weights = Vec::new();
    let mut largest = 0.0_f64;
    for output in 0..outputs {
        kernel.weights(output, &mut weights);
        largest = weights.iter().copied().fold(largest, f64::max);
        // None reaches 2, so one of 1 settles it. A side that grows has it at its first output, and may have millions.
        if largest >= 1.0 {
            break;
        }
    }
    (0..22).find(|precision| (0.5 + largest * f64::from(1_u32 << (precision + 1))) as i64 >= 1 << 15).unwrap_or(22)
}

/// The filter laid over one side.
struct Kernel {
    inputs: usize,
    filter: Filter,
    /// Inputs per output.
    scale: f64,
    /// Half the filter's width in inputs.
    support: f64,
    /// What an input's distance is multiplied by before it is put into the filter.
    shrink: f64,
}

impl Kernel {
    fn new(side: Side, filter: Filter) -> Self {
        let scale = side.length / side.outputs as f64;
        // A picture that grows is interpolated: the filter never gets narrower than one input.
        let stretch = scale.max(1.0);
        Self { inputs: side.inputs, filter, scale, support: filter.support() * stretch, shrink: 1.0 / stretch }
    }

    /// Puts the output's weights, which sum to one, into `weights` and returns the first input.
    fn weights(&self, output: usize, weights: &mut Vec<f64>) -> usize {
        let centre = (output as f64 + 0.5) * self.scale;
        // Casts, as in the references: towards zero, and negative numbers to 0.
        let first = (centre - self.support + 0.5) as usize;
        let end = ((centre + self.support + 0.5) as usize).min(self.inputs);
        weights.clear();
        weights.extend((first..end).map(|input| self.filter.at((input as f64 - centre + 0.5) * self.shrink)));
        let sum: f64 = weights.iter().sum();
        if sum != 0.0 {
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn the_weights_that_settle_the_precision_are_enough_of_them() {
        let mut random = StdRng::seed_from_u64(9);
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            for _ in 0..500 {
                let (inputs, outputs) = (random.random_range(1..80), random.random_range(1..160));
                let kernel = Kernel::new(Side { inputs, length: inputs as f64, outputs }, filter);
                let mut weights = Vec::new();
                let largest = (0..outputs).fold(0.0_f64, |largest, output| {
                    kernel.weights(output, &mut weights);
                    weights.iter().copied().fold(largest, f64::max)
                });
                let leaves = |precision: &u32| (0.5 + largest * f64::from(1_u32 << (precision + 1))) as i64 >= 1 << 15;
                let all = (0..22).find(leaves).unwrap_or(22);
                assert_eq!(torchvision_precision(&kernel, outputs), all, "{filter:?}, {inputs} to {outputs}");
            }
        }
    }

    #[test]
    fn a_side_that_grows_without_end_costs_no_more_than_its_first_output() {
        const OUTPUTS: usize = 1 << 40;
        let (answer, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let kernel = Kernel::new(Side { inputs: 3, length: 3.0, outputs: OUTPUTS }, Filter::Bicubic);
            answer.send(torchvision_precision(&kernel, OUTPUTS))
        });
        assert_eq!(answers.recv_timeout(std::time::Duration::from_secs(20)), Ok(14));
    }
}
