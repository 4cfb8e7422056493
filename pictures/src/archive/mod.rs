//! Shards as pictures are packed in them: zips, tars, folders.

pub mod fetch;
pub mod names;
pub mod tar;
pub mod zip;

/// The checksum by which a picture's payload proves later that it was read whole: zip's CRC-32.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
