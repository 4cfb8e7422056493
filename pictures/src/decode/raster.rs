//! PNG, WebP and BMP through the `image` crate, with Pillow's rules where the two differ.

use super::{Limits, Rgb, check_size, rgb_len};
use image::{
    ColorType, ImageDecoder, ImageError,
    codecs::{bmp::BmpDecoder, png::PngDecoder, webp::WebPDecoder},
};
use imagefleet_common::ledger::{Reason, Rejection};
use std::io::{Cursor, ErrorKind};

pub(super) fn decode_png(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    // Grey with a transparent sample is decoded as grey and alpha, but is to be clipped like other 16-bit grey.
    const GREY: u8 = 0;
    const COLOUR_TYPE_AT: usize = 25;
    let is_grey = bytes.get(COLOUR_TYPE_AT) == Some(&GREY);
    let (size, colour, samples) = read("png", PngDecoder::new(Cursor::new(bytes)), limits)?;
    let pixels = match colour {
        ColorType::L16 => sixteen(&samples).map(saturated).flat_map(|grey| [grey; 3]).collect(),
        ColorType::La16 if is_grey => sixteen(&samples).step_by(2).map(saturated).flat_map(|grey| [grey; 3]).collect(),
        ColorType::La16 => sixteen(&samples).step_by(2).map(high_byte).flat_map(|grey| [grey; 3]).collect(),
        ColorType::Rgb16 => sixteen(&samples).map(high_byte).collect(),
        ColorType::Rgba16 => drop_alpha(&sixteen(&samples).map(high_byte).collect::<Vec<_>>()),
        _ => rgb_of_bytes("png", colour, samples)?,
    };
    Ok(size.filled_with(pixels))
}

pub(super) fn decode_webp(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    // The file's length according to itself: Pillow's demuxer wants all of it, even beyond the first frame.
    let claimed = bytes.get(4..8).and_then(|size| size.try_into().ok()).map_or(0, u32::from_le_bytes);
    if 8 + u64::from(claimed) > bytes.len() as u64 {
        return Err(Rejection::new(Reason::Truncated, "webp: shorter than its header says"));
    }
    let (size, colour, samples) = read("webp", WebPDecoder::new(Cursor::new(bytes)), limits)?;
    Ok(size.filled_with(rgb_of_bytes("webp", colour, samples)?))
}

pub(super) fn decode_bmp(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    let (size, colour, samples) = read("bmp", BmpDecoder::new(Cursor::new(bytes)), limits)?;
    let mut pixels = rgb_of_bytes("bmp", colour, samples)?;
    if let Some(widths) = bmp_sample_widths(bytes) {
        for pixel in pixels.as_chunks_mut::<3>().0 {
            for (sample, width) in pixel.iter_mut().zip(widths) {
                // The decoder rounds to the nearest, which keeps the packed sample in the high bits; Pillow rounds down.
                let packed = u32::from(*sample >> (8 - width));
                *sample = (packed * 255 / ((1 << width) - 1)) as u8;
            }
        }
    }
    Ok(size.filled_with(pixels))
}

/// Bits of red, green and blue in a BMP of 16 bits a pixel; `None` for all others.
fn bmp_sample_widths(bytes: &[u8]) -> Option<[u32; 3]> {
    const BIT_FIELDS: u32 = 3;
    const GREEN_OF_SIX_BITS: u32 = 0x07e0;
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    // Low half of the word: bits a pixel. At 30: compression. At 58: the green mask, after the 54 bytes of headers.
    let bits = word(28)? & 0xffff;
    let has_six = word(30)? == BIT_FIELDS && word(58)? == GREEN_OF_SIX_BITS;
    (bits == 16).then_some([5, if has_six { 6 } else { 5 }, 5])
}

/// Width and height of a picture whose pixels are on their way.
struct Size(u32, u32);

impl Size {
    fn filled_with(self, pixels: Vec<u8>) -> Rgb {
        Rgb { width: self.0, height: self.1, pixels }
    }
}

/// Checks the header against the limits, then decodes: the samples as the decoder gives them.
fn read(
    format: &str,
    decoder: Result<impl ImageDecoder, ImageError>,
    limits: &Limits,
) -> Result<(Size, ColorType, Vec<u8>), Rejection> {
    let decoder = decoder.map_err(|error| rejection(format, &error))?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    let colour = decoder.color_type();
    let mut samples = vec![0; rgb_len(width, height) / 3 * usize::from(colour.bytes_per_pixel())];
    decoder.read_image(&mut samples).map_err(|error| rejection(format, &error))?;
    Ok((Size(width, height), colour, samples))
}

/// Samples of one byte → RGB.
fn rgb_of_bytes(format: &str, colour: ColorType, samples: Vec<u8>) -> Result<Vec<u8>, Rejection> {
    Ok(match colour {
        ColorType::Rgb8 => samples,
        ColorType::Rgba8 => drop_alpha(&samples),
        ColorType::L8 => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::La8 => samples.as_chunks().0.iter().flat_map(|&[grey, _]| [grey; 3]).collect(),
        other => {
            return Err(Rejection::new(Reason::Undecodable, format!("{format}: {other:?} samples are not read")));
        }
    })
}

fn drop_alpha(rgba: &[u8]) -> Vec<u8> {
    rgba.as_chunks().0.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]).collect()
}

/// The decoder's 16-bit samples, which it gives in the machine's byte order.
fn sixteen(samples: &[u8]) -> impl Iterator<Item = u16> {
    samples.as_chunks().0.iter().map(|&pair| u16::from_ne_bytes(pair))
}

fn high_byte(sample: u16) -> u8 {
    (sample >> 8) as u8
}

/// Pillow takes a grey picture of 16 bits for mode `I;16`, and clips instead of scaling when that becomes RGB.
fn saturated(sample: u16) -> u8 {
    sample.min(255) as u8
}

fn rejection(format: &str, error: &ImageError) -> Rejection {
    match error {
        ImageError::IoError(error) => rejection_of_io(format, error),
        error => Rejection::new(Reason::Undecodable, format!("{format}: {error}")),
    }
}

pub(super) fn rejection_of_io(format: &str, error: &std::io::Error) -> Rejection {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            Rejection::new(Reason::Truncated, format!("{format}: ends before the picture does"))
        }
        _ => Rejection::new(Reason::Undecodable, format!("{format}: {error}")),
    }
}
