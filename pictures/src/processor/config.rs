//! The keys of a `preprocessor_config.json` → a [`Processor`].

use super::{
    Processor, Resize, Rounding,
    family::{Defaults, Family},
    values::{Normalise, Rescale, Scaling},
};
use crate::resample::{Backend, Filter};
use imagefleet_common::{Context, Error, Result};
use serde_json::{Map, Value};

/// The largest side that a file may ask for; far beyond any model's.
const MAX_SIDE: u32 = 4096;

/// The file's keys; what is missing has the default of the processor's family.
pub(super) struct Config {
    keys: Map<String, Value>,
    family: Family,
    defaults: Defaults,
}

impl Config {
    /// The keys of a model directory's file, or of the part of `processor_config.json` under `key`.
    pub(super) fn parse(text: &str, key: Option<&str>) -> Result<Self> {
        let mut config = object(text)?;
        let keys = match key.map(|key| (key, config.remove(key))) {
            None => config,
            Some((_, Some(Value::Object(part)))) => part,
            Some((key, _)) => return Err(Error::permanent(format!("{key}: missing"))),
        };
        let family = Family::of(&keys)?;
        Ok(Self { keys, family, defaults: family.defaults() })
    }

    /// The processor that the keys describe.
    pub(super) fn processor(&self) -> Result<Processor> {
        if self.family == Family::JinaClip {
            return self.torchvision_chain();
        }
        if !self.flag("do_resize", true)? {
            return Err(Error::permanent("do_resize: must be true, for pictures come in all sizes"));
        }
        if self.flag("do_pad", false)? {
            return Err(Error::permanent("do_pad: padding is not supported"));
        }
        let resize = self.size()?;
        let crop = if self.flag("do_center_crop", self.defaults.is_cropped)? { Some(self.crop_size()?) } else { None };
        match (resize, crop) {
            (Resize::ShortestEdge(side), Some((width, height))) if width.max(height) > side => {
                return Err(Error::permanent(format!("crop_size: {width}x{height} is more than size, {side}")));
            }
            (Resize::Exact { width, height }, Some((crop_width, crop_height)))
                if crop_width > width || crop_height > height =>
            {
                let crop = format!("{crop_width}x{crop_height}");
                return Err(Error::permanent(format!("crop_size: {crop} is more than size, {width}x{height}")));
            }
            (Resize::ShortestEdge(_), None) => {
                return Err(Error::permanent("do_center_crop: must be true where size is a shortest edge"));
            }
            _ => {}
        }
        let scaling = Scaling {
            rescale: if self.flag("do_rescale", true)? { Some(self.rescale()?) } else { None },
            normalise: if self.flag("do_normalize", true)? {
                Some(self.normalise("image_mean", "image_std")?)
            } else {
                None
            },
            divisors: if self.family == Family::EfficientNet && self.flag("include_top", true)? {
                Some(self.deviations("image_std")?)
            } else {
                None
            },
        };
        Ok(Processor::new(resize, crop, Rounding::Down, self.filter()?, self.backend()?, scaling))
    }

    /// Resize, centre crop, `ToTensor`, normalise: the transforms that jina-clip composes.
    fn torchvision_chain(&self) -> Result<Processor> {
        self.only("resize_mode", "shortest")?;
        let filter = match self.keys.get("interpolation").map(|name| (name, name.as_str())) {
            None | Some((_, Some("bicubic"))) => Filter::Bicubic,
            Some((_, Some("bilinear"))) => Filter::Bilinear,
            Some((name, _)) => return Err(wrong("interpolation", "\"bicubic\" or \"bilinear\"", name)),
        };
        let size = self.keys.get("size").map_or(Ok(self.defaults.crop), |size| side("size", size))?;
        let scaling = Scaling {
            rescale: Some(Rescale::ToTensor),
            normalise: Some(self.normalise("mean", "std")?),
            divisors: None,
        };
        let (resize, crop) = (Resize::ShortestEdge(size), Some((size, size)));
        Ok(Processor::new(resize, crop, Rounding::HalfEven, filter, Backend::Pillow, scaling))
    }

    fn only(&self, key: &str, expected: &str) -> Result<()> {
        match self.keys.get(key) {
            Some(other) if other != expected => Err(wrong(key, expected, other)),
            _ => Ok(()),
        }
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.keys.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong(key, "true or false", other)),
        }
    }

    fn size(&self) -> Result<Resize> {
        const KEY: &str = "size";
        match self.keys.get(KEY) {
            None | Some(Value::Null) => Ok(self.defaults.resize),
            Some(Value::Object(size)) if size.contains_key("shortest_edge") => {
                if size.get("longest_edge").is_some_and(|longest| !longest.is_null()) {
                    return Err(Error::permanent("size: a longest_edge is not supported"));
                }
                side(KEY, &size["shortest_edge"]).map(Resize::ShortestEdge)
            }
            Some(Value::Object(size)) => {
                let (width, height) = width_and_height(KEY, size)?;
                Ok(Resize::Exact { width, height })
            }
            Some(plain) => {
                let side = side(KEY, plain)?;
                let square = Resize::Exact { width: side, height: side };
                Ok(if self.defaults.number_is_square { square } else { Resize::ShortestEdge(side) })
            }
        }
    }

    /// Width and height.
    fn crop_size(&self) -> Result<(u32, u32)> {
        const KEY: &str = "crop_size";
        match self.keys.get(KEY) {
            None | Some(Value::Null) => Ok((self.defaults.crop, self.defaults.crop)),
            Some(Value::Object(size)) => width_and_height(KEY, size),
            Some(plain) => side(KEY, plain).map(|side| (side, side)),
        }
    }

    fn filter(&self) -> Result<Filter> {
        const KEY: &str = "resample";
        match self.keys.get(KEY) {
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
        match self.keys.get(KEY) {
            None | Some(Value::Null) => Ok(Backend::Pillow),
            Some(name) if name == "pil" => Ok(Backend::Pillow),
            Some(name) if name == "torchvision" => Ok(Backend::Torchvision),
            Some(other) => Err(wrong(KEY, "\"pil\" or \"torchvision\"", other)),
        }
    }

    fn rescale(&self) -> Result<Rescale> {
        const KEY: &str = "rescale_factor";
        let factor = match self.keys.get(KEY) {
            None | Some(Value::Null) => 1.0 / 255.0,
            Some(factor) => factor
                .as_f64()
                .filter(|factor| factor.is_finite() && *factor > 0.0)
                .ok_or_else(|| wrong(KEY, "a number above 0", factor))?,
        };
        let is_offset = self.family == Family::EfficientNet && self.flag("rescale_offset", false)?;
        Ok(if is_offset { Rescale::FactorLessOne(factor) } else { Rescale::Factor(factor) })
    }

    fn normalise(&self, mean: &str, std: &str) -> Result<Normalise> {
        Ok(Normalise { mean: self.channels(mean, self.defaults.mean)?, std: self.deviations(std)? })
    }

    fn deviations(&self, key: &str) -> Result<[f64; 3]> {
        let deviations = self.channels(key, self.defaults.std)?;
        if deviations.contains(&0.0) {
            return Err(Error::permanent(format!("{key}: must not be 0")));
        }
        Ok(deviations)
    }

    fn channels(&self, key: &str, default: [f64; 3]) -> Result<[f64; 3]> {
        let value = match self.keys.get(key) {
            None | Some(Value::Null) => return Ok(default),
            Some(value) => value,
        };
        let numbers: Option<Vec<f64>> =
            value.as_array().and_then(|numbers| numbers.iter().map(Value::as_f64).collect());
        numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| wrong(key, "three numbers", value))
    }
}

fn width_and_height(key: &str, size: &Map<String, Value>) -> Result<(u32, u32)> {
    let of = |name| side(key, size.get(name).unwrap_or(&Value::Null));
    Ok((of("width")?, of("height")?))
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

fn object(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).permanent(|| "expected a JSON object".to_owned())
}
