//! CLIP's `config.json`, with the rules by which transformers fills its gaps.
//!
//! - What a part does not say is as in openai/clip-vit-base-patch32.
//! - `text_config_dict`, which old files have, wins over `text_config` in full: what it leaves out is the
//!   default, not what `text_config` says. `vision_config_dict` likewise.
//! - The width of the vectors is the top level's `projection_dim`; the parts' own are of other uses.

use crate::{
    checkpoint::{CONFIG, read_json},
    layers::{Activation, BlockShape, Visible},
};
use imagefleet_common::{Context, Error, Result};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::path::Path;

/// Of anything that a config counts. The largest vocabularies have a million entries.
const MOST: usize = 1 << 24;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// Components of a vector.
    pub(crate) dims: usize,
    pub(crate) text: TextConfig,
    pub(crate) vision: VisionConfig,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextConfig {
    pub(crate) vocabulary: usize,
    /// Most ids of one title, start and end included.
    pub(crate) positions: usize,
    pub(crate) pooled: PooledPosition,
    pub(crate) layers: usize,
    pub(crate) block: BlockShape,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VisionConfig {
    /// Height and width of a picture, in pixels.
    pub(crate) side: usize,
    /// Height and width of a patch, in pixels.
    pub(crate) patch: usize,
    pub(crate) layers: usize,
    pub(crate) block: BlockShape,
}

impl VisionConfig {
    /// Whole patches along a side; pixels beyond them are not seen.
    pub(crate) fn grid(&self) -> usize {
        self.side / self.patch
    }
}

/// Which of a title's positions its vector is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PooledPosition {
    /// The first of the highest id: configs that say `eos_token_id` 2 were written before the field meant
    /// anything, when the end token was the highest.
    HighestId,
    /// The first of this id.
    First(u32),
}

impl PooledPosition {
    /// The position in `ids`; 0 where the id is not among them, as in transformers.
    pub(crate) fn of(self, ids: &[u32]) -> usize {
        let wanted = match self {
            PooledPosition::HighestId => ids.iter().copied().max(),
            PooledPosition::First(id) => Some(id),
        };
        ids.iter().position(|&id| Some(id) == wanted).unwrap_or(0)
    }
}

impl Config {
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let json: Value = read_json(dir, CONFIG)?;
        Self::parse(&json).map_err(|error| error.while_doing(format_args!("read {CONFIG}")))
    }

    fn parse(json: &Value) -> Result<Self> {
        let top = Part { path: String::new(), json: Some(json) };
        Ok(Self {
            dims: top.count("projection_dim", 512)?,
            text: TextConfig::parse(&Part::of(json, "text_config")?)?,
            vision: VisionConfig::parse(&Part::of(json, "vision_config")?)?,
        })
    }
}

impl TextConfig {
    fn parse(part: &Part) -> Result<Self> {
        let (EndToken::One(end) | EndToken::OneInList([end])) = part.get("eos_token_id", EndToken::One(49407))?;
        let positions = part.count("max_position_embeddings", 77)?;
        if positions < 3 {
            return Err(part.wrong("max_position_embeddings", "leaves no room between start and end token"));
        }
        Ok(Self {
            vocabulary: part.count("vocab_size", 49408)?,
            positions,
            pooled: if end == 2 { PooledPosition::HighestId } else { PooledPosition::First(end) },
            layers: part.get("num_hidden_layers", 12)?,
            block: part.block((512, 2048, 8), Visible::Past)?,
        })
    }
}

impl VisionConfig {
    fn parse(part: &Part) -> Result<Self> {
        if part.count("num_channels", 3)? != 3 {
            return Err(part.wrong("num_channels", "is not 3, as pictures have"));
        }
        let (side, patch) = (part.side("image_size", 224)?, part.side("patch_size", 32)?);
        if patch > side {
            return Err(part.wrong("patch_size", &format!("is {patch}, larger than image_size {side}")));
        }
        Ok(Self {
            side,
            patch,
            layers: part.get("num_hidden_layers", 12)?,
            block: part.block((768, 3072, 12), Visible::All)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum EndToken {
    One(u32),
    OneInList([u32; 1]),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Side {
    Square(usize),
    HeightAndWidth([usize; 2]),
}

/// An object of the config, by whose path errors name a key.
struct Part<'a> {
    /// With a dot at its end; empty for the whole.
    path: String,
    /// `None` where the file has no such object: all of it is default.
    json: Option<&'a Value>,
}

impl<'a> Part<'a> {
    /// `NAME_dict` if the file has it, else `NAME`, else nothing but defaults.
    fn of(json: &'a Value, name: &str) -> Result<Self> {
        for name in [format!("{name}_dict"), name.to_owned()] {
            match json.get(&name) {
                None | Some(Value::Null) => {}
                Some(part) if part.is_object() => return Ok(Self { path: format!("{name}."), json: Some(part) }),
                Some(_) => return Err(Error::permanent(format!("{name} is not an object"))),
            }
        }
        Ok(Self { path: format!("{name}."), json: None })
    }

    fn get<T: DeserializeOwned>(&self, key: &str, default: T) -> Result<T> {
        match self.json.and_then(|json| json.get(key)) {
            None => Ok(default),
            Some(value) => T::deserialize(value).permanent(|| format!("{}{key} is {value}", self.path)),
        }
    }

    /// A number of which there is at least one, and not more than anybody has memory for.
    fn count(&self, key: &str, default: usize) -> Result<usize> {
        match self.get(key, default)? {
            0 => Err(self.wrong(key, "is 0")),
            count if count > MOST => Err(self.wrong(key, &format!("is {count}, which is more than {MOST}"))),
            count => Ok(count),
        }
    }

    fn side(&self, key: &str, default: usize) -> Result<usize> {
        match self.get(key, Side::Square(default))? {
            Side::HeightAndWidth([height, width]) if height != width => {
                Err(self.wrong(key, &format!("is {height} × {width}; only squares are supported")))
            }
            Side::Square(0) | Side::HeightAndWidth([0, _]) => Err(self.wrong(key, "is 0")),
            Side::Square(side) | Side::HeightAndWidth([side, _]) if side > MOST => {
                Err(self.wrong(key, &format!("is {side}, which is more than {MOST}")))
            }
            Side::Square(side) | Side::HeightAndWidth([side, _]) => Ok(side),
        }
    }

    /// What both towers' blocks say of themselves; the defaults of width, inner width and heads differ.
    fn block(&self, (width, inner, heads): (usize, usize, usize), visible: Visible) -> Result<BlockShape> {
        let width = self.count("hidden_size", width)?;
        let heads = self.count("num_attention_heads", heads)?;
        if !width.is_multiple_of(heads) {
            return Err(
                self.wrong("num_attention_heads", &format!("is {heads}, which does not divide hidden_size {width}"))
            );
        }
        let activation: String = self.get("hidden_act", "quick_gelu".to_owned())?;
        let epsilon: f64 = self.get("layer_norm_eps", 1e-5)?;
        if epsilon < 0.0 {
            return Err(self.wrong("layer_norm_eps", "is negative"));
        }
        Ok(BlockShape {
            width,
            inner: self.count("intermediate_size", inner)?,
            heads,
            activation: Activation::named(&activation).ok_or_else(|| {
                self.wrong("hidden_act", &format!("is {activation:?}; supported: {}", Activation::NAMES.join(", ")))
            })?,
            epsilon,
            visible,
        })
    }

    fn wrong(&self, key: &str, how: &str) -> Error {
        Error::permanent(format!("{}{key} {how}", self.path))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::json;

    #[test]
    fn an_empty_config_is_clip_vit_base_patch32() {
        let config = Config::parse(&json!({"model_type": "clip"})).unwrap();
        assert_eq!((config.dims, config.text.layers, config.text.positions), (512, 12, 77));
        assert_eq!((config.vision.side, config.vision.grid(), config.vision.block.width), (224, 7, 768));
        assert_eq!(config.text.pooled, PooledPosition::First(49407));
    }

    #[test]
    fn the_old_dict_replaces_the_part_and_its_gaps_are_defaults() {
        let config = Config::parse(&json!({
            "text_config": {"hidden_size": 64, "num_hidden_layers": 3, "eos_token_id": 7},
            "text_config_dict": {"hidden_size": 768, "num_attention_heads": 12, "eos_token_id": 2},
            "vision_config": {"patch_size": 16},
            "vision_config_dict": null,
        }))
        .unwrap();
        assert_eq!((config.text.block.width, config.text.layers), (768, 12));
        assert_eq!(config.text.pooled, PooledPosition::HighestId);
        assert_eq!(config.vision.patch, 16);
    }

    #[test]
    fn the_top_levels_projection_dim_decides_whatever_the_parts_say() {
        let config = Config::parse(&json!({"projection_dim": 24, "text_config": {"projection_dim": 512}})).unwrap();
        assert_eq!(config.dims, 24);
    }

    #[test]
    fn a_title_is_pooled_where_its_end_token_stands_first() {
        let ids = [90, 5, 98, 6, 97, 97];
        assert_eq!(PooledPosition::First(97).of(&ids), 4);
        assert_eq!(PooledPosition::HighestId.of(&ids), 2, "an added token above the end token");
        assert_eq!(PooledPosition::HighestId.of(&[90, 5, 97, 97]), 2);
    }

    #[test]
    fn what_cannot_be_computed_is_refused_by_name() {
        for (config, expected) in [
            (json!({"text_config": {"hidden_act": "swish"}}), "text_config.hidden_act is \"swish\""),
            (json!({"text_config": {"hidden_size": 30, "num_attention_heads": 4}}), "num_attention_heads is 4"),
            (json!({"text_config_dict": {"hidden_size": "wide"}}), "text_config_dict.hidden_size is \"wide\""),
            (json!({"text_config": {"hidden_size": null}}), "text_config.hidden_size is null"),
            (json!({"text_config": {"max_position_embeddings": 2}}), "max_position_embeddings"),
            (json!({"text_config": {"eos_token_id": [1, 2]}}), "text_config.eos_token_id is [1,2]"),
            (json!({"text_config": {"num_attention_heads": 0}}), "text_config.num_attention_heads is 0"),
            (json!({"text_config": {"layer_norm_eps": -1e-5}}), "text_config.layer_norm_eps is negative"),
            (json!({"text_config": [512]}), "text_config is not an object"),
            (json!({"vision_config": {"image_size": [224, 336]}}), "image_size is 224 × 336"),
            (json!({"vision_config": {"image_size": 1u64 << 40}}), "image_size is 1099511627776"),
            (json!({"vision_config": {"patch_size": 0}}), "patch_size is 0"),
            (json!({"vision_config": {"num_channels": 1}}), "num_channels"),
            (json!({"vision_config": {"hidden_size": 1u64 << 62}}), "vision_config.hidden_size is 4611686018427387904"),
            (json!({"projection_dim": -1}), "projection_dim is -1"),
        ] {
            let error = Config::parse(&config).unwrap_err();
            assert!(error.is_permanent() && error.to_string().contains(expected), "{error}");
        }
    }
}
