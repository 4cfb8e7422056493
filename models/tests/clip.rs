//! CLIP against what transformers said of the same files (`scripts/fixtures/clip.py`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use fixture::{Fixture, distance};
use imagefleet_models::{Device, Encoder, PictureBatch, Vectors, load};

/// Largest error allowed in a component of a unit vector.
const EXACT: f32 = 1e-5;
/// What batch composition may change.
const ROUNDING: f32 = 1e-6;

/// Folders of `models/fixtures`, their vectors' components and their pictures' side.
///
/// - `tiny`: as transformers 5 saves it: f32, quick_gelu, its own end token.
/// - `legacy`: f16, `*_config_dict`, `eos_token_id` 2, gelu, ε 1e-3, a side that patches do not fill.
/// - `bf16-shards`: bf16 in several files, gelu's tanh form, ε 1e-6, patches of 14.
/// - `torch-shards`: f32 in several `.bin`, `*_config_dict` with gaps, `eos_token_id` 2, gelu in one tower only.
/// - `pad-left`: bf16 in `pytorch_model.bin`, a pad token of its own, on the left.
/// - `pad-highest`: a pad token above the end token, with `eos_token_id` 2.
/// - `added`: f16, tokens above the end token, towers that differ in activation, ε and depth, seven components.
/// - `sparse`: f16, a config that says only what is not a default.
const CHECKPOINTS: [(&str, usize, usize); 8] = [
    ("clip-tiny", 24, 32),
    ("clip-legacy", 24, 30),
    ("clip-bf16-shards", 20, 28),
    ("clip-torch-shards", 20, 16),
    ("clip-pad-left", 20, 16),
    ("clip-pad-highest", 20, 16),
    ("clip-added", 7, 18),
    ("clip-sparse", 512, 32),
];

fn encoder(fixture: &Fixture) -> Box<dyn Encoder> {
    load(&fixture.dir, Device::Cpu).unwrap()
}

fn of_one_picture(encoder: &mut dyn Encoder, all: &PictureBatch, index: usize) -> Vectors {
    let size = all.pixels.len() / all.count;
    let pixels = all.pixels[index * size..][..size].to_vec();
    encoder.encode_pictures(&PictureBatch { count: 1, side: all.side, pixels }).unwrap()
}

#[test]
fn titles_get_the_reference_vectors() {
    for (name, ..) in CHECKPOINTS {
        let fixture = Fixture::open(name);
        let vectors = encoder(&fixture).encode_texts(&fixture.titles).unwrap();
        let worst = distance(&vectors.values, &fixture.floats("text"));
        eprintln!("{name}: {} titles, largest error {worst:.1e}", fixture.titles.len());
        assert!(worst <= EXACT, "{name}: off by {worst}");
    }
}

#[test]
fn pictures_get_the_reference_vectors() {
    for (name, ..) in CHECKPOINTS {
        let fixture = Fixture::open(name);
        let vectors = encoder(&fixture).encode_pictures(&fixture.pictures()).unwrap();
        let worst = distance(&vectors.values, &fixture.floats("image"));
        eprintln!("{name}: {} pictures, largest error {worst:.1e}", fixture.pictures().count);
        assert!(worst <= EXACT, "{name}: off by {worst}");
    }
}

#[test]
fn an_encoder_says_its_dimensions_and_its_pictures_side() {
    for (name, dims, side) in CHECKPOINTS {
        let encoder = encoder(&Fixture::open(name));
        assert_eq!((encoder.dims(), encoder.picture_side()), (dims, side), "{name}");
    }
}

#[test]
fn a_titles_vector_does_not_depend_on_the_titles_beside_it() {
    for (name, ..) in CHECKPOINTS {
        let fixture = Fixture::open(name);
        let mut encoder = encoder(&fixture);
        // More than one batch, short and long ones mixed, each title several times.
        let many: Vec<String> = fixture.titles.iter().cycle().take(7 * fixture.titles.len()).cloned().collect();
        let together = encoder.encode_texts(&many).unwrap();
        assert_eq!(together.len(), many.len());
        for (index, title) in many.iter().enumerate() {
            let alone = encoder.encode_texts(std::slice::from_ref(title)).unwrap();
            let worst = distance(together.row(index), &alone.values);
            assert!(worst <= ROUNDING, "{name}, {title:?}: moved by {worst}");
        }
    }
}

#[test]
fn a_pictures_vector_does_not_depend_on_the_pictures_beside_it() {
    for (name, ..) in CHECKPOINTS {
        let fixture = Fixture::open(name);
        let mut encoder = encoder(&fixture);
        let pictures = fixture.pictures();
        let together = encoder.encode_pictures(&pictures).unwrap();
        assert!(pictures.count > 1);
        for index in 0..pictures.count {
            let alone = of_one_picture(&mut *encoder, &pictures, index);
            let worst = distance(together.row(index), &alone.values);
            assert!(worst <= ROUNDING, "{name}, picture {index}: moved by {worst}");
        }
    }
}

#[test]
fn a_picture_that_is_not_finite_loses_its_own_vector_only() {
    let fixture = Fixture::open("clip-tiny");
    let mut encoder = encoder(&fixture);
    let mut pictures = fixture.pictures();
    let clean = encoder.encode_pictures(&pictures).unwrap();
    let size = pictures.pixels.len() / pictures.count;
    pictures.pixels[size + 5] = f32::NAN;
    pictures.pixels[2 * size + 7] = f32::INFINITY;
    let vectors = encoder.encode_pictures(&pictures).unwrap();
    for lost in [1, 2] {
        assert!(vectors.row(lost).iter().all(|x| x.is_nan()), "picture {lost}");
    }
    for kept in [0, 3] {
        assert_eq!(vectors.row(kept), clean.row(kept), "picture {kept}");
    }
}

#[test]
fn nothing_to_encode_gives_no_vectors() {
    let fixture = Fixture::open("clip-tiny");
    let mut encoder = encoder(&fixture);
    let no_pictures = PictureBatch { count: 0, side: encoder.picture_side(), pixels: Vec::new() };
    assert!(encoder.encode_pictures(&no_pictures).unwrap().is_empty());
    assert!(encoder.encode_texts(&[]).unwrap().is_empty());
}

#[test]
fn a_batch_of_another_side_is_refused() {
    let fixture = Fixture::open("clip-tiny");
    let batch = PictureBatch { count: 1, side: 30, pixels: vec![0.0; 3 * 30 * 30] };
    let error = encoder(&fixture).encode_pictures(&batch).unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("32×32"), "{error}");
}
