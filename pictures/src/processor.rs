//! Preprocessing as a model's `preprocessor_config.json` prescribes it: resize, centre crop, rescale, normalise.
//!
//! Follows the image processors of transformers 5 for CLIP, SigLIP, BLIP and EfficientNet (ALIGN), bit for bit, in either
//! of their two forms: the Pillow backend (the default here) and the torchvision backend. Older files
//! (`CLIPFeatureExtractor`, sizes as plain numbers) mean the same. A file that would give pictures of varying size is
//! refused when it is read.

mod config;
mod family;
mod prepare;
mod values;

use crate::resample::{Backend, Filter};
use config::Config;
use imagefleet_common::{Context, Error, Result, job::spec::Decoding};
pub use prepare::Scratch;
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
    decoding: Decoding,
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
        Self { resize, crop, rounding, filter, backend, scaling, decoding: Decoding::Exact, values }
    }

    /// The same preprocessing with another backend's arithmetic.
    #[must_use]
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self.values = self.scaling.table(backend);
        self
    }

    /// The same preprocessing of pictures decoded in another way.
    #[must_use]
    pub fn with_decoding(mut self, decoding: Decoding) -> Self {
        self.decoding = decoding;
        self
    }

    /// Permanent error where a model takes pictures of another size, in pixels.
    pub fn must_fit(&self, side: usize) -> Result<()> {
        let (width, height) = self.size();
        if [width, height].map(|length| length as usize) == [side; 2] {
            return Ok(());
        }
        Err(Error::permanent(format!(
            "preprocessor_config.json gives pictures of {width} × {height} pixels, config.json a model that takes {side} × \
             {side}: they are of different models"
        )))
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
        text += match self.backend {
            Backend::Pillow => ", pillow 13",
            Backend::Torchvision => ", torchvision",
        };
        text + match self.decoding {
            Decoding::Exact => "",
            Decoding::Fast => ", fast decoding",
        }
    }

    /// Width and height of what [`load`](Self::load) and [`prepare`](Self::prepare) write.
    pub fn size(&self) -> (u32, u32) {
        self.crop.unwrap_or(match self.resize {
            Resize::ShortestEdge(side) => (side, side),
            Resize::Exact { width, height } => (width, height),
        })
    }
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
