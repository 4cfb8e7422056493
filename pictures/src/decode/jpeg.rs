//! JPEG through libjpeg-turbo, with the choices that Pillow makes: accurate integer DCT, smooth chroma upsampling.
//!
//! Pillow reads the markers up to the first scan itself, and refuses what it cannot read there, before it hands the
//! whole file to libjpeg: so does this. Warnings (stray bytes before a marker are common in old photographs) are no
//! errors; data that end before the last row are.

use super::{Decoded, Format, Limits, Rgb, check_size, reader::Reader, rgb_len, truncated, undecodable};
use imagefleet_common::ledger::Rejection;
use std::ffi::{CStr, c_char, c_int, c_uint};
// Links libjpeg-turbo; its functions are called by `jpeg.c`.
use turbojpeg_sys as _;

pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    least: Option<u32>,
    picture: &mut Rgb,
) -> Result<Decoded, Rejection> {
    let Header { width, height, components, is_lossless } = read_header(bytes)?;
    if width == 0 || height == 0 {
        return Err(broken("a side is 0"));
    }
    check_size(width, height, limits)?;
    // Lossless JPEG has no frequencies to leave out: it keeps its size.
    let least = least.filter(|_| !is_lossless);
    let shrunk_by = least.map_or(1, |least| shrinking(width.min(height), least));
    let decoded = Decoded { width, height, shrunk_by };
    (picture.width, picture.height) = (width.div_ceil(shrunk_by), height.div_ceil(shrunk_by));
    let len = rgb_len(picture.width, picture.height);
    // All of it is written, so what is left of the last picture need not be cleared.
    picture.pixels.resize(len, 0);
    if components == 3 {
        decompress(bytes, decoded, components, &mut picture.pixels)?;
        return Ok(decoded);
    }
    let mut samples = vec![0; len / 3 * components];
    decompress(bytes, decoded, components, &mut samples)?;
    let (pixels, _) = picture.pixels.as_chunks_mut();
    if components == 1 {
        pixels.iter_mut().zip(samples).for_each(|(pixel, grey)| *pixel = [grey; 3]);
    } else {
        pixels.iter_mut().zip(samples.as_chunks().0).for_each(|(pixel, inks)| *pixel = rgb_of_inverted_inks(*inks));
    }
    Ok(decoded)
}

/// By how much a side may be divided and be no shorter than `least`. Only what libjpeg-turbo has fast transforms for:
/// between these it is slower than at full size.
fn shrinking(shorter: u32, least: u32) -> u32 {
    [8, 4, 2].into_iter().find(|by| shorter / by >= least).unwrap_or(1)
}

/// Adobe stores ink amounts inverted, and Pillow assumes that every writer does.
fn rgb_of_inverted_inks([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    // Pillow's CMYK → RGB on un-inverted inks, 255 - stored: paper left by black, less the ink's rounded share of it.
    let paper = u32::from(black);
    [cyan, magenta, yellow].map(|stored| {
        let product = u32::from(255 - stored) * paper + 128;
        let ink = ((product >> 8) + product) >> 8;
        (paper - ink) as u8
    })
}

#[derive(Default)]
struct Header {
    width: u32,
    height: u32,
    /// 1, 3 or 4.
    components: usize,
    is_lossless: bool,
}

/// Goes from marker to marker (ITU T.81, annex B) to the first scan, as strict and as lenient as Pillow is.
fn read_header(bytes: &[u8]) -> Result<Header, Rejection> {
    let mut file = Reader::new(bytes);
    // The first marker's 0xff was the third byte of what the format was told by.
    file.read(3);
    let mut header = Header::default();
    loop {
        let marker = file.byte().ok_or_else(|| truncated(Format::Jpeg))?;
        match marker {
            // A fill byte.
            0xff => continue,
            // A stuffed 0xff, or a marker that stands alone.
            0x00 | 0xc8 | 0xd0..=0xd9 | 0xf0..=0xfd => {}
            0x01..=0xbf => return Err(broken("no marker found")),
            _ => {
                let segment = segment(&mut file)?;
                match marker {
                    0xda => break,
                    0xc4 | 0xcc | 0xdb | 0xdc | 0xdd | 0xdf | 0xfe => {}
                    0xc0..=0xcf | 0xde => {
                        header = frame(segment, matches!(marker, 0xc3 | 0xc7 | 0xcb | 0xcf))?;
                    }
                    _ => check_application(marker, segment)?,
                }
            }
        }
        // What stands between segments is skipped.
        while !matches!(file.byte(), None | Some(0xff)) {}
    }
    if header.components == 0 { Err(broken("no frame before the first scan")) } else { Ok(header) }
}

/// A segment's content: after two bytes of length that count themselves.
fn segment<'a>(file: &mut Reader<'a>) -> Result<&'a [u8], Rejection> {
    let &[high, low] = file.read(2) else { return Err(truncated(Format::Jpeg)) };
    let length = usize::from(u16::from_be_bytes([high, low])).saturating_sub(2);
    file.exactly(length).ok_or_else(|| truncated(Format::Jpeg))
}

fn frame(segment: &[u8], is_lossless: bool) -> Result<Header, Rejection> {
    let &[bits, y1, y0, x1, x0, components, ref rest @ ..] = segment else {
        return Err(broken("a frame header is too short"));
    };
    if bits != 8 || !matches!(components, 1 | 3 | 4) {
        return Err(broken(&format!("{components} components of {bits} bits are not read")));
    }
    if rest.len() % 3 != 0 {
        return Err(broken("a frame header ends within a component"));
    }
    let side = |high, low| u16::from_be_bytes([high, low]).into();
    Ok(Header { width: side(x1, x0), height: side(y1, y0), components: components.into(), is_lossless })
}

/// The application segments that Pillow looks into have to be as long as it looks.
fn check_application(marker: u8, segment: &[u8]) -> Result<(), Rejection> {
    let is_short = match marker {
        0xe0 => segment.starts_with(b"JFIF") && segment.len() < 7,
        0xee => segment.starts_with(b"Adobe") && segment.len() < 7,
        _ => false,
    };
    if is_short { Err(broken("an application segment is too short")) } else { Ok(()) }
}

unsafe extern "C" {
    fn imagefleet_decode_jpeg(
        bytes: *const u8,
        length: usize,
        width: c_uint,
        height: c_uint,
        components: c_int,
        shrunk_by: c_uint,
        out: *mut u8,
        message: *mut c_char,
    ) -> c_int;
}

/// Fills `out` with the picture shrunk as `size` says.
fn decompress(bytes: &[u8], size: Decoded, components: usize, out: &mut [u8]) -> Result<(), Rejection> {
    const MESSAGE_LENGTH: usize = 200;
    let mut message: [c_char; MESSAGE_LENGTH] = [0; MESSAGE_LENGTH];
    let Decoded { width, height, shrunk_by } = size;
    let pixels = width.div_ceil(shrunk_by) as usize * height.div_ceil(shrunk_by) as usize;
    assert_eq!(out.len(), components * pixels, "the buffer has the shrunk picture's size");
    // SAFETY: pointer and length of the input are one slice's; `out` has room for the samples of
    // the shrunk picture, which are all that is written, for libjpeg is stopped if it finds another size; the message has
    // its room.
    let outcome = unsafe {
        imagefleet_decode_jpeg(
            bytes.as_ptr(),
            bytes.len(),
            width,
            height,
            components as c_int,
            shrunk_by,
            out.as_mut_ptr(),
            message.as_mut_ptr(),
        )
    };
    match outcome {
        0 => Ok(()),
        1 => Err(truncated(Format::Jpeg)),
        _ => {
            // SAFETY: libjpeg ends its messages with a zero within 200 bytes, and the array was all zeros before.
            let text = unsafe { CStr::from_ptr(message.as_ptr()) };
            Err(broken(&text.to_string_lossy()))
        }
    }
}

fn broken(fault: &str) -> Rejection {
    undecodable(Format::Jpeg, fault)
}
