//! Writes a corpus of plain zip shards for measurements, and a job file beside it:
//!
//! `cargo run --release -p imagefleet-tests --example make_corpus -- FOLDER PICTURES MODEL`
//!
//! Two hundred pictures a shard, each a JPEG of 500 × 375 pixels that no other equals.

use imagefleet_tests::{
    corpus::jpeg_of,
    zip_writer::{Twist, Zip},
};
use std::{env, error::Error, fs, path::PathBuf};

const SHARD: u32 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, pictures, model] = &arguments[..] else { return Err("usage: FOLDER PICTURES MODEL".into()) };
    let folder = PathBuf::from(folder);
    let pictures: u32 = pictures.parse().map_err(|error| format!("PICTURES is {pictures:?}: {error}"))?;
    let model = fs::canonicalize(model)?;
    fs::create_dir_all(folder.join("corpus"))?;
    // The same picture under another name costs as much to embed, and drawing it costs nothing.
    let drawn: Vec<Vec<u8>> = (0..64).map(|seed| jpeg_of(seed, 500, 375)).collect();
    for first in (0..pictures).step_by(SHARD as usize) {
        let mut zip = Zip::default();
        for number in first..(first + SHARD).min(pictures) {
            zip.add(&format!("{number:08}.jpg"), &drawn[number as usize % drawn.len()], Twist::default());
        }
        fs::write(folder.join(format!("corpus/{first:08}.zip")), zip.finish(false))?;
    }
    fs::write(folder.join("articles.csv"), "1,,A red boat at sunset,,,\n2,,Snow closes the mountain roads,,,\n")?;
    let job = format!(
        "name = \"measure\"\n[corpus]\nname = \"measure\"\nsource = \"corpus\"\nlayout = \"zip\"\n[model]\npath = {model:?}\n\
         [articles]\nfile = \"articles.csv\"\n[output]\ndirectory = \"out\"\n"
    );
    fs::write(folder.join("job.toml"), job)?;
    Ok(())
}
