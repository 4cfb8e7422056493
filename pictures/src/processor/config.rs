//! The keys of a `preprocessor_config.json` → a [`Processor`].

use super::{Normalise, Processor, Resize};
use crate::resample::{Backend, Filter};
use imagefleet_common::{Context, Error, Result};
use serde_json::{Map, Value};

/// The largest side that a file may ask for; far beyond any model's.
const MAX_SIDE: u32 = 4096;

/// The file's keys; what is missing has the default of `CLIPImageProcessor`.
pub(super) struct Config(Map<String, Value>);

impl Config {
    /// The keys of a model directory's file, or of the part of `processor_config.json` under `key`.
    pub(super) fn parse(text: &str, key: Option<&str>) -> Result<Self> {
        let mut config = object(text)?;
        match key.map(|key| (key, config.remove(key))) {
            None => Ok(Self(config)),
            Some((_, Some(Value::Object(part)))) => Ok(Self(part)),
            Some((key, _)) => Err(Error::permanent(format!("{key}: missing"))),
        }
    }

    /// The processor that the keys describe.
    pub(super) fn processor(&self) -> Result<Processor> {
        let config = self;
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
        let mut processor = Processor {
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

fn object(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).permanent(|| "expected a JSON object".to_owned())
}
