//! Checkpoints that are broken in every way we could think of, and some at random: each is refused by the name of
//! the file and, where there is one, of the tensor or key; never with a panic, a hang or memory that the files do
//! not explain.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use fixture::Fixture;
use imagefleet_common::Error;
use imagefleet_models::check;
use serde_json::{Value, json};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    io::{Cursor, Read, Write},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

/// These checkpoints have half a megabyte; one has a pickle of 17, which is not to be read.
const MOST_MEMORY: usize = 32 << 20;
const LONGEST: Duration = Duration::from_secs(60);

/// Counts what is allocated, and remembers the most.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static MOST_ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static MOST_OF_ALL: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work, with the arguments that came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = ALLOCATED.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST_ALLOCATED.fetch_max(now, Relaxed);
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `check` says of `folder`, watched.
fn watched(what: &str, folder: &Path) -> Result<(), Error> {
    let folder = folder.to_owned();
    let (sender, receiver) = mpsc::channel();
    let before = ALLOCATED.load(Relaxed);
    MOST_ALLOCATED.store(before, Relaxed);
    let checking = thread::spawn(move || {
        let _ = sender.send(check(&folder).map(drop));
    });
    let result = match receiver.recv_timeout(LONGEST) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: no answer after {LONGEST:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what}: panicked"),
    };
    checking.join().unwrap();
    let most = MOST_ALLOCATED.load(Relaxed).saturating_sub(before);
    MOST_OF_ALL.fetch_max(most, Relaxed);
    assert!(most <= MOST_MEMORY, "{what}: {most} bytes allocated");
    result
}

/// A fixture, how it is broken, and what the error names.
type Case = (&'static str, Box<dyn Fn(&Path)>, &'static [&'static str]);

fn case(fixture: &'static str, break_it: impl Fn(&Path) + 'static, names: &'static [&'static str]) -> Case {
    (fixture, Box::new(break_it), names)
}

fn bytes(file: &'static str, edit: impl Fn(&mut Vec<u8>) + 'static) -> impl Fn(&Path) {
    move |folder| {
        let path = folder.join(file);
        let mut bytes = fs::read(&path).unwrap();
        edit(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}

fn json(file: &'static str, edit: impl Fn(&mut Value) + 'static) -> impl Fn(&Path) {
    bytes(file, move |bytes| {
        let mut value = serde_json::from_slice(bytes).unwrap();
        edit(&mut value);
        *bytes = value.to_string().into_bytes();
    })
}

/// Edits the header of a safetensors file; the numbers behind it stay.
fn header(edit: impl Fn(&mut Value) + 'static) -> impl Fn(&Path) {
    bytes(WEIGHTS, move |bytes| {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        edit(&mut header);
        let header = header.to_string();
        let numbers = bytes.split_off(8 + length);
        *bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &numbers].concat();
    })
}

/// Writes `number` over the beginning of a tensor.
fn numbers(tensor: &'static str, number: &'static [u8]) -> impl Fn(&Path) {
    bytes(WEIGHTS, move |bytes| {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let start = 8 + length + header[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
        bytes[start..start + number.len()].copy_from_slice(number);
    })
}

/// Edits the files in a `pytorch_model.bin`; an empty one is left out.
fn archive(edit: impl Fn(&str, &mut Vec<u8>) + 'static) -> impl Fn(&Path) {
    bytes(TORCH, move |bytes| {
        let mut old = ZipArchive::new(Cursor::new(&*bytes)).unwrap();
        let mut new = ZipWriter::new(Cursor::new(Vec::new()));
        for index in 0..old.len() {
            let mut entry = old.by_index(index).unwrap();
            let name = entry.name().unwrap().into_owned();
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            edit(name.split_once('/').unwrap().1, &mut contents);
            if !contents.is_empty() {
                new.start_file(name, SimpleFileOptions::default()).unwrap();
                new.write_all(&contents).unwrap();
            }
        }
        *bytes = new.finish().unwrap().into_inner();
    })
}

/// Replaces the first `old` in the archive's pickle.
fn pickle(old: &'static [u8], new: &'static [u8]) -> impl Fn(&Path) {
    archive(move |name, contents| {
        if name == "data.pkl" {
            let at = contents.windows(old.len()).position(|window| window == old).unwrap();
            contents.splice(at..at + old.len(), new.iter().copied());
        }
    })
}

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const TORCH: &str = "pytorch_model.bin";
const CONFIG: &str = "config.json";
const TOKENS: &str = "text_model.embeddings.token_embedding.weight";
const LENGTH_ONLY: u64 = 8;

fn of_safetensors() -> Vec<Case> {
    let tiny = "clip-tiny";
    let named = &[WEIGHTS, "incomplete or broken"];
    let of_tokens = &[WEIGHTS, TOKENS];
    vec![
        case(tiny, bytes(WEIGHTS, |b| b.truncate(b.len() / 2)), named),
        case(tiny, bytes(WEIGHTS, |b| b.truncate(b.len() - 1)), named),
        case(tiny, bytes(WEIGHTS, |b| b.push(0)), named),
        case(tiny, bytes(WEIGHTS, |b| b.truncate(500)), named),
        case(tiny, bytes(WEIGHTS, Vec::clear), named),
        case(tiny, bytes(WEIGHTS, |b| b[..8].copy_from_slice(&u64::MAX.to_le_bytes())), named),
        case(tiny, bytes(WEIGHTS, |b| b[..8].copy_from_slice(&(90u64 << 20).to_le_bytes())), named),
        case(tiny, bytes(WEIGHTS, |b| b[..8].copy_from_slice(&LENGTH_ONLY.to_le_bytes())), named),
        case(tiny, bytes(WEIGHTS, |b| b[8] = b'['), named),
        case(tiny, bytes(WEIGHTS, |b| b.iter_mut().for_each(|byte| *byte ^= 0x5a)), named),
        case(tiny, header(|h| *h = json!([])), named),
        case(tiny, header(|h| h[TOKENS]["dtype"] = json!("F64")), named),
        case(tiny, header(|h| h[TOKENS]["dtype"] = json!("F99")), named),
        case(tiny, header(|h| h[TOKENS]["dtype"] = json!("I32")), &[WEIGHTS, TOKENS, "I32"]),
        case(tiny, header(|h| h[TOKENS]["shape"] = json!([32, 828])), &[WEIGHTS, TOKENS, "[32, 828]", "[828, 32]"]),
        case(tiny, header(|h| h[TOKENS]["shape"] = json!([1u64 << 63, 2])), named),
        case(tiny, header(|h| h[TOKENS]["shape"] = json!([-1, 32])), named),
        case(tiny, header(|h| h[TOKENS]["data_offsets"] = json!([0, 105_984])), named),
        case(tiny, header(|h| h[TOKENS]["data_offsets"] = json!([1u64 << 60, (1u64 << 60) + 105_984])), named),
        case(tiny, header(|h| h[TOKENS]["data_offsets"] = json!([105_984, 0])), named),
        case(
            tiny,
            header(|h| {
                let tensor = h.as_object_mut().unwrap().remove(TOKENS).unwrap();
                h["text_model.token_embedding.weight"] = tensor;
            }),
            of_tokens,
        ),
        case(tiny, numbers(TOKENS, &[0, 0, 0xc0, 0x7f]), &[WEIGHTS, TOKENS, "not finite"]),
        case("clip-legacy", numbers(TOKENS, &[0, 0x7c]), &[WEIGHTS, TOKENS, "not finite"]),
        case(
            tiny,
            |folder: &Path| {
                fs::remove_file(folder.join(WEIGHTS)).unwrap();
                fs::create_dir(folder.join(WEIGHTS)).unwrap();
            },
            &["model.safetensors missing"],
        ),
    ]
}

/// A post-processor whose start token has this id, which its vocabulary need not have.
fn roberta(id: u32) -> Value {
    json!({
        "type": "RobertaProcessing", "sep": ["<|endoftext|>", 827], "cls": ["<|startoftext|>", id], "trim_offsets": false,
        "add_prefix_space": false,
    })
}

fn of_configs() -> Vec<Case> {
    let tiny = "clip-tiny";
    let part = |part: &'static str, key: &'static str, value: Value| {
        json(CONFIG, move |config: &mut Value| config[part][key] = value.clone())
    };
    vec![
        case(tiny, bytes(CONFIG, |b| b.truncate(b.len() / 2)), &[CONFIG, "EOF"]),
        case(tiny, bytes(CONFIG, |b| *b = b"[".repeat(1 << 20)), &[CONFIG]),
        case(tiny, bytes(CONFIG, |b| b[20] = 0xff), &[CONFIG]),
        case(tiny, bytes(CONFIG, |b| *b = b"null".to_vec()), &[CONFIG]),
        case(tiny, json(CONFIG, |config| config["model_type"] = json!(7)), &[CONFIG]),
        case(tiny, json(CONFIG, |config| config["text_config"] = json!([1])), &[CONFIG, "text_config"]),
        case(tiny, json(CONFIG, |config| config["projection_dim"] = json!(0)), &[CONFIG, "projection_dim"]),
        case(tiny, part("text_config", "hidden_size", json!("wide")), &[CONFIG, "text_config.hidden_size", "wide"]),
        case(tiny, part("text_config", "hidden_size", json!(1u64 << 62)), &[CONFIG, "text_config.hidden_size"]),
        case(tiny, part("text_config", "num_attention_heads", json!(0)), &[CONFIG, "text_config.num_attention_heads"]),
        case(tiny, part("text_config", "num_hidden_layers", json!(1.5)), &[CONFIG, "text_config.num_hidden_layers"]),
        case(
            tiny,
            part("text_config", "num_hidden_layers", json!(1u64 << 60)),
            &[WEIGHTS, "layers.2.layer_norm1.weight"],
        ),
        case(tiny, part("text_config", "vocab_size", json!(1 << 24)), &[WEIGHTS, TOKENS, "[16777216, 32]"]),
        case(
            tiny,
            part("text_config", "intermediate_size", json!(1 << 24)),
            &[WEIGHTS, "layers.0.mlp.fc1", "16777216"],
        ),
        case(tiny, part("text_config", "max_position_embeddings", json!(1 << 24)), &[WEIGHTS, "position_embedding"]),
        case(tiny, part("text_config", "layer_norm_eps", json!([])), &[CONFIG, "text_config.layer_norm_eps"]),
        case(
            tiny,
            part("vision_config", "image_size", json!(1 << 24)),
            &[WEIGHTS, "vision_model", "position_embedding"],
        ),
        case(tiny, part("vision_config", "patch_size", json!(32)), &[WEIGHTS, "patch_embedding.weight"]),
        case(tiny, part("vision_config", "hidden_act", json!(null)), &[CONFIG, "vision_config.hidden_act"]),
        case(tiny, bytes("tokenizer_config.json", |b| b.truncate(9)), &["tokenizer_config.json"]),
        case(tiny, bytes("tokenizer.json", |b| b.truncate(b.len() / 2)), &["tokenizer.json"]),
        case(tiny, bytes("tokenizer.json", |b| *b = b"{}".to_vec()), &["tokenizer.json"]),
        case(tiny, json("tokenizer.json", |t| t["post_processor"] = json!(null)), &["tokenizer.json"]),
        case("clip-legacy", json("tokenizer.json", |t| t["post_processor"] = json!(null)), &["tokenizer.json"]),
        case(tiny, json("tokenizer.json", |t| t["model"]["vocab"]["a"] = json!(4_000_000_000u32)), &["tokenizer.json"]),
        case(tiny, json("tokenizer.json", |t| t["post_processor"] = roberta(5_000)), &["tokenizer.json", "5000"]),
        case(tiny, json("tokenizer.json", |t| t["model"]["merges"][0] = json!(["no", "such"])), &["tokenizer.json"]),
    ]
}

fn of_indexes() -> Vec<Case> {
    let shards = "clip-bf16-shards";
    let all_in = |shard: &'static str| {
        json(INDEX, move |index: &mut Value| {
            index["weight_map"].as_object_mut().unwrap().values_mut().for_each(|to| *to = json!(shard));
        })
    };
    vec![
        case(shards, all_in("model-00009-of-00009.safetensors"), &[INDEX, "model-00009-of-00009.safetensors missing"]),
        case(shards, all_in("../model-00001-of-00004.safetensors"), &[INDEX, "../model-00001"]),
        case(shards, all_in("/etc/passwd"), &[INDEX, "/etc/passwd"]),
        case(shards, all_in("x/../../a.safetensors"), &[INDEX, "x/../../a.safetensors", "no file of this folder"]),
        case(shards, all_in("config.json"), &[INDEX, "config.json"]),
        case(shards, all_in("model-00001-of-00004.safetensors"), &[INDEX, "it is not there"]),
        case(shards, json(INDEX, |index| index["weight_map"] = json!({"a": 1})), &[INDEX]),
        case(shards, json(INDEX, |index| *index = json!({})), &[INDEX, "weight_map"]),
        case(shards, json(INDEX, |index| index["weight_map"] = json!({})), &[INDEX, "weight_map"]),
        case(
            shards,
            bytes("model-00002-of-00004.safetensors", |b| b.truncate(700)),
            &["model-00002-of-00004.safetensors"],
        ),
        case(
            "clip-torch-shards",
            bytes("pytorch_model-00002-of-00002.bin", |b| b.truncate(700)),
            &["model-00002-of-00002.bin"],
        ),
    ]
}

fn of_torch() -> Vec<Case> {
    let torch = "clip-pad-left";
    vec![
        case(torch, bytes(TORCH, |b| b.truncate(b.len() / 2)), &[TORCH, "incomplete"]),
        case(torch, bytes(TORCH, |b| b.truncate(0)), &[TORCH]),
        case(torch, bytes(TORCH, |b| b.iter_mut().for_each(|byte| *byte ^= 0x5a)), &[TORCH]),
        // As torch wrote before 1.6.
        case(
            torch,
            bytes(TORCH, |b| *b = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.".to_vec()),
            &[TORCH, "before 1.6"],
        ),
        case(
            torch,
            archive(|name, b| {
                if name == "data.pkl" {
                    b.clear()
                }
            }),
            &[TORCH, "data.pkl"],
        ),
        case(
            torch,
            archive(|name, b| {
                if name == "data.pkl" {
                    b.truncate(999)
                }
            }),
            &[TORCH, "data.pkl", "ends early"],
        ),
        case(
            torch,
            archive(|name, b| {
                if name == "data.pkl" {
                    b.fill(b'(')
                }
            }),
            &[TORCH, "data.pkl"],
        ),
        case(
            torch,
            archive(|name, b| {
                if name == "data.pkl" {
                    *b = vec![b'N'; 17 << 20]
                }
            }),
            &[TORCH, "data.pkl", "too large"],
        ),
        case(
            torch,
            archive(|name, b| {
                if name == "data.pkl" {
                    *b = b"\x80\x02cos\nsystem\n)R.".to_vec()
                }
            }),
            &[TORCH, "data.pkl"],
        ),
        case(
            torch,
            archive(|name, b| {
                if name == "byteorder" {
                    *b = b"big".to_vec()
                }
            }),
            &[TORCH, "big-endian"],
        ),
        case(
            torch,
            archive(|name, b| {
                if name == "data/3" {
                    b.clear()
                }
            }),
            &[TORCH, "read tensor", "data/3"],
        ),
        case(
            torch,
            archive(|name, b| {
                if name == "data/3" {
                    b.truncate(6)
                }
            }),
            &[TORCH, "read tensor", "beyond its storage"],
        ),
        case(
            torch,
            archive(|name, b| {
                if name == "data/3" {
                    b.truncate(7)
                }
            }),
            &[TORCH, "read tensor", "data/3"],
        ),
        case(
            torch,
            archive(|name, b| {
                if name == "data/3" {
                    b[..2].copy_from_slice(&[0x80, 0x7f])
                }
            }),
            &[TORCH, "read tensor", "not finite"],
        ),
        case(torch, pickle(b"BFloat16Storage", b"DoubleStorage"), &[TORCH, "read tensor", "DoubleStorage"]),
        case(torch, pickle(b"token_embedding", b"toten_embedding"), &[TORCH, TOKENS, "not there"]),
        case(torch, pickle(b"_rebuild_tensor_v2", b"_rebuild_tensor_v9"), &[TORCH, "not there"]),
    ]
}

#[test]
fn every_broken_checkpoint_is_refused_by_the_name_of_what_is_broken() {
    let cases: Vec<Case> = [of_safetensors(), of_configs(), of_indexes(), of_torch()].into_iter().flatten().collect();
    assert!(cases.len() >= 30);
    let mut wrong = Vec::new();
    for (number, (fixture, break_it, names)) in cases.iter().enumerate() {
        let folder = Fixture::open(fixture).copy();
        break_it(folder.path());
        let what = format!("case {number}, {fixture}, {names:?}");
        let path = folder.path().to_str().unwrap();
        match watched(&what, folder.path()) {
            Ok(()) => wrong.push(format!("{what}: it was accepted")),
            Err(error) => {
                let text = error.to_string();
                if !error.is_permanent() || !names.iter().chain([&path]).all(|name| text.contains(name)) {
                    wrong.push(format!("{what}: {text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!("{} broken checkpoints refused, at most {} MiB allocated", cases.len(), MOST_OF_ALL.load(Relaxed) >> 20);

    noise();
}

/// Bytes changed at seeded places of every file: whatever comes of it, it is an answer. Called by the one test of
/// this file, so that nobody else allocates meanwhile.
fn noise() {
    let mut state = 41u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut refused, mut sound) = (0, 0);
    for fixture in ["clip-legacy", "clip-bf16-shards", "clip-pad-left"] {
        let original = Fixture::open(fixture);
        let files: Vec<PathBuf> = original.dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        for round in 0..40 {
            let folder = original.copy();
            let file = folder.path().join(files[round % files.len()].file_name().unwrap());
            let mut bytes = fs::read(&file).unwrap();
            for _ in 0..1 + next(4) {
                // Headers and the archive's directory stand at either end.
                let span = bytes.len().min(8000);
                let at = if next(2) == 0 { next(span) } else { bytes.len() - 1 - next(span) };
                bytes[at] = next(256) as u8;
            }
            fs::write(&file, &bytes).unwrap();
            match watched(&format!("noise {round} in {}", file.display()), folder.path()) {
                Ok(()) => sound += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 0 && sound > 0);
    eprintln!("of checkpoints with a few wrong bytes, {refused} were refused and {sound} made vectors");
}
