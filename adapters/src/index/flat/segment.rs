//! A segment: one shard's vectors as a matrix in a file that is mapped into memory.
//!
//! Layout, little-endian: a header of 64 bytes (magic, dims, rows, where the tail begins), the rows as f32, then the
//! tail: the epochs as i64, the ends of the keys as u64, the keys one after the other. A segment is never changed:
//! its name holds the shard's count of changes, and another content has another name.

use super::{database::SegmentRow, mask::Masks};
use crate::objects::fs::{durable::Draft, io_error};
use imagefleet_common::{
    error::{Error, Result},
    ids::Epoch,
};
use memmap2::Mmap;
use std::{
    fs::File,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"ifseg\0\0\x01";
const HEADER: usize = 64;

// A mapped row is used as it stands.
const _: () = assert!(cfg!(target_endian = "little"), "segments are little-endian");

/// A segment's file, opened.
pub(super) struct Segment {
    map: Mmap,
    dims: usize,
    rows: usize,
    epochs: usize,
    key_ends: usize,
    keys: usize,
    pub(super) masks: Masks,
}

impl Segment {
    pub(super) fn open(path: &Path, dims: usize) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: segments are written under another name and never changed once they have theirs.
        let map = unsafe { Mmap::map(&file)? };
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is no segment", path.display()));
        if map.len() < HEADER || !map.starts_with(MAGIC) || word(&map, 8) != dims as u64 {
            return Err(wrong());
        }
        let (rows, tail) = (word(&map, 16) as usize, word(&map, 24) as usize);
        let (epochs, key_ends, keys) = (tail, tail + rows * 8, tail + rows * 16);
        let key_bytes = if rows == 0 { 0 } else { word(map.get(keys - 8..).ok_or_else(wrong)?, 0) as usize };
        if tail != HEADER + rows * dims * 4 || map.len() != keys + key_bytes {
            return Err(wrong());
        }
        Ok(Self { map, dims, rows, epochs, key_ends, keys, masks: Masks::default() })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Row-major `rows` × `dims`.
    pub(super) fn matrix(&self) -> &[f32] {
        let bytes = &self.map[HEADER..HEADER + self.rows * self.dims * 4];
        // SAFETY: every bit pattern is an f32; the map begins at a page and the header is a multiple of 4.
        let (before, values, after) = unsafe { bytes.align_to::<f32>() };
        debug_assert!(before.is_empty() && after.is_empty(), "rows are aligned");
        values
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.matrix()[row * self.dims..(row + 1) * self.dims]
    }

    pub(super) fn key(&self, row: usize) -> &[u8] {
        let end = |row: usize| word(&self.map, self.key_ends + row * 8) as usize;
        let start = if row == 0 { 0 } else { end(row - 1) };
        &self.map[self.keys + start..self.keys + end(row)]
    }

    pub(super) fn epoch(&self, row: usize) -> Epoch {
        word(&self.map, self.epochs + row * 8) as i64
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were taken"))
}

/// A segment that is being written. Its vectors go to the file as they come; only keys and epochs stay in memory.
pub(super) struct SegmentWriter {
    draft: Draft,
    out: BufWriter<File>,
    path: PathBuf,
    dims: usize,
    epochs: Vec<Epoch>,
    key_ends: Vec<u64>,
    keys: Vec<u8>,
}

impl SegmentWriter {
    pub(super) fn new(path: PathBuf, dims: usize) -> Result<Self> {
        let begin = || -> io::Result<_> {
            let mut draft = Draft::new(&path)?;
            let mut out = BufWriter::with_capacity(1 << 20, draft.file().try_clone()?);
            out.write_all(&[0; HEADER])?;
            Ok((draft, out))
        };
        let (draft, out) = begin().map_err(|error| io_error(format!("write {}", path.display()), error))?;
        Ok(Self { draft, out, path, dims, epochs: Vec::new(), key_ends: Vec::new(), keys: Vec::new() })
    }

    pub(super) fn add(&mut self, rows: &[SegmentRow]) -> Result<()> {
        for SegmentRow { key, epoch, vector } in rows {
            if vector.len() != self.dims * 4 {
                let (found, wanted) = (vector.len(), self.dims * 4);
                return Err(Error::permanent(format!("the vector of {key} has {found} bytes instead of {wanted}")));
            }
            self.out.write_all(vector).map_err(|error| self.failed(error))?;
            self.epochs.push(*epoch);
            self.keys.extend_from_slice(key.as_bytes());
            self.key_ends.push(self.keys.len() as u64);
        }
        Ok(())
    }

    /// Puts the segment in its place, durably, and says how many rows it has.
    pub(super) fn finish(self) -> Result<u64> {
        let Self { draft, mut out, path, dims, epochs, key_ends, keys } = self;
        let rows = epochs.len();
        let tail = HEADER + rows * dims * 4;
        let end = || -> io::Result<()> {
            for epoch in epochs {
                out.write_all(&epoch.to_le_bytes())?;
            }
            for end in key_ends {
                out.write_all(&end.to_le_bytes())?;
            }
            out.write_all(&keys)?;
            out.seek(SeekFrom::Start(0))?;
            out.write_all(MAGIC)?;
            for value in [dims, rows, tail] {
                out.write_all(&(value as u64).to_le_bytes())?;
            }
            out.flush()?;
            draft.place()
        };
        end().map_err(|error| io_error(format!("write {}", path.display()), error))?;
        Ok(rows as u64)
    }

    fn failed(&self, error: io::Error) -> Error {
        io_error(format!("write {}", self.path.display()), error)
    }
}
