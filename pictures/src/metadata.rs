//! YFCC metadata: whose picture it is and under which licence.
//!
//! A shard's file is gzip JSON lines, one row a photo or video, exported from YFCC100M's table. Texts stay as they are
//! stored there: names, titles and tags are URL-encoded, with `+` for a space. Rows of videos are left out.

use crate::archive::names::photo_key;
use flate2::bufread::MultiGzDecoder;
use imagefleet_common::{
    Context, Error, Result,
    ledger::{Reason, Rejection},
    ports::{index::Attribution, objects::Pinned},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    io::{BufRead, BufReader},
};

/// The metadata of one shard, by YFCC key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardMetadata {
    /// Rows of photos whose key is theirs alone.
    pub photos: BTreeMap<String, Attribution>,
    /// Keys that rows of different URLs share, with these URLs in the order of the rows.
    pub collisions: BTreeMap<String, Vec<String>>,
}

impl ShardMetadata {
    /// `None` for a key without a row; a rejection that names all URLs for a key that several photos share.
    pub fn of(&self, key: &str) -> Result<Option<&Attribution>, Rejection> {
        if let Some(urls) = self.collisions.get(key) {
            return Err(Rejection::new(Reason::KeyCollision, format!("key of {}", urls.join(" and of "))));
        }
        Ok(self.photos.get(key))
    }
}

/// Reads `metadata/abc.jsonl.gz`. A broken stream or line is a permanent error that names object and line.
///
/// Unpacking and parsing run on a blocking thread, for a shard's 27,000 rows take a good part of a second.
pub async fn read_metadata(object: Pinned<'_>) -> Result<ShardMetadata> {
    let path = object.meta.path.clone();
    let bytes = object.read_all().await?;
    tokio::task::spawn_blocking(move || {
        parse(&bytes).map_err(|error| error.while_doing(format!("read metadata {path}")))
    })
    .await
    .permanent(|| format!("read metadata {}", object.meta.path))?
}

/// One row; values are texts or numbers.
#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    photoid: Scalar,
    #[serde(default)]
    uid: Scalar,
    /// The name that the user goes by.
    #[serde(default)]
    unickname: Scalar,
    #[serde(default)]
    title: Scalar,
    #[serde(default)]
    datetaken: Scalar,
    #[serde(default)]
    usertags: Scalar,
    #[serde(default)]
    pageurl: Scalar,
    #[serde(default)]
    downloadurl: Scalar,
    #[serde(default)]
    licensename: Scalar,
    #[serde(default)]
    licenseurl: Scalar,
    #[serde(default)]
    marker: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Scalar {
    #[default]
    Missing,
    Text(String),
    Number(serde_json::Number),
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<ShardMetadata> {
    const VIDEO: &str = "1";
    let mut metadata = ShardMetadata::default();
    let mut urls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut lines = BufReader::with_capacity(1 << 16, MultiGzDecoder::new(bytes));
    let mut line = Vec::new();
    for number in 1.. {
        let doing = || format!("line {number}");
        line.clear();
        if lines.read_until(b'\n', &mut line).permanent(doing)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row: Row = serde_json::from_slice(&line).permanent(doing)?;
        if row.marker.text() == VIDEO {
            continue;
        }
        let url = row.downloadurl.text();
        if url.is_empty() {
            return Err(Error::permanent("downloadurl: missing").while_doing(doing()));
        }
        let key = photo_key(&url);
        match urls.entry(key.clone()) {
            Entry::Vacant(first) => {
                first.insert(vec![url]);
                let attribution = Attribution {
                    photo_id: row.photoid.text(),
                    owner: row.uid.text(),
                    author: row.unickname.text(),
                    title: row.title.text(),
                    page_url: row.pageurl.text(),
                    licence: row.licensename.text(),
                    licence_url: row.licenseurl.text(),
                    taken: row.datetaken.text(),
                    tags: row.usertags.text(),
                };
                metadata.photos.insert(key, attribution);
            }
            Entry::Occupied(mut earlier) => {
                if !earlier.get().contains(&url) {
                    earlier.get_mut().push(url);
                }
            }
        }
    }
    urls.retain(|_, urls| urls.len() > 1);
    metadata.photos.retain(|key, _| !urls.contains_key(key));
    metadata.collisions = urls;
    Ok(metadata)
}
