//! The Rust side of `bench/decode`: prepares the JPEGs of the folders that it is told, as often as it is told.
//!
//! Each line of standard input is `exact|fast|decode`, `pil|torchvision` and a folder, all pictures of which are then
//! prepared once as CLIP wants them, on this thread (`decode`: only decoded), and a line says when that is done. A file name after the folder is where the values are written to, as little-endian f32.

#![expect(clippy::print_stdout, reason = "the answers")]

use imagefleet_common::job::spec::{Decoding, Limits};
use imagefleet_pictures::{
    decode::{Rgb, decode_over},
    processor::{Processor, Scratch},
};
use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead},
};

fn main() -> io::Result<()> {
    let limits = Limits::default();
    let (mut scratch, mut picture, mut folders) = (Scratch::default(), Rgb::default(), HashMap::new());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [mode, backend, folder, ref out @ ..] = words[..] else {
            return Err(io::Error::other(format!("{line}: expected mode, backend, folder")));
        };
        if !folders.contains_key(folder) {
            folders.insert(folder.to_owned(), pictures(folder)?);
        }
        let config = format!(r#"{{"size": 224, "crop_size": 224, "backend": "{backend}"}}"#);
        let decoding = if mode == "fast" { Decoding::Fast } else { Decoding::Exact };
        let processor = Processor::from_json(&config).map_err(io::Error::other)?.with_decoding(decoding);
        let mut values = vec![0.0; 3 * 224 * 224];
        let mut written: Vec<u8> = Vec::new();
        for bytes in &folders[folder] {
            let refused = |rejection| io::Error::other(format!("{rejection:?}"));
            if mode == "decode" {
                decode_over(bytes, &limits, None, &mut picture).map_err(refused)?;
            } else {
                processor.load(bytes, &limits, &mut scratch, &mut values).map_err(refused)?;
            }
            if !out.is_empty() {
                written.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        for path in out {
            fs::write(path, &written)?;
        }
        println!("done");
    }
    Ok(())
}

/// The files of a folder, by name.
fn pictures(folder: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    paths.into_iter().map(fs::read).collect()
}
