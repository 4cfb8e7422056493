//! A file that `torch.save` wrote: a zip archive of a pickle and, uncompressed, the storages of its tensors.

use super::pickle::{self, StoredTensor};
use candle_core::DType;
use imagefleet_common::{Context, Error, Result};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Cursor, Read, Seek},
    path::Path,
};
use zip::{CompressionMethod, ZipArchive, result::ZipError};

/// The pickle of a model of a thousand tensors is less than half a megabyte.
const LARGEST_PICKLE: u64 = 16 << 20;

/// Where a file's bytes come from.
trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

type Archive = ZipArchive<Box<dyn Source>>;

pub(crate) struct TorchFile {
    archive: RefCell<Archive>,
    /// The folder within the archive that all its files are in, with a slash.
    root: String,
    tensors: BTreeMap<String, StoredTensor>,
}

impl TorchFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = BufReader::new(File::open(path).permanent(|| "open it".to_owned())?);
        Self::read(Box::new(file))
    }

    /// A small file that was read as a whole.
    pub(crate) fn of(bytes: Vec<u8>) -> Result<Self> {
        Self::read(Box::new(Cursor::new(bytes)))
    }

    fn read(source: Box<dyn Source>) -> Result<Self> {
        let mut archive = ZipArchive::new(source).permanent(|| {
            "it is incomplete or broken, or was saved by torch before 1.6; fetch it again, or load and save it with \
             transformers, which writes model.safetensors"
                .to_owned()
        })?;
        let names = archive.file_names().filter_map(std::result::Result::ok);
        let root = names.filter_map(|name| name.strip_suffix("data.pkl").map(str::to_owned)).next();
        let root = root.ok_or_else(|| Error::permanent("it has no data.pkl: torch.save did not write it"))?;

        if let Some(order) = read(&mut archive, &format!("{root}byteorder"), 16)?
            && order != b"little"
        {
            return Err(Error::permanent("its numbers are big-endian, which is not supported"));
        }
        let data = read(&mut archive, &format!("{root}data.pkl"), LARGEST_PICKLE)?.unwrap_or_default();
        let tensors = pickle::read(&data).map_err(|what| Error::permanent(format!("data.pkl is broken: {what}")))?;
        Ok(Self { archive: RefCell::new(archive), root, tensors })
    }

    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// The numbers of a tensor that [`shape`](Self::shape) knows, in its order, little-endian.
    pub(crate) fn numbers(&self, name: &str) -> Result<(DType, Vec<u8>)> {
        let Some(tensor) = self.tensors.get(name) else { return Err(Error::permanent("it is not there")) };
        let dtype = dtype(&tensor.storage.class)?;
        let storage = self.storage(&tensor.storage.file, dtype)?;
        let numbers = gather(tensor, storage, dtype.size_in_bytes())
            .ok_or_else(|| Error::permanent("it reaches beyond its storage"))?;
        Ok((dtype, numbers))
    }

    fn storage(&self, file: &str, dtype: DType) -> Result<Vec<u8>> {
        let name = format!("{}data/{file}", self.root);
        let mut archive = self.archive.borrow_mut();
        let largest = archive.by_name(&name).map_or(0, |entry| entry.compressed_size());
        let storage = read(&mut archive, &name, largest)?;
        storage
            .filter(|bytes| bytes.len().is_multiple_of(dtype.size_in_bytes()))
            .ok_or_else(|| Error::permanent(format!("its storage {name} is missing or broken")))
    }
}

/// A file of the archive, `None` where there is none. It must be uncompressed, so that it cannot grow beyond
/// what is on the disk, and at most `largest` bytes.
fn read(archive: &mut Archive, name: &str, largest: u64) -> Result<Option<Vec<u8>>> {
    let broken = || format!("read {name}");
    let entry = match archive.by_name(name) {
        Err(ZipError::FileNotFound) => return Ok(None),
        entry => entry.permanent(broken)?,
    };
    if entry.compression() != CompressionMethod::Stored || entry.size() > largest {
        return Err(Error::permanent(format!("{}: it is compressed or too large", broken())));
    }
    let mut bytes = Vec::new();
    // Beyond its end, so that its checksum is looked at.
    entry.take(largest.saturating_add(1)).read_to_end(&mut bytes).permanent(broken)?;
    Ok(Some(bytes))
}

fn dtype(class: &str) -> Result<DType> {
    match class {
        "torch.FloatStorage" => Ok(DType::F32),
        "torch.HalfStorage" => Ok(DType::F16),
        "torch.BFloat16Storage" => Ok(DType::BF16),
        other => Err(Error::permanent(format!("it is stored as {other}; supported: f32, f16, bf16"))),
    }
}

/// The tensor's elements of `size` bytes in its order. `None` where the storage does not have them all.
fn gather(tensor: &StoredTensor, mut storage: Vec<u8>, size: usize) -> Option<Vec<u8>> {
    let StoredTensor { shape, strides, offset, .. } = tensor;
    let count = shape.iter().try_fold(1usize, |count, &side| count.checked_mul(side))?;
    // More numbers than there are stored would be a few, seen again and again.
    if shape.len() != strides.len() || count > storage.len() / size {
        return None;
    }
    if count == 0 {
        return Some(Vec::new());
    }
    if is_contiguous(shape, strides) {
        let start = offset.checked_mul(size)?;
        let end = start.checked_add(count * size).filter(|&end| end <= storage.len())?;
        storage.truncate(end);
        storage.drain(..start);
        return Some(storage);
    }
    let mut numbers = Vec::with_capacity(count * size);
    let mut at = vec![0; shape.len()];
    for _ in 0..count {
        let element =
            at.iter().zip(strides).try_fold(*offset, |sum, (&at, &stride)| sum.checked_add(stride.checked_mul(at)?))?;
        let start = element.checked_mul(size)?;
        numbers.extend_from_slice(storage.get(start..start.checked_add(size)?)?);
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    Some(numbers)
}

fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(&side, &stride)| {
        let fits = side == 1 || stride == expected;
        expected *= side;
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::pickle::Storage;
    use std::rc::Rc;

    fn gathered(offset: usize, shape: &[usize], strides: &[usize]) -> Option<Vec<u8>> {
        let storage = Rc::new(Storage { class: "torch.ByteStorage".into(), file: "0".into() });
        let tensor = StoredTensor { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() };
        gather(&tensor, vec![0, 1, 2, 3, 4, 5], 1)
    }

    #[test]
    fn a_tensor_is_read_in_its_own_order_wherever_it_lies_in_its_storage() {
        assert_eq!(gathered(0, &[2, 3], &[3, 1]), Some(vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(gathered(0, &[3, 2], &[1, 3]), Some(vec![0, 3, 1, 4, 2, 5]), "transposed");
        assert_eq!(gathered(2, &[2], &[1]), Some(vec![2, 3]));
        assert_eq!(gathered(1, &[1, 2], &[9, 2]), Some(vec![1, 3]));
        assert_eq!(gathered(0, &[], &[]), Some(vec![0]), "a single number");
    }

    #[test]
    fn a_tensor_beyond_its_storage_is_refused_before_anything_is_allocated() {
        for (offset, shape, strides) in [
            (4, vec![3], vec![1]),
            (0, vec![2, 3], vec![4, 1]),
            (usize::MAX, vec![2], vec![1]),
            (0, vec![2], vec![usize::MAX]),
            (0, vec![usize::MAX, usize::MAX], vec![1, 1]),
            (0, vec![1 << 40], vec![0]),
            (0, vec![2, 2], vec![1]),
        ] {
            assert_eq!(gathered(offset, &shape, &strides), None, "{offset} {shape:?} {strides:?}");
        }
    }
}
