//! Decoding equals Pillow's, and nothing that a file holds can do more than be rejected.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its fixtures has failed")]

use imagefleet_common::{ids::content_hash, ledger::Reason};
use imagefleet_pictures::decode::{Limits, Rgb, decode, decode_over};
use std::{fs, path::PathBuf};

const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 23, max_side: 8192 };

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn expected() -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(fixtures().join("pillow.json")).unwrap()).unwrap()
}

fn read(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(name)).unwrap()
}

fn names() -> Vec<String> {
    let pictures = expected()["pictures"].as_object().unwrap().clone();
    assert!(pictures.len() >= 120);
    pictures.keys().cloned().collect()
}

/// Without the pictures that take long.
fn small() -> impl Iterator<Item = String> {
    names().into_iter().filter(|name| !name.starts_with("size-"))
}

#[test]
fn every_picture_has_the_bytes_that_pillow_gives() {
    let expected = expected();
    let mut differing = Vec::new();
    for name in names() {
        let wanted = &expected["pictures"][&name];
        match decode(&read(&name), &LIMITS) {
            Ok(rgb) => {
                assert_eq!(rgb.pixels.len(), 3 * (rgb.width * rgb.height) as usize, "{name}");
                let given = serde_json::json!({
                    "width": rgb.width, "height": rgb.height, "rgb": content_hash(&rgb.pixels),
                });
                if &given != wanted {
                    differing.push(format!("{name}: {}x{}", rgb.width, rgb.height));
                }
            }
            Err(rejection) => differing.push(format!("{name}: {rejection:?}")),
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn a_pictures_memory_is_used_again_and_nothing_of_what_it_held_is_left() {
    let mut picture = Rgb::default();
    for name in small() {
        let bytes = read(&name);
        let whole = decode(&bytes, &LIMITS).unwrap();
        let decoded = decode_over(&bytes, &LIMITS, None, &mut picture).unwrap();
        assert_eq!((decoded.width, decoded.height, decoded.shrunk_by), (whole.width, whole.height, 1), "{name}");
        assert_eq!(picture, whole, "{name}");
    }
}

#[test]
fn a_jpeg_is_shrunk_as_far_as_no_side_gets_too_short() {
    let bytes = read("jpeg-photo.jpg");
    let mut picture = Rgb::default();
    for (least, shrunk_by, width, height) in [(241, 1, 320, 240), (120, 2, 160, 120), (33, 4, 80, 60), (1, 8, 40, 30)] {
        let decoded = decode_over(&bytes, &LIMITS, Some(least), &mut picture).unwrap();
        assert_eq!((decoded.width, decoded.height, decoded.shrunk_by), (320, 240, shrunk_by));
        assert_eq!((picture.width, picture.height, picture.pixels.len() as u32), (width, height, 3 * width * height));
    }
}

fn reason(bytes: &[u8], limits: &Limits) -> Reason {
    decode(bytes, limits).unwrap_err().reason
}

#[test]
fn each_limit_is_named_by_the_rejection_that_it_causes() {
    for name in names() {
        let bytes = read(&name);
        let whole = decode(&bytes, &LIMITS).unwrap();
        let (width, height, size) = (whole.width, whole.height, bytes.len() as u64);
        let (pixels, side) = (u64::from(width) * u64::from(height), width.max(height));
        let exact = Limits { max_bytes: size, max_pixels: pixels, max_side: side };
        assert_eq!(decode(&bytes, &exact), Ok(whole), "{name}");
        let refused = decode(&bytes, &Limits { max_bytes: size - 1, ..exact }).unwrap_err();
        let detail = format!("{size} bytes, max_bytes is {}", size - 1);
        assert_eq!((refused.reason, refused.detail), (Reason::TooManyBytes, detail), "{name}");
        let refused = decode(&bytes, &Limits { max_pixels: pixels - 1, ..exact }).unwrap_err();
        let detail = format!("{width}x{height}, max_pixels is {}", pixels - 1);
        assert_eq!((refused.reason, refused.detail), (Reason::TooManyPixels, detail), "{name}");
        let refused = decode(&bytes, &Limits { max_side: side - 1, ..exact }).unwrap_err();
        let detail = format!("{width}x{height}, max_side is {}", side - 1);
        assert_eq!((refused.reason, refused.detail), (Reason::SideTooLong, detail), "{name}");
    }
}

#[test]
fn a_bomb_is_refused_by_its_header_alone() {
    // Headers that claim 60,000 x 60,000 pixels (WebP cannot: 16,383 x 16,383), with next to nothing behind them.
    let mut png = read("png-rgb.png");
    png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let crc = crc32fast::hash(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    let mut jpeg = read("jpeg-baseline-444.jpg");
    let frame = jpeg.windows(4).position(|window| window == [0xff, 0xc0, 0, 17]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    let mut gif = read("gif-plain.gif");
    gif[6..10].copy_from_slice(&[0x60, 0xea, 0x60, 0xea]);
    let mut bmp = read("bmp-24.bmp");
    bmp[18..26].copy_from_slice(&[0x60, 0xea, 0, 0, 0x60, 0xea, 0, 0]);
    let mut webp = read("webp-lossless.webp");
    webp[21..25].copy_from_slice(&[0xfe, 0xbf, 0xff, 0x0f]);
    for (name, bytes) in [("png", png), ("jpeg", jpeg), ("gif", gif), ("bmp", bmp), ("webp", webp)] {
        assert_eq!(reason(&bytes, &LIMITS), Reason::SideTooLong, "{name}");
        let no_side = Limits { max_side: u32::MAX, ..LIMITS };
        assert_eq!(reason(&bytes, &no_side), Reason::TooManyPixels, "{name}");
    }
}

#[test]
fn what_is_no_picture_is_told_from_what_is_a_broken_one() {
    assert_eq!(reason(b"", &LIMITS), Reason::Empty);
    for bytes in [&b"hello, this is text"[..], b"<html>", b"\xff", b"\0\0\0\0", b"RIFF1234WAVE", b"%PDF-1.7"] {
        assert_eq!(reason(bytes, &LIMITS), Reason::UnknownFormat);
    }
    for bytes in [&b"\xff\xd8\xff"[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF\x04\0\0\0WEBP"] {
        assert!(matches!(reason(bytes, &LIMITS), Reason::Truncated | Reason::Undecodable), "{bytes:?}");
    }
}

#[test]
fn a_picture_cut_short_is_rejected_and_never_filled_with_grey() {
    for name in small() {
        let bytes = read(&name);
        let whole = decode(&bytes, &LIMITS).unwrap();
        for part in 0..40 {
            let cut = &bytes[..bytes.len() * part / 40];
            match decode(cut, &LIMITS) {
                // The cut took nothing but what stands behind the pixels.
                Ok(picture) => assert_eq!(picture, whole, "{name} cut to {} of {}", cut.len(), bytes.len()),
                Err(rejection) => assert!(
                    matches!(
                        rejection.reason,
                        Reason::Empty | Reason::UnknownFormat | Reason::Truncated | Reason::Undecodable
                    ),
                    "{name}: {rejection:?}"
                ),
            }
        }
        let is_told = name.ends_with(".jpg") && name != "jpeg-trailing-bytes.jpg" || name.ends_with(".webp");
        if is_told {
            assert_eq!(reason(&bytes[..bytes.len() * 3 / 4], &LIMITS), Reason::Truncated, "{name}");
        }
    }
}

#[test]
fn flipped_bits_never_do_more_than_a_rejection_and_always_do_the_same() {
    let mut state = 20_100_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for name in small() {
        let whole = read(&name);
        for round in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..=round % 5 {
                // Half of the flips hit the header, where they do the most harm.
                let at = if round % 2 == 0 { random(bytes.len()) } else { random(bytes.len().min(64)) };
                bytes[at] ^= 1 << random(8);
            }
            assert_eq!(decode(&bytes, &LIMITS), decode(&bytes, &LIMITS), "{name}");
        }
    }
}

#[test]
fn a_picture_of_many_tiny_profiles_costs_as_much_as_its_bytes_and_no_more() {
    let chunk = |kind: &[u8], content: &[u8]| {
        let body = [kind, content].concat();
        [&(content.len() as u32).to_be_bytes(), &body[..], &crc32fast::hash(&body).to_be_bytes()].concat()
    };
    let plain = read("png-1x1.png");
    const HEADER: usize = 8 + 25;
    let bytes = [&plain[..HEADER], &chunk(b"iCCP", b"a\0\0").repeat(1 << 21), &plain[HEADER..]].concat();
    let (answer, answers) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let limits = Limits { max_bytes: 1 << 30, ..LIMITS };
        answer.send(decode(&bytes, &limits) == decode(&plain, &LIMITS))
    });
    // A buffer for the longest profile each took minutes.
    assert!(answers.recv_timeout(std::time::Duration::from_secs(20)).expect("two million chunks take seconds"));
}
