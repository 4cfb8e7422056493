//! PNG as Pillow reads it: strict with the chunks before the pixels, checksums included, and lenient behind them.
//!
//! Rules that are Pillow's own: 16-bit grey is clipped to bytes and not scaled; the rows of data that end early and
//! properly are missing and not refused; the first frame of an animation that is no picture of its own is taken.

mod chunks;
mod rows;

use super::{Format, Limits, Rgb, check_size, truncated, undecodable};
use chunks::Chunks;
use imagefleet_common::ledger::Rejection;
use rows::{Rows, Samples};

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb, Rejection> {
    let mut chunks = Chunks::new(bytes);
    let mut left = chunks.read_to_pixels()?;
    let header = &chunks.header;
    let (width, height) = (header.width, header.height);
    if width == 0 || height == 0 {
        return Err(broken("a side is 0"));
    }
    check_size(width, height, limits)?;
    let samples = Samples::new(header.depth, header.colour_type, header.palette)?;
    let mut rows = Rows::new(width, height, header.frame(), header.is_interlaced, samples)?;
    loop {
        // At most a portion at a time, and nothing of two chunks at once: how far data are looked at behind the last row
        // decides which errors there are seen.
        const PORTION: usize = 65_536;
        while left == 0 {
            left = chunks.next_of_pixels()?;
        }
        let portion = chunks.file.read(left.min(PORTION));
        left -= left.min(PORTION);
        if portion.is_empty() {
            return Err(truncated(Format::Png));
        }
        if rows.feed(portion)? {
            break;
        }
    }
    chunks.file.read(left);
    chunks.read_to_end()?;
    Ok(Rgb { width, height, pixels: rows.into_pixels() })
}

fn broken(fault: &str) -> Rejection {
    undecodable(Format::Png, fault)
}
