//! A frame's pixels: the codes of variable length of GIF's LZW, in blocks of up to 255 bytes.
//!
//! As in Pillow, it is the count of pixels that ends a frame. Codes that cannot be and the end of the file make the
//! picture broken, and so does an end code, unless the file goes on beyond the portion that is being read.

use super::super::{Format, reader::Reader, truncated, undecodable};
use imagefleet_common::ledger::Rejection;

/// Codes of more bits there are none.
const MAX_BITS: u32 = 12;
/// Pillow reads a file in portions of so many bytes from the frame's first on.
const PORTION: usize = 65_536;
/// Entries of the table, those of single indices among them.
const TABLE: usize = 1 << MAX_BITS;

pub(super) struct Decoder<'a> {
    file: Reader<'a>,
    /// Bytes of the file from the frame's first on, and up to the end of the portions that are read.
    length: usize,
    portion_end: usize,
    /// Bytes of the present block that are still to be read.
    block: &'a [u8],
    /// Bits that are read but not used, the next ones lowest.
    held: u32,
    held_bits: u32,
    clear: usize,
    /// A string is its prefix's and one index more.
    prefixes: [u16; TABLE],
    lasts: [u8; TABLE],
}

impl<'a> Decoder<'a> {
    /// `bits`: those of a colour index.
    pub(super) fn new(file: Reader<'a>, bits: u8) -> Result<Self, Rejection> {
        if u32::from(bits) > MAX_BITS {
            return Err(undecodable(Format::Gif, format!("{bits} bits a code")));
        }
        let (prefixes, lasts) = ([0; TABLE], [0; TABLE]);
        Ok(Self {
            length: file.left(),
            portion_end: PORTION,
            file,
            block: &[],
            held: 0,
            held_bits: 0,
            clear: 1 << bits,
            prefixes,
            lasts,
        })
    }

    /// The frame's indices, row by row as stored.
    pub(super) fn decode(mut self, count: usize) -> Result<Vec<u8>, Rejection> {
        let (clear, end) = (self.clear, self.clear + 1);
        let first_bits = clear.ilog2() + 1;
        let mut indices = Vec::with_capacity(count);
        let mut string = Vec::with_capacity(TABLE);
        // The code before this one and its string's first index; none after a clear code.
        let mut previous: Option<(usize, u8)> = None;
        let (mut next, mut bits) = (clear + 2, first_bits);
        while indices.len() < count {
            let code = self.code(bits)?;
            if code == clear {
                (previous, next, bits) = (None, clear + 2, first_bits);
                continue;
            }
            if code == end {
                self.begin_portion()?;
                continue;
            }
            let Some((previous_code, previous_first)) = previous else {
                if code > clear {
                    return Err(impossible());
                }
                previous = Some((code, code as u8));
                indices.push(code as u8);
                continue;
            };
            if code > next {
                return Err(impossible());
            }
            // The entry that is about to be made: the previous string and its own first index again.
            string.clear();
            let mut link = code;
            if code == next {
                string.push(previous_first);
                link = previous_code;
            }
            while link >= clear {
                if link >= TABLE || string.len() >= TABLE {
                    return Err(impossible());
                }
                string.push(self.lasts[link]);
                link = self.prefixes[link].into();
            }
            let first = link as u8;
            string.push(first);
            if next < TABLE {
                (self.prefixes[next], self.lasts[next]) = (previous_code as u16, first);
                if next == (1 << bits) - 1 && bits < MAX_BITS {
                    bits += 1;
                }
                next += 1;
            }
            previous = Some((code, first));
            indices.extend(string.iter().rev());
        }
        indices.truncate(count);
        Ok(indices)
    }

    /// Reads on in the next portion, if there is one.
    fn begin_portion(&mut self) -> Result<(), Rejection> {
        self.portion_end += PORTION;
        if self.portion_end >= self.length + PORTION { Err(truncated(Format::Gif)) } else { Ok(()) }
    }

    fn code(&mut self, bits: u32) -> Result<usize, Rejection> {
        while self.held_bits < bits {
            let Some((&byte, rest)) = self.block.split_first() else {
                // An empty block, which ends the frame, is passed over as well.
                let block = self.file.byte().and_then(|length| self.file.exactly(length.into()));
                self.block = block.ok_or_else(|| truncated(Format::Gif))?;
                while self.length - self.file.left() > self.portion_end {
                    self.portion_end += PORTION;
                }
                continue;
            };
            self.block = rest;
            self.held |= u32::from(byte) << self.held_bits;
            self.held_bits += 8;
        }
        let code = self.held & ((1 << bits) - 1);
        self.held >>= bits;
        self.held_bits -= bits;
        Ok(code as usize)
    }
}

fn impossible() -> Rejection {
    undecodable(Format::Gif, "a code that cannot be")
}
