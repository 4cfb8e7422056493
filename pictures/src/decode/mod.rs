//! Encoded pictures → RGB, as Pillow's `Image.open(p).convert("RGB")` gives them.
//!
//! No EXIF rotation, alpha dropped and not composited, the first frame of what moves. The format is told by the first
//! bytes, never by a name. JPEG and WebP go through the libraries that Pillow itself uses; PNG, GIF and BMP are read here,
//! for what Pillow lets pass in a damaged file, and what it makes of it, no other decoder does.
//!
//! Invariants: limits are checked on the header before anything of the picture's size is allocated; a decoder's panic
//! becomes a rejection; the same bytes give the same pixels or the same rejection.

mod bmp;
mod gif;
mod jpeg;
mod palette;
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

/// A picture's true size, and by how much it was shrunk while it was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    pub width: u32,
    pub height: u32,
    /// 1, 2, 4 or 8. The decoded sides are the true ones divided by it, rounded up.
    pub shrunk_by: u32,
}

/// Decodes a picture, which has at least one pixel. Everything that can be wrong with its bytes is a rejection, a
/// decoder's panic included.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    let mut picture = Rgb::default();
    decode_over(bytes, limits, None, &mut picture)?;
    Ok(picture)
}

/// As [`decode`], into the memory of a picture that is not needed any more; what it holds after a rejection means
/// nothing. With `least` a JPEG is shrunk as far as that is cheap and no side gets shorter than so many pixels.
pub fn decode_over(bytes: &[u8], limits: &Limits, least: Option<u32>, picture: &mut Rgb) -> Result<Decoded, Rejection> {
    check_bytes(bytes.len() as u64, limits)?;
    if bytes.is_empty() {
        return Err(Rejection::new(Reason::Empty, "no bytes"));
    }
    let Some(format) = Format::of(bytes) else {
        return Err(Rejection::new(Reason::UnknownFormat, "begins like no format that is read"));
    };
    // Only JPEG uses the memory again; the others are not to need theirs beside it.
    if format != Format::Jpeg {
        *picture = Rgb::default();
    }
    // Of what the decoders see only the picture outlives a panic half-changed, and it means nothing then.
    let decoded = catch_unwind(AssertUnwindSafe(|| match format {
        Format::Jpeg => jpeg::decode(bytes, limits, least, picture),
        Format::Png => png::decode(bytes, limits).map(|decoded| unshrunk(decoded, picture)),
        Format::Webp => webp::decode(bytes, limits).map(|decoded| unshrunk(decoded, picture)),
        Format::Gif => gif::decode(bytes, limits).map(|decoded| unshrunk(decoded, picture)),
        Format::Bmp => bmp::decode(bytes, limits).map(|decoded| unshrunk(decoded, picture)),
    }));
    decoded.unwrap_or_else(|_| Err(undecodable(format, "the decoder panicked")))
}

fn unshrunk(decoded: Rgb, picture: &mut Rgb) -> Decoded {
    *picture = decoded;
    Decoded { width: picture.width, height: picture.height, shrunk_by: 1 }
}

/// A picture that is broken.
fn undecodable(format: Format, fault: impl Display) -> Rejection {
    Rejection::new(Reason::Undecodable, format!("{}: {fault}", format.name()))
}

/// A picture whose bytes end before it does.
fn truncated(format: Format) -> Rejection {
    Rejection::new(Reason::Truncated, format!("{}: ends before the picture does", format.name()))
}

/// `3 × width × height`, for a size that the limits let through.
fn rgb_len(width: u32, height: u32) -> usize {
    3 * width as usize * height as usize
}
