//! The first frame of a GIF, on the canvas that Pillow gives it.
//!
//! Pillow keeps colour indices: what the frame leaves open has the transparent index, or 0, and takes that index's
//! colour when alpha is dropped. A frame that sticks out of the canvas enlarges it.

use super::{Limits, Rgb, check_size, raster::rejection_of_io, rgb_len};
use gif::{ColorOutput, DecodeOptions, DecodingError};
use imagefleet_common::ledger::{Reason, Rejection};

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.allow_unknown_blocks(true);
    let mut decoder = options.read_info(bytes).map_err(rejection)?;
    check_size(decoder.width().into(), decoder.height().into(), limits)?;
    // The frame's own size is checked before its pixels are unpacked into memory.
    let frame = decoder.next_frame_info().map_err(rejection)?;
    let Some(frame) = frame.cloned() else {
        return Err(Rejection::new(Reason::Undecodable, "gif: no frame"));
    };
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    let width = usize::from(decoder.width()).max(left + frame_width);
    let height = usize::from(decoder.height()).max(top + frame_height);
    check_size(width as u32, height as u32, limits)?;

    let mut indices = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indices).map_err(rejection)?;
    let colours = colour_table(frame.palette.as_deref().or(decoder.global_palette()));
    let mut canvas = vec![frame.transparent.unwrap_or(0); width * height];
    if frame_width > 0 {
        for (row, line) in indices.chunks_exact(frame_width).enumerate() {
            let start = (top + row) * width + left;
            canvas[start..start + frame_width].copy_from_slice(line);
        }
    }
    let mut pixels = Vec::with_capacity(rgb_len(width as u32, height as u32));
    for index in canvas {
        pixels.extend_from_slice(&colours[usize::from(index)]);
    }
    Ok(Rgb { width: width as u32, height: height as u32, pixels })
}

/// 256 colours: those given, then Pillow's ramp of greys.
fn colour_table(palette: Option<&[u8]>) -> [[u8; 3]; 256] {
    let mut table = std::array::from_fn(|index| [index as u8; 3]);
    for (entry, colour) in table.iter_mut().zip(palette.unwrap_or_default().as_chunks().0) {
        *entry = *colour;
    }
    table
}

fn rejection(error: DecodingError) -> Rejection {
    match error {
        DecodingError::Io(error) => rejection_of_io("gif", &error),
        error => Rejection::new(Reason::Undecodable, format!("gif: {error}")),
    }
}
