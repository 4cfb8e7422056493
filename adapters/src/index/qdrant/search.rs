//! Searches.
//!
//! The server cuts its list wherever it ends, also between equal scores, and orders those as it likes. The port orders
//! them by key: so more than `k` is asked for, until the list ends below the `k`-th score or has everything.

use super::{
    QdrantIndex,
    collections::Known,
    fields::{EPOCH, KEY, SHARD, conditions, number, only, point_id, text},
    status::failed,
    storage,
};
use crate::index::check::check_queries;
use imagefleet_common::{
    error::{Error, Result},
    ports::index::{Hit, Queries, Scope, SearchFilter},
};
use prost::Message;
use qdrant_client::qdrant::{
    Condition, DenseVector, Filter, Query, QueryBatchPoints, QueryPoints, ScoredPoint, SearchParams, VectorInput,
    query, vector_input,
};
use std::cmp::Ordering;

/// What is asked for beyond `k`: ties are short.
const MORE: usize = 16;
/// Results a request may bring: some 100 bytes each.
const RESULTS: usize = 100_000;
/// Queries a request: each may take the server a scan.
const QUERIES: usize = 32;
/// Bytes of a request. Each of its queries carries the filter.
const REQUEST_BYTES: usize = 4 << 20;
/// Shards, or keys, that one filter names. The best of several filters' results are the best of all.
const NAMED: usize = 20_000;

/// What is the same for all queries of a search.
struct Ask<'a> {
    name: &'a str,
    filter: Option<Filter>,
    params: SearchParams,
    k: usize,
}

impl QdrantIndex {
    pub(super) async fn search_points(
        &self,
        known: &Known,
        queries: &Queries,
        k: usize,
        scope: &Scope,
        filter: &SearchFilter,
    ) -> Result<Vec<Vec<Hit>>> {
        check_queries(queries, known.stored.dims)?;
        let mut found = vec![Vec::new(); queries.count()];
        if k == 0 {
            return Ok(found);
        }
        let queries: Vec<&[f32]> = queries.values.chunks(queries.dims).collect();
        let params = storage::params(&known.stored.storage, !filter.is_empty());
        for filter in filters(scope, filter) {
            let ask = Ask { name: &known.name, filter, params: params.clone(), k };
            self.search_part(&ask, &queries, &mut found).await?;
        }
        for hits in &mut found {
            sort(hits);
            hits.truncate(k);
        }
        Ok(found)
    }

    /// Adds the best of each query, ties with the last of them and all.
    async fn search_part(&self, ask: &Ask<'_>, queries: &[&[f32]], found: &mut [Vec<Hit>]) -> Result<()> {
        let mut open: Vec<usize> = (0..queries.len()).collect();
        let mut limit = ask.k.saturating_add(MORE);
        while !open.is_empty() {
            let size = ask.filter.as_ref().map_or(0, Message::encoded_len) + size_of_val(queries[0]);
            let group = (RESULTS / limit).min(REQUEST_BYTES / size).clamp(1, QUERIES);
            let mut cut = Vec::new();
            for group in open.chunks(group) {
                let asked = group.iter().map(|number| queries[*number]);
                for (number, hits) in group.iter().zip(self.ask(ask, asked, limit).await?) {
                    match is_cut_in_a_tie(&hits, ask.k, limit) {
                        true => cut.push(*number),
                        false => found[*number].extend(hits),
                    }
                }
            }
            open = cut;
            limit = limit.saturating_mul(2);
        }
        Ok(())
    }

    async fn ask(&self, ask: &Ask<'_>, queries: impl Iterator<Item = &[f32]>, limit: usize) -> Result<Vec<Vec<Hit>>> {
        let name = ask.name;
        let query = |vector: &[f32]| {
            let dense = vector_input::Variant::Dense(DenseVector { data: vector.to_vec() });
            let nearest = query::Variant::Nearest(VectorInput { variant: Some(dense) });
            QueryPoints {
                collection_name: name.to_owned(),
                query: Some(Query { variant: Some(nearest) }),
                filter: ask.filter.clone(),
                params: Some(ask.params.clone()),
                limit: Some(limit as u64),
                with_payload: Some(only(&[KEY, EPOCH])),
                ..QueryPoints::default()
            }
        };
        let query_points: Vec<QueryPoints> = queries.map(query).collect();
        let count = query_points.len();
        let request = QueryBatchPoints {
            collection_name: name.to_owned(),
            query_points,
            timeout: Some(self.wire.seconds()),
            ..QueryBatchPoints::default()
        };
        let doing = || format!("search the collection {name}");
        let answer = self.wire.points().query_batch(request).await.map_err(|status| failed(doing(), status))?;
        let lists = answer.into_inner().result;
        if lists.len() != count {
            return Err(Error::transient(doing()).because(format!("{count} queries have {} answers", lists.len())));
        }
        lists.into_iter().map(|list| list.result.into_iter().map(hit).collect()).collect()
    }
}

/// Filters that together look through the scope once: none where there is nothing to find.
fn filters(scope: &Scope, filter: &SearchFilter) -> Vec<Option<Filter>> {
    let rules = conditions(&filter.filter);
    let shards: Vec<Option<Condition>> = match scope {
        Scope::All => vec![None],
        Scope::Shards(shards) => {
            shards.chunks(NAMED).map(|shards| Some(Condition::matches(SHARD, shards.to_vec()))).collect()
        }
    };
    let keys: Vec<Option<Condition>> = match &filter.keys {
        None => vec![None],
        Some(keys) => {
            let ids: Vec<_> = keys.iter().map(|key| point_id(key)).collect();
            ids.chunks(NAMED).map(|ids| Some(Condition::has_id(ids.to_vec()))).collect()
        }
    };
    let both = shards.iter().flat_map(|shards| keys.iter().map(move |keys| (shards.clone(), keys.clone())));
    let all = both.map(|(shards, keys)| [shards, keys].into_iter().flatten().chain(rules.clone()));
    all.map(|all| Some(Vec::from_iter(all)).filter(|all| !all.is_empty()).map(Filter::must)).collect()
}

fn hit(mut point: ScoredPoint) -> Result<Hit> {
    let key = text(&mut point.payload, KEY);
    if !point.score.is_finite() {
        return Err(Error::permanent(format!("search: the index scores {key} with {}", point.score)));
    }
    Ok(Hit { key, score: point.score, epoch: number(&point.payload, EPOCH)? })
}

/// Best first, ties by key. Scores are finite; 0 and -0 are a tie.
fn sort(hits: &mut [Hit]) {
    let by_score = |a: &Hit, b: &Hit| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
    hits.sort_by(|a, b| by_score(a, b).then_with(|| a.key.cmp(&b.key)));
}

/// May points be missing that are as good as the `k`-th? Not where the server had no more to give.
fn is_cut_in_a_tie(hits: &[Hit], k: usize, limit: usize) -> bool {
    let mut scores: Vec<f32> = hits.iter().map(|hit| hit.score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    hits.len() >= limit && scores.last() >= scores.get(k - 1)
}
