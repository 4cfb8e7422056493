//! Pictures and shards, the same for the same seed.

use crate::zip_writer::{Twist, Zip};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use std::{fs, io::Write, path::Path};

/// A small JPEG that no other seed has.
pub fn jpeg(seed: u32) -> Vec<u8> {
    jpeg_of(seed, 40 + seed as usize % 17, 36 + seed as usize % 13)
}

/// The same of a given size in pixels.
pub fn jpeg_of(seed: u32, width: usize, height: usize) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in 0..height as u32 {
        for x in 0..width as u32 {
            let wave = (x * (1 + seed % 7) + y * (1 + seed % 5) + seed * 31) % 256;
            pixels.extend([wave as u8, (x * 5 + seed * 13) as u8, (y * 6 + seed * 7) as u8]);
        }
    }
    let image =
        turbojpeg::Image { pixels: &pixels[..], width, pitch: 3 * width, height, format: turbojpeg::PixelFormat::RGB };
    turbojpeg::compress(image, 90, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec()
}

/// A picture of one grey, which is known again by its pixels.
pub fn deadly_jpeg() -> Vec<u8> {
    let image = turbojpeg::Image {
        pixels: &[128; 3 * 40 * 40][..],
        width: 40,
        pitch: 120,
        height: 40,
        format: turbojpeg::PixelFormat::RGB,
    };
    turbojpeg::compress(image, 90, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec()
}

/// Are these the pixels of a [`deadly_jpeg`], planes of red, green and blue?
pub fn is_deadly(pixels: &[f32]) -> bool {
    let red = &pixels[..pixels.len() / 3];
    red.iter().all(|value| *value == red[0])
}

/// A YFCC photo: where it was downloaded from, its key, its bytes.
#[derive(Debug, Clone)]
pub struct Photo {
    pub id: u32,
    pub url: String,
    pub key: String,
    pub bytes: Vec<u8>,
}

impl Photo {
    /// The entry's name in its shard.
    pub fn entry(&self) -> String {
        format!("data/images/{}/{}/{}.jpg", &self.key[..3], &self.key[3..6], self.key)
    }

    pub fn metadata(&self) -> String {
        json!({
            "photoid": self.id, "uid": "1@N00", "unickname": "Zo%C3%AB+Z", "marker": 0, "ext": "jpg",
            "title": format!("photo+{}", self.id), "datetaken": "2012-05-06 12:33:00.0", "usertags": "sea,red+boat",
            "downloadurl": self.url, "pageurl": format!("http://example.org/{}", self.id),
            "licensename": "Attribution License", "licenseurl": "http://creativecommons.org/licenses/by/2.0/",
        })
        .to_string()
    }
}

/// The first `count` photos whose keys begin with `shard` (three hex letters), searched for by id.
pub fn photos(shard: &str, count: usize) -> Vec<Photo> {
    (0..)
        .map(|id: u32| (id, format!("http://example.org/photos/{id}.jpg")))
        .map(|(id, url)| (id, imagefleet_pictures::archive::names::photo_key(&url), url))
        .filter(|(_, key, _)| key.starts_with(shard))
        .take(count)
        .map(|(id, key, url)| Photo { id, key, url, bytes: jpeg(id) })
        .collect()
}

/// Writes `images/{shard}.zip` and `metadata/{shard}.jsonl.gz` below `corpus`.
pub fn write_yfcc_shard(corpus: &Path, shard: &str, photos: &[Photo]) {
    let mut zip = Zip::default();
    for photo in photos {
        zip.add(&photo.entry(), &photo.bytes, Twist::default());
    }
    write_zip(corpus, shard, &mut zip);
    write_metadata(corpus, shard, photos.iter().map(Photo::metadata));
}

pub fn write_zip(corpus: &Path, shard: &str, zip: &mut Zip) {
    let images = corpus.join("images");
    fs::create_dir_all(&images).unwrap();
    fs::write(images.join(format!("{shard}.zip")), zip.finish(false)).unwrap();
}

pub fn write_metadata(corpus: &Path, shard: &str, rows: impl Iterator<Item = String>) {
    let metadata = corpus.join("metadata");
    fs::create_dir_all(&metadata).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    for row in rows {
        writeln!(gzip, "{row}").unwrap();
    }
    fs::write(metadata.join(format!("{shard}.jsonl.gz")), gzip.finish().unwrap()).unwrap();
}
