//! Resamplers that equal their references bit for bit: Pillow's `Image.resize` and torchvision's antialiased `resize`
//! of byte tensors.
//!
//! Both are two passes of a separable filter in fixed point, across and down, each rounding to bytes. They differ in the
//! weights: Pillow's have 22 fractional bits, torchvision's as many as let the largest fit 16 bits. And in the order: it
//! is across, then down, but since its version 13 Pillow turns it round for a picture that loses much height. A side that
//! keeps its length has no pass. Only what the asked [`Window`] needs is computed, which does not change a byte of it.

use crate::decode::Rgb;
use std::{borrow::Cow, f64::consts::PI, ops::Range};

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
    assert!(source.width > 0 && source.height > 0 && width > 0 && height > 0, "a picture has pixels");
    let columns = span(window.left, window.width, width);
    let rows = span(window.top, window.height, height);
    let across = Pass::plan(source.width as usize, width as usize, columns.clone(), filter, backend);
    let down = Pass::plan(source.height as usize, height as usize, rows.clone(), filter, backend);
    let needed_columns = across.as_ref().map_or(columns.clone(), Pass::inputs);
    let needed_rows = down.as_ref().map_or(rows.clone(), Pass::inputs);
    let whole = Part::whole(source);
    let part = if is_down_first(source, width, height, backend) {
        whole.down(rows.clone(), needed_columns, down.as_ref()).across(rows, columns, across.as_ref())
    } else {
        whole.across(needed_rows, columns.clone(), across.as_ref()).down(rows, columns, down.as_ref())
    };
    Rgb { width: window.width, height: window.height, pixels: part.pixels.into_owned() }
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

/// The weights of one direction.
struct Pass {
    /// For each output: the first input, and where its weights lie.
    taps: Vec<(usize, Range<usize>)>,
    weights: Vec<i32>,
    /// Fractional bits of the weights.
    precision: u32,
}

impl Pass {
    /// Weights for the wanted ones of `outputs` outputs; `None` where the side keeps its length.
    fn plan(inputs: usize, outputs: usize, wanted: Range<usize>, filter: Filter, backend: Backend) -> Option<Self> {
        if inputs == outputs {
            return None;
        }
        let kernel = Kernel::new(inputs, outputs, filter);
        let precision = match backend {
            Backend::Pillow => PILLOW_PRECISION,
            Backend::Torchvision => torchvision_precision(&kernel, outputs),
        };
        let one = f64::from(1_u32 << precision);
        let mut pass = Self { taps: Vec::with_capacity(wanted.len()), weights: Vec::new(), precision };
        let mut weights = Vec::new();
        for output in wanted {
            let first = kernel.weights(output, &mut weights);
            let start = pass.weights.len();
            // Rounds half away from zero, as both references do; a cast towards zero ends the rounding.
            pass.weights.extend(weights.iter().map(|&weight| (weight * one + 0.5_f64.copysign(weight)) as i32));
            pass.taps.push((first, start..pass.weights.len()));
        }
        Some(pass)
    }

    /// What is added to a sum so that cutting off its fraction rounds.
    fn half(&self) -> i32 {
        1 << (self.precision - 1)
    }

    /// All inputs that any of the outputs takes.
    fn inputs(&self) -> Range<usize> {
        let start = self.taps.first().map_or(0, |(first, _)| *first);
        let end = self.taps.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or(start);
        start..end
    }
}

/// Pillow keeps weights in 32 bits: 8 are the sample's, 2 are spare for sums above one.
const PILLOW_PRECISION: u32 = 32 - 8 - 2;

/// The most fractional bits, up to 22, with which no weight of *any* output leaves 16 bits.
fn torchvision_precision(kernel: &Kernel, outputs: usize) -> u32 {
    let mut weights = Vec::new();
    let mut largest = 0.0_f64;
    for output in 0..outputs {
        kernel.weights(output, &mut weights);
        largest = weights.iter().copied().fold(largest, f64::max);
    }
    (0..22).find(|precision| (0.5 + largest * f64::from(1_u32 << (precision + 1))) as i64 >= 1 << 15).unwrap_or(22)
}

/// The filter laid over one side.
struct Kernel {
    inputs: usize,
    filter: Filter,
    /// Inputs per output.
    scale: f64,
    /// Half the filter's width in inputs.
    support: f64,
    /// What an input's distance is multiplied by before it is put into the filter.
    shrink: f64,
}

impl Kernel {
    fn new(inputs: usize, outputs: usize, filter: Filter) -> Self {
        let scale = inputs as f64 / outputs as f64;
        // A picture that grows is interpolated: the filter never gets narrower than one input.
        let stretch = scale.max(1.0);
        Self { inputs, filter, scale, support: filter.support() * stretch, shrink: 1.0 / stretch }
    }

    /// Puts the output's weights, which sum to one, into `weights` and returns the first input.
    fn weights(&self, output: usize, weights: &mut Vec<f64>) -> usize {
        let centre = (output as f64 + 0.5) * self.scale;
        // Casts, as in the references: towards zero, and negative numbers to 0.
        let first = (centre - self.support + 0.5) as usize;
        let end = ((centre + self.support + 0.5) as usize).min(self.inputs);
        weights.clear();
        weights.extend((first..end).map(|input| self.filter.at((input as f64 - centre + 0.5) * self.shrink)));
        let sum: f64 = weights.iter().sum();
        if sum != 0.0 {
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        first
    }
}

/// The bytes of some columns and rows of a picture, named by their places in the whole.
struct Part<'a> {
    pixels: Cow<'a, [u8]>,
    columns: Range<usize>,
    rows: Range<usize>,
}

impl<'a> Part<'a> {
    fn whole(source: &'a Rgb) -> Self {
        let (columns, rows) = (0..source.width as usize, 0..source.height as usize);
        Self { pixels: Cow::Borrowed(&source.pixels), columns, rows }
    }

    /// The bytes of some columns, row by row.
    fn lines(&self, rows: Range<usize>, columns: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let stride = 3 * self.columns.len();
        let bytes = 3 * (columns.start - self.columns.start)..3 * (columns.end - self.columns.start);
        self.pixels[(rows.start - self.rows.start) * stride..(rows.end - self.rows.start) * stride]
            .chunks_exact(stride)
            .map(move |line| &line[bytes.clone()])
    }

    /// The pass across: the `columns` of the result, of the given `rows`. A cut where there is no pass.
    fn across(&self, rows: Range<usize>, columns: Range<usize>, pass: Option<&Pass>) -> Part<'static> {
        let mut pixels = Vec::with_capacity(rows.len() * columns.len() * 3);
        let Some(pass) = pass else {
            self.lines(rows.clone(), columns.clone()).for_each(|line| pixels.extend_from_slice(line));
            return Part { pixels: Cow::Owned(pixels), columns, rows };
        };
        for line in self.lines(rows.clone(), self.columns.clone()) {
            let (line, _) = line.as_chunks::<3>();
            for (first, weights) in &pass.taps {
                let weights = &pass.weights[weights.clone()];
                let mut sums = [pass.half(); 3];
                for (pixel, weight) in line[first - self.columns.start..].iter().zip(weights) {
                    for (sum, sample) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(*sample) * weight;
                    }
                }
                pixels.extend(sums.map(|sum| byte_of(sum >> pass.precision)));
            }
        }
        Part { pixels: Cow::Owned(pixels), columns, rows }
    }

    /// The pass down: the `rows` of the result, of the given `columns`. A cut where there is no pass.
    fn down(&self, rows: Range<usize>, columns: Range<usize>, pass: Option<&Pass>) -> Part<'static> {
        let Some(pass) = pass else { return self.across(rows, columns, None) };
        let mut pixels = Vec::with_capacity(rows.len() * columns.len() * 3);
        let mut sums = vec![0; columns.len() * 3];
        for (first, weights) in &pass.taps {
            sums.fill(pass.half());
            let lines = self.lines(*first..first + weights.len(), columns.clone());
            for (line, weight) in lines.zip(&pass.weights[weights.clone()]) {
                for (sum, sample) in sums.iter_mut().zip(line) {
                    *sum += i32::from(*sample) * weight;
                }
            }
            pixels.extend(sums.iter().map(|sum| byte_of(sum >> pass.precision)));
        }
        Part { pixels: Cow::Owned(pixels), columns, rows }
    }
}

fn byte_of(sample: i32) -> u8 {
    sample.clamp(0, 255) as u8
}
