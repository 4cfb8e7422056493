//! Zip shards, read by ranges.
//!
//! First the central directory ([`read_directory`]), then the wanted entries in few large reads ([`plan_reads`]), each
//! sliced past its *local* header, whose length the directory does not know ([`unpack`]). Entries' numbers and checksums
//! are the directory's; local headers are only measured.

use crate::{
    archive::crc32,
    decode::{Limits, check_bytes},
};
use bytes::Bytes;
use flate2::read::DeflateDecoder;
use imagefleet_common::{
    Context, Error, Result,
    ledger::{Reason, Rejection},
    ports::objects::Pinned,
};
use rc_zip::{
    fsm::{ArchiveFsm, FsmResult},
    parse::{Archive, Entry, Method as ZipMethod},
};
use std::{
    io::Read,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// A directory of 27,000 entries (a YFCC shard) is about 3 MiB: four reads.
const DIRECTORY_WINDOW: u64 = 1 << 20;
/// Unwanted bytes between two wanted entries that one read may carry; a second request costs more.
const MAX_GAP: u64 = 256 << 10;
/// A local header without name and extra field.
const LOCAL_HEADER: u64 = 30;
/// Name and extra field of a local header at their longest.
const MAX_NAME_AND_EXTRA: u64 = 2 * 0xffff;

/// How an entry's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Stored,
    Deflated,
    /// A method that we do not unpack, by its number in the zip specification.
    Other(u16),
}

/// What the central directory says of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZipEntry {
    /// Position in the directory, among all entries (directories and sidecars included).
    pub ordinal: u32,
    /// UTF-8, or the code page that the directory's names look like.
    pub name: String,
    /// Where the local header begins.
    pub header_offset: u64,
    /// No byte of the entry lies at or beyond this offset: the next entry's header, or the object's end.
    pub end: u64,
    pub compressed_size: u64,
    /// Bytes when unpacked.
    pub size: u64,
    /// Of the unpacked bytes.
    pub crc32: u32,
    pub method: Method,
    pub is_encrypted: bool,
    pub is_directory: bool,
}

impl ZipEntry {
    /// What can be refused before anything is read: too many bytes, encryption, a method that is not unpacked.
    pub fn check(&self, limits: &Limits) -> Result<(), Rejection> {
        check_bytes(self.size.max(self.compressed_size), limits)?;
        if self.is_encrypted {
            return Err(bad_entry("encrypted"));
        }
        match self.method {
            Method::Stored if self.size != self.compressed_size => {
                let (size, packed) = (self.size, self.compressed_size);
                Err(bad_entry(format!("stored, but {packed} bytes packed and {size} unpacked")))
            }
            Method::Stored | Method::Deflated => Ok(()),
            Method::Other(number) => Err(bad_entry(format!("compression method {number} is not read"))),
        }
    }
}

/// One ranged read and the entries that lie in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBlock {
    pub range: Range<u64>,
    /// By offset.
    pub entries: Vec<ZipEntry>,
}

/// An entry's own bytes, and where its packed bytes lie in the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    pub bytes: Bytes,
    /// Offset of the packed bytes in the object.
    pub offset: u64,
    /// Count of the packed bytes; those of a stored entry are the picture itself.
    pub length: u64,
    /// Of the unpacked bytes.
    pub crc32: u32,
}

/// Reads the central directory, in its own order. A truncated or garbage zip is a permanent error that names the
/// object.
pub async fn read_directory(zip: Pinned<'_>) -> Result<Vec<ZipEntry>> {
    let path = &zip.meta.path;
    let archive =
        parse_directory(zip).await.map_err(|error| error.while_doing(format!("read zip directory of {path}")))?;
    let mut headers: Vec<u64> = archive.entries().map(|entry| entry.header_offset).collect();
    headers.sort_unstable();
    archive
        .entries()
        .enumerate()
        .map(|(ordinal, entry)| {
            let next = headers.partition_point(|&offset| offset <= entry.header_offset);
            let longest = [LOCAL_HEADER, MAX_NAME_AND_EXTRA, entry.compressed_size]
                .iter()
                .fold(entry.header_offset, |sum, &part| sum.saturating_add(part));
            let end = headers.get(next).copied().unwrap_or(u64::MAX).min(longest).min(zip.meta.size);
            let ordinal = u32::try_from(ordinal)
                .permanent(|| format!("read zip directory of {path}: more than {} entries", u32::MAX))?;
            Ok(entry_of(ordinal, entry, end))
        })
        .collect()
}

fn entry_of(ordinal: u32, entry: &Entry, end: u64) -> ZipEntry {
    const ENCRYPTED: u16 = 1;
    ZipEntry {
        ordinal,
        name: entry.name.clone(),
        header_offset: entry.header_offset,
        end,
        compressed_size: entry.compressed_size,
        size: entry.uncompressed_size,
        crc32: entry.crc32,
        method: match entry.method {
            ZipMethod::Store => Method::Stored,
            ZipMethod::Deflate => Method::Deflated,
            other => Method::Other(other.into()),
        },
        is_encrypted: entry.flags & ENCRYPTED != 0,
        is_directory: entry.kind().is_dir(),
    }
}

/// Feeds rc-zip's state machine from windows of the object.
async fn parse_directory(zip: Pinned<'_>) -> Result<Archive> {
    let size = zip.meta.size;
    let mut machine = ArchiveFsm::new(size);
    let mut window = Window { start: size, bytes: Bytes::new() };
    loop {
        if let Some(offset) = machine.wants_read() {
            if offset >= size {
                return Err(Error::permanent("the directory runs past the object's end"));
            }
            let piece = window.at(zip, offset).await?;
            let space = machine.space();
            let count = piece.len().min(space.len());
            space[..count].copy_from_slice(&piece[..count]);
            machine.fill(count);
        }
        // A parser's panic on garbage is the zip's fault, not a reason to lose the worker.
        let step = catch_unwind(AssertUnwindSafe(|| machine.process()))
            .map_err(|_| Error::permanent("the zip parser panicked"))?;
        match step.permanent(|| "not a whole zip".to_owned())? {
            FsmResult::Continue(next) => machine = next,
            FsmResult::Done(archive) => return Ok(archive),
        }
    }
}

/// The part of the object that was read last.
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    /// The bytes from `offset` on, as far as the window goes; at least one, for an offset within the object.
    async fn at(&mut self, zip: Pinned<'_>, offset: u64) -> Result<&[u8]> {
        let size = zip.meta.size;
        if !(self.start..self.start + self.bytes.len() as u64).contains(&offset) {
            // A whole window, even where the machine asks for the last few bytes: the directory lies before them.
            let start = offset.min(size.saturating_sub(DIRECTORY_WINDOW));
            self.bytes = zip.read(start..(start + DIRECTORY_WINDOW).min(size)).await?;
            self.start = start;
        }
        Ok(&self.bytes[(offset - self.start) as usize..])
    }
}

/// Ranges of at most `max_block` bytes that together hold all `entries`, in the order of their offsets. An entry that
/// is larger has a range of its own.
pub fn plan_reads(entries: impl IntoIterator<Item = ZipEntry>, max_block: u64) -> Vec<ReadBlock> {
    let mut entries: Vec<ZipEntry> = entries.into_iter().collect();
    entries.sort_by_key(|entry| (entry.header_offset, entry.ordinal));
    let mut blocks: Vec<ReadBlock> = Vec::new();
    for entry in entries {
        let end = entry.end;
        // A header offset beyond the object is `unpack`'s to refuse; the range stays within the object.
        let start = entry.header_offset.min(end);
        match blocks.last_mut() {
            Some(block)
                if start <= block.range.end.saturating_add(MAX_GAP)
                    && end.max(block.range.end) - block.range.start.min(start) <= max_block =>
            {
                block.range = block.range.start.min(start)..block.range.end.max(end);
                block.entries.push(entry);
            }
            _ => blocks.push(ReadBlock { range: start..end, entries: vec![entry] }),
        }
    }
    blocks
}

/// Takes an entry out of the block that was read at `block_start`, and proves its checksum.
///
/// Never allocates more than the directory's size of the entry, which [`ZipEntry::check`] has held against the limits.
pub fn unpack(block: &Bytes, block_start: u64, entry: &ZipEntry, limits: &Limits) -> Result<Unpacked, Rejection> {
    entry.check(limits)?;
    let outside = || bad_entry("runs past the next entry or the archive's end");
    let at =
        entry.header_offset.checked_sub(block_start).and_then(|at| usize::try_from(at).ok()).ok_or_else(outside)?;
    let header =
        block.get(at..).and_then(|rest| rest.first_chunk::<{ LOCAL_HEADER as usize }>()).ok_or_else(outside)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err(bad_entry("no local header where the directory says"));
    }
    let length_at = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let start = at + LOCAL_HEADER as usize + length_at(26) + length_at(28);
    let packed = usize::try_from(entry.compressed_size)
        .ok()
        .and_then(|length| start.checked_add(length))
        .filter(|&end| end <= block.len())
        .map(|end| block.slice(start..end))
        .ok_or_else(outside)?;
    let length = packed.len() as u64;
    let bytes = match entry.method {
        Method::Deflated => inflate(&packed, entry.size)?,
        // `check` has refused what is neither stored nor deflated.
        Method::Stored | Method::Other(_) => packed,
    };
    let found = crc32(&bytes);
    if found != entry.crc32 {
        let detail = format!("crc32 is {found:08x}, the directory says {:08x}", entry.crc32);
        return Err(Rejection::new(Reason::WrongChecksum, detail));
    }
    Ok(Unpacked { bytes, offset: block_start + start as u64, length, crc32: found })
}

/// Inflates to exactly `size` bytes.
fn inflate(packed: &[u8], size: u64) -> Result<Bytes, Rejection> {
    let mut bytes = Vec::with_capacity(size as usize);
    let mut stream = DeflateDecoder::new(packed).take(size + 1);
    stream.read_to_end(&mut bytes).map_err(|error| bad_entry(format!("broken deflate stream: {error}")))?;
    if bytes.len() as u64 != size {
        let found = if bytes.len() as u64 > size { "more" } else { "fewer" };
        return Err(bad_entry(format!("{found} than the {size} bytes that the directory says")));
    }
    Ok(bytes.into())
}

fn bad_entry(detail: impl Into<String>) -> Rejection {
    Rejection::new(Reason::BadEntry, detail)
}
