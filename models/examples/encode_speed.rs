//! Pictures and titles a second of a checkpoint on this machine.
//!
//!     python scripts/fixtures/clip.py b32 /tmp/clip-b32 TOKENIZER.json
//!     cargo run --release -p imagefleet-models --example encode_speed -- /tmp/clip-b32 [batch] [cpu|cuda:N]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use imagefleet_models::{Device, PictureBatch, load};
use std::{path::Path, time::Instant};

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("usage: encode_speed CHECKPOINT [BATCH] [cpu|cuda:N]")?;
    let count = arguments.next().map_or(Ok(32), |count| count.parse())?;
    let device = match arguments.next().as_deref() {
        None | Some("cpu") => Device::Cpu,
        Some(name) => Device::Cuda(name.strip_prefix("cuda:").ok_or("a device is cpu or cuda:N")?.parse()?),
    };

    let start = Instant::now();
    let mut encoder = load(Path::new(&dir), device)?;
    println!("{device}: loaded in {:.2} s", start.elapsed().as_secs_f64());

    let side = encoder.picture_side();
    // Values as normalised pixels have them, without a pattern that a cache could like.
    let pixels = (0..count * 3 * side * side).map(|i| ((i * 7919) % 1009) as f32 / 252.0 - 2.0).collect();
    let batch = PictureBatch { count, side, pixels };
    measure("pictures", count, || encoder.encode_pictures(&batch).map(drop))?;

    let titles: Vec<String> = (0..256).map(|i| format!("Title {i} of an article about the harbour at night")).collect();
    measure("titles", titles.len(), || encoder.encode_texts(&titles).map(drop))?;
    Ok(())
}

/// Prints the best and the mean rate of some rounds, after one that does not count.
fn measure<E>(what: &str, count: usize, mut round: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    round()?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        round()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let best = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    println!("{count} {what} at once: best {:.1}/s, mean {:.1}/s", count as f64 / best, count as f64 / mean);
    Ok(())
}
