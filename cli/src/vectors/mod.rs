//! `imagefleet vectors`: a collection as files that other programs read, and back.
//!
//! A folder holds `vectors.npy` (a matrix of f32, a unit vector a row), `vectors.jsonl` (a line a row, in the same order: the
//! picture's key and all that the index knows of it) and `collection.json` (corpus, model and preprocessing: what a search
//! needs to ask in the same space). `collection.json` is written last and removed first: where it is, the rest is whole.

mod export;
mod import;
mod npy;

pub(crate) use {export::export, import::import};

use imagefleet_common::{
    Error,
    job::spec::{CollectionSpec, CorpusSpec},
    ports::index::Payload,
};
use serde::{Deserialize, Serialize};
use std::io;

const VECTORS: &str = "vectors.npy";
const ROWS: &str = "vectors.jsonl";
const COLLECTION: &str = "collection.json";

/// A line of `vectors.jsonl`. On import all but the key may be left out.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    key: String,
    #[serde(flatten)]
    payload: Payload,
}

/// `collection.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    corpus: CorpusSpec,
    collection: CollectionSpec,
}

/// What cannot be read or written here stays so until a person sees to it.
fn file_error(doing: String) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::permanent(doing).because(error)
}
