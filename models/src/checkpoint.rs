//! A checkpoint: a folder as Hugging Face's `save_pretrained` writes it.
//!
//! A folder that opened has every file that loading and preprocessing need. Its [`revision`] is equal for
//! equal files, wherever the folder lies, and enters the identity of the vectors made with it.

use crate::weights::files;
use imagefleet_common::{Context, Error, Result};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(crate) const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const PREPROCESSOR: &str = "preprocessor_config.json";
/// Holds what the former does, where transformers 5 saved a whole processor.
const PROCESSOR: &str = "processor_config.json";

/// The files, besides the weights, that decide a vector.
pub(crate) const DECIDING: [&str; 8] = [
    CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    SPECIAL_TOKENS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    // Read by nothing here; a folder where they differ from tokenizer.json was put together by hand.
    "vocab.json",
    "merges.txt",
];

/// No JSON file of a model that is read whole is nearly as large.
const LARGEST_JSON: u64 = 64 << 20;

/// What kind of model a checkpoint holds, by its config's `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Clip,
}

impl Family {
    fn of_model_type(model_type: &str) -> Option<Self> {
        match model_type {
            "clip" => Some(Family::Clip),
            _ => None,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Clip => "clip",
        })
    }
}

/// A folder with all the files of a model of a family that we have.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    dir: PathBuf,
    family: Family,
}

/// Checks that `dir` holds a checkpoint of a supported family; reads no weights.
pub fn open_checkpoint(dir: &Path) -> Result<Checkpoint> {
    open(dir).map_err(|error| error.while_doing(format_args!("open model {}", dir.display())))
}

fn open(dir: &Path) -> Result<Checkpoint> {
    if !dir.is_dir() {
        return Err(Error::permanent("there is no such folder; give a folder with a model's files, not a hub name"));
    }
    let has = |file: &str| dir.join(file).is_file();
    let missing = missing(has);
    if !missing.is_empty() {
        return Err(Error::permanent(format!(
            "{} missing; fetch all files of the model with `imagefleet models pull <model>` or `hf download <model> \
             --local-dir <folder>`, or save model, tokenizer and image processor there with save_pretrained of transformers",
            missing.join(", ")
        )));
    }
    if let Some(index) = files::main_file(has).filter(|weights| files::is_index(weights)) {
        files::check_shards(dir, index)?;
    }
    Ok(Checkpoint { dir: dir.to_owned(), family: read_family(dir)? })
}

/// What a folder, or a hub, that `has` some files lacks for making vectors; by the first of its names where a file
/// may have several.
pub(crate) fn missing(has: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let needed = [&[CONFIG][..], &[TOKENIZER], &[PREPROCESSOR, PROCESSOR], &files::KNOWN];
    needed.into_iter().filter(|names| !names.iter().any(|name| has(name))).map(|names| names[0]).collect()
}

/// The family that the config of `dir` names.
pub(crate) fn read_family(dir: &Path) -> Result<Family> {
    #[derive(serde::Deserialize)]
    struct Kind {
        model_type: Option<String>,
    }
    let Kind { model_type } = read_json(dir, CONFIG)?;
    let model_type = model_type.ok_or_else(|| Error::permanent(format!("{CONFIG} names no model_type")))?;
    Family::of_model_type(&model_type).ok_or_else(|| {
        Error::permanent(format!(
            "{CONFIG} says model_type {model_type:?}, which is not supported; supported: \"clip\""
        ))
    })
}

impl Checkpoint {
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn family(&self) -> Family {
        self.family
    }

    /// Components of the model's vectors, by its config alone.
    pub fn dims(&self) -> Result<usize> {
        match self.family {
            Family::Clip => crate::clip::config::Config::read(&self.dir).map(|config| config.dims),
        }
    }

    /// Height and width of the pictures that the model takes, by its config alone.
    pub fn picture_side(&self) -> Result<usize> {
        match self.family {
            Family::Clip => crate::clip::config::Config::read(&self.dir).map(|config| config.vision.side),
        }
    }
}

/// Hex SHA-256 of each of the files in `dir` that decide a vector, by name. Reads the weights once.
pub fn hashes(dir: &Path) -> Result<BTreeMap<String, String>> {
    hash_files(dir).map_err(|error| error.while_doing(format_args!("hash model {}", dir.display())))
}

/// Hex SHA-256 over the names and contents of the files in `dir` that decide a vector.
pub fn revision(dir: &Path) -> Result<String> {
    hashes(dir).map(|hashes| revision_of(&hashes))
}

/// The revision of a folder with these [`hashes`].
pub fn revision_of(hashes: &BTreeMap<String, String>) -> String {
    let mut all = Sha256::new();
    for (name, hash) in hashes {
        // Lengths are fixed or written down, so that no two folders give the same bytes.
        all.update((name.len() as u64).to_le_bytes());
        all.update(name.as_bytes());
        let digit = |at: usize| (hash.as_bytes()[at] as char).to_digit(16).expect("hashes are hex") as u8;
        all.update((0..hash.len() / 2).map(|byte| 16 * digit(2 * byte) + digit(2 * byte + 1)).collect::<Vec<u8>>());
    }
    hex(&all.finalize())
}

fn hash_files(dir: &Path) -> Result<BTreeMap<String, String>> {
    let mut names: Vec<String> = DECIDING.into_iter().map(str::to_owned).collect();
    if let Some(weights) = files::main_file(|file| dir.join(file).is_file()) {
        names.push(weights.to_owned());
        if files::is_index(weights) {
            names.extend(files::shards(dir, weights)?);
        }
    }
    names.retain(|name| dir.join(name).is_file());
    let hashed = |name: String| {
        let contents = hash_file(&dir.join(&name)).or_else(|error| file_error(&format!("read {name}"), error))?;
        Ok((name, hex(&contents)))
    };
    names.into_iter().map(hashed).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn hash_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Reads one of the folder's JSON files.
pub(crate) fn read_json<T: DeserializeOwned>(dir: &Path, file: &str) -> Result<T> {
    let mut text = Vec::new();
    let read = File::open(dir.join(file)).and_then(|json| json.take(LARGEST_JSON + 1).read_to_end(&mut text));
    read.or_else(|error| file_error(&format!("read {file}"), error))?;
    if text.len() as u64 > LARGEST_JSON {
        return Err(Error::permanent(format!("read {file}: it is larger than {} MiB", LARGEST_JSON >> 20)));
    }
    serde_json::from_slice(&text).permanent(|| format!("read {file}"))
}

/// As [`read_json`], `None` where there is no such file.
pub(crate) fn read_json_if_there<T: DeserializeOwned>(dir: &Path, file: &str) -> Result<Option<T>> {
    if dir.join(file).is_file() { read_json(dir, file).map(Some) } else { Ok(None) }
}

/// Missing or forbidden files stay so; anything else may be a disk or a mount that comes back.
pub(crate) fn file_error<T>(doing: &str, error: io::Error) -> Result<T> {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    match error.kind() {
        NotFound | PermissionDenied | IsADirectory | NotADirectory => Err(error).permanent(|| doing.to_owned()),
        _ => Err(error).transient(|| doing.to_owned()),
    }
}
