//! Two hundred damaged pictures: each is taken with Pillow's pixels or refused as Pillow refuses it, in little time and
//! memory. What Pillow makes of them, and how they are damaged, is in `fixtures/damaged.json`.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its fixtures has failed")]

use imagefleet_common::ids::content_hash;
use imagefleet_pictures::decode::{Limits, decode};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, sync::mpsc, thread, time::Duration};

/// Those within which Pillow's verdicts were asked for.
const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 22, max_side: 8192 };

/// Where we differ from Pillow 13.0.0, by place in the file, and why.
const EXCEPTIONS: &[(usize, &str)] = &[];

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn cases() -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(fixtures().join("damaged.json")).unwrap()).unwrap()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// The picture that the case names, with the case's bytes in the places it gives, and of its length.
fn damaged(case: &Value) -> Vec<u8> {
    let mut bytes = fs::read(fixtures().join(case["file"].as_str().unwrap())).unwrap();
    for edit in case["edits"].as_array().unwrap() {
        let (place, digits) = (number(&edit[0]), edit[1].as_str().unwrap());
        let replacement = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
        let end = place + digits.len() / 2;
        bytes.resize(bytes.len().max(end), 0);
        bytes.splice(place..end, replacement);
    }
    bytes.resize(number(&case["length"]), 0);
    bytes
}

/// What we make of the picture, in the form of Pillow's verdict.
fn verdict(bytes: &[u8]) -> Value {
    match decode(bytes, &LIMITS) {
        Ok(rgb) => json!({"width": rgb.width, "height": rgb.height, "rgb": content_hash(&rgb.pixels)}),
        Err(rejection) => json!({"error": rejection.detail}),
    }
}

fn agrees(case: &Value, verdict: &Value) -> bool {
    let is_refused = case.get("error").is_some();
    is_refused && verdict.get("error").is_some()
        || !is_refused && ["width", "height", "rgb"].iter().all(|key| case[key] == verdict[key])
}

#[test]
fn what_pillow_takes_is_taken_with_equal_pixels_and_what_it_refuses_is_refused() {
    let cases = cases();
    assert_eq!(cases.len(), 200);
    assert!(EXCEPTIONS.len() <= 2, "at least 198 of 200 agree");
    let taken = cases.iter().filter(|case| case.get("error").is_none()).count();
    assert!((40..160).contains(&taken), "both verdicts are frequent: {taken} are taken");
    for (place, case) in cases.iter().enumerate() {
        let ours = verdict(&damaged(case));
        let is_exception = EXCEPTIONS.iter().any(|(exception, _)| *exception == place);
        assert_ne!(agrees(case, &ours), is_exception, "{place}: {case}\nours: {ours}");
    }
}

#[test]
fn no_damage_makes_a_decoder_panic_or_hang_or_take_much_memory() {
    const LONGEST: Duration = Duration::from_secs(20);
    // What a picture of `max_pixels` may take: RGB, and two canvases with alpha and a frame of WebP.
    const MOST_KIB: u64 = 160 << 10;
    for case in cases() {
        let (done, is_done) = mpsc::channel();
        let bytes = damaged(&case);
        thread::spawn(move || done.send(verdict(&bytes)));
        let ours = is_done.recv_timeout(LONGEST).unwrap_or_else(|_| panic!("{case} takes longer than {LONGEST:?}"));
        assert!(!ours.to_string().contains("panicked"), "{case}: {ours}");
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok());
        assert!(peak.is_some_and(|peak: u64| peak < MOST_KIB), "{peak:?} KiB at most");
    }
}
