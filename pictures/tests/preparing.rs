//! Resampling and preprocessing equal Pillow's and torchvision's, value for value.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its fixtures has failed")]

use imagefleet_common::{ids::content_hash, job::spec::Decoding};
use imagefleet_pictures::{
    decode::{Limits, Rgb, decode},
    processor::{Processor, Scratch},
    resample::{Backend, Filter, Window, resize, resize_window},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn expected(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(fixtures().join(name)).unwrap()).unwrap()
}

const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 23, max_side: 8192 };

fn picture(name: &Value) -> Rgb {
    decode(&file(name.as_str().unwrap()), &LIMITS).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(name)).unwrap()
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

fn filter(name: &Value) -> Filter {
    match name.as_str().unwrap() {
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        "lanczos" => Filter::Lanczos,
        other => panic!("{other}"),
    }
}

fn clip(side: u32) -> Processor {
    Processor::from_json(&json!({"size": side, "crop_size": side}).to_string()).unwrap()
}

fn assert_resized_as(reference: &str, backend: Backend) {
    let cases = expected(reference)["resized"].as_array().unwrap().clone();
    assert!(cases.len() >= 60);
    let differing: Vec<&Value> = cases
        .iter()
        .filter(|case| {
            let (width, height) = (number(&case["width"]), number(&case["height"]));
            let given = resize(&picture(&case["file"]), width, height, filter(&case["filter"]), backend);
            content_hash(&given.pixels) != case["rgb"].as_str().unwrap()
        })
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
}

fn assert_prepared_as(reference: &str, backend: Backend) {
    let cases = expected(reference)["prepared"].as_array().unwrap().clone();
    assert!(cases.len() >= 20);
    for case in cases {
        assert_prepared(&clip(number(&case["side"])).with_backend(backend), &case);
    }
}

/// The cropped bytes and all values are the case's; a value that is off by one unit in the last place fails as well.
fn assert_prepared(processor: &Processor, case: &Value) {
    let picture = picture(&case["file"]);
    assert_eq!(content_hash(&processor.crop(&picture).pixels), case["rgb"].as_str().unwrap(), "{case}");
    let (width, height) = processor.size();
    let mut tensor = vec![0.0; 3 * (width * height) as usize];
    processor.prepare(&picture, &mut tensor);
    let values: Vec<f64> = case["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    assert_eq!(tensor[..8].iter().map(|&value| f64::from(value)).collect::<Vec<_>>(), values, "{case}");
    let bytes: Vec<u8> = tensor.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(content_hash(&bytes), case["tensor"].as_str().unwrap(), "{case}");
}

#[test]
fn resizing_gives_the_bytes_that_pillow_gives() {
    assert_resized_as("pillow.json", Backend::Pillow);
}

#[test]
fn preparing_gives_the_values_that_transformers_gives_with_pillow() {
    assert_prepared_as("pillow.json", Backend::Pillow);
}

#[test]
fn the_processors_of_every_family_give_the_values_that_transformers_gives() {
    let cases = expected("processors.json").as_array().unwrap().clone();
    assert!(cases.len() >= 100);
    for case in cases {
        let mut config = case["config"].clone();
        if config["image_processor_type"] != "JinaCLIPImageProcessor" {
            config["backend"] = case["backend"].clone();
        }
        let processor = Processor::from_json(&config.to_string()).unwrap();
        assert_eq!(processor.size(), (number(&case["width"]), number(&case["height"])), "{case}");
        assert_prepared(&processor, &case);
    }
}

#[test]
fn a_window_of_the_result_equals_the_same_window_cut_from_all_of_it() {
    let source = picture(&"jpeg-photo.jpg".into());
    let (width, height) = (151, 90);
    let window = Window { left: 17, top: 33, width: 40, height: 21 };
    for backend in [Backend::Pillow, Backend::Torchvision] {
        for (width, height) in [(width, height), (source.width, height), (width, source.height)] {
            let whole = resize(&source, width, height, Filter::Lanczos, backend);
            let part = resize_window(&source, width, height, window, Filter::Lanczos, backend);
            let rows = whole.pixels.chunks_exact(3 * width as usize).skip(33).take(21);
            let cut: Vec<u8> = rows.flat_map(|row| row[3 * 17..3 * 57].to_vec()).collect();
            assert_eq!((part.width, part.height, part.pixels), (40, 21, cut));
        }
    }
}

#[test]
fn of_a_line_of_pixels_only_what_the_crop_keeps_is_computed() {
    // The references resize it to 224 x 1,120,000, 750 MB of bytes, and then cut 224 rows out.
    const MOST_KIB: u64 = 300 << 10;
    let line = picture(&"size-1x5000.png".into());
    for backend in [Backend::Pillow, Backend::Torchvision] {
        assert_eq!(clip(224).with_backend(backend).crop(&line).pixels.len(), 3 * 224 * 224);
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok());
        assert!(peak.is_some_and(|peak: u64| peak < MOST_KIB), "{peak:?} KiB at most");
    }
}

#[test]
fn resizing_gives_the_bytes_that_torchvision_gives() {
    assert_resized_as("torchvision.json", Backend::Torchvision);
}

#[test]
fn preparing_gives_the_values_that_transformers_gives_with_torchvision() {
    assert_prepared_as("torchvision.json", Backend::Torchvision);
}

/// The values and the size of a picture, whatever was in the memory before.
fn load(processor: &Processor, name: &str, scratch: &mut Scratch) -> (Vec<f32>, (u32, u32)) {
    let (width, height) = processor.size();
    let mut tensor = vec![f32::NAN; 3 * (width * height) as usize];
    let size = processor.load(&file(name), &LIMITS, scratch, &mut tensor).unwrap();
    (tensor, size)
}

#[test]
fn loading_one_picture_after_another_in_the_same_memory_gives_what_each_gives_alone() {
    let mut scratch = Scratch::default();
    let names: Vec<String> = expected("pillow.json")["pictures"].as_object().unwrap().keys().cloned().collect();
    for name in names.iter().chain(names.iter().rev()) {
        let picture = picture(&name.as_str().into());
        let mut tensor = vec![0.0; 3 * 32 * 32];
        clip(32).prepare(&picture, &mut tensor);
        assert_eq!(load(&clip(32), name, &mut scratch), (tensor, (picture.width, picture.height)), "{name}");
        // A picture that is refused half-way leaves nothing behind.
        let cut = &file(name)[..file(name).len() / 2];
        let _ = clip(32).load(cut, &LIMITS, &mut scratch, &mut vec![0.0; 3 * 32 * 32]);
    }
}

/// Leaves samples as they are: from 0 to 255.
fn levels(side: u32, decoding: Decoding) -> Processor {
    let config = json!({"size": side, "crop_size": side, "do_rescale": false, "do_normalize": false});
    Processor::from_json(&config.to_string()).unwrap().with_decoding(decoding)
}

#[test]
fn fast_decoding_is_a_little_off_where_a_jpeg_has_pixels_to_spare_and_exact_elsewhere() {
    let mut scratch = Scratch::default();
    let mut compare = |name: &str, side| {
        let (exact, size) = load(&levels(side, Decoding::Exact), name, &mut scratch);
        let (fast, fast_size) = load(&levels(side, Decoding::Fast), name, &mut scratch);
        assert_eq!(fast_size, size, "{name}: the size is the picture's own");
        let off = exact.iter().zip(&fast).map(|(exact, fast)| f64::from((exact - fast).abs()));
        off.clone().sum::<f64>() / off.count() as f64
    };
    // 320 x 240: with one pixel less to spare each of these would be decoded at twice the size.
    for (side, most) in [(80, 2.0), (40, 2.0), (20, 2.0)] {
        let off = compare("jpeg-photo.jpg", side);
        assert!(off > 0.0 && off < most, "{side}: {off}");
    }
    assert_eq!(compare("jpeg-photo.jpg", 81), 0.0);
    // Odd sides, inks, grey: all are shrunk as well.
    for name in ["jpeg-portrait.jpg", "jpeg-low-quality.jpg", "jpeg-restarts.jpg", "jpeg-cmyk.jpg", "jpeg-grey.jpg"] {
        let off = compare(name, 12);
        assert!(off > 0.0 && off < 3.0, "{name}: {off}");
    }
    for name in ["webp-lossy-large.webp", "png-rgb.png", "gif-plain.gif", "bmp-24.bmp"] {
        assert_eq!(compare(name, 4), 0.0, "{name}");
    }
}

#[test]
fn old_and_new_forms_of_a_file_mean_the_same() {
    let forms = [
        json!({}),
        json!({"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224, "resample": 3}),
        json!({
            "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 224},
            "crop_size": {"height": 224, "width": 224}, "do_resize": true, "do_center_crop": true, "do_rescale": true,
            "do_normalize": true, "do_convert_rgb": true, "rescale_factor": 0.00392156862745098,
            "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
            "backend": "pil",
        }),
        json!({"size": {"shortest_edge": 224, "longest_edge": null}, "rescale_factor": null}),
    ];
    for form in &forms {
        let processor = Processor::from_json(&form.to_string()).unwrap();
        assert_eq!(processor, clip(224), "{form}");
        assert_eq!(
            processor.identity(),
            "shortest edge 224 bicubic, centre crop 224, rescale 0.00392156862745098, \
             mean [0.48145466, 0.4578275, 0.40821073], std [0.26862954, 0.26130258, 0.27577711], pillow 13"
        );
    }
}

#[test]
fn whatever_changes_a_value_changes_the_identity() {
    let changes = [
        json!({}),
        json!({"size": 225}),
        json!({"size": {"height": 224, "width": 224}}),
        json!({"size": {"height": 224, "width": 224}, "do_center_crop": false}),
        json!({"crop_size": 200}),
        json!({"resample": 2}),
        json!({"resample": 1}),
        json!({"do_rescale": false}),
        json!({"rescale_factor": 0.5}),
        json!({"do_normalize": false}),
        json!({"image_mean": [0.5, 0.5, 0.5]}),
        json!({"image_std": [0.5, 0.5, 0.5]}),
        json!({"backend": "torchvision"}),
        json!({"crop_size": {"height": 224, "width": 200}}),
        json!({"image_processor_type": "SiglipImageProcessor"}),
        json!({"image_processor_type": "BlipImageProcessor"}),
        json!({"image_processor_type": "EfficientNetImageProcessor"}),
        json!({"image_processor_type": "EfficientNetImageProcessor", "rescale_offset": true}),
        json!({"image_processor_type": "EfficientNetImageProcessor", "include_top": false}),
        json!({"image_processor_type": "JinaCLIPImageProcessor", "size": 224}),
    ];
    let identity = |change: &Value| Processor::from_json(&change.to_string()).unwrap().identity();
    let mut identities: std::collections::BTreeSet<String> = changes.iter().map(identity).collect();
    identities.insert(clip(224).with_decoding(Decoding::Fast).identity());
    assert_eq!(identities.len(), changes.len() + 1, "{identities:#?}");
    assert_eq!(clip(224).with_decoding(Decoding::Exact).identity(), clip(224).identity());
}

#[test]
fn a_wrong_file_is_refused_by_the_key_that_is_wrong() {
    let cases = [
        (json!({"image_processor_type": "Qwen2VLImageProcessor"}), "image_processor_type"),
        (json!({"size": "224"}), "size"),
        (json!({"size": 0}), "size"),
        (json!({"size": {"height": 224, "width": 200}}), "size"),
        (json!({"size": {"shortest_edge": 224, "longest_edge": 500}}), "size"),
        (json!({"crop_size": 225}), "crop_size"),
        (json!({"image_processor_type": "SiglipImageProcessor", "size": 224}), "do_center_crop"),
        (json!({"image_processor_type": "EfficientNetImageProcessor", "rescale_offset": 1}), "rescale_offset"),
        (json!({"image_processor_type": "JinaCLIPImageProcessor", "resize_mode": "squash"}), "resize_mode"),
        (json!({"crop_size": {"height": 224}}), "crop_size"),
        (json!({"do_resize": false}), "do_resize"),
        (json!({"do_center_crop": false}), "do_center_crop"),
        (json!({"do_normalize": "yes"}), "do_normalize"),
        (json!({"do_pad": true}), "do_pad"),
        (json!({"resample": 0}), "resample"),
        (json!({"rescale_factor": -1}), "rescale_factor"),
        (json!({"image_mean": [0.5, 0.5]}), "image_mean"),
        (json!({"image_std": [0.5, 0.0, 0.5]}), "image_std"),
        (json!({"backend": "magick"}), "backend"),
        (json!([1]), "JSON object"),
    ];
    for (file, key) in cases {
        let error = Processor::from_json(&file.to_string()).unwrap_err();
        assert!(error.is_permanent() && error.to_string().contains(key), "{file}: {error}");
    }
}

#[test]
fn a_directory_of_either_layout_is_read_and_a_missing_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let error = Processor::read(directory.path()).unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("processor_config.json"), "{error}");
    let nested = json!({"image_processor": {"size": 32, "crop_size": 32}, "processor_class": "CLIPProcessor"});
    fs::write(directory.path().join("processor_config.json"), nested.to_string()).unwrap();
    assert_eq!(Processor::read(directory.path()).unwrap(), clip(32));
    fs::write(directory.path().join("preprocessor_config.json"), json!({"size": 64, "crop_size": 64}).to_string())
        .unwrap();
    assert_eq!(Processor::read(directory.path()).unwrap().size(), (64, 64));
}

#[test]
fn a_processor_that_does_not_fit_the_model_is_refused_with_both_sizes() {
    assert!(clip(224).must_fit(224).is_ok());
    let error = clip(224).must_fit(336).unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("224 × 224"), "{error}");
    assert!(error.to_string().contains("336 × 336"), "{error}");
    let oblong = Processor::from_json(&json!({"crop_size": {"height": 224, "width": 200}}).to_string()).unwrap();
    assert!(oblong.must_fit(224).is_err());
}
