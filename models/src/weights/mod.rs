//! A checkpoint's tensors by name: of safetensors or of `torch.save`, in one file or in those that an index names.
//!
//! Whatever a tensor is stored as, it is given as f32, with the shape that was asked for and finite; every error
//! names file and tensor. No more is allocated than the files hold.

pub(crate) mod files;
mod pickle;
pub(crate) mod torch;

use candle_core::{DType, Device, Tensor, safetensors::MmapedSafetensors};
use imagefleet_common::{Context, Error, Result};
use std::path::Path;
use torch::TorchFile;

pub(crate) struct Weights {
    /// The file that errors of missing tensors name: the single one, or the index of several.
    file: &'static str,
    shards: Vec<(String, Shard)>,
    device: Device,
}

enum Shard {
    Safetensors(MmapedSafetensors),
    Torch(TorchFile),
}

impl Weights {
    pub(crate) fn open(dir: &Path, device: &Device) -> Result<Self> {
        let file = files::main_file(|file| dir.join(file).is_file())
            .ok_or_else(|| Error::permanent(format!("{} missing", files::KNOWN[0])))?;
        let names = if files::is_index(file) { files::check_shards(dir, file)? } else { [file.to_owned()].into() };
        let shards = names.into_iter().map(|name| Shard::open(dir, &name).map(|shard| (name, shard)));
        Ok(Self { file, shards: shards.collect::<Result<_>>()?, device: device.clone() })
    }

    /// The tensor `name`, which must have this shape, as f32.
    pub(crate) fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let shard = self.shards.iter().find_map(|(file, shard)| Some((file, shard, shard.shape(name)?)));
        let Some((file, shard, stored)) = shard else {
            return Err(Error::permanent(format!("read tensor {name} of {}: it is not there", self.file)));
        };
        let doing = || format!("read tensor {name} of {file}");
        if stored != shape {
            return Err(Error::permanent(format!(
                "{}: its shape is {stored:?}, config.json makes it {shape:?}",
                doing()
            )));
        }
        shard.tensor(name, shape, &self.device).map_err(|error| error.while_doing(doing()))
    }
}

impl Shard {
    fn open(dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(name);
        if name.ends_with(".bin") {
            let torch = TorchFile::open(&path).map_err(|error| error.while_doing(format_args!("read {name}")));
            return torch.map(Shard::Torch);
        }
        // SAFETY: the map lives while this function's caller loads, and nothing writes a model's files in place:
        // that would change its revision under the vectors already made.
        unsafe { MmapedSafetensors::new(&path) }
            .map(Shard::Safetensors)
            .permanent(|| format!("read {name}; the file is incomplete or broken, fetch it again"))
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match self {
            Shard::Safetensors(file) => file.get(name).ok().map(|view| view.shape().to_vec()),
            Shard::Torch(file) => file.shape(name).map(<[usize]>::to_vec),
        }
    }

    fn tensor(&self, name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
        let doing = || "convert it".to_owned();
        let tensor = match self {
            Shard::Safetensors(file) => {
                let view = file.get(name).permanent(doing)?;
                // By its name in the file, which may be of a type that candle does not have.
                let dtype = match format!("{:?}", view.dtype()).as_str() {
                    "F32" => DType::F32,
                    "F16" => DType::F16,
                    "BF16" => DType::BF16,
                    other => {
                        return Err(Error::permanent(format!("it is stored as {other}; supported: f32, f16, bf16")));
                    }
                };
                check_finite(dtype, view.data())?;
                file.load(name, device)
            }
            Shard::Torch(file) => {
                let (dtype, numbers) = file.numbers(name)?;
                check_finite(dtype, &numbers)?;
                Tensor::from_raw_buffer(&numbers, dtype, shape, device)
            }
        };
        tensor.and_then(|tensor| tensor.to_dtype(DType::F32)).permanent(doing)
    }
}

/// One number that is not finite would make every vector NaN.
fn check_finite(dtype: DType, numbers: &[u8]) -> Result<()> {
    // Infinities and NaNs are the numbers whose exponent's bits are all set.
    let halves = |exponent: u16| {
        numbers.chunks_exact(2).any(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]) & exponent == exponent)
    };
    let found = match dtype {
        DType::F16 => halves(0x7c00),
        DType::BF16 => halves(0x7f80),
        _ => numbers
            .chunks_exact(4)
            .any(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & 0x7f80_0000 == 0x7f80_0000),
    };
    if found { Err(Error::permanent("it has numbers that are not finite")) } else { Ok(()) }
}
