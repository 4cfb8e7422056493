//! Preprocessing as a model's `preprocessor_config.json` prescribes it: resize, centre crop, rescale, normalise.
//!
//! Follows `CLIPImageProcessor` of transformers 5, bit for bit, in either of its two forms: the Pillow backend (the
//! default here) and the torchvision backend. Older files (`CLIPFeatureExtractor`, sizes as plain numbers) mean the
//! same. A file that would give pictures of varying or non-square size is refused when it is read.

use crate::{
    decode::Rgb,
    resample::{Backend, Filter, Window, resize_window},
};
use imagefleet_common::{Context, Error, Result};
use serde_json::{Map, Value};
use std::{fmt, fs, path::Path};

/// The largest side that a file may ask for; far beyond any model's.
const MAX_SIDE: u32 = 4096;

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
        let parse = || {
            let mut config = object(&text)?;
            if let Some(key) = key {
                config = match config.remove(key) {
                    Some(Value::Object(part)) => part,
                    _ => return Err(Error::permanent(format!("{key}: missing"))),
                };
            }
            Self::from_object(&Config(config))
        };
        parse().map_err(|error| error.while_doing(doing()))
    }

    /// Parses the text of a `preprocessor_config.json`; a wrong value is a permanent error that names its key.
    pub fn from_json(text: &str) -> Result<Self> {
        Self::from_object(&Config(object(text)?))
    }

    fn from_object(config: &Config) -> Result<Self> {
        config.check_type()?;
        if !config.flag("do_resize")? {
            return Err(Error::permanent("do_resize: must be true, for pictures come in all sizes"));
        }
        if config.0.get("do_pad").is_some_and(|pad| pad == &Value::Bool(true)) {
            return Err(Error::permanent("do_pad: padding is not supported"));
        }
        let resize = config.size()?;
        let crop = if config.flag("do_center_crop")? { Some(config.square("crop_size", 224)?) } else { None };
        match (resize, crop) {
            (Resize::ShortestEdge(side) | Resize::Exact(side), Some(crop)) if crop > side => {
                return Err(Error::permanent(format!("crop_size: {crop} is more than size, {side}")));
            }
            (Resize::ShortestEdge(_), None) => {
                return Err(Error::permanent("do_center_crop: must be true where size is a shortest edge"));
            }
            _ => {}
        }
        let rescale = if config.flag("do_rescale")? { Some(config.rescale_factor()?) } else { None };
        let normalise = if config.flag("do_normalize")? {
            Some(Normalise {
                mean: config.channels("image_mean", [0.48145466, 0.4578275, 0.40821073])?,
                std: config.channels("image_std", [0.26862954, 0.26130258, 0.27577711])?,
            })
        } else {
            None
        };
        if normalise.is_some_and(|normalise| normalise.std.contains(&0.0)) {
            return Err(Error::permanent("image_std: must not be 0"));
        }
        let mut processor = Self {
            resize,
            crop,
            filter: config.filter()?,
            backend: config.backend()?,
            rescale,
            normalise,
            values: [[0.0; 256]; 3],
        };
        processor.fill_values();
        Ok(processor)
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

fn object(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).permanent(|| "expected a JSON object".to_owned())
}

/// The file's keys; what is missing has the default of `CLIPImageProcessor`.
struct Config(Map<String, Value>);

impl Config {
    fn check_type(&self) -> Result<()> {
        for key in ["image_processor_type", "feature_extractor_type"] {
            let Some(kind) = self.0.get(key) else { continue };
            let known =
                ["CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor"];
            if !known.iter().any(|name| kind == name) {
                return Err(Error::permanent(format!("{key}: {kind} is not supported")));
            }
            return Ok(());
        }
        Ok(())
    }

    fn flag(&self, key: &str) -> Result<bool> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(true),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong(key, "true or false", other)),
        }
    }

    fn size(&self) -> Result<Resize> {
        const KEY: &str = "size";
        match self.0.get(KEY) {
            None | Some(Value::Null) => Ok(Resize::ShortestEdge(224)),
            Some(Value::Object(size)) if size.contains_key("shortest_edge") => {
                if size.get("longest_edge").is_some_and(|longest| !longest.is_null()) {
                    return Err(Error::permanent("size: a longest_edge is not supported"));
                }
                side(KEY, &size["shortest_edge"]).map(Resize::ShortestEdge)
            }
            Some(Value::Object(_)) => self.square(KEY, 224).map(Resize::Exact),
            Some(plain) => side(KEY, plain).map(Resize::ShortestEdge),
        }
    }

    /// A number, or `{height, width}` of equal numbers.
    fn square(&self, key: &str, default: u32) -> Result<u32> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Object(size)) => {
                let of = |name| side(key, size.get(name).unwrap_or(&Value::Null));
                match (of("height")?, of("width")?) {
                    (height, width) if height == width => Ok(height),
                    (height, width) => Err(Error::permanent(format!("{key}: {width}x{height} is not square"))),
                }
            }
            Some(plain) => side(key, plain),
        }
    }

    fn filter(&self) -> Result<Filter> {
        const KEY: &str = "resample";
        match self.0.get(KEY) {
            None | Some(Value::Null) => Ok(Filter::Bicubic),
            // Pillow's numbers.
            Some(code) => match code.as_u64() {
                Some(1) => Ok(Filter::Lanczos),
                Some(2) => Ok(Filter::Bilinear),
                Some(3) => Ok(Filter::Bicubic),
                _ => Err(wrong(KEY, "1 (lanczos), 2 (bilinear) or 3 (bicubic)", code)),
            },
        }
    }

    fn backend(&self) -> Result<Backend> {
        const KEY: &str = "backend";
        match self.0.get(KEY) {
            None | Some(Value::Null) => Ok(Backend::Pillow),
            Some(name) if name == "pil" => Ok(Backend::Pillow),
            Some(name) if name == "torchvision" => Ok(Backend::Torchvision),
            Some(other) => Err(wrong(KEY, "\"pil\" or \"torchvision\"", other)),
        }
    }

    fn rescale_factor(&self) -> Result<f64> {
        const KEY: &str = "rescale_factor";
        match self.0.get(KEY) {
            None | Some(Value::Null) => Ok(1.0 / 255.0),
            Some(factor) => factor
                .as_f64()
                .filter(|factor| factor.is_finite() && *factor > 0.0)
                .ok_or_else(|| wrong(KEY, "a number above 0", factor)),
        }
    }

    fn channels(&self, key: &str, default: [f64; 3]) -> Result<[f64; 3]> {
        let value = match self.0.get(key) {
            None | Some(Value::Null) => return Ok(default),
            Some(value) => value,
        };
        let numbers: Option<Vec<f64>> =
            value.as_array().and_then(|numbers| numbers.iter().map(Value::as_f64).collect());
        numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| wrong(key, "three numbers", value))
    }
}

fn side(key: &str, value: &Value) -> Result<u32> {
    value
        .as_u64()
        .and_then(|side| u32::try_from(side).ok())
        .filter(|side| (1..=MAX_SIDE).contains(side))
        .ok_or_else(|| wrong(key, &format!("a number from 1 to {MAX_SIDE}"), value))
}

fn wrong(key: &str, expected: &str, found: &Value) -> Error {
    Error::permanent(format!("{key}: expected {expected}, found {found}"))
}
