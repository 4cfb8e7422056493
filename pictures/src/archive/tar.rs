//! Tar shards (ustar, GNU long names, pax; not compressed), read in windows.
//!
//! Memory is one window, whatever the tar's size; an entry that is larger than a window is read by itself. A reader can
//! start at any [`TarPosition`] that an earlier one gave. Only a tar with its end marker is whole: without it nobody
//! could tell how many pictures are missing.

use bytes::Bytes;
use imagefleet_common::{Error, Result, ports::objects::Pinned};
use std::ops::Range;
use tar::{EntryType, Header};

/// Bytes of one ranged read.
const WINDOW: u64 = 8 << 20;
const BLOCK: u64 = 512;
/// Long names and pax headers beyond this are garbage.
const MAX_EXTENSION: u64 = 1 << 20;

/// Where a reader stands: it can be stored, and a reader begun there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TarPosition {
    /// Ordinal of the next entry, among all entries.
    pub ordinal: u32,
    /// Offset of the first header block that belongs to the next entry.
    pub offset: u64,
}

/// One entry of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Position among all entries (directories and sidecars included).
    pub ordinal: u32,
    /// Bytes that are no UTF-8 are replaced.
    pub name: String,
    /// Where the entry's bytes begin in the object.
    pub data_offset: u64,
    /// Count of the entry's bytes.
    pub size: u64,
    /// Neither a directory nor a link nor a device.
    pub is_file: bool,
}

/// Yields a tar's entries in order.
pub struct TarReader<'a> {
    tar: Pinned<'a>,
    position: TarPosition,
    window: Bytes,
    window_start: u64,
}

/// What extension headers say of the entry that follows them.
#[derive(Default)]
struct Extension {
    gnu_name: Option<Vec<u8>>,
    pax_name: Option<Vec<u8>>,
    pax_size: Option<u64>,
}

impl<'a> TarReader<'a> {
    pub fn new(tar: Pinned<'a>, from: TarPosition) -> Self {
        Self { tar, position: from, window: Bytes::new(), window_start: 0 }
    }

    /// Where the next call of [`next`](Self::next) reads on.
    pub fn position(&self) -> TarPosition {
        self.position
    }

    /// `None` after the last entry. A truncated or garbage tar is a permanent error that names the object and offset.
    pub async fn next(&mut self) -> Result<Option<TarEntry>> {
        let mut at = self.position.offset;
        let mut extension = Extension::default();
        loop {
            let Some(header) = self.header(at).await? else { return Ok(None) };
            let kind = header.entry_type();
            let size = self.size_of(at, &header, &extension)?;
            let data = at + BLOCK;
            let end = size
                .checked_next_multiple_of(BLOCK)
                .and_then(|padded| data.checked_add(padded))
                // The padding of the last entry may be cut off, but then so is the end marker.
                .filter(|&end| end <= self.tar.meta.size)
                .ok_or_else(|| self.broken(at, "the entry runs past the object's end"))?;
            if kind.is_gnu_longname() {
                let bytes = self.extension_data(at, data..data + size).await?;
                let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
                extension.gnu_name = Some(name.to_vec());
            } else if kind.is_pax_local_extensions() {
                let bytes = self.extension_data(at, data..data + size).await?;
                extension.read_pax(&bytes).ok_or_else(|| self.broken(at, "a pax header is malformed"))?;
            } else if kind.is_gnu_sparse() {
                return Err(self.broken(at, "sparse entries are not read"));
            } else if !kind.is_gnu_longlink() && !kind.is_pax_global_extensions() {
                let name =
                    extension.gnu_name.or(extension.pax_name).unwrap_or_else(|| header.path_bytes().into_owned());
                let name = String::from_utf8_lossy(&name).into_owned();
                let ordinal = self.position.ordinal;
                let next = ordinal.checked_add(1).ok_or_else(|| self.broken(at, "too many entries"))?;
                self.position = TarPosition { ordinal: next, offset: end };
                let is_file = is_file(kind) && !name.ends_with('/');
                return Ok(Some(TarEntry { ordinal, name, data_offset: data, size, is_file }));
            }
            at = end;
        }
    }

    /// All bytes of an entry; hold its size against the limits first.
    pub async fn read(&mut self, entry: &TarEntry) -> Result<Bytes> {
        self.bytes(entry.data_offset..entry.data_offset + entry.size).await
    }

    /// The header at an offset; `None` at the end marker.
    async fn header(&mut self, at: u64) -> Result<Option<Header>> {
        if at.checked_add(BLOCK).is_none_or(|end| end > self.tar.meta.size) {
            return Err(self.broken(at, "ends without an end marker"));
        }
        let block = self.bytes(at..at + BLOCK).await?;
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&block);
        // The checksum counts its own eight bytes as spaces.
        const CHECKSUM: Range<usize> = 148..156;
        let own: u32 = block[CHECKSUM].iter().map(|&byte| u32::from(byte)).sum();
        let sum = block.iter().map(|&byte| u32::from(byte)).sum::<u32>() - own + 8 * u32::from(b' ');
        if header.cksum().ok() != Some(sum) {
            return Err(self.broken(at, "no header, or its checksum is wrong"));
        }
        Ok(Some(header))
    }

    fn size_of(&self, at: u64, header: &Header, extension: &Extension) -> Result<u64> {
        let kind = header.entry_type();
        if kind.is_dir() || kind.is_symlink() || kind.is_hard_link() {
            // Some writers repeat the target's size here; no bytes follow.
            return Ok(0);
        }
        match extension.pax_size {
            Some(size) if is_file(kind) => Ok(size),
            _ => header.entry_size().map_err(|_| self.broken(at, "the size is no number")),
        }
    }

    async fn extension_data(&mut self, at: u64, range: Range<u64>) -> Result<Bytes> {
        if range.end - range.start > MAX_EXTENSION {
            return Err(self.broken(at, "an extension header is too long"));
        }
        self.bytes(range).await
    }

    /// Bytes from the window, or else from a new window that begins with them.
    async fn bytes(&mut self, range: Range<u64>) -> Result<Bytes> {
        let window_end = self.window_start + self.window.len() as u64;
        if range.start < self.window_start || range.end > window_end {
            if range.end - range.start > WINDOW {
                return self.tar.read(range).await;
            }
            self.window = self.tar.read(range.start..(range.start + WINDOW).min(self.tar.meta.size)).await?;
            self.window_start = range.start;
        }
        let start = (range.start - self.window_start) as usize;
        Ok(self.window.slice(start..start + (range.end - range.start) as usize))
    }

    fn broken(&self, at: u64, fault: &str) -> Error {
        Error::permanent(format!("read tar {}: at offset {at}: {fault}", self.tar.meta.path))
    }
}

impl Extension {
    /// Records of `length key=value\n`, the length counting all of the record (POSIX.1-2001, pax).
    fn read_pax(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let space = bytes.iter().position(|&byte| byte == b' ')?;
            let length: usize = str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
            let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|&byte| byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.pax_name = Some(value.to_vec()),
                b"size" => self.pax_size = Some(str::from_utf8(value).ok()?.parse().ok()?),
                _ => {}
            }
            bytes = &bytes[length..];
        }
        Some(())
    }
}

fn is_file(kind: EntryType) -> bool {
    kind.is_file() || kind.is_contiguous()
}
