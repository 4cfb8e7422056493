//! The image processors of transformers that are followed, and what each takes for granted where a file is silent.

use super::Resize;
use imagefleet_common::{Error, Result};
use serde_json::{Map, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Clip,
    Siglip,
    Blip,
    /// Of ALIGN.
    EfficientNet,
    /// Not of transformers: a chain of torchvision's transforms on a Pillow picture, in keys of its own.
    JinaClip,
}

pub(super) struct Defaults {
    pub(super) resize: Resize,
    /// Whether a size that is a plain number means both sides, or the shorter.
    pub(super) number_is_square: bool,
    pub(super) is_cropped: bool,
    pub(super) crop: u32,
    pub(super) mean: [f64; 3],
    pub(super) std: [f64; 3],
}

const OPENAI_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
const OPENAI_STD: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];

impl Family {
    /// Told by `image_processor_type`, or `feature_extractor_type` of older files; CLIP where neither is given.
    pub(super) fn of(config: &Map<String, Value>) -> Result<Self> {
        // What stands behind the family's name says which backend saved the file, and how long ago, no more.
        const SUFFIXES: [&str; 4] = ["ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor"];
        for key in ["image_processor_type", "feature_extractor_type"] {
            let Some(kind) = config.get(key) else { continue };
            let name = kind.as_str().unwrap_or_default();
            let name = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
            return match name {
                Some("CLIP") => Ok(Self::Clip),
                Some("Siglip") => Ok(Self::Siglip),
                Some("Blip") => Ok(Self::Blip),
                Some("EfficientNet") => Ok(Self::EfficientNet),
                Some("JinaCLIP") => Ok(Self::JinaClip),
                _ => Err(Error::permanent(format!("{key}: {kind} is not supported"))),
            };
        }
        Ok(Self::Clip)
    }

    pub(super) fn defaults(self) -> Defaults {
        let (resize, number_is_square, is_cropped, crop) = match self {
            Self::Clip => (Resize::ShortestEdge(224), false, true, 224),
            Self::Siglip => (Resize::Exact { width: 224, height: 224 }, false, false, 224),
            Self::Blip => (Resize::Exact { width: 384, height: 384 }, true, false, 384),
            Self::EfficientNet => (Resize::Exact { width: 346, height: 346 }, true, false, 289),
            Self::JinaClip => (Resize::ShortestEdge(512), false, true, 512),
        };
        let (mean, std) = match self {
            Self::Clip | Self::Blip | Self::JinaClip => (OPENAI_MEAN, OPENAI_STD),
            Self::Siglip | Self::EfficientNet => ([0.5; 3], [0.5; 3]),
        };
        Defaults { resize, number_is_square, is_cropped, crop, mean, std }
    }
}
