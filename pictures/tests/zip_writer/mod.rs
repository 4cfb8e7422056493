//! Writes zips by hand, so that every field can be wrong. The whole system's tests use it too.

use flate2::{Compression, write::DeflateEncoder};
use std::io::Write;

/// Writes zips, broken ones too.
#[derive(Default)]
pub struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

/// How an entry departs from an ordinary stored one.
#[derive(Clone, Copy, Default)]
pub struct Twist {
    pub deflated: bool,
    pub zip64: bool,
    pub wrong_crc: bool,
    /// Bytes of an extra field that only the local header has.
    pub local_extra: u16,
    /// The size that the directory claims.
    pub size: Option<u32>,
    pub flags: u16,
    pub no_local_signature: bool,
}

impl Zip {
    pub fn add(&mut self, name: &str, data: &[u8], twist: Twist) -> &mut Self {
        let packed = if twist.deflated {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        } else {
            data.to_vec()
        };
        let crc = crc32fast::hash(data) ^ u32::from(twist.wrong_crc);
        let offset = self.bytes.len() as u64;
        let size = twist.size.unwrap_or(data.len() as u32);
        let method: u16 = if twist.deflated { 8 } else { 0 };
        let name_length = (name.len() as u16).to_le_bytes();

        let header = &mut self.bytes;
        header.extend(if twist.no_local_signature { b"XX\x03\x04" } else { b"PK\x03\x04" });
        header.extend([20, 0]);
        header.extend(twist.flags.to_le_bytes());
        header.extend(method.to_le_bytes());
        header.extend([0; 4]);
        header.extend(crc.to_le_bytes());
        header.extend((packed.len() as u32).to_le_bytes());
        header.extend(size.to_le_bytes());
        header.extend(name_length);
        header.extend(twist.local_extra.to_le_bytes());
        header.extend(name.as_bytes());
        header.extend(vec![0; usize::from(twist.local_extra)]);
        header.extend(&packed);

        let entry = &mut self.directory;
        entry.extend(b"PK\x01\x02");
        entry.extend([20, 3, 20, 0]);
        entry.extend(twist.flags.to_le_bytes());
        entry.extend(method.to_le_bytes());
        entry.extend([0; 4]);
        entry.extend(crc.to_le_bytes());
        let zip64 = [u64::from(size), packed.len() as u64, offset];
        let small = if twist.zip64 { [u32::MAX; 3] } else { [size, packed.len() as u32, offset as u32] };
        entry.extend(small[1].to_le_bytes());
        entry.extend(small[0].to_le_bytes());
        entry.extend(name_length);
        entry.extend(if twist.zip64 { 28_u16 } else { 0 }.to_le_bytes());
        entry.extend([0; 2 + 2 + 2 + 4]);
        entry.extend(small[2].to_le_bytes());
        entry.extend(name.as_bytes());
        if twist.zip64 {
            entry.extend([1, 0, 24, 0]);
            zip64.iter().for_each(|value| entry.extend(value.to_le_bytes()));
        }
        self.count += 1;
        self
    }

    pub fn finish(&mut self, zip64: bool) -> Vec<u8> {
        let start = self.bytes.len() as u64;
        let mut bytes = self.bytes.clone();
        bytes.extend(&self.directory);
        if zip64 {
            let end = bytes.len() as u64;
            bytes.extend(b"PK\x06\x06");
            bytes.extend(44_u64.to_le_bytes());
            bytes.extend([45, 0, 45, 0]);
            bytes.extend([0; 8]);
            for value in [u64::from(self.count), u64::from(self.count), self.directory.len() as u64, start] {
                bytes.extend(value.to_le_bytes());
            }
            bytes.extend(b"PK\x06\x07");
            bytes.extend([0; 4]);
            bytes.extend(end.to_le_bytes());
            bytes.extend(1_u32.to_le_bytes());
        }
        bytes.extend(b"PK\x05\x06");
        bytes.extend([0; 4]);
        let count = if zip64 { u16::MAX } else { self.count };
        bytes.extend(count.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        let (length, start) = if zip64 { (u32::MAX, u32::MAX) } else { (self.directory.len() as u32, start as u32) };
        bytes.extend(length.to_le_bytes());
        bytes.extend(start.to_le_bytes());
        bytes.extend([0, 0]);
        bytes
    }
}
