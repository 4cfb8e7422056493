//! Encodes what it is told to, one request a line of standard input, and says how long it took: the side of
//! `bench/encode` that is ours.
//!
//!     encode_rounds CHECKPOINT PIXELS TITLES
//!
//! PIXELS holds pictures as raw f32, TITLES one title a line. `pictures 8` encodes the first eight and prints
//! the seconds, `titles 8` likewise; `vectors FILE` writes all pictures' vectors as raw f32.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use imagefleet_models::{Device, PictureBatch, load};
use std::{error::Error, fs, io, path::Path, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, pixels, titles] = arguments.as_slice() else {
        return Err("usage: encode_rounds CHECKPOINT PIXELS TITLES".into());
    };
    let mut encoder = load(Path::new(dir), Device::Cpu)?;
    let pixels: Vec<f32> = fs::read(pixels)?.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let titles: Vec<String> = fs::read_to_string(titles)?.lines().map(str::to_owned).collect();
    let side = encoder.picture_side();
    let picture = 3 * side * side;
    let first = |count: usize| PictureBatch { count, side, pixels: pixels[..count * picture].to_vec() };

    for line in io::stdin().lines() {
        let line = line?;
        let (request, argument) = line.split_once(' ').ok_or("a request has an argument")?;
        let seconds = match request {
            "pictures" => {
                let batch = first(argument.parse()?);
                let start = Instant::now();
                encoder.encode_pictures(&batch)?;
                start.elapsed()
            }
            "titles" => {
                let titles = &titles[..argument.parse()?];
                let start = Instant::now();
                encoder.encode_texts(titles)?;
                start.elapsed()
            }
            "vectors" => {
                let start = Instant::now();
                let vectors = encoder.encode_pictures(&first(pixels.len() / picture))?;
                let bytes: Vec<u8> = vectors.values.iter().flat_map(|x| x.to_le_bytes()).collect();
                fs::write(argument, bytes)?;
                start.elapsed()
            }
            other => return Err(format!("no such request: {other}").into()),
        };
        println!("{}", seconds.as_secs_f64());
    }
    Ok(())
}
