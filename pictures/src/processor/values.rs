//! Bytes → the numbers that a model takes, in the order of operations and the precision of each reference.

use crate::resample::Backend;

/// What becomes of a sample after resizing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scaling {
    pub(super) rescale: Option<Rescale>,
    pub(super) normalise: Option<Normalise>,
    /// A further division by these deviations: `include_top` of EfficientNet.
    pub(super) divisors: Option<[f64; 3]>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rescale {
    Factor(f64),
    /// By a factor, less one: `rescale_offset` of EfficientNet.
    FactorLessOne(f64),
    /// Divided by 255 in f32: torchvision's `ToTensor`.
    ToTensor,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Normalise {
    pub(super) mean: [f64; 3],
    pub(super) std: [f64; 3],
}

impl Scaling {
    /// The 256 values of each channel.
    pub(super) fn table(&self, backend: Backend) -> [[f32; 256]; 3] {
        std::array::from_fn(|channel| {
            let normalise = self.normalise.map(|Normalise { mean, std }| (mean[channel], std[channel]));
            let divisor = self.divisors.map(|divisors| divisors[channel] as f32);
            std::array::from_fn(|sample| {
                let value = match (backend, self.rescale, normalise) {
                    (Backend::Torchvision, Some(Rescale::Factor(factor)), Some((mean, std))) => {
                        // The rescaling is folded into mean and deviation.
                        let unscale = (1.0 / factor) as f32;
                        (sample as f32 - mean as f32 * unscale) / (std as f32 * unscale)
                    }
                    _ => {
                        let value = self.rescale.map_or(sample as f32, |rescale| rescale.apply(sample, backend));
                        normalise.map_or(value, |(mean, std)| (value - mean as f32) / std as f32)
                    }
                };
                divisor.map_or(value, |divisor| value / divisor)
            })
        })
    }

    /// Canonical text, a part of the processor's identity.
    pub(super) fn identity(&self) -> String {
        let mut text = match self.rescale {
            None => String::new(),
            Some(Rescale::Factor(factor)) => format!(", rescale {factor:?}"),
            Some(Rescale::FactorLessOne(factor)) => format!(", rescale {factor:?} less 1"),
            Some(Rescale::ToTensor) => ", divide by 255".to_owned(),
        };
        if let Some(Normalise { mean, std }) = self.normalise {
            text += &format!(", mean {mean:?}, std {std:?}");
        }
        if let Some(divisors) = self.divisors {
            text += &format!(", divide by {divisors:?}");
        }
        text
    }
}

impl Rescale {
    fn apply(self, sample: usize, backend: Backend) -> f32 {
        // The Pillow backend multiplies in f64, the torchvision backend in f32.
        let times = |factor: f64| match backend {
            Backend::Pillow => (sample as f64 * factor) as f32,
            Backend::Torchvision => sample as f32 * factor as f32,
        };
        match self {
            Self::Factor(factor) => times(factor),
            Self::FactorLessOne(factor) => times(factor) - 1.0,
            Self::ToTensor => sample as f32 / 255.0,
        }
    }
}
