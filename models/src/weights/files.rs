//! Which files of a folder hold its weights.

use crate::checkpoint::read_json;
use imagefleet_common::{Error, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A single file, or the index of several; the first that is there counts, as in transformers.
pub(crate) const KNOWN: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/// The one of [`KNOWN`] that the weights are in, or that names those.
pub(crate) fn main_file(has: impl Fn(&str) -> bool) -> Option<&'static str> {
    KNOWN.into_iter().find(|file| has(file))
}

pub(crate) fn is_index(file: &str) -> bool {
    file.ends_with(".index.json")
}

/// The files that `index` names.
///
/// One that does not lie in the folder itself, or is of another format than the index says, is refused.
pub(crate) fn shards(dir: &Path, index: &str) -> Result<BTreeSet<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Index { weight_map } = read_json(dir, index)?;
    let extension = if index.starts_with("model.safetensors") { ".safetensors" } else { ".bin" };
    for (tensor, shard) in &weight_map {
        let plain = shard.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if !plain || shard.starts_with('.') || !shard.ends_with(extension) {
            return Err(Error::permanent(format!(
                "read {index}: {shard:?}, for tensor {tensor}, is no file of this folder"
            )));
        }
    }
    if weight_map.is_empty() {
        return Err(Error::permanent(format!("read {index}: its weight_map is empty")));
    }
    Ok(weight_map.into_values().collect())
}

/// An error where one of the shards is missing.
pub(crate) fn check_shards(dir: &Path, index: &str) -> Result<BTreeSet<String>> {
    let shards = shards(dir, index)?;
    match shards.iter().find(|shard| !dir.join(shard).is_file()) {
        Some(missing) => Err(Error::permanent(format!("{missing} missing, which {index} names; fetch it"))),
        None => Ok(shards),
    }
}
