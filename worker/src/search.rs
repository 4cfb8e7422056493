//! Searches as every run makes them: near ties at the end of a list do not decide what is kept by chance. [`look_up`]
//! is a search that stands alone, with what there is to show of each picture.

use imagefleet_common::{
    Result,
    attribution::Licence,
    filter::Filter,
    ids::CollectionId,
    job::spec::{CollectionSpec, CorpusSpec, Layout},
    ports::{
        catalog::{Catalog, whole_scope},
        index::{Hit, Index, Payload, Queries, Scope, SearchFilter},
    },
};
use imagefleet_retrieval::{
    candidates::{Cut, cut, first_ask},
    results::picture_path,
};
use serde::Serialize;

/// For each query the `k` best, by score and then by key. Asks for more, up to 4`k`, until near ties at the end of every
/// list are known.
pub async fn search(
    index: &dyn Index,
    collection: &CollectionId,
    queries: &Queries,
    k: usize,
    scope: &Scope,
    filter: &SearchFilter,
) -> Result<Vec<Vec<Hit>>> {
    let mut ask = first_ask(k);
    loop {
        let lists = index.search(collection, queries, ask, scope, filter).await?;
        let mut cuts = Vec::with_capacity(lists.len());
        let mut more = None;
        for list in lists {
            match cut(list, k, ask) {
                Cut::Enough(hits) => cuts.push(hits),
                Cut::AskMore(count) => more = more.max(Some(count)),
            }
        }
        match more {
            None => return Ok(cuts),
            Some(count) => ask = count,
        }
    }
}

/// A picture that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub key: String,
    /// Cosine similarity to the query.
    pub score: f32,
    pub payload: Payload,
    /// Where a person finds it: its page, or its file.
    pub link: String,
}

/// The `top` pictures of the whole collection that are nearest to one query, best first.
pub async fn look_up(
    index: &dyn Index,
    catalog: &dyn Catalog,
    corpus: &CorpusSpec,
    collection: &CollectionSpec,
    query: &Queries,
    filter: Filter,
    top: usize,
) -> Result<Vec<Found>> {
    let scope = whole_scope(catalog, &corpus.id).await?;
    let filter = SearchFilter { filter, keys: None };
    let mut lists = search(index, &collection.id, query, top, &scope, &filter).await?;
    let hits = lists.pop().unwrap_or_default();
    let keys: Vec<String> = hits.iter().map(|hit| hit.key.clone()).collect();
    let stored = index.payloads(&collection.id, &keys).await?;
    let found = hits.into_iter().zip(stored).filter_map(|(hit, stored)| {
        // A picture that was taken away since the last seal is not shown.
        let payload = stored?.payload;
        let link = match corpus.layout {
            Layout::Folder => format!("/{}", corpus.object(&payload.object)),
            Layout::Yfcc | Layout::Zip | Layout::Tar => payload.attribution.page_url.clone(),
        };
        Some(Found { key: hit.key, score: hit.score, payload, link })
    });
    Ok(found.collect())
}

/// What is told of a picture that was found.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    /// From 1.
    pub rank: usize,
    pub key: &'a str,
    pub score: f32,
    pub path: String,
    pub title: String,
    pub author: String,
    pub licence: &'a str,
    pub licence_code: Option<&'static str>,
    pub licence_url: &'a str,
    pub link: &'a str,
}

/// What was found, in its order.
pub fn shown(found: &[Found]) -> Vec<Shown<'_>> {
    let shown = (1..).zip(found).map(|(rank, Found { key, score, payload, link })| Shown {
        rank,
        key,
        score: *score,
        path: picture_path(&payload.shard_path, &payload.entry),
        title: payload.attribution.title_text(),
        author: payload.attribution.credit(),
        licence: &payload.attribution.licence,
        licence_code: Licence::of(&payload.attribution).map(Licence::code),
        licence_url: &payload.attribution.licence_url,
        link,
    });
    shown.collect()
}
