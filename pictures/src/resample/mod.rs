//! Resamplers that equal their references bit for bit: Pillow's `Image.resize` and torchvision's antialiased `resize`
//! of byte tensors.
//!
//! Both are two passes of a separable filter in fixed point, across and down, each rounding to bytes. They differ in the
//! weights: Pillow's have 22 fractional bits, torchvision's as many as let the largest fit 16 bits. And in the order: it
//! is across, then down, but since its version 13 Pillow turns it round for a picture that loses much height. A side that
//! keeps its length has no pass. Only what the asked [`Window`] needs is computed, which does not change a byte of it.
//!
//! The passes exist twice: plainly, and with AVX2 where the processor has it. Both compute the same integers.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod lines;
mod scalar;
#[cfg(test)]
mod tests;
mod weights;

use crate::decode::Rgb;
use lines::Lines;
use std::{f64::consts::PI, ops::Range, sync::Arc};
use weights::{Pass, Side};

/// A resampling kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    Bilinear,
    /// Keys' cubic with a = -0.5.
    Bicubic,
    /// Of three lobes.
    Lanczos,
}

impl Filter {
    /// The kernel is zero from this distance on, in pixels of the smaller picture.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        let distance = x.abs();
        match self {
            Self::Bilinear if distance < 1.0 => 1.0 - distance,
            Self::Bicubic if distance < 1.0 => ((-0.5 + 2.0) * distance - (-0.5 + 3.0)) * distance * distance + 1.0,
            Self::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * -0.5,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * PI;
    x.sin() / x
}

/// Whose arithmetic is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Pillow's `Image.resize`, as of version 13.
    Pillow,
    /// torchvision's `resize(..., antialias=True)` of a byte tensor.
    Torchvision,
}

/// A part of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

/// Resizes to `width × height`.
///
/// # Panics
/// If a side of the source or of the result is 0.
pub fn resize(source: &Rgb, width: u32, height: u32, filter: Filter, backend: Backend) -> Rgb {
    resize_window(source, width, height, Window { left: 0, top: 0, width, height }, filter, backend)
}

/// The part `window` of the source resized to `width × height`; equal to resizing all and cutting the window out.
///
/// # Panics
/// If a side of the source or of the result is 0, or the window is not within the result.
pub fn resize_window(source: &Rgb, width: u32, height: u32, window: Window, filter: Filter, backend: Backend) -> Rgb {
    let mut pixels = Vec::with_capacity(3 * window.width as usize * window.height as usize);
    let target = Target { width, height, window, filter, backend };
    Resampler::default().resize(&Source::whole(source), &target, |_, row| pixels.extend_from_slice(row));
    Rgb { width: window.width, height: window.height, pixels }
}

/// What is resized.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub picture: &'a Rgb,
    /// Width and height in the picture's own pixels. Less than it has by a fraction where its last column or row
    /// reaches beyond the end, as in a JPEG that was decoded at half its odd size.
    pub size: (f64, f64),
}

impl<'a> Source<'a> {
    pub fn whole(picture: &'a Rgb) -> Self {
        Self { picture, size: (f64::from(picture.width), f64::from(picture.height)) }
    }
}

/// What is made of it: the part `window` of the picture at `width × height`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    pub width: u32,
    pub height: u32,
    pub window: Window,
    pub filter: Filter,
    pub backend: Backend,
}

/// Resizes picture after picture in the same memory, and remembers the weights of the last few sizes.
#[derive(Debug)]
pub struct Resampler {
    arithmetic: Arithmetic,
    /// The one used last comes last.
    passes: Vec<(PassOf, Arc<Pass>)>,
    /// What the first pass leaves to the second.
    between: Vec<u8>,
    /// What the second pass makes.
    made: Vec<u8>,
}

impl Default for Resampler {
    fn default() -> Self {
        let (passes, between, made) = Default::default();
        Self { arithmetic: Arithmetic::detect(), passes, between, made }
    }
}

type PassOf = (Side, Range<usize>, Filter, Backend);

/// Collections have few sizes: two a picture, for both orientations of both of a camera's formats.
const PASSES_KEPT: usize = 8;

/// How the passes are computed; all give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arithmetic {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
}

impl Arithmetic {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = avx2::Avx2::detect() {
            return Self::Avx2(avx2);
        }
        Self::Scalar
    }

    /// The pass across: `rows` of the picture, each as wide as the pass has outputs, [`lines::stride`] apart; there is
    /// [`lines::room`] for them.
    fn across(self, pass: &Pass, from: Lines<'_>, rows: Range<usize>, into: &mut [u8]) {
        match self {
            Self::Scalar => scalar::across(pass, from, rows, into),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.across(pass, from, rows, into),
        }
    }

    /// One row of the pass down: its output `index`, of the given columns.
    fn down(self, pass: &Pass, index: usize, from: Lines<'_>, columns: Range<usize>, into: &mut [u8]) {
        match self {
            Self::Scalar => scalar::down(pass, index, from, columns, into),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.down(pass, index, from, columns, into),
        }
    }
}

impl Resampler {
    /// Hands the rows of the window to `take`, from the top, each with its number.
    ///
    /// # Panics
    /// If a side of the source or of the result is 0, or the window is not within the result.
    pub fn resize(&mut self, source: &Source<'_>, target: &Target, mut take: impl FnMut(usize, &[u8])) {
        let Source { picture, size } = *source;
        let &Target { width, height, window, filter, backend } = target;
        assert!(picture.width > 0 && picture.height > 0 && width > 0 && height > 0, "a picture has pixels");
        let columns = span(window.left, window.width, width);
        let rows = span(window.top, window.height, height);
        let wide = Side { inputs: picture.width as usize, length: size.0, outputs: width as usize };
        let high = Side { inputs: picture.height as usize, length: size.1, outputs: height as usize };
        let across = self.pass((wide, columns.clone(), filter, backend));
        let down = self.pass((high, rows.clone(), filter, backend));
        let Self { arithmetic, between, made, .. } = self;
        let whole = Lines::whole(&picture.pixels, picture.width as usize);
        if is_down_first(picture, width, height, backend) {
            let mut from = whole;
            if let Some(down) = down {
                let needed = across.as_ref().map_or(columns.clone(), |across| across.inputs());
                let stride = lines::stride(needed.len());
                grow(between, lines::room(rows.len(), needed.len()));
                for (index, line) in between.chunks_exact_mut(stride).take(rows.len()).enumerate() {
                    arithmetic.down(&down, index, whole, needed.clone(), line);
                }
                from = Lines::part(between, needed, rows.start);
            }
            if let Some(across) = across {
                grow(made, lines::room(rows.len(), columns.len()));
                arithmetic.across(&across, from, rows.clone(), made);
                from = Lines::part(made, columns.clone(), rows.start);
            }
            rows.enumerate().for_each(|(index, row)| take(index, from.row(row, columns.clone())));
        } else {
            let mut from = whole;
            if let Some(across) = across {
                let needed = down.as_ref().map_or(rows.clone(), |down| down.inputs());
                grow(between, lines::room(needed.len(), columns.len()));
                arithmetic.across(&across, from, needed.clone(), between);
                from = Lines::part(between, columns.clone(), needed.start);
            }
            let Some(down) = down else {
                return rows.enumerate().for_each(|(index, row)| take(index, from.row(row, columns.clone())));
            };
            grow(made, lines::stride(columns.len()));
            for index in 0..rows.len() {
                arithmetic.down(&down, index, from, columns.clone(), made);
                take(index, &made[..3 * columns.len()]);
            }
        }
    }

    /// The weights of one direction; `None` where the side keeps its length.
    fn pass(&mut self, of: PassOf) -> Option<Arc<Pass>> {
        let (side, wanted, filter, backend) = of.clone();
        if side.is_kept() {
            return None;
        }
        let known = self.passes.iter().position(|(known, _)| *known == of);
        let entry = match known {
            Some(at) => self.passes.remove(at),
            None => (of, Arc::new(Pass::new(side, wanted, filter, backend))),
        };
        if self.passes.len() == PASSES_KEPT {
            self.passes.remove(0);
        }
        let pass = Arc::clone(&entry.1);
        self.passes.push(entry);
        Some(pass)
    }
}

/// Pillow 13 begins with the rows if more than twice as many of them are lost as columns. (Up to version 12 it never
/// did: portraits more than twice as tall as wide came out otherwise, by one in a few samples.)
fn is_down_first(source: &Rgb, width: u32, height: u32, backend: Backend) -> bool {
    let lost_columns = source.width.saturating_sub(width);
    let lost_rows = source.height.saturating_sub(height);
    backend == Backend::Pillow && u64::from(lost_rows) > 2 * u64::from(lost_columns)
}

fn span(start: u32, length: u32, limit: u32) -> Range<usize> {
    let end = start.checked_add(length).filter(|&end| end <= limit);
    start as usize..end.expect("the caller asks for a window within the result") as usize
}

/// Makes room, without touching what is there already.
fn grow(memory: &mut Vec<u8>, bytes: usize) {
    if memory.len() < bytes {
        memory.resize(bytes, 0);
    }
}
