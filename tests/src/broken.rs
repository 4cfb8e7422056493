//! A YFCC shard in which one entry in ten is broken, each in its own way.

use crate::{
    corpus::{Photo, jpeg, photos, write_metadata, write_zip},
    zip_writer::{Twist, Zip},
};
use imagefleet_common::ledger::Reason;
use imagefleet_pictures::archive::names::photo_key;
use std::{path::Path, sync::LazyLock};

/// Two whole download URLs with one key: bytes of their MD5s differ only in how many zeroes were left out.
pub const COLLIDING: [&str; 2] = [
    "TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak",
    "TEXTCOLLBYfGiJUETHQ4hEcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak",
];

/// Above what any sound picture here has, and what `[limits]` is to say.
pub const MAX_BYTES: usize = 60_000;

const SOUND: usize = 144;
/// Metadata rows of photos that the shard does not hold.
const MISSING: usize = 3;

/// The shard, its photos as they ought to be, and what is to become of the broken entries.
pub struct BrokenShard {
    /// Begins the colliding key.
    pub name: &'static str,
    /// Photos that are sound.
    pub sound: Vec<Photo>,
    /// Photos in whose place something broken stands, with the reason of its rejection.
    pub spoilt: Vec<(Photo, Reason)>,
    /// Entries beside these that are refused for their names or keys.
    pub refused: Vec<(String, Reason)>,
    /// Photos without an entry.
    pub missing: Vec<Photo>,
}

static KEY: LazyLock<String> = LazyLock::new(|| photo_key(COLLIDING[0]));

/// What stands in place of a photo's bytes, how it is packed, and why it is rejected.
type Flaw = (fn(&[u8]) -> Vec<u8>, Twist, Reason);

fn flaws() -> [Flaw; 12] {
    let plain = Twist::default();
    let wrong_crc = Twist { wrong_crc: true, ..plain };
    let deflated = Twist { deflated: true, ..plain };
    let encrypted = Twist { flags: 1, ..plain };
    [
        (|jpeg| jpeg[..jpeg.len() / 2].to_vec(), plain, Reason::Truncated),
        (|_| Vec::new(), plain, Reason::Empty),
        (|_| b"<html>404: photo not found</html>".to_vec(), plain, Reason::UnknownFormat),
        (|_| png_header(50_000, 50_000, true), deflated, Reason::TooManyPixels),
        (|_| png_header(70_000, 1, true), plain, Reason::SideTooLong),
        (|_| png_header(10, 10, false), plain, Reason::Undecodable),
        (<[u8]>::to_vec, wrong_crc, Reason::WrongChecksum),
        (<[u8]>::to_vec, Twist { wrong_crc: true, ..deflated }, Reason::WrongChecksum),
        (<[u8]>::to_vec, Twist { size: Some(100), ..deflated }, Reason::BadEntry),
        (<[u8]>::to_vec, encrypted, Reason::BadEntry),
        (<[u8]>::to_vec, Twist { no_local_signature: true, ..plain }, Reason::BadEntry),
        (|jpeg| [jpeg, &[0; MAX_BYTES]].concat(), deflated, Reason::TooManyBytes),
    ]
}

impl BrokenShard {
    pub fn new() -> Self {
        let name = &KEY[..3];
        let flaws = flaws();
        let mut all = photos(name, SOUND + flaws.len() + MISSING);
        let missing = all.split_off(SOUND + flaws.len());
        let spoilt = all.split_off(SOUND).into_iter().zip(flaws.map(|(.., reason)| reason)).collect();
        let misplaced = photos("fff", 1).remove(0);
        let refused = vec![
            (all[0].entry(), Reason::Duplicate),
            (format!("data/images/../../{}.jpg", all[1].key), Reason::UnsafeName),
            (misplaced.entry(), Reason::Misplaced),
            (format!("data/images/{name}/{}/{}.jpg", &KEY[3..6], *KEY), Reason::KeyCollision),
        ];
        Self { name, sound: all, spoilt, refused, missing }
    }

    pub fn path(&self) -> String {
        format!("images/{}.zip", self.name)
    }

    /// The one sound photo of which the metadata does not know.
    pub fn unattributed(&self) -> &Photo {
        &self.sound[SOUND / 2]
    }

    /// Writes zip and metadata. Every third sound picture is deflated, and a broken entry stands after each ninth.
    pub fn write(&self, corpus: &Path) {
        let mut zip = Zip::default();
        zip.add("data/images/", b"", Twist::default());
        zip.add("data/about.txt", b"not a picture", Twist::default());
        let mut broken = self.broken().into_iter();
        for (nth, photo) in self.sound.iter().enumerate() {
            zip.add(&photo.entry(), &photo.bytes, Twist { deflated: nth % 3 == 0, ..Twist::default() });
            if nth % 9 == 0 {
                let (name, bytes, twist) = broken.next().unwrap();
                zip.add(&name, &bytes, twist);
            }
        }
        write_zip(corpus, self.name, &mut zip);
        let spoilt = self.spoilt.iter().map(|(photo, _)| photo);
        let known = self.sound.iter().filter(|photo| photo.key != self.unattributed().key);
        let rows = known.chain(spoilt).chain(&self.missing).map(Photo::metadata);
        let colliding = COLLIDING.map(|url| format!(r#"{{"downloadurl":"{url}","photoid":7,"marker":0}}"#));
        let video = r#"{"downloadurl":"http://example.org/a-film","photoid":8,"marker":1}"#.to_owned();
        write_metadata(corpus, self.name, rows.chain(colliding).chain([video]));
    }

    /// Name, bytes and packing of every broken entry.
    fn broken(&self) -> Vec<(String, Vec<u8>, Twist)> {
        let spoilt = self.spoilt.iter().zip(flaws());
        let spoilt = spoilt.map(|((photo, _), (spoil, twist, _))| (photo.entry(), spoil(&photo.bytes), twist));
        let refused = (0..).zip(&self.refused);
        let refused = refused.map(|(nth, (name, _))| (name.clone(), jpeg(1_000_000 + nth), Twist::default()));
        spoilt.chain(refused).collect()
    }
}

impl Default for BrokenShard {
    fn default() -> Self {
        Self::new()
    }
}

/// The beginning of a PNG of this size, up to where its pixels would stand.
fn png_header(width: u32, height: u32, right_checksum: bool) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8], right: bool| {
        let crc = crc32fast::hash(&[kind, data].concat()) ^ u32::from(!right);
        [&(data.len() as u32).to_be_bytes()[..], kind, data, &crc.to_be_bytes()].concat()
    };
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(chunk(b"IHDR", &header, right_checksum));
    png.extend(chunk(b"IDAT", b"", true));
    png
}
