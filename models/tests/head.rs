//! Linear heads against torch, and files that are no linear head.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use fixture::Fixture;
use imagefleet_models::head::LinearHead;
use std::{fs, path::PathBuf};

fn file(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/head").join(name)).unwrap()
}

fn refused(bytes: &[u8]) -> String {
    let error = LinearHead::read(bytes).unwrap_err();
    assert!(error.is_permanent());
    error.to_string()
}

/// Scores are a few units; torch sums in f32.
const TOLERANCE: f32 = 2e-6;

#[test]
fn a_head_scores_pictures_as_torch_does() {
    let head = LinearHead::read(&file("head.pth")).unwrap();
    let expected: Vec<f32> = serde_json::from_slice(&file("scores.json")).unwrap();
    let clip = Fixture::open("clip-tiny");
    let vectors = clip.floats("image");
    let scores: Vec<f32> = vectors.chunks(head.dims()).map(|vector| head.score(vector)).collect();
    assert_eq!(scores.len(), expected.len());
    for (score, expected) in scores.iter().zip(&expected) {
        assert!((score - expected).abs() <= TOLERANCE * expected.abs(), "{score} is not {expected}");
    }
}

#[test]
fn a_head_of_another_width_says_which_backbone_it_was_trained_on() {
    let head = LinearHead::read(&file("wide.pth")).unwrap();
    assert!(head.must_fit(768).is_ok());
    let error = head.must_fit(512).unwrap_err();
    assert!(error.is_permanent());
    let said = error.to_string();
    assert!(said.contains("768 values (of CLIP ViT-L/14)") && said.contains("the model makes 512"), "{said}");
}

#[test]
fn what_is_no_linear_head_is_refused_by_what_is_wrong_with_it() {
    assert!(refused(&file("deep.pth")).contains("weight: it is not there"), "{}", refused(&file("deep.pth")));
    assert!(refused(&file("half.pth")).contains("stored as F16"), "{}", refused(&file("half.pth")));
    assert!(refused(b"weights").starts_with("read the head: it is incomplete or broken"));
    assert!(refused(&[]).starts_with("read the head: it is incomplete or broken"));
    let whole = file("head.pth");
    for length in (0..whole.len()).step_by(97) {
        assert!(LinearHead::read(&whole[..length]).is_err(), "cut to {length} bytes");
    }
    assert!(refused(&vec![0; (1 << 20) + 1]).contains("too many"));
}

#[test]
fn the_published_heads_score_as_torch_scores_with_them() {
    let Some(data) = std::env::var_os("IMAGEFLEET_REAL_DATA").map(PathBuf::from) else {
        eprintln!("did not run: IMAGEFLEET_REAL_DATA is not set");
        return;
    };
    // What `scripts/fixtures/heads.py real` prints for the three files.
    let expected = [("b_16", 512, 1.356_759), ("b_32", 512, 3.535_471_2), ("l_14", 768, 2.482_286_5)];
    for (name, dims, expected) in expected {
        let file = data.join(format!("aesthetic/sa_0_4_vit_{name}_linear.pth"));
        let head = LinearHead::read(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(head.dims(), dims);
        let wave: Vec<f64> = (1..=dims).map(|n| (n as f64).sin()).collect();
        let length = wave.iter().map(|value| value * value).sum::<f64>().sqrt();
        let vector: Vec<f32> = wave.iter().map(|value| (value / length) as f32).collect();
        let score = head.score(&vector);
        assert!((score - expected).abs() <= 4.0 * TOLERANCE * f32::abs(expected), "{name}: {score} is not {expected}");
        assert!(head.must_fit(dims + 1).is_err());
    }
    eprintln!("3 published heads score as torch does");
}
