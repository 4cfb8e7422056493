//! Thumbnails for people, made from the corpus's own bytes by what the index knows of each picture.

use bytes::Bytes;
use futures::{StreamExt, stream};
use imagefleet_common::{
    job::spec::{CorpusSpec, Limits},
    ports::{index::Payload, objects::Objects},
};
use imagefleet_pictures::{archive::fetch::fetch, thumbnail::thumbnail};
use imagefleet_retrieval::report::{THUMBNAIL_SIDE, Thumbnails};
use std::collections::BTreeMap;

/// Pictures that are read at a time.
const READS: usize = 16;

/// By key, of those pictures that are still there and can be read.
pub async fn thumbnails(
    sources: &dyn Objects,
    corpus: &CorpusSpec,
    wanted: BTreeMap<&str, &Payload>,
    limits: Limits,
) -> Thumbnails {
    let make = |(key, payload): (&str, &Payload)| {
        let (key, payload) = (key.to_owned(), payload.clone());
        async move {
            let made = match fetch(sources, corpus, &payload, limits.max_bytes).await {
                Ok(Some(bytes)) => small(bytes, limits).await,
                Ok(None) => None,
                Err(error) => {
                    tracing::warn!(%error, key, "a picture to be shown could not be read");
                    None
                }
            };
            made.map(|jpeg| (key, jpeg))
        }
    };
    let made: Vec<_> = stream::iter(wanted).map(make).buffer_unordered(READS).collect().await;
    made.into_iter().flatten().collect()
}

/// A picture's thumbnail, made where no async task waits for it; `None` for what is no picture.
pub(crate) async fn small(bytes: Bytes, limits: Limits) -> Option<Vec<u8>> {
    let made = tokio::task::spawn_blocking(move || thumbnail(&bytes, &limits, THUMBNAIL_SIDE)).await;
    Some(made.ok()?.ok()?.jpeg)
}
