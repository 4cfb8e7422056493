//! Preprocessing as a model's `preprocessor_config.json` prescribes it: resize, centre crop, rescale, normalise.
//!
//! Follows the image processors of transformers 5 for CLIP, SigLIP, BLIP and EfficientNet (ALIGN), bit for bit, in either
//! of their two forms: the Pillow backend (the default here) and the torchvision backend. Older files
//! (`CLIPFeatureExtractor`, sizes as plain numbers) mean the same. A file that would give pictures of varying size is
//! refused when it is read.

mod config;
mod family;
mod values;

use crate::{
    decode::Rgb,
    resample::{Backend, Filter, Window, resize_window},
};
use config::Config;
use imagefleet_common::{Context, Result};
use std::{fmt, fs, path::Path};
use values::Scaling;

/// A model's preprocessing, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    resize: Resize,
    /// Width and height of what is cut out of the middle; `None` where the resized picture is taken whole.
    crop: Option<(u32, u32)>,
    rounding: Rounding,
    filter: Filter,
    backend: Backend,
    scaling: Scaling,
    /// Sample → value, one table a channel: a byte has only 256 values.
    values: [[f32; 256]; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resize {
    /// The shorter side gets this length, the longer keeps the proportion.
    ShortestEdge(u32),
    Exact {
        width: u32,
        height: u32,
    },
}

/// What becomes of half a pixel of margin beside a centre crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    /// transformers.
    Down,
    /// torchvision's `CenterCrop`.
    HalfEven,
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

    fn new(
        resize: Resize,
        crop: Option<(u32, u32)>,
        rounding: Rounding,
        filter: Filter,
        backend: Backend,
        scaling: Scaling,
    ) -> Self {
        let values = scaling.table(backend);
        Self { resize, crop, rounding, filter, backend, scaling, values }
    }

    /// The same preprocessing with another backend's arithmetic.
    #[must_use]
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self.values = self.scaling.table(backend);
        self
    }

    /// Canonical text of all that changes a value: part of a collection's identity.
    pub fn identity(&self) -> String {
        let mut text = format!("{} {}", self.resize, name_of(self.filter));
        match self.crop {
            Some((width, height)) if width == height => text += &format!(", centre crop {width}"),
            Some((width, height)) => text += &format!(", centre crop {width}x{height}"),
            None => {}
        }
        if self.rounding == Rounding::HalfEven {
            text += " rounded half to even";
        }
        text += &self.scaling.identity();
        text + match self.backend {
            Backend::Pillow => ", pillow 13",
            Backend::Torchvision => ", torchvision",
        }
    }

    /// Width and height of what [`prepare`](Self::prepare) writes.
    pub fn size(&self) -> (u32, u32) {
        self.crop.unwrap_or(match self.resize {
            Resize::ShortestEdge(side) => (side, side),
            Resize::Exact { width, height } => (width, height),
        })
    }

    /// Writes `3 × height × width` values, channel first.
    ///
    /// # Panics
    /// If `out` has another length, or the picture no pixels.
    pub fn prepare(&self, picture: &Rgb, out: &mut [f32]) {
        let square = self.crop(picture);
        let (pixels, _) = square.pixels.as_chunks::<3>();
        assert_eq!(out.len(), 3 * pixels.len(), "the caller gives room for 3 x height x width values");
        for (channel, plane) in out.chunks_exact_mut(pixels.len()).enumerate() {
            let values = &self.values[channel];
            for (value, pixel) in plane.iter_mut().zip(pixels) {
                *value = values[usize::from(pixel[channel])];
            }
        }
    }

    /// The picture resized and cropped, still as bytes.
    pub fn crop(&self, picture: &Rgb) -> Rgb {
        let (width, height) = match self.resize {
            Resize::Exact { width, height } => (width, height),
            Resize::ShortestEdge(side) if picture.width <= picture.height => {
                (side, longer(side, picture.width, picture.height))
            }
            Resize::ShortestEdge(side) => (longer(side, picture.height, picture.width), side),
        };
        let (crop_width, crop_height) = self.size();
        let (left, top) = (self.rounding.half(width - crop_width), self.rounding.half(height - crop_height));
        let window = Window { left, top, width: crop_width, height: crop_height };
        resize_window(picture, width, height, window, self.filter, self.backend)
    }
}

/// The longer side of the resized picture: `int(side * long / short)` in Python.
fn longer(side: u32, short: u32, long: u32) -> u32 {
    (f64::from(side) * f64::from(long) / f64::from(short)) as u32
}

impl Rounding {
    /// Half of a margin.
    fn half(self, margin: u32) -> u32 {
        match self {
            Self::Down => margin / 2,
            // One half more than an odd number is rounded up, than an even one down.
            Self::HalfEven => margin / 2 + u32::from(margin % 4 == 3),
        }
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortestEdge(side) => write!(f, "shortest edge {side}"),
            Self::Exact { width, height } => write!(f, "resize {width}x{height}"),
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
