//! From a picture to what the model takes of it.
//!
//! Memory is reused from picture to picture, and the samples that the model takes go from the last pass of the resampler
//! right to their places, as values.

use super::{Processor, Resize};
use crate::{
    decode::{Limits, Rgb, decode_over},
    resample::{Resampler, Source, Target, Window},
};
use imagefleet_common::{job::spec::Decoding, ledger::Rejection};

/// What a thread needs to prepare picture after picture: memory that is used again.
#[derive(Debug, Default)]
pub struct Scratch {
    picture: Rgb,
    resampler: Resampler,
}

impl Processor {
    /// Decodes a picture, writes `3 × height × width` values, channel first, and returns the picture's width and height.
    /// With [`Decoding::Fast`] a JPEG is decoded at a half, a quarter or an eighth of its size if its shorter side then
    /// still is 1.5 times as long as what it is resized to. How far that is off is measured in `docs/preprocessing.md`.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn load(
        &self,
        bytes: &[u8],
        limits: &Limits,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(u32, u32), Rejection> {
        let Scratch { picture, resampler } = scratch;
        let side = match self.resize {
            Resize::ShortestEdge(side) => side,
            Resize::Exact { width, height } => width.max(height),
        };
        let least = (self.decoding == Decoding::Fast).then_some((3 * side).div_ceil(2));
        let decoded = decode_over(bytes, limits, least, picture)?;
        let size = [decoded.width, decoded.height].map(|length| f64::from(length) / f64::from(decoded.shrunk_by));
        let target = self.target(decoded.width, decoded.height);
        self.fill(&Source { picture, size: (size[0], size[1]) }, &target, resampler, out);
        Ok((decoded.width, decoded.height))
    }

    /// Writes `3 × height × width` values of a decoded picture, channel first.
    ///
    /// # Panics
    /// If `out` has another length, or the picture no pixels.
    pub fn prepare(&self, picture: &Rgb, out: &mut [f32]) {
        let target = self.target(picture.width, picture.height);
        self.fill(&Source::whole(picture), &target, &mut Resampler::default(), out);
    }

    /// The picture resized and cropped, still as bytes.
    pub fn crop(&self, picture: &Rgb) -> Rgb {
        let (width, height) = self.size();
        let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
        let target = self.target(picture.width, picture.height);
        Resampler::default().resize(&Source::whole(picture), &target, |_, row| pixels.extend_from_slice(row));
        Rgb { width, height, pixels }
    }

    fn fill(&self, source: &Source<'_>, target: &Target, resampler: &mut Resampler, out: &mut [f32]) {
        let (width, height) = (target.window.width as usize, target.window.height as usize);
        assert_eq!(out.len(), 3 * height * width, "the caller gives room for 3 x height x width values");
        let [red, green, blue] = &self.values;
        let (reds, others) = out.split_at_mut(height * width);
        let (greens, blues) = others.split_at_mut(height * width);
        resampler.resize(source, target, |row, samples| {
            let row = row * width..(row + 1) * width;
            let planes = reds[row.clone()].iter_mut().zip(&mut greens[row.clone()]).zip(&mut blues[row]);
            for (((r, g), b), pixel) in planes.zip(samples.as_chunks::<3>().0) {
                *r = red[usize::from(pixel[0])];
                *g = green[usize::from(pixel[1])];
                *b = blue[usize::from(pixel[2])];
            }
        });
    }

    /// What is made of a picture of this size.
    fn target(&self, width: u32, height: u32) -> Target {
        let (width, height) = match self.resize {
            Resize::Exact { width, height } => (width, height),
            Resize::ShortestEdge(side) if width <= height => (side, longer(side, width, height)),
            Resize::ShortestEdge(side) => (longer(side, height, width), side),
        };
        let (crop_width, crop_height) = self.size();
        let (left, top) = (self.rounding.half(width - crop_width), self.rounding.half(height - crop_height));
        let window = Window { left, top, width: crop_width, height: crop_height };
        Target { width, height, window, filter: self.filter, backend: self.backend }
    }
}

/// The longer side of the resized picture: `int(side * long / short)` in Python.
fn longer(side: u32, short: u32, long: u32) -> u32 {
    (f64::from(side) * f64::from(long) / f64::from(short)) as u32
}
