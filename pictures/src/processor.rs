//! Preprocessing as a model's `preprocessor_config.json` prescribes it: resize, centre crop, rescale, normalise.
//!
//! Follows `CLIPImageProcessor` of transformers 5, bit for bit, in either of its two forms: the Pillow backend (the
//! default here) and the torchvision backend. Older files (`CLIPFeatureExtractor`, sizes as plain numbers) mean the
//! same. A file that would give pictures of varying or non-square size is refused when it is read.

mod config;

use crate::{
    decode::Rgb,
    resample::{Backend, Filter, Window, resize_window},
};
use config::Config;
use imagefleet_common::{Context, Result};
use std::{fmt, fs, path::Path};

/// A model's preprocessing, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    resize: Resize,
    /// The square that is cut out of the middle; `None` where the resized picture is taken whole.
    crop: Option<u32>,
    filter: Filter,
    backend: Backend,
    rescale: Option<f64>,
    normalise: Option<Normalise>,
    /// Sample → value, one table a channel: a byte has only 256 values.
    values: [[f32; 256]; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resize {
    /// The shorter side gets this length, the longer keeps the proportion.
    ShortestEdge(u32),
    /// Both sides get this length.
    Exact(u32),
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Normalise {
    mean: [f64; 3],
    std: [f64; 3],
}

impl Processor {
    /// Reads a model directory's `preprocessor_config.json`, or the part of `processor_config.json` that newer
    /// directories have instead. A file that is missing or wrong is a permanent error that names file and key.
    pub fn read(model_dir: &Path) -> Result<Self> {
        let own = model_dir.join("preprocessor_config.json");
        let (path, key) =
            if own.exists() { (own, None) } else { (model_dir.join("processor_config.json"), Some("image_processor")) };
        let doing = || format!("read {}", path.display());
        let text = fs::read_to_string(&path).permanent(doing)?;
        let parsed = Config::parse(&text, key).and_then(|config| config.processor());
        parsed.map_err(|error| error.while_doing(doing()))
    }

    /// Parses the text of a `preprocessor_config.json`; a wrong value is a permanent error that names its key.
    pub fn from_json(text: &str) -> Result<Self> {
        Config::parse(text, None)?.processor()
    }

    /// The same preprocessing with another backend's arithmetic.
    #[must_use]
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self.fill_values();
        self
    }

    /// Canonical text of all that changes a value: part of a collection's identity.
    pub fn identity(&self) -> String {
        let mut text = format!("{} {}", self.resize, name_of(self.filter));
        if let Some(crop) = self.crop {
            text += &format!(", centre crop {crop}");
        }
        if let Some(factor) = self.rescale {
            text += &format!(", rescale {factor:?}");
        }
        if let Some(Normalise { mean, std }) = self.normalise {
            text += &format!(", mean {mean:?}, std {std:?}");
        }
        text + match self.backend {
            Backend::Pillow => ", pillow 13",
            Backend::Torchvision => ", torchvision",
        }
    }

    /// Width and height of what [`prepare`](Self::prepare) writes.
    pub fn side(&self) -> u32 {
        let (Resize::ShortestEdge(side) | Resize::Exact(side)) = self.resize;
        self.crop.unwrap_or(side)
    }

    /// Writes `3 × side × side` values, channel first.
    ///
    /// # Panics
    /// If `out` has another length, or the picture no pixels.
    pub fn prepare(&self, picture: &Rgb, out: &mut [f32]) {
        let square = self.crop(picture);
        let (pixels, _) = square.pixels.as_chunks::<3>();
        assert_eq!(out.len(), 3 * pixels.len(), "the caller gives room for 3 x side x side values");
        for (channel, plane) in out.chunks_exact_mut(pixels.len()).enumerate() {
            let values = &self.values[channel];
            for (value, pixel) in plane.iter_mut().zip(pixels) {
                *value = values[usize::from(pixel[channel])];
            }
        }
    }

    /// The picture resized and cropped to `side × side`, still as bytes.
    pub fn crop(&self, picture: &Rgb) -> Rgb {
        let (width, height) = match self.resize {
            Resize::Exact(side) => (side, side),
            Resize::ShortestEdge(side) if picture.width <= picture.height => {
                (side, longer(side, picture.width, picture.height))
            }
            Resize::ShortestEdge(side) => (longer(side, picture.height, picture.width), side),
        };
        let side = self.side();
        // Both backends round the margin down.
        let (left, top) = ((width - side) / 2, (height - side) / 2);
        let window = Window { left, top, width: side, height: side };
        resize_window(picture, width, height, window, self.filter, self.backend)
    }

    fn fill_values(&mut self) {
        for (channel, values) in self.values.iter_mut().enumerate() {
            let mean_and_std = self.normalise.map(|Normalise { mean, std }| (mean[channel], std[channel]));
            for (sample, value) in (0_u8..=255).zip(values) {
                *value = match self.backend {
                    Backend::Pillow => pillow_value(sample, self.rescale, mean_and_std),
                    Backend::Torchvision => torchvision_value(sample, self.rescale, mean_and_std),
                };
            }
        }
    }
}

/// The longer side of the resized picture: `int(side * long / short)` in Python.
fn longer(side: u32, short: u32, long: u32) -> u32 {
    (f64::from(side) * f64::from(long) / f64::from(short)) as u32
}

/// The Pillow backend rescales in f64 and normalises in f32, one after the other.
fn pillow_value(sample: u8, rescale: Option<f64>, normalise: Option<(f64, f64)>) -> f32 {
    let value = rescale.map_or(f32::from(sample), |factor| (f64::from(sample) * factor) as f32);
    normalise.map_or(value, |(mean, std)| (value - mean as f32) / std as f32)
}

/// The torchvision backend folds the rescaling into mean and deviation, in f32.
fn torchvision_value(sample: u8, rescale: Option<f64>, normalise: Option<(f64, f64)>) -> f32 {
    let sample = f32::from(sample);
    match (rescale, normalise) {
        (Some(factor), Some((mean, std))) => {
            let unscale = (1.0 / factor) as f32;
            (sample - mean as f32 * unscale) / (std as f32 * unscale)
        }
        (None, Some((mean, std))) => (sample - mean as f32) / std as f32,
        (Some(factor), None) => sample * factor as f32,
        (None, None) => sample,
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortestEdge(side) => write!(f, "shortest edge {side}"),
            Self::Exact(side) => write!(f, "resize {side}x{side}"),
        }
    }
}

fn name_of(filter: Filter) -> &'static str {
    match filter {
        Filter::Bilinear => "bilinear",
        Filter::Bicubic => "bicubic",
        Filter::Lanczos => "lanczos",
    }
}
