//! The first frame of a GIF, on the canvas that Pillow gives it.
//!
//! Pillow keeps colour indices: what the frame leaves open has the transparent index, or 0, and takes that index's
//! colour when alpha is dropped. A frame that sticks out of the canvas enlarges it.

mod lzw;

use super::{Format, Limits, Rgb, check_size, palette::Palette, reader::Reader, rgb_len, truncated, undecodable};
use imagefleet_common::ledger::Rejection;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    let mut file = Reader::new(bytes);
    let screen = exactly(&mut file, 13)?;
    let (width, height) = (short(screen, 6), short(screen, 8));
    check_size(width.into(), height.into(), limits)?;
    let global = palette(&mut file, screen[10])?;
    let transparent = find_frame(&mut file)?;

    let frame = exactly(&mut file, 9)?;
    let (left, top, frame_width, frame_height) = (short(frame, 0), short(frame, 2), short(frame, 4), short(frame, 6));
    let local = if frame[8] & HAS_PALETTE == 0 { None } else { Some(palette(&mut file, frame[8])?) };
    let is_interlaced = frame[8] & 0x40 != 0;
    let code_bits = file.byte().ok_or_else(|| truncated(Format::Gif))?;

    let width = u32::from(width).max(u32::from(left) + u32::from(frame_width));
    let height = u32::from(height).max(u32::from(top) + u32::from(frame_height));
    check_size(width, height, limits)?;
    if frame_width == 0 || frame_height == 0 {
        return Err(undecodable(Format::Gif, "the frame has no pixels"));
    }

    let (frame_width, frame_height) = (usize::from(frame_width), usize::from(frame_height));
    let mut indices = lzw::Decoder::new(file, code_bits)?.decode(frame_width * frame_height)?.into_iter();
    let mut canvas = vec![transparent.unwrap_or(0); width as usize * height as usize];
    for row in rows(frame_height, is_interlaced) {
        let start = (usize::from(top) + row) * width as usize + usize::from(left);
        canvas[start..start + frame_width].iter_mut().zip(&mut indices).for_each(|(pixel, index)| *pixel = index);
    }
    let palette = local.unwrap_or(global).as_chunks().0;
    // The ramp of greys counts as no palette, without which all indices are greys.
    let is_ramp = palette.iter().enumerate().all(|(index, colour)| *colour == [index as u8; 3]);
    let colours = if is_ramp { Some(Palette::greys(8)) } else { Palette::new(palette) };
    let colours = colours.expect("three bits of size make 256 colours at most");
    let mut pixels = Vec::with_capacity(rgb_len(width, height));
    for index in canvas {
        pixels.extend_from_slice(&colours.colour(index));
    }
    Ok(Rgb { width, height, pixels })
}

/// In the flags of the screen or of a frame.
const HAS_PALETTE: u8 = 0x80;

/// The palette behind the flags, empty if they say that there is none.
fn palette<'a>(file: &mut Reader<'a>, flags: u8) -> Result<&'a [u8], Rejection> {
    if flags & HAS_PALETTE == 0 {
        return Ok(&[]);
    }
    exactly(file, 3 << ((flags & 7) + 1))
}

/// Reads up to behind the comma that a frame begins with, and returns the transparent index.
fn find_frame(file: &mut Reader) -> Result<Option<u8>, Rejection> {
    const EXTENSION: u8 = b'!';
    const GRAPHIC_CONTROL: u8 = 249;
    const COMMENT: u8 = 254;
    const APPLICATION: u8 = 255;
    let mut transparent = None;
    loop {
        match file.byte() {
            None => return Err(truncated(Format::Gif)),
            Some(b';') => return Err(undecodable(Format::Gif, "no frame")),
            Some(b',') => return Ok(transparent),
            Some(EXTENSION) => {}
            // Stray bytes.
            Some(_) => continue,
        }
        let kind = file.byte().ok_or_else(|| truncated(Format::Gif))?;
        let first = block(file);
        match kind {
            GRAPHIC_CONTROL if !first.is_empty() => match *first {
                [flags, _, _, index, ..] if flags & 1 != 0 => transparent = Some(index),
                [flags, _, _, ..] if flags & 1 == 0 => {}
                _ => return Err(undecodable(Format::Gif, "a control block is too short")),
            },
            // A comment's blocks end with the first empty one, that of the others with the next.
            COMMENT if first.is_empty() => continue,
            APPLICATION if first.starts_with(b"NETSCAPE2.0") => {
                block(file);
            }
            _ => {}
        }
        while !block(file).is_empty() {}
    }
}

/// A block behind its length; empty at the end of a sequence of blocks, and of the file.
fn block<'a>(file: &mut Reader<'a>) -> &'a [u8] {
    let length = file.byte().unwrap_or(0);
    file.read(length.into())
}

/// The places of a frame's rows, in the order in which they are stored.
fn rows(height: usize, is_interlaced: bool) -> impl Iterator<Item = usize> {
    let passes: &[(usize, usize)] = if is_interlaced { &[(0, 8), (4, 8), (2, 4), (1, 2)] } else { &[(0, 1)] };
    passes.iter().flat_map(move |&(first, step)| (first..height).step_by(step))
}

fn exactly<'a>(file: &mut Reader<'a>, count: usize) -> Result<&'a [u8], Rejection> {
    file.exactly(count).ok_or_else(|| truncated(Format::Gif))
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
