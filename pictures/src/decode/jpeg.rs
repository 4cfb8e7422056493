//! JPEG through libjpeg-turbo, with the choices that Pillow makes: accurate integer DCT, smooth chroma upsampling.
//!
//! libjpeg only warns where data ends early and fills the rest with grey; Pillow refuses such a picture, but takes
//! one with any other warning (stray bytes before a marker are common in old photographs). So after a warning the end
//! marker is looked for: a picture that has it is whole.

use super::{Limits, Rgb, check_size, rgb_len};
use imagefleet_common::ledger::{Reason, Rejection};
use std::ffi::{CStr, c_int};
use turbojpeg::raw;

/// More scans than any encoder writes; a file of thousands would cost minutes (a "progressive bomb").
const MAX_SCANS: c_int = 500;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    let decompressor = Decompressor::new()?;
    decompressor.read_header(bytes)?;
    let (width, height) = decompressor.size()?;
    check_size(width, height, limits)?;
    let colours = decompressor.get(raw::TJPARAM_TJPARAM_COLORSPACE);
    let is_cmyk = colours == raw::TJCS_TJCS_CMYK as c_int || colours == raw::TJCS_TJCS_YCCK as c_int;
    let pixels = if is_cmyk {
        let mut inks = vec![0; rgb_len(width, height) / 3 * 4];
        decompressor.decompress(bytes, &mut inks, raw::TJPF_TJPF_CMYK)?;
        inks.as_chunks().0.iter().flat_map(|&inks| rgb_of_inverted_inks(inks)).collect()
    } else {
        let mut pixels = vec![0; rgb_len(width, height)];
        decompressor.decompress(bytes, &mut pixels, raw::TJPF_TJPF_RGB)?;
        pixels
    };
    Ok(Rgb { width, height, pixels })
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

/// One TurboJPEG instance; freed when dropped.
struct Decompressor(raw::tjhandle);

impl Decompressor {
    fn new() -> Result<Self, Rejection> {
        // SAFETY: takes no pointer; the result is checked.
        let handle = unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as c_int) };
        assert!(!handle.is_null(), "libjpeg-turbo has no memory for a decompressor");
        let decompressor = Self(handle);
        // SAFETY: the handle is alive. Setting this parameter to a positive number cannot fail.
        unsafe { raw::tj3Set(decompressor.0, raw::TJPARAM_TJPARAM_SCANLIMIT as c_int, MAX_SCANS) };
        Ok(decompressor)
    }

    fn get(&self, parameter: raw::TJPARAM) -> c_int {
        // SAFETY: the handle is alive.
        unsafe { raw::tj3Get(self.0, parameter as c_int) }
    }

    fn size(&self) -> Result<(u32, u32), Rejection> {
        let side = |parameter| {
            u32::try_from(self.get(parameter))
                .map_err(|_| Rejection::new(Reason::Undecodable, "jpeg: the header has no size"))
        };
        Ok((side(raw::TJPARAM_TJPARAM_JPEGWIDTH)?, side(raw::TJPARAM_TJPARAM_JPEGHEIGHT)?))
    }

    fn read_header(&self, bytes: &[u8]) -> Result<(), Rejection> {
        // SAFETY: the handle is alive, and pointer and length are those of one slice.
        let status = unsafe { raw::tj3DecompressHeader(self.0, bytes.as_ptr(), bytes.len() as raw::size_t) };
        self.judge(status, bytes)
    }

    /// Fills `out`, which has the size that the header gives.
    fn decompress(&self, bytes: &[u8], out: &mut [u8], format: raw::TJPF) -> Result<(), Rejection> {
        let samples = if format == raw::TJPF_TJPF_CMYK { 4 } else { 3 };
        let (width, height) = self.size()?;
        assert_eq!(out.len(), samples * width as usize * height as usize, "the buffer has the header's size");
        // SAFETY: the handle is alive; the input is one slice; with a pitch of 0 (rows without padding) libjpeg-turbo
        // writes samples × width × height bytes for the very header it has read from the same input.
        let status = unsafe {
            raw::tj3Decompress8(
                self.0,
                bytes.as_ptr(),
                bytes.len() as raw::size_t,
                out.as_mut_ptr(),
                0,
                format as c_int,
            )
        };
        self.judge(status, bytes)
    }

    fn judge(&self, status: c_int, bytes: &[u8]) -> Result<(), Rejection> {
        if status == 0 {
            return Ok(());
        }
        if !has_end_marker(bytes) {
            return Err(Rejection::new(Reason::Truncated, "jpeg: ends before its end marker"));
        }
        // SAFETY: the handle is alive.
        if unsafe { raw::tj3GetErrorCode(self.0) } == raw::TJERR_TJERR_WARNING as c_int {
            return Ok(());
        }
        // SAFETY: the handle is alive, and the text ends with a zero and lives until the next call.
        let text = unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.0)) };
        Err(Rejection::new(Reason::Undecodable, format!("jpeg: {}", text.to_string_lossy())))
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: the handle is alive and nothing uses it after this.
        unsafe { raw::tj3Destroy(self.0) }
    }
}

/// Whether a reader that goes from marker to marker reaches EOI (ITU T.81, annex B).
fn has_end_marker(bytes: &[u8]) -> bool {
    const EOI: u8 = 0xd9;
    let mut at = 2;
    loop {
        // A marker is 0xff and a byte that is neither 0xff (fill) nor 0 (a stuffed 0xff of entropy-coded data).
        let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) else {
            return false;
        };
        at += found + 1;
        match bytes.get(at) {
            None => return false,
            Some(&EOI) => return true,
            // Standing alone: restart markers, SOI, TEM. A fill byte is looked at again.
            Some(0xff) => {}
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 1,
            // A segment: two bytes of length that count themselves.
            Some(_) => {
                let Some(&[high, low]) = bytes.get(at + 1..at + 3) else { return false };
                at += 1 + usize::from(u16::from_be_bytes([high, low])).max(2);
            }
        }
    }
}
