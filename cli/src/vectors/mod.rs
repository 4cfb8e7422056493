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
    Error, Result,
    job::spec::{CollectionSpec, CorpusSpec},
    ports::{catalog::Catalog, index::Payload},
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

/// The collection of this id, or the only one over a corpus of this name.
pub(crate) async fn find(catalog: &dyn Catalog, name: &str) -> Result<CollectionSpec> {
    let mut all = catalog.collections().await?;
    if let Some(at) = all.iter().position(|spec| spec.id.0 == name) {
        return Ok(all.swap_remove(at));
    }
    let mut of_corpus = Vec::new();
    for spec in &all {
        if catalog.corpus(&spec.corpus).await?.is_some_and(|corpus| corpus.name == name) {
            of_corpus.push(spec.clone());
        }
    }
    let ids = |specs: &[CollectionSpec]| specs.iter().map(|spec| spec.id.0.as_str()).collect::<Vec<_>>().join(", ");
    match of_corpus.len() {
        1 => Ok(of_corpus.remove(0)),
        0 if all.is_empty() => {
            Err(Error::permanent(format!("find collection {name}: there is none in this data directory")))
        }
        0 => Err(Error::permanent(format!("find collection {name}: there are {}", ids(&all)))),
        _ => Err(Error::permanent(format!("find collection {name}: say which of {}", ids(&of_corpus)))),
    }
}

/// What cannot be read or written here stays so until a person sees to it.
fn file_error(doing: String) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::permanent(doing).because(error)
}
