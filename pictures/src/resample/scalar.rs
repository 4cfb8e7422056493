//! The passes, plainly: what every other arithmetic must equal.

use super::{
    lines::{Lines, stride},
    weights::Pass,
};
use std::ops::Range;

pub(super) fn across(pass: &Pass, from: Lines<'_>, rows: Range<usize>, into: &mut [u8]) {
    for (row, into) in rows.zip(into.chunks_exact_mut(stride(pass.taps.len()))) {
        let line = from.all(row);
        for (taps, into) in pass.taps.iter().zip(into.as_chunks_mut::<3>().0) {
            let (pixels, _) = line[from.offset(taps.first)..].as_chunks::<3>();
            let mut sums = [pass.half(); 3];
            for (pixel, weight) in pixels.iter().zip(pass.weights(taps)) {
                for (sum, sample) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*sample) * weight;
                }
            }
            *into = sums.map(|sum| byte_of(sum >> pass.precision));
        }
    }
}

pub(super) fn down(pass: &Pass, index: usize, from: Lines<'_>, columns: Range<usize>, into: &mut [u8]) {
    const BLOCK: usize = 64;
    let taps = &pass.taps[index];
    for (block, into) in into[..3 * columns.len()].chunks_mut(BLOCK).enumerate() {
        let mut sums = [pass.half(); BLOCK];
        for (row, weight) in taps.inputs().zip(pass.weights(taps)) {
            let line = &from.row(row, columns.clone())[BLOCK * block..];
            for (sum, sample) in sums.iter_mut().zip(line) {
                *sum += i32::from(*sample) * weight;
            }
        }
        for (byte, sum) in into.iter_mut().zip(sums) {
            *byte = byte_of(sum >> pass.precision);
        }
    }
}

fn byte_of(sample: i32) -> u8 {
    sample.clamp(0, 255) as u8
}
