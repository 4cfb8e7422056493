//! What is said of folders that are incomplete, broken or of another model, and what a revision is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use fixture::{Fixture, distance};
use imagefleet_common::Error;
use imagefleet_models::{Device, load, open_checkpoint, revision};
use safetensors::{SafeTensors, serialize_to_file, tensor::TensorView};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn error_of(dir: &Path) -> Error {
    load(dir, Device::Cpu).map(|_| ()).unwrap_err()
}

/// The error is permanent and names all of these.
fn assert_names(error: &Error, names: &[&str]) {
    let text = error.to_string();
    assert!(error.is_permanent() && names.iter().all(|name| text.contains(name)), "{names:?} in: {text}");
}

fn edit_config(dir: &Path, edit: impl FnOnce(&mut Value)) {
    let file = dir.join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    edit(&mut config);
    fs::write(file, config.to_string()).unwrap();
}

#[test]
fn a_missing_file_is_named_with_what_brings_it() {
    for file in ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"] {
        let folder = Fixture::open("clip-tiny").copy();
        open_checkpoint(folder.path()).unwrap();
        fs::remove_file(folder.path().join(file)).unwrap();
        let folder_name = folder.path().to_str().unwrap();
        let error = open_checkpoint(folder.path()).map(|_| ()).unwrap_err();
        assert_names(&error, &[&format!("{file} missing"), "hf download", folder_name]);
    }
    assert_names(&error_of(Path::new("openai/clip-vit-base-patch32")), &["openai/clip-vit-base-patch32", "folder"]);
}

#[test]
fn a_whole_processor_stands_for_its_image_processor() {
    let folder = Fixture::open("clip-tiny").copy();
    let [old, new] = ["preprocessor_config.json", "processor_config.json"].map(|file| folder.path().join(file));
    let settings = fs::read_to_string(&old).unwrap();
    fs::remove_file(old).unwrap();
    fs::write(new, format!(r#"{{"image_processor": {settings}}}"#)).unwrap();
    open_checkpoint(folder.path()).unwrap();
}

#[test]
fn a_model_of_another_family_is_refused_with_what_is_supported() {
    let folder = Fixture::open("clip-tiny").copy();
    edit_config(folder.path(), |config| config["model_type"] = json!("siglip"));
    assert_names(&error_of(folder.path()), &["\"siglip\"", "supported: \"clip\""]);
}

#[test]
fn a_config_that_is_no_json_is_named() {
    let folder = Fixture::open("clip-tiny").copy();
    fs::write(folder.path().join("config.json"), "{\"model_type\": ").unwrap();
    assert_names(&error_of(folder.path()), &["config.json", "EOF"]);
}

#[test]
fn weights_that_end_early_or_are_noise_are_named() {
    for keep in [0, 4, 1000, 300_000] {
        let folder = Fixture::open("clip-tiny").copy();
        let file = folder.path().join("model.safetensors");
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..keep]).unwrap();
        assert_names(&error_of(folder.path()), &["model.safetensors", "incomplete"]);
        fs::write(&file, whole.iter().map(|byte| byte ^ 0x5a).collect::<Vec<_>>()).unwrap();
        assert_names(&error_of(folder.path()), &["model.safetensors", "broken"]);
    }
}

#[test]
fn a_tensor_that_is_missing_or_of_another_shape_is_named() {
    let folder = Fixture::open("clip-tiny").copy();
    edit_config(folder.path(), |config| config["vision_config"]["num_hidden_layers"] = json!(3));
    assert_names(&error_of(folder.path()), &["model.safetensors", "vision_model.encoder.layers.2.layer_norm1.weight"]);

    let folder = Fixture::open("clip-tiny").copy();
    edit_config(folder.path(), |config| config["projection_dim"] = json!(32));
    assert_names(&error_of(folder.path()), &["text_projection.weight", "[24, 32]", "[32, 32]"]);
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let folder = Fixture::open("clip-tiny").copy();
    edit_config(folder.path(), |config| config["text_config"]["eos_token_id"] = json!(5));
    assert_names(&error_of(folder.path()), &["tokenizer.json", "eos_token_id 5"]);

    let folder = Fixture::open("clip-tiny").copy();
    edit_config(folder.path(), |config| config["text_config"]["vocab_size"] = json!(800));
    assert_names(&error_of(folder.path()), &["tokenizer.json", "vocab_size of 800"]);

    let folder = Fixture::open("clip-tiny").copy();
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    assert_names(&error_of(folder.path()), &["tokenizer.json"]);
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_gpu_that_this_build_cannot_use_is_refused_and_never_replaced_by_the_cpu() {
    let error = load(&Fixture::open("clip-tiny").dir, Device::Cuda(0)).map(|_| ()).unwrap_err();
    assert_names(&error, &["without the feature cuda", "cuda:0"]);
}

#[test]
fn weights_in_several_files_give_the_same_vectors() {
    let fixture = Fixture::open("clip-tiny");
    let folder = fixture.copy();
    let whole = fs::read(folder.path().join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&whole).unwrap().tensors();
    let mut weight_map = serde_json::Map::new();
    for (index, half) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let shard = format!("model-0000{}-of-00002.safetensors", index + 1);
        weight_map.extend(half.iter().map(|(name, _)| (name.clone(), json!(shard))));
        let half = half.iter().map(|(name, tensor)| {
            (name.as_str(), TensorView::new(tensor.dtype(), tensor.shape().to_vec(), tensor.data()).unwrap())
        });
        serialize_to_file(half, None, &folder.path().join(shard)).unwrap();
    }
    let index = json!({"metadata": {}, "weight_map": weight_map}).to_string();
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();

    let vectors = load(folder.path(), Device::Cpu).unwrap().encode_texts(&fixture.titles).unwrap();
    assert!(distance(&vectors.values, &fixture.floats("text")) <= 1e-5);

    fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).unwrap();
    assert_names(&error_of(folder.path()), &["model-00002-of-00002.safetensors missing"]);
}

#[test]
fn a_revision_is_of_the_files_that_decide_vectors_and_not_of_where_they_lie() {
    let fixture = Fixture::open("clip-tiny");
    let (one, two) = (fixture.copy(), fixture.copy());
    let original = revision(one.path()).unwrap();
    assert_eq!(original.len(), 64);
    assert_eq!(revision(two.path()).unwrap(), original);
    fs::write(two.path().join("README.md"), "a model card").unwrap();
    assert_eq!(revision(two.path()).unwrap(), original);

    for file in
        ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"]
    {
        let changed = fixture.copy();
        let path = changed.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        let after_change = revision(changed.path()).unwrap();
        assert_ne!(after_change, original, "{file} changed");
        fs::remove_file(&path).unwrap();
        let after_removal = revision(changed.path()).unwrap();
        assert!(after_removal != original && after_removal != after_change, "{file} removed");
    }
}
