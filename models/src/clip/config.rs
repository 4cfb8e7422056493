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
        let dims = match &json["projection_dim"] {
            Value::Null => 512,
            value => serde_json::from_value(value.clone()).permanent(|| "projection_dim".to_owned())?,
        };
        let config = Self {
            dims: positive("projection_dim", dims)?,
            text: part::<TextPart>(json, "text_config")?.check().map_err(|error| error.while_doing("text_config"))?,
            vision: part::<VisionPart>(json, "vision_config")?
                .check()
                .map_err(|error| error.while_doing("vision_config"))?,
        };
        Ok(config)
    }
}

/// `NAME_dict` if the file has it, else `NAME`, else nothing but defaults.
fn part<T: DeserializeOwned + Default>(json: &Value, name: &str) -> Result<T> {
    let old_name = format!("{name}_dict");
    for name in [old_name.as_str(), name] {
        if !json[name].is_null() {
            return T::deserialize(&json[name]).permanent(|| name.to_owned());
        }
    }
    Ok(T::default())
}

#[derive(Deserialize)]
#[serde(default)]
struct TextPart {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    eos_token_id: EndToken,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum EndToken {
    One(u32),
    OneInList([u32; 1]),
}

impl Default for TextPart {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
            eos_token_id: EndToken::One(49407),
        }
    }
}

impl TextPart {
    fn check(self) -> Result<TextConfig> {
        let (EndToken::One(end) | EndToken::OneInList([end])) = self.eos_token_id;
        if self.max_position_embeddings < 3 {
            return Err(Error::permanent("max_position_embeddings leaves no room between start and end token"));
        }
        Ok(TextConfig {
            vocabulary: positive("vocab_size", self.vocab_size)?,
            positions: self.max_position_embeddings,
            pooled: if end == 2 { PooledPosition::HighestId } else { PooledPosition::First(end) },
            layers: self.num_hidden_layers,
            block: BlockShape {
                width: positive("hidden_size", self.hidden_size)?,
                inner: positive("intermediate_size", self.intermediate_size)?,
                heads: heads(self.num_attention_heads, self.hidden_size)?,
                activation: activation(&self.hidden_act)?,
                epsilon: self.layer_norm_eps,
                visible: Visible::Past,
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct VisionPart {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_channels: usize,
    image_size: Side,
    patch_size: Side,
    hidden_act: String,
    layer_norm_eps: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Side {
    Square(usize),
    HeightAndWidth([usize; 2]),
}

impl Default for VisionPart {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: Side::Square(224),
            patch_size: Side::Square(32),
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
        }
    }
}

impl VisionPart {
    fn check(self) -> Result<VisionConfig> {
        if self.num_channels != 3 {
            return Err(Error::permanent(format!("num_channels is {}; pictures have 3", self.num_channels)));
        }
        let (side, patch) = (square("image_size", self.image_size)?, square("patch_size", self.patch_size)?);
        if patch > side {
            return Err(Error::permanent(format!("patch_size {patch} is larger than image_size {side}")));
        }
        Ok(VisionConfig {
            side,
            patch,
            layers: self.num_hidden_layers,
            block: BlockShape {
                width: positive("hidden_size", self.hidden_size)?,
                inner: positive("intermediate_size", self.intermediate_size)?,
                heads: heads(self.num_attention_heads, self.hidden_size)?,
                activation: activation(&self.hidden_act)?,
                epsilon: self.layer_norm_eps,
                visible: Visible::All,
            },
        })
    }
}

fn positive(name: &str, value: usize) -> Result<usize> {
    if value == 0 { Err(Error::permanent(format!("{name} is 0"))) } else { Ok(value) }
}

fn heads(heads: usize, width: usize) -> Result<usize> {
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(Error::permanent(format!("hidden_size {width} does not divide into num_attention_heads {heads}")));
    }
    Ok(heads)
}

fn square(name: &str, side: Side) -> Result<usize> {
    match side {
        Side::Square(side) => positive(name, side),
        Side::HeightAndWidth([height, width]) if height == width => positive(name, height),
        Side::HeightAndWidth(side) => Err(Error::permanent(format!("{name} is {side:?}; only squares are supported"))),
    }
}

fn activation(name: &str) -> Result<Activation> {
    Activation::named(name).ok_or_else(|| {
        Error::permanent(format!("hidden_act {name:?} is not supported; supported: \"quick_gelu\", \"gelu\""))
    })
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
            (json!({"text_config": {"hidden_act": "swish"}}), "hidden_act \"swish\""),
            (json!({"text_config": {"hidden_size": 30, "num_attention_heads": 4}}), "num_attention_heads 4"),
            (json!({"text_config": {"hidden_size": "wide"}}), "text_config"),
            (json!({"text_config": {"max_position_embeddings": 2}}), "max_position_embeddings"),
            (json!({"vision_config": {"image_size": [224, 336]}}), "image_size"),
            (json!({"vision_config": {"patch_size": 0}}), "patch_size is 0"),
            (json!({"vision_config": {"num_channels": 1}}), "num_channels"),
            (json!({"projection_dim": -1}), "projection_dim"),
        ] {
            let error = Config::parse(&config).unwrap_err();
            assert!(error.is_permanent() && error.to_string().contains(expected), "{error}");
        }
    }
}
