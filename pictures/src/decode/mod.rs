//! Encoded pictures → RGB, as Pillow's `Image.open(p).convert("RGB")` gives them.
//!
//! No EXIF rotation, alpha dropped and not composited, the first frame of what moves. The format is told by the first
//! bytes, never by a name. JPEG and WebP go through the libraries that Pillow itself uses; PNG, GIF and BMP are read here,
//! for what Pillow lets pass in a damaged file, and what it makes of it, no other decoder does. Invariants: limits are checked on the header before anything of the picture's size is
//! allocated; a decoder's panic becomes a rejection; the same bytes give the same pixels or the same rejection.

mod bmp;
mod gif;
mod jpeg;
mod png;
mod reader;
mod webp;

pub use imagefleet_common::job::spec::Limits;
use imagefleet_common::ledger::{Reason, Rejection};
use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Refuses more than `max_bytes` encoded bytes.
pub fn check_bytes(bytes: u64, limits: &Limits) -> Result<(), Rejection> {
    if bytes > limits.max_bytes {
        let detail = format!("{bytes} bytes, max_bytes is {}", limits.max_bytes);
        return Err(Rejection::new(Reason::TooManyBytes, detail));
    }
    Ok(())
}

/// Refuses a side above `max_side`, then an area above `max_pixels`.
fn check_size(width: u32, height: u32, limits: &Limits) -> Result<(), Rejection> {
    if width.max(height) > limits.max_side {
        let detail = format!("{width}x{height}, max_side is {}", limits.max_side);
        return Err(Rejection::new(Reason::SideTooLong, detail));
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        let detail = format!("{width}x{height}, max_pixels is {}", limits.max_pixels);
        return Err(Rejection::new(Reason::TooManyPixels, detail));
    }
    Ok(())
}

/// Rows of red, green, blue bytes without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    pub width: u32,
    pub height: u32,
    /// `3 × width × height` bytes.
    pub pixels: Vec<u8>,
}

/// A picture format, told by a file's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Jpeg,
    Png,
    Webp,
    Gif,
    Bmp,
}

impl Format {
    /// `None` for bytes that begin like nothing that we decode.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'B', b'M', ..] => Some(Self::Bmp),
            _ => None,
        }
    }

    /// Lower case, as rejections and summaries name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
        }
    }
}

/// Decodes a picture, which has at least one pixel. Everything that can be wrong with its bytes is a rejection, a
/// decoder's panic included.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    check_bytes(bytes.len() as u64, limits)?;
    if bytes.is_empty() {
        return Err(Rejection::new(Reason::Empty, "no bytes"));
    }
    let Some(format) = Format::of(bytes) else {
        return Err(Rejection::new(Reason::UnknownFormat, "begins like no format that is read"));
    };
    // The decoders only see shared slices and locals, so nothing outlives a panic half-changed.
    let decoded = catch_unwind(AssertUnwindSafe(|| match format {
        Format::Jpeg => jpeg::decode(bytes, limits),
        Format::Png => png::decode(bytes, limits),
        Format::Webp => webp::decode(bytes, limits),
        Format::Gif => gif::decode(bytes, limits),
        Format::Bmp => bmp::decode(bytes, limits),
    }));
    decoded.unwrap_or_else(|_| Err(undecodable(format, "the decoder panicked")))
}

/// A picture that is broken.
fn undecodable(format: Format, fault: impl Display) -> Rejection {
    Rejection::new(Reason::Undecodable, format!("{}: {fault}", format.name()))
}

/// A picture whose bytes end before it does.
fn truncated(format: Format) -> Rejection {
    Rejection::new(Reason::Truncated, format!("{}: ends before the picture does", format.name()))
}

/// Red, green and blue of the 256 indices that a byte can hold: the colours of a palette, then black as in Pillow; greys
/// if there is no palette. More colours than that there must not be.
fn colour_table(palette: &[[u8; 3]]) -> Option<[[u8; 3]; 256]> {
    if palette.is_empty() {
        return Some(std::array::from_fn(|grey| [grey as u8; 3]));
    }
    let mut table = [[0; 3]; 256];
    table.get_mut(..palette.len())?.copy_from_slice(palette);
    Some(table)
}

/// `3 × width × height`, for a size that the limits let through.
fn rgb_len(width: u32, height: u32) -> usize {
    3 * width as usize * height as usize
}
