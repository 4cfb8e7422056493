//! A checkpoint's tensors by name: `model.safetensors`, or the shards that its index names.
//!
//! Whatever a tensor is stored as, it is given as f32 and with the shape that was asked for; every error names
//! file and tensor.

use crate::checkpoint::{WEIGHTS, WEIGHTS_INDEX, read_json};
use candle_core::{DType, Device, Tensor, safetensors::MmapedSafetensors};
use imagefleet_common::{Context, Error, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

pub(crate) struct Weights {
    /// The file that errors name: the single one, or the index of several.
    file: &'static str,
    tensors: MmapedSafetensors,
    device: Device,
}

impl Weights {
    pub(crate) fn open(dir: &Path, device: &Device) -> Result<Self> {
        let single = dir.join(WEIGHTS).is_file();
        let (file, shards) =
            if single { (WEIGHTS, BTreeSet::from([WEIGHTS.to_owned()])) } else { (WEIGHTS_INDEX, shards(dir)?) };
        let paths: Vec<_> = shards.iter().map(|shard| dir.join(shard)).collect();
        // SAFETY: the maps live while this function's caller loads, and nothing writes a model's files in place:
        // that would change its revision under the vectors already made.
        let tensors = unsafe { MmapedSafetensors::multi(&paths) }
            .permanent(|| format!("read {file}; the file is incomplete or broken, fetch it again"))?;
        Ok(Self { file, tensors, device: device.clone() })
    }

    /// The tensor `name`, which must have this shape, as f32.
    pub(crate) fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let doing = || format!("read tensor {name} of {}", self.file);
        let view = self.tensors.get(name).permanent(doing)?;
        if view.shape() != shape {
            let stored = view.shape();
            return Err(Error::permanent(format!(
                "{}: its shape is {stored:?}, config.json makes it {shape:?}",
                doing()
            )));
        }
        let tensor = self.tensors.load(name, &self.device).permanent(doing)?;
        match tensor.dtype() {
            DType::F32 | DType::F16 | DType::BF16 => tensor.to_dtype(DType::F32).permanent(doing),
            other => Err(Error::permanent(format!(
                "{}: it is stored as {}; supported: f32, f16, bf16",
                doing(),
                other.as_str()
            ))),
        }
    }
}

fn shards(dir: &Path) -> Result<BTreeSet<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Index { weight_map } = read_json(dir, WEIGHTS_INDEX)?;
    let shards: BTreeSet<String> = weight_map.into_values().collect();
    match shards.iter().find(|shard| !dir.join(shard).is_file()) {
        Some(missing) => Err(Error::permanent(format!("{missing} missing, which {WEIGHTS_INDEX} names; fetch it"))),
        None => Ok(shards),
    }
}
