//! The pictures that are measured with.

use imagefleet_common::{Context, Error, Result};
use imagefleet_pictures::{
    decode::{Format, Rgb},
    thumbnail::jpeg,
};
use std::{fs, path::Path, time::Instant};

/// Pictures that are drawn: enough that no cache holds all of what is decoded.
const DRAWN: u32 = 64;
/// The size of Flickr's medium pictures, of which YFCC100M is made.
const SIZE: (u32, u32) = (500, 375);
/// Files that are read.
const MOST: usize = 2_000;

/// Their bytes and, where they were read from files, pictures read a second.
pub(super) fn samples(folder: Option<&Path>) -> Result<(Vec<Vec<u8>>, Option<f64>)> {
    let Some(folder) = folder else { return Ok(((0..DRAWN).map(|seed| jpeg(&drawn(seed))).collect(), None)) };
    let doing = || format!("read pictures of {}", folder.display());
    let mut paths: Vec<_> = fs::read_dir(folder)
        .permanent(doing)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .permanent(doing)?;
    paths.retain(|path| path.is_file());
    paths.sort();
    let start = Instant::now();
    let mut samples = Vec::new();
    for path in paths.iter().take(MOST) {
        samples.push(fs::read(path).permanent(|| format!("read {}", path.display()))?);
    }
    let rate = samples.len() as f64 / start.elapsed().as_secs_f64().max(1e-9);
    samples.retain(|bytes| Format::of(bytes).is_some());
    match samples.is_empty() {
        true => Err(Error::permanent(format!("{}: there is none", doing()))),
        false => Ok((samples, Some(rate))),
    }
}

/// Smooth shapes with the grain that a camera adds: it decodes about as slowly as a photograph.
fn drawn(seed: u32) -> Rgb {
    let (width, height) = SIZE;
    let mut noise = seed.wrapping_mul(2_654_435_761) | 1;
    let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                // A generator of Marsaglia's, https://www.jstatsoft.org/article/view/v008i14
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                let wave = (x * (1 + (seed + channel) % 3) + y * (1 + seed % 5)) / 4 % 224;
                pixels.push((wave + noise % 32) as u8);
            }
        }
    }
    Rgb { width, height, pixels }
}
