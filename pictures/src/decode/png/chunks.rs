//! The chunks of a PNG around its pixels, and what has to be right in them.

use super::{super::reader::Reader, Format, Rejection, broken, truncated};
use flate2::{Decompress, FlushDecompress, Status};

/// Text may have so many bytes when it is unpacked, and all texts together 64 times as many.
const MAX_TEXT: usize = 1 << 20;

/// What the chunks before the pixels say.
#[derive(Default)]
pub(super) struct Header<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) depth: u8,
    pub(super) colour_type: u8,
    pub(super) is_interlaced: bool,
    /// Red, green and blue of each colour.
    pub(super) palette: Option<&'a [u8]>,
    frame: Option<[u32; 4]>,
}

impl Header<'_> {
    /// Left, top, width and height of the part of the picture that has pixels.
    pub(super) fn frame(&self) -> [u32; 4] {
        self.frame.unwrap_or([0, 0, self.width, self.height])
    }
}

pub(super) struct Chunks<'a> {
    pub(super) file: Reader<'a>,
    pub(super) header: Header<'a>,
    /// Frames of an animation, once a chunk has told.
    frames: Option<u32>,
    /// Number of the last chunk of an animation.
    sequence: Option<u32>,
    has_picture_of_its_own: bool,
    text: usize,
}

/// What a chunk is to whoever goes through them.
pub(super) enum Chunk<'a> {
    /// Read, up to its checksum.
    Read(&'a [u8]),
    /// Pixels follow, so many bytes of them.
    Pixels(usize),
    End,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut file = Reader::new(bytes);
        const SIGNATURE: usize = 8;
        file.read(SIGNATURE);
        let header = Header::default();
        Self { file, header, frames: None, sequence: None, has_picture_of_its_own: false, text: 0 }
    }

    /// Reads all chunks before the first pixels; returns the bytes of pixels in the chunk that begins.
    pub(super) fn read_to_pixels(&mut self) -> Result<usize, Rejection> {
        loop {
            let (kind, length) = self.begin()?;
            match self.chunk(kind, length)? {
                Chunk::Pixels(length) => return Ok(length),
                Chunk::End => return Err(broken("no pixels")),
                Chunk::Read(content) => {
                    let checksum = self.file.exactly(4).ok_or_else(|| truncated(Format::Png))?;
                    let mut crc = crc32fast::Hasher::new();
                    crc.update(&kind);
                    crc.update(content);
                    if checksum != crc.finalize().to_be_bytes() {
                        return Err(broken("a wrong checksum"));
                    }
                }
            }
        }
    }

    /// Skips the checksum of a chunk of pixels and begins the next; returns its bytes of pixels.
    pub(super) fn next_of_pixels(&mut self) -> Result<usize, Rejection> {
        self.file.read(4);
        let (kind, length) = self.begin()?;
        match &kind {
            b"IDAT" | b"DDAT" => Ok(length),
            b"fdAT" => match self.chunk(kind, length)? {
                Chunk::Pixels(length) => Ok(length),
                Chunk::Read(_) | Chunk::End => unreachable!("a chunk of a frame holds pixels"),
            },
            _ => Err(truncated(Format::Png)),
        }
    }

    /// Reads what stands behind the pixels: no checksum is looked at, and the file may end wherever a chunk may begin.
    pub(super) fn read_to_end(&mut self) -> Result<(), Rejection> {
        let is_animated = self.frames.unwrap_or(1) + u32::from(self.has_picture_of_its_own) > 1;
        loop {
            self.file.read(4);
            let Ok((kind, length)) = self.begin() else { return Ok(()) };
            if &kind == b"IEND" || &kind == b"fcTL" && is_animated {
                return Ok(());
            }
            if let Chunk::Pixels(length) = self.chunk(kind, length)? {
                self.content(length)?;
            }
        }
    }

    /// A chunk's kind and length.
    fn begin(&mut self) -> Result<([u8; 4], usize), Rejection> {
        let &[a, b, c, d, ref kind @ ..] = self.file.read(8) else { return Err(truncated(Format::Png)) };
        let kind: [u8; 4] = kind.try_into().map_err(|_| truncated(Format::Png))?;
        if !kind.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(broken("a chunk of no kind"));
        }
        Ok((kind, u32::from_be_bytes([a, b, c, d]) as usize))
    }

    fn content(&mut self, length: usize) -> Result<&'a [u8], Rejection> {
        self.file.exactly(length).ok_or_else(|| truncated(Format::Png))
    }

    fn chunk(&mut self, kind: [u8; 4], length: usize) -> Result<Chunk<'a>, Rejection> {
        match &kind {
            b"IDAT" => {
                self.has_picture_of_its_own |= self.frames.is_some() && self.header.frame.is_none();
                return Ok(Chunk::Pixels(length));
            }
            b"fdAT" => {
                let number = self.file.exactly(4).filter(|_| length >= 4).ok_or_else(|| truncated(Format::Png))?;
                self.next_in_sequence(word(number, 0), false)?;
                return Ok(Chunk::Pixels(length - 4));
            }
            b"IEND" => return Ok(Chunk::End),
            _ => {}
        }
        let content = self.content(length)?;
        let shortest = match &kind {
            b"IHDR" => 13,
            b"tRNS" if self.header.colour_type == 0 => 2,
            b"tRNS" if self.header.colour_type == 2 => 6,
            b"gAMA" => 4,
            b"cHRM" => 32,
            b"sRGB" => 1,
            b"pHYs" => 9,
            b"acTL" => 8,
            b"fcTL" => 26,
            _ => 0,
        };
        if length < shortest {
            return Err(broken("a chunk is too short"));
        }
        match &kind {
            b"IHDR" => self.header(content)?,
            b"PLTE" if self.header.colour_type == 3 => self.header.palette = Some(content),
            b"acTL" => {
                let frames = word(content, 0);
                self.frames = Some(frames).filter(|&frames| self.frames.is_none() && (1..=1 << 31).contains(&frames));
            }
            b"fcTL" => self.frame(content)?,
            b"iCCP" => {
                // A profile without a name's end is taken to begin at once.
                let profile = content.iter().position(|&byte| byte == 0).map_or(content, |end| &content[end + 1..]);
                let (&method, packed) = profile.split_first().ok_or_else(|| broken("a chunk is too short"))?;
                self.packed_text(method, packed)?;
            }
            b"zTXt" => {
                if let Some([method, packed @ ..]) = behind_zero(content) {
                    self.packed_text(*method, packed)?;
                }
            }
            b"iTXt" => {
                if let Some([is_packed, method, rest @ ..]) = behind_zero(content)
                    && let Some(text) = behind_zero(rest).and_then(behind_zero)
                    && *is_packed != 0
                    && *method == 0
                {
                    self.packed_text(0, text)?;
                }
            }
            _ => {}
        }
        Ok(Chunk::Read(content))
    }

    fn header(&mut self, content: &[u8]) -> Result<(), Rejection> {
        let header = &mut self.header;
        (header.width, header.height) = (word(content, 0), word(content, 4));
        (header.depth, header.colour_type) = (content[8], content[9]);
        header.is_interlaced |= content[12] != 0;
        if content[11] == 0 { Ok(()) } else { Err(broken("an unknown filter method")) }
    }

    fn frame(&mut self, content: &[u8]) -> Result<(), Rejection> {
        self.next_in_sequence(word(content, 0), true)?;
        let [width, height, left, top] = [4, 8, 12, 16].map(|at| word(content, at));
        let fits = |start: u32, length: u32, whole: u32| start.checked_add(length).is_some_and(|end| end <= whole);
        if !fits(left, width, self.header.width) || !fits(top, height, self.header.height) {
            return Err(broken("a frame beyond the picture"));
        }
        self.header.frame = Some([left, top, width, height]);
        Ok(())
    }

    /// Text or a colour profile. That it cannot be unpacked is no fault, but that it is too long.
    fn packed_text(&mut self, method: u8, packed: &[u8]) -> Result<(), Rejection> {
        if method != 0 {
            return Err(broken("an unknown compression"));
        }
        // Deflate makes at most 1032 bytes of one: a file of many short texts is not to cost a large buffer for each.
        let mut text = vec![0; MAX_TEXT.min(1032 * packed.len() + 16)];
        let mut inflate = Decompress::new(true);
        let status = inflate.decompress(packed, &mut text, FlushDecompress::None);
        let is_all_read = inflate.total_in() == packed.len() as u64;
        self.text += inflate.total_out() as usize;
        let is_too_long = matches!(status, Ok(Status::Ok | Status::BufError)) && !is_all_read;
        if is_too_long || self.text > 64 * MAX_TEXT { Err(broken("too much text")) } else { Ok(()) }
    }

    fn next_in_sequence(&mut self, number: u32, may_begin: bool) -> Result<(), Rejection> {
        let expected = match self.sequence {
            None if may_begin => Some(0),
            last => last.and_then(|last| last.checked_add(1)),
        };
        self.sequence = Some(number);
        if expected == Some(number) { Ok(()) } else { Err(broken("a frame out of sequence")) }
    }
}

/// What stands behind the first zero.
fn behind_zero(content: &[u8]) -> Option<&[u8]> {
    content.iter().position(|&byte| byte == 0).map(|end| &content[end + 1..])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
