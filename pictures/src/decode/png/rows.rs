//! The pixels of a PNG: inflated, unfiltered, put into their places.

use super::{Rejection, broken};
use crate::decode::{palette::Palette, rgb_len};
use flate2::{Decompress, FlushDecompress, Status};

/// First column and row, and the steps between columns and rows, of the passes of an interlaced picture (Adam7).
const PASSES: [Pass; 7] = [
    Pass { left: 0, top: 0, right: 8, down: 8 },
    Pass { left: 4, top: 0, right: 8, down: 8 },
    Pass { left: 0, top: 4, right: 4, down: 8 },
    Pass { left: 2, top: 0, right: 4, down: 4 },
    Pass { left: 0, top: 2, right: 2, down: 4 },
    Pass { left: 1, top: 0, right: 2, down: 2 },
    Pass { left: 0, top: 1, right: 1, down: 2 },
];

#[derive(Clone, Copy)]
struct Pass {
    left: usize,
    top: usize,
    right: usize,
    down: usize,
}

pub(super) struct Rows {
    samples: Samples,
    /// Columns of the picture.
    stride: usize,
    pixels: Vec<u8>,
    /// The place of the frame that has pixels, in the picture.
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    passes: &'static [Pass],
    /// The row that comes next, within the frame.
    row: usize,
    inflate: Decompress,
    /// The filter's number and the bytes of the row that is being inflated, and of the one above it.
    line: Vec<u8>,
    above: Vec<u8>,
    filled: usize,
    rgb: Vec<u8>,
}

impl Rows {
    /// `frame`: left, top, width and height of the part of the picture that has pixels.
    pub(super) fn new(
        width: u32,
        height: u32,
        frame: [u32; 4],
        is_interlaced: bool,
        samples: Samples,
    ) -> Result<Self, Rejection> {
        const ALL: &[Pass] = &[Pass { left: 0, top: 0, right: 1, down: 1 }];
        let mut pixels = vec![0; rgb_len(width, height)];
        if samples.background() != [0; 3] {
            pixels.as_chunks_mut().0.fill(samples.background());
        }
        let [left, top, frame_width, frame_height] = frame.map(|side| side as usize);
        if frame_width == 0 || frame_height == 0 {
            return Err(broken("a frame without pixels"));
        }
        // Pillow forgets a frame's place if it is interlaced.
        let (left, top) = if is_interlaced { (0, 0) } else { (left, top) };
        let bytes = 1 + (frame_width * samples.bits).div_ceil(8);
        Ok(Self {
            samples,
            stride: width as usize,
            pixels,
            left,
            top,
            width: frame_width,
            height: frame_height,
            passes: if is_interlaced { &PASSES } else { ALL },
            row: 0,
            inflate: Decompress::new(true),
            line: vec![0; bytes],
            above: vec![0; bytes],
            filled: 0,
            rgb: vec![0; 3 * frame_width],
        })
    }

    /// Takes a portion of the compressed data; whether the picture is complete.
    pub(super) fn feed(&mut self, mut portion: &[u8]) -> Result<bool, Rejection> {
        while !portion.is_empty() {
            let length = 1 + (self.columns() * self.samples.bits).div_ceil(8);
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(portion, &mut self.line[self.filled..length], FlushDecompress::None)
                .map_err(|_| broken("the compressed data are damaged"))?;
            portion = &portion[(self.inflate.total_in() - read) as usize..];
            self.filled += (self.inflate.total_out() - written) as usize;
            if self.filled < length {
                return Ok(false);
            }
            self.filled = 0;
            unfilter(&mut self.line[..length], &self.above, self.samples.bits.div_ceil(8))?;
            self.place();
            // Data that end properly with a row end the picture.
            if self.step() || status == Status::StreamEnd {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Pixels in a row of the present pass.
    fn columns(&self) -> usize {
        let pass = self.passes[0];
        (self.width - pass.left.min(self.width)).div_ceil(pass.right)
    }

    /// Puts the row that is complete into the picture.
    fn place(&mut self) {
        let (pass, columns) = (self.passes[0], self.columns());
        let start = 3 * ((self.top + self.row) * self.stride + self.left);
        let line = &mut self.pixels[start..start + 3 * self.width];
        if pass.right == 1 {
            self.samples.unpack(&self.line[1..], line);
            return;
        }
        self.samples.unpack(&self.line[1..], &mut self.rgb[..3 * columns]);
        let places = line.as_chunks_mut::<3>().0[pass.left..].iter_mut().step_by(pass.right);
        places.zip(self.rgb.as_chunks().0).for_each(|(place, pixel)| *place = *pixel);
    }

    /// Goes on to the next row; whether there is none.
    fn step(&mut self) -> bool {
        std::mem::swap(&mut self.line, &mut self.above);
        self.row += self.passes[0].down;
        while self.row >= self.height || self.columns() == 0 {
            if self.passes.len() == 1 {
                return true;
            }
            self.passes = &self.passes[1..];
            self.row = self.passes[0].top;
            // A pass's first row has none above it.
            self.above.fill(0);
        }
        false
    }
}

/// Undoes the filter that the line's first byte names (PNG 9.2); a pixel has `size` bytes, or less.
fn unfilter(line: &mut [u8], above: &[u8], size: usize) -> Result<(), Rejection> {
    let (filter, line) = line.split_first_mut().expect("a line has its filter's number");
    let above = &above[1..];
    match *filter {
        0 => {}
        1 => {
            for at in size..line.len() {
                line[at] = line[at].wrapping_add(line[at - size]);
            }
        }
        2 => line.iter_mut().zip(above).for_each(|(byte, above)| *byte = byte.wrapping_add(*above)),
        3 => {
            for at in 0..line.len() {
                let left = if at < size { 0 } else { line[at - size] };
                line[at] = line[at].wrapping_add(((u16::from(left) + u16::from(above[at])) / 2) as u8);
            }
        }
        4 => {
            for at in 0..line.len() {
                let (left, corner) = if at < size { (0, 0) } else { (line[at - size], above[at - size]) };
                line[at] = line[at].wrapping_add(nearest(left, above[at], corner));
            }
        }
        _ => return Err(broken("an unknown filter")),
    }
    Ok(())
}

/// Paeth's predictor: the neighbour nearest to left + above - corner.
fn nearest(left: u8, above: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(above), i16::from(corner));
    let [from_left, from_above, from_corner] = [b - c, a - c, a + b - 2 * c].map(i16::abs);
    if from_left <= from_above && from_left <= from_corner {
        left
    } else if from_above <= from_corner {
        above
    } else {
        corner
    }
}

/// How a pixel is stored.
pub(super) struct Samples {
    /// Of a pixel.
    bits: usize,
    kind: Kind,
}

enum Kind {
    /// Colours by their indices; greys below 8 bits too.
    Indices(Palette),
    /// Bytes of a pixel, and the places of red, green and blue among them.
    Bytes(usize, [usize; 3]),
    /// 16 bits that are clipped.
    Clipped,
}

impl Samples {
    pub(super) fn new(depth: u8, colour_type: u8, palette: Option<&[u8]>) -> Result<Self, Rejection> {
        let kind = match (depth, colour_type) {
            (1 | 2 | 4, 0) => Kind::Indices(Palette::greys(depth.into())),
            (1 | 2 | 4 | 8, 3) => {
                let colours = Palette::new(palette.unwrap_or_default().as_chunks().0);
                Kind::Indices(colours.ok_or_else(|| broken("more colours than indices"))?)
            }
            (8, 0) => Kind::Bytes(1, [0; 3]),
            (8, 2) => Kind::Bytes(3, [0, 1, 2]),
            (8, 4) => Kind::Bytes(2, [0; 3]),
            (8, 6) => Kind::Bytes(4, [0, 1, 2]),
            (16, 0) => Kind::Clipped,
            (16, 2) => Kind::Bytes(6, [0, 2, 4]),
            (16, 4) => Kind::Bytes(4, [0; 3]),
            (16, 6) => Kind::Bytes(8, [0, 2, 4]),
            _ => return Err(broken("unknown samples")),
        };
        let bits = match kind {
            Kind::Indices(_) => depth.into(),
            Kind::Bytes(bytes, _) => 8 * bytes,
            Kind::Clipped => 16,
        };
        Ok(Self { bits, kind })
    }

    /// What a pixel without data is.
    fn background(&self) -> [u8; 3] {
        match &self.kind {
            Kind::Indices(colours) => colours.colour(0),
            Kind::Bytes(..) | Kind::Clipped => [0; 3],
        }
    }

    /// Fills `line` with the pixels that `row` begins with.
    fn unpack(&self, row: &[u8], line: &mut [u8]) {
        let (pixels, _) = line.as_chunks_mut::<3>();
        match &self.kind {
            Kind::Indices(colours) => colours.unpack(row, self.bits, line),
            Kind::Bytes(3, _) => pixels.iter_mut().zip(row.as_chunks().0).for_each(|(pixel, bytes)| *pixel = *bytes),
            Kind::Bytes(size, places) => {
                for (pixel, bytes) in pixels.iter_mut().zip(row.chunks_exact(*size)) {
                    *pixel = places.map(|place| bytes[place]);
                }
            }
            Kind::Clipped => {
                for (pixel, &bytes) in pixels.iter_mut().zip(row.as_chunks().0) {
                    *pixel = [u16::from_be_bytes(bytes).min(255) as u8; 3];
                }
            }
        }
    }
}
