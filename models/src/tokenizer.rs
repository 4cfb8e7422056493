//! Titles to token ids, as transformers' fast tokenizers do it.
//!
//! The ids are those of `tokenizer(title, truncation=True, max_length=max_length)`: start token, the title's
//! tokens cut so that the end token still fits, end token. `tokenizer.json`'s own padding and truncation are
//! overridden. Padding is the batch's business: [`pad`].

use crate::checkpoint::{SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG, read_json_if_there};
use imagefleet_common::{Context, Error, Result};
use serde_json::Value;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};
use tokenizers::{PostProcessor, Tokenizer, TruncationParams};

pub struct TitleTokenizer {
    inner: Tokenizer,
    pad_id: u32,
    highest_id: u32,
}

impl TitleTokenizer {
    /// Opens `tokenizer.json` in `dir`; a title gets at most `max_length` ids, start and end included.
    ///
    /// The pad token is what `tokenizer_config.json` names, else `special_tokens_map.json`, else CLIP's own
    /// `<|endoftext|>`.
    pub fn open(dir: &Path, max_length: usize) -> Result<Self> {
        let broken = || format!("read {TOKENIZER}");
        let mut inner = Tokenizer::from_file(dir.join(TOKENIZER)).permanent(broken)?;
        inner.with_padding(None);
        let added = inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        if added >= max_length {
            return Err(Error::permanent(format!(
                "{}: it adds {added} tokens to a title, and the model takes {max_length}",
                broken()
            )));
        }
        let longest = TruncationParams { max_length, stride: 0, ..TruncationParams::default() };
        inner.with_truncation(Some(longest)).permanent(broken)?;

        let pad_token = pad_token(dir)?;
        let pad_id = inner.token_to_id(&pad_token).ok_or_else(|| {
            Error::permanent(format!("{}: it has no token {pad_token:?}, which is to pad titles", broken()))
        })?;
        let highest_id = inner.get_vocab(true).into_values().max().unwrap_or_default();
        Ok(Self { inner, pad_id, highest_id })
    }

    /// The ids of each title, unpadded.
    pub fn ids(&self, titles: &[String]) -> Result<Vec<Vec<u32>>> {
        let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
        let doing = || "tokenise titles".to_owned();
        // A normaliser that makes no sense panics when it is used. Nothing that it leaves behind is used again.
        let encoded = catch_unwind(AssertUnwindSafe(|| self.inner.encode_batch_fast(titles, true)));
        let encodings = encoded
            .map_err(|_| {
                Error::permanent(format!("{}: {TOKENIZER} cannot be used, it made the tokenizer panic", doing()))
            })?
            .permanent(doing)?;
        Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }

    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// The highest id of its vocabulary. What it adds to a title may be higher, if its file is wrong.
    pub fn highest_id(&self) -> u32 {
        self.highest_id
    }
}

/// Titles side by side: `rows` × `length` ids, padded on the right to the longest.
#[derive(Debug, PartialEq, Eq)]
pub struct PaddedIds {
    pub rows: usize,
    pub length: usize,
    pub ids: Vec<u32>,
    /// How many of a row's ids are its title's own.
    pub own: Vec<usize>,
}

impl PaddedIds {
    /// The titles' own ids.
    pub fn titles(&self) -> impl Iterator<Item = &[u32]> {
        self.ids.chunks_exact(self.length).zip(&self.own).map(|(row, &own)| &row[..own])
    }
}

/// Lays out titles for one batch, padded on the right whatever the tokenizer's `padding_side` says.
///
/// A causal model that pools within a title sees no padding there, so that a title has the vector that it has
/// alone. It has the same with padding on the left, if mask and positions say so; without positions of its own,
/// as transformers' pipelines pass it on, it would depend on the longest title of its batch.
pub fn pad<'a>(titles: impl ExactSizeIterator<Item = &'a [u32]> + Clone, pad_id: u32) -> PaddedIds {
    let rows = titles.len();
    let length = titles.clone().map(<[u32]>::len).max().unwrap_or(0);
    let own = titles.clone().map(<[u32]>::len).collect();
    let mut ids = Vec::with_capacity(rows * length);
    for title in titles {
        ids.extend_from_slice(title);
        ids.extend(std::iter::repeat_n(pad_id, length - title.len()));
    }
    PaddedIds { rows, length, ids, own }
}

fn pad_token(dir: &Path) -> Result<String> {
    for file in [TOKENIZER_CONFIG, SPECIAL_TOKENS] {
        let Some(settings) = read_json_if_there::<Value>(dir, file)? else { continue };
        // A token is written as its text, or as an object that holds it.
        let token = &settings["pad_token"];
        if let Some(text) = token.as_str().or_else(|| token["content"].as_str()) {
            return Ok(text.to_owned());
        }
    }
    Ok("<|endoftext|>".to_owned())
}
