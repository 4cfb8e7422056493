//! WebP through libwebp's decoder of animations, as Pillow uses it for stills too: the first frame on its canvas.

use super::{Format, Limits, Rgb, check_size, rgb_len, truncated, undecodable};
use imagefleet_common::ledger::Rejection;
use libwebp_sys::{
    WEBP_CSP_MODE, WebPAnimDecoder, WebPAnimDecoderDelete, WebPAnimDecoderGetInfo, WebPAnimDecoderGetNext,
    WebPAnimDecoderNew, WebPAnimDecoderOptions, WebPAnimInfo, WebPData,
};
use std::{marker::PhantomData, ptr, slice};

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    // The decoder has room for the canvas from the first: its size is checked before.
    let (width, height) = canvas(bytes).ok_or_else(|| broken("no size"))?;
    check_size(width, height, limits)?;
    // The file's length according to itself; the decoder wants all of it, even beyond the first frame.
    let claimed = bytes.get(4..8).and_then(|size| size.try_into().ok()).map_or(0, u32::from_le_bytes);
    if 8 + u64::from(claimed) > bytes.len() as u64 {
        return Err(truncated(Format::Webp));
    }
    let mut decoder = Decoder::new(bytes)?;
    if decoder.size() != (width, height) {
        return Err(broken("the header gives two sizes"));
    }
    let mut pixels = vec![0; rgb_len(width, height)];
    let (canvas, _) = decoder.first_frame()?.as_chunks::<4>();
    for (pixel, &[red, green, blue, _]) in pixels.as_chunks_mut().0.iter_mut().zip(canvas) {
        *pixel = [red, green, blue];
    }
    Ok(Rgb { width, height, pixels })
}

/// The canvas that the first chunk gives: of an extended file, of lossless data, or of lossy data.
fn canvas(bytes: &[u8]) -> Option<(u32, u32)> {
    let chunk = bytes.get(20..)?;
    let short = |at: usize| Some(u32::from(u16::from_le_bytes(*chunk.get(at..)?.first_chunk()?)));
    match bytes.get(12..16)? {
        b"VP8X" => {
            let side = |at: usize| Some(short(at)? + u32::from(*chunk.get(at + 2)?) * 65_536 + 1);
            Some((side(4)?, side(7)?))
        }
        b"VP8L" => {
            let bits = u32::from_le_bytes(*chunk.get(1..)?.first_chunk()?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8 " => Some((short(6)? & 0x3fff, short(8)? & 0x3fff)),
        _ => None,
    }
}

/// One decoder, which reads from the bytes it was made of; deleted when dropped.
struct Decoder<'a>(*mut WebPAnimDecoder, PhantomData<&'a [u8]>);

impl<'a> Decoder<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Rejection> {
        let options = WebPAnimDecoderOptions { color_mode: WEBP_CSP_MODE::MODE_RGBA, use_threads: 0, padding: [0; 7] };
        let data = WebPData { bytes: bytes.as_ptr(), size: bytes.len() };
        // SAFETY: both arguments live for the call; the decoder keeps the pointer to the bytes, which outlive it.
        let decoder = unsafe { WebPAnimDecoderNew(&data, &options) };
        if decoder.is_null() { Err(broken("the chunks are damaged")) } else { Ok(Self(decoder, PhantomData)) }
    }

    /// Width and height of the canvas.
    fn size(&self) -> (u32, u32) {
        let mut info = WebPAnimInfo::default();
        // SAFETY: the decoder is alive, and `info` is written only. It cannot fail with these arguments.
        unsafe { WebPAnimDecoderGetInfo(self.0, &mut info) };
        (info.canvas_width, info.canvas_height)
    }

    /// Red, green, blue and alpha of the canvas with the first frame on it.
    fn first_frame(&mut self) -> Result<&[u8], Rejection> {
        let (width, height) = self.size();
        let (mut pixels, mut time) = (ptr::null_mut(), 0);
        // SAFETY: the decoder is alive, and both results are written only.
        if unsafe { WebPAnimDecoderGetNext(self.0, &mut pixels, &mut time) } == 0 {
            return Err(broken("the picture is damaged"));
        }
        // SAFETY: the decoder's buffer has four bytes for each pixel of the canvas, and lasts until the next call.
        Ok(unsafe { slice::from_raw_parts(pixels, rgb_len(width, height) / 3 * 4) })
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        // SAFETY: the decoder is alive, and nothing uses it after this.
        unsafe { WebPAnimDecoderDelete(self.0) }
    }
}

fn broken(fault: &str) -> Rejection {
    undecodable(Format::Webp, fault)
}
