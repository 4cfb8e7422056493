//! A small JPEG of a picture, for people to look at.
//!
//! Invariants: a picture that [`decode`](crate::decode::decode) rejects is rejected here with the same words; a thumbnail
//! is never larger than its picture, and has at least one pixel a side; the same bytes give the same thumbnail.

use crate::{
    decode::{Decoded, Limits, Rgb, decode_over},
    resample::{Backend, Filter, Resampler, Source, Target, Window},
};
use imagefleet_common::ledger::Rejection;
use std::ffi::c_int;
use turbojpeg_sys as turbojpeg;

/// Baseline JPEG, 4:2:0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    pub width: u32,
    pub height: u32,
    pub jpeg: Vec<u8>,
}

/// Of 100: a little below what cameras write, and hardly to be told from it at this size.
const QUALITY: c_int = 80;

/// A picture's thumbnail, whose longer side is `longest_side`, or the picture's own where that is shorter. Large JPEGs
/// are shrunk while they are decoded, as far as each side keeps 1.5 times `longest_side`.
///
/// # Panics
/// If `longest_side` is not from 1 to 65,500, the most that libjpeg-turbo writes.
pub fn thumbnail(bytes: &[u8], limits: &Limits, longest_side: u32) -> Result<Thumbnail, Rejection> {
    assert!((1..=65_500).contains(&longest_side), "the caller asks for a size that a JPEG can have");
    let mut picture = Rgb::default();
    let decoded = decode_over(bytes, limits, Some((3 * longest_side).div_ceil(2)), &mut picture)?;
    let (width, height) = fitted(decoded.width, decoded.height, longest_side);
    let small = resize(&picture, decoded, width, height);
    Ok(Thumbnail { width, height, jpeg: jpeg(&small) })
}

/// The size of the same shape, rounded, whose longer side is `longest` at most.
fn fitted(width: u32, height: u32, longest: u32) -> (u32, u32) {
    let longer = width.max(height);
    if longer <= longest {
        return (width, height);
    }
    let side = |side: u32| {
        let (side, longer) = (u64::from(side) * u64::from(longest), u64::from(longer));
        ((2 * side + longer) / (2 * longer)).max(1) as u32
    };
    (side(width), side(height))
}

fn resize(picture: &Rgb, decoded: Decoded, width: u32, height: u32) -> Rgb {
    let size = [decoded.width, decoded.height].map(|side| f64::from(side) / f64::from(decoded.shrunk_by));
    let source = Source { picture, size: (size[0], size[1]) };
    let window = Window { left: 0, top: 0, width, height };
    let target = Target { width, height, window, filter: Filter::Lanczos, backend: Backend::Pillow };
    let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
    Resampler::default().resize(&source, &target, |_, row| pixels.extend_from_slice(row));
    Rgb { width, height, pixels }
}

/// A picture as a JPEG of the quality of thumbnails. Through TurboJPEG, which catches libjpeg's jumps itself and answers with a status.
pub fn jpeg(picture: &Rgb) -> Vec<u8> {
    let (width, height) = (picture.width as c_int, picture.height as c_int);
    assert_eq!(picture.pixels.len(), 3 * picture.width as usize * picture.height as usize, "rows have no padding");
    // SAFETY: plain numbers go in, one comes out.
    let most = unsafe { turbojpeg::tj3JPEGBufSize(width, height, turbojpeg::TJSAMP_TJSAMP_420) };
    let mut jpeg = vec![0_u8; most as usize];
    let mut length = jpeg.len() as _;
    let encoder = Encoder::new();
    // Whatever it needs has room in the buffer, so it need not be replaced by one of its own.
    encoder.set(turbojpeg::TJPARAM_TJPARAM_NOREALLOC, 1);
    encoder.set(turbojpeg::TJPARAM_TJPARAM_QUALITY, QUALITY);
    encoder.set(turbojpeg::TJPARAM_TJPARAM_SUBSAMP, turbojpeg::TJSAMP_TJSAMP_420);
    // A tenth is saved by codes made for the picture; it stays baseline.
    encoder.set(turbojpeg::TJPARAM_TJPARAM_OPTIMIZE, 1);
    let mut start = jpeg.as_mut_ptr();
    // SAFETY: the source has width × height pixels of three bytes without padding (a pitch of 0 says so); the buffer has
    // `length` bytes, and NOREALLOC keeps the pointer as it is.
    let status = unsafe {
        turbojpeg::tj3Compress8(
            encoder.0,
            picture.pixels.as_ptr(),
            width,
            0,
            height,
            turbojpeg::TJPF_TJPF_RGB,
            &mut start,
            &mut length,
        )
    };
    assert_eq!(status, 0, "bytes of a size that JPEG has are encoded, where there is memory");
    jpeg.truncate(length as usize);
    // Thumbnails are kept in great numbers, and the buffer was for the worst case.
    jpeg.shrink_to_fit();
    jpeg
}

/// A handle of TurboJPEG, given back when it goes.
struct Encoder(turbojpeg::tjhandle);

impl Encoder {
    fn new() -> Self {
        // SAFETY: a number goes in; null comes out only where there is no memory.
        let handle = unsafe { turbojpeg::tj3Init(turbojpeg::TJINIT_TJINIT_COMPRESS as c_int) };
        assert!(!handle.is_null(), "there is memory for an encoder");
        Self(handle)
    }

    fn set(&self, parameter: turbojpeg::TJPARAM, value: c_int) {
        // SAFETY: the handle is alive.
        let status = unsafe { turbojpeg::tj3Set(self.0, parameter as c_int, value) };
        assert_eq!(status, 0, "TurboJPEG knows the parameter and takes the value");
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: nothing uses the handle any more.
        unsafe { turbojpeg::tj3Destroy(self.0) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

    use super::*;
    use crate::{decode::decode, resample};
    use imagefleet_common::ledger::Reason;
    use std::{fs, path::Path};

    fn fixture(name: &str) -> Vec<u8> {
        fs::read(Path::new("fixtures").join(name)).unwrap()
    }

    /// A picture without loss: colours that change slowly, and a sharp edge.
    fn drawn(width: u32, height: u32) -> Rgb {
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (across, down) = (255 * x / width, 255 * y / height);
                let blue = if x + y < (width + height) / 2 { 60 } else { 180 };
                pixels.extend([across as u8, down as u8, blue]);
            }
        }
        Rgb { width, height, pixels }
    }

    /// Bottom row first, blue first, rows padded to four bytes.
    fn bmp(picture: &Rgb) -> Vec<u8> {
        let Rgb { width, height, pixels } = picture;
        let mut file = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        file.extend(width.to_le_bytes().into_iter().chain(height.to_le_bytes()));
        file.extend([1, 0, 24, 0]);
        file.resize(54, 0);
        for row in pixels.chunks(3 * *width as usize).rev() {
            file.extend(row.as_chunks::<3>().0.iter().flat_map(|[red, green, blue]| [*blue, *green, *red]));
            file.resize(54 + (file.len() - 54).next_multiple_of(4), 0);
        }
        file
    }

    fn psnr(a: &Rgb, b: &Rgb) -> f64 {
        assert_eq!((a.width, a.height), (b.width, b.height));
        let squares: f64 = a.pixels.iter().zip(&b.pixels).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        10.0 * (255.0 * 255.0 * a.pixels.len() as f64 / squares.max(1e-9)).log10()
    }

    #[test]
    fn a_thumbnail_keeps_the_shape_and_is_never_larger_than_its_picture() {
        for (picture, expected) in [
            ((1000, 500), (160, 80)),
            ((500, 1000), (80, 160)),
            ((300, 300), (160, 160)),
            ((333, 500), (107, 160)),
            ((160, 20), (160, 20)),
            ((40, 30), (40, 30)),
            ((1, 1), (1, 1)),
            ((1000, 2), (160, 1)),
        ] {
            assert_eq!(fitted(picture.0, picture.1, 160), expected, "{picture:?}");
            let made = thumbnail(&bmp(&drawn(picture.0, picture.1)), &Limits::default(), 160).unwrap();
            assert_eq!((made.width, made.height), expected);
            let back = decode(&made.jpeg, &Limits::default()).unwrap();
            assert_eq!((back.width, back.height), expected);
        }
    }

    #[test]
    fn a_thumbnail_looks_like_the_picture_that_was_resized() {
        let limits = Limits::default();
        for (width, height) in [(640, 480), (480, 641), (150, 100)] {
            let picture = drawn(width, height);
            let made = thumbnail(&bmp(&picture), &limits, 160).unwrap();
            let exact = resample::resize(&picture, made.width, made.height, Filter::Lanczos, Backend::Pillow);
            let psnr = psnr(&decode(&made.jpeg, &limits).unwrap(), &exact);
            assert!(psnr > 34.0, "{width}x{height}: {psnr}");
        }
    }

    #[test]
    fn a_jpeg_that_is_shrunk_while_it_is_decoded_looks_the_same() {
        let limits = Limits::default();
        let large = jpeg(&drawn(1203, 901));
        let made = thumbnail(&large, &limits, 160).unwrap();
        assert_eq!((made.width, made.height), (160, 120));
        let mut small = Rgb::default();
        assert_eq!(decode_over(&large, &limits, Some(240), &mut small).unwrap().shrunk_by, 2);
        let whole = decode(&large, &limits).unwrap();
        let exact = resample::resize(&whole, 160, 120, Filter::Lanczos, Backend::Pillow);
        let psnr = psnr(&decode(&made.jpeg, &limits).unwrap(), &exact);
        assert!(psnr > 34.0, "{psnr}");
    }

    #[test]
    fn every_format_that_is_decoded_has_a_thumbnail_and_the_same_one_each_time() {
        for name in ["jpeg-photo.jpg", "jpeg-cmyk.jpg", "jpeg-grey.jpg", "gif-plain.gif", "bmp-24.bmp", "png-1x1.png"] {
            let (bytes, limits) = (fixture(name), Limits::default());
            let made = thumbnail(&bytes, &limits, 32).unwrap();
            assert!(made.width.max(made.height) <= 32);
            // Start of image, and a baseline frame somewhere behind it.
            assert!(made.jpeg.starts_with(&[0xff, 0xd8]) && made.jpeg.windows(2).any(|pair| pair == [0xff, 0xc0]));
            assert_eq!(thumbnail(&bytes, &limits, 32).unwrap(), made, "{name}");
        }
    }

    #[test]
    fn what_decode_rejects_is_rejected_alike() {
        let photo = fixture("jpeg-photo.jpg");
        let cut = &photo[..photo.len() / 2];
        let (small, narrow) =
            (Limits { max_bytes: 10, ..Limits::default() }, Limits { max_side: 8, ..Limits::default() });
        let few = Limits { max_pixels: 64, ..Limits::default() };
        for (bytes, limits, reason) in [
            (&[][..], Limits::default(), Reason::Empty),
            (b"<svg>", Limits::default(), Reason::UnknownFormat),
            (cut, Limits::default(), Reason::Truncated),
            (&photo, small, Reason::TooManyBytes),
            (&photo, narrow, Reason::SideTooLong),
            (&photo, few, Reason::TooManyPixels),
        ] {
            let rejection = thumbnail(bytes, &limits, 160).unwrap_err();
            assert_eq!(rejection.reason, reason);
            assert_eq!(Some(rejection), decode(bytes, &limits).err());
        }
    }
}
