//! BMP in all the forms that Pillow reads: OS/2 and Windows headers, 1 to 32 bits a pixel, bit fields, run lengths.

mod runs;

use super::{Format, Limits, Rgb, check_size, palette::Palette, reader::Reader, rgb_len, truncated, undecodable};
use imagefleet_common::ledger::Rejection;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    let mut file = Reader::new(bytes);
    let offset = word(exactly(&mut file, 14)?, 10) as usize;
    let header = Header::read(&mut file)?;
    if header.width == 0 || header.height == 0 {
        return Err(broken("a side is 0"));
    }
    check_size(header.width, header.height, limits)?;
    let stored = header.samples(&mut file)?;
    // Where the pixels begin: as the file says, but behind a palette that it overlooks.
    let start = match offset {
        0 => bytes.len() - file.left(),
        _ if offset == 14 + header.size && header.bits <= 8 => offset + header.palette_entry * header.colours,
        _ => offset,
    };
    let pixels = bytes.get(start..).ok_or_else(|| truncated(Format::Bmp))?;
    let (width, height) = (header.width as usize, header.height as usize);
    let mut rgb = vec![0; rgb_len(header.width, header.height)];
    if header.compression == RLE8 || header.compression == RLE4 {
        let Samples::Indices { colours, .. } = &stored else { return Err(broken("run lengths of colours")) };
        let indices = runs::unpack(pixels, start % 2 == 1, width, height, header.compression == RLE4)?;
        for (line, row) in lines(&mut rgb, width, header.is_top_down).zip(indices.chunks_exact(width)) {
            colours.unpack(row, 8, line);
        }
    } else {
        let stride = ((width * usize::from(header.bits) + 31) >> 3) & !3;
        let row_bytes = (width * stored.bits()).div_ceil(8);
        if row_bytes > stride {
            return Err(broken("rows overlap"));
        }
        if pixels.len() < stride * (height - 1) + row_bytes {
            return Err(truncated(Format::Bmp));
        }
        for (line, row) in lines(&mut rgb, width, header.is_top_down).zip(pixels.chunks(stride)) {
            stored.unpack(row, line);
        }
    }
    Ok(Rgb { width: header.width, height: header.height, pixels: rgb })
}

/// The picture's rows in the order in which they are stored.
fn lines(rgb: &mut [u8], width: usize, is_top_down: bool) -> Box<dyn Iterator<Item = &mut [u8]> + '_> {
    let lines = rgb.chunks_exact_mut(3 * width);
    if is_top_down { Box::new(lines) } else { Box::new(lines.rev()) }
}

const RAW: u32 = 0;
const RLE8: u32 = 1;
const RLE4: u32 = 2;
const BIT_FIELDS: u32 = 3;

struct Header {
    /// Bytes.
    size: usize,
    width: u32,
    height: u32,
    is_top_down: bool,
    bits: u16,
    compression: u32,
    /// Entries of the palette.
    colours: usize,
    /// Bytes of one.
    palette_entry: usize,
    /// Red, green, blue, alpha; of bit fields only.
    masks: [u32; 4],
}

impl Header {
    fn read(file: &mut Reader) -> Result<Self, Rejection> {
        const OS2: usize = 12;
        let size = word(exactly(file, 4)?, 0) as usize;
        let fields = exactly(file, size.saturating_sub(4))?;
        let mut header = match size {
            OS2 => Self {
                size,
                width: half(fields, 0).into(),
                height: half(fields, 2).into(),
                is_top_down: false,
                bits: half(fields, 6),
                compression: RAW,
                colours: 0,
                palette_entry: 3,
                masks: [0; 4],
            },
            40 | 52 | 56 | 64 | 108 | 124 => {
                let height = word(fields, 4);
                let is_top_down = height >> 24 == 0xff;
                Self {
                    size,
                    width: word(fields, 0),
                    height: if is_top_down { height.wrapping_neg() } else { height },
                    is_top_down,
                    bits: half(fields, 10),
                    compression: word(fields, 12),
                    colours: word(fields, 28) as usize,
                    palette_entry: 4,
                    masks: [0; 4],
                }
            }
            _ => return Err(broken("an unknown header")),
        };
        if header.compression == BIT_FIELDS {
            let masks = if fields.len() >= 48 { &fields[36..] } else { exactly(file, 12)? };
            let count = if fields.len() >= 52 { 4 } else { 3 };
            for (index, mask) in header.masks.iter_mut().take(count).enumerate() {
                *mask = word(masks, 4 * index);
            }
        }
        if header.colours == 0 && header.bits <= 8 {
            header.colours = 1 << header.bits;
        }
        Ok(header)
    }

    /// How a pixel is stored; reads the palette, which stands behind the header.
    fn samples(&self, file: &mut Reader) -> Result<Samples, Rejection> {
        let is_known = match self.bits {
            1 | 4 | 8 => matches!(self.compression, RAW | RLE8 | RLE4),
            16 | 24 | 32 => self.compression == RAW || self.compression == BIT_FIELDS,
            _ => false,
        };
        if !is_known {
            return Err(broken(&format!("{} bits a pixel, compression {}", self.bits, self.compression)));
        }
        let is_raw = self.compression == RAW;
        let [red, green, blue, _] = self.masks;
        Ok(match (self.bits, [red, green, blue]) {
            (16, _) if is_raw => Samples::Packed { green_bits: 5 },
            (16, [0x7c00, 0x03e0, 0x001f]) => Samples::Packed { green_bits: 5 },
            (16, [0xf800, 0x07e0, 0x001f]) => Samples::Packed { green_bits: 6 },
            (24, _) if is_raw => Samples::Bytes { size: 3, places: [2, 1, 0] },
            (24, [0xff_0000, 0xff00, 0xff]) => Samples::Bytes { size: 3, places: [2, 1, 0] },
            (32, _) if is_raw => Samples::Bytes { size: 4, places: [2, 1, 0] },
            (32, _) => match self.masks {
                [0xff_0000, 0xff00, 0xff, 0 | 0xff00_0000] | [0, 0, 0, 0] => {
                    Samples::Bytes { size: 4, places: [2, 1, 0] }
                }
                [0xff00_0000, 0xff_0000, 0xff00, 0 | 0xff] => Samples::Bytes { size: 4, places: [3, 2, 1] },
                [0xff00_0000, 0xff00, 0xff, 0 | 0xff_0000] => Samples::Bytes { size: 4, places: [3, 1, 0] },
                [0xff, 0xff00, 0xff_0000, 0xff00_0000] => Samples::Bytes { size: 4, places: [0, 1, 2] },
                _ => return Err(broken("unknown bit fields")),
            },
            (16 | 24, _) => return Err(broken("unknown bit fields")),
            _ => self.indices(file)?,
        })
    }

    fn indices(&self, file: &mut Reader) -> Result<Samples, Rejection> {
        if !(1..=65_536).contains(&self.colours) {
            return Err(broken(&format!("a palette of {} colours", self.colours)));
        }
        let palette = file.read(self.palette_entry * self.colours);
        let white = if self.colours == 2 { 255 } else { 1 };
        let is_grey = (0..self.colours).all(|index| {
            palette.get(index * self.palette_entry..).and_then(|entry| entry.get(..3))
                == Some(&[(index * white) as u8; 3])
        });
        // Pillow takes greys for samples, and reads them as such: a bit or a byte each, whatever the header says.
        if is_grey {
            let bits = if self.colours <= 2 { 1 } else { 8 };
            return Ok(Samples::Indices { bits, colours: Palette::greys(bits) });
        }
        let entries: Vec<[u8; 3]> =
            palette.chunks_exact(self.palette_entry).map(|entry| [entry[2], entry[1], entry[0]]).collect();
        let colours = Palette::new(&entries).ok_or_else(|| broken("more colours than indices"))?;
        Ok(Samples::Indices { bits: self.bits.into(), colours })
    }
}

enum Samples {
    /// So many bits, the first pixel in a byte's highest.
    Indices { bits: usize, colours: Palette },
    /// Blue in the five lowest of 16 bits, then green, then five of red.
    Packed { green_bits: u32 },
    /// The places of red, green and blue among a pixel's bytes.
    Bytes { size: usize, places: [usize; 3] },
}

impl Samples {
    /// Of a pixel.
    fn bits(&self) -> usize {
        match self {
            Self::Indices { bits, .. } => *bits,
            Self::Packed { .. } => 16,
            Self::Bytes { size, .. } => 8 * size,
        }
    }

    fn unpack(&self, row: &[u8], line: &mut [u8]) {
        let (pixels, _) = line.as_chunks_mut::<3>();
        match self {
            Self::Indices { bits, colours } => colours.unpack(row, *bits, line),
            Self::Packed { green_bits } => {
                for (pixel, &pair) in pixels.iter_mut().zip(row.as_chunks().0) {
                    let packed = u32::from(u16::from_le_bytes(pair));
                    let sample = |start: u32, bits: u32| {
                        let largest = (1 << bits) - 1;
                        ((packed >> start & largest) * 255 / largest) as u8
                    };
                    *pixel = [sample(5 + green_bits, 5), sample(5, *green_bits), sample(0, 5)];
                }
            }
            Self::Bytes { size, places } => {
                for (pixel, bytes) in pixels.iter_mut().zip(row.chunks_exact(*size)) {
                    *pixel = places.map(|place| bytes[place]);
                }
            }
        }
    }
}

fn exactly<'a>(file: &mut Reader<'a>, count: usize) -> Result<&'a [u8], Rejection> {
    file.exactly(count).ok_or_else(|| truncated(Format::Bmp))
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn broken(fault: &str) -> Rejection {
    undecodable(Format::Bmp, fault)
}
