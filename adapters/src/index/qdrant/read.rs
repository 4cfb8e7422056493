//! What is stored, read from all replicas: what one of them lacks is not there.

use super::{
    QdrantIndex,
    collections::Known,
    fields::{CHUNK, PLACE, SHARD, head, id, only_head, payload, point_id, read_id, read_place},
    status::failed,
};
use imagefleet_common::{
    error::{Error, Result},
    ports::index::{PointHead, Scope, Stored},
    work::ChunkRef,
};
use qdrant_client::qdrant::{
    Condition, FacetCounts, Filter, GetPoints, ReadConsistency, ReadConsistencyType, RetrievedPoint, ScrollPoints,
    WithPayloadSelector, WithVectorsSelector, facet_value::Variant, read_consistency, vector_output,
    with_payload_selector, with_vectors_selector,
};
use std::collections::HashMap;
use uuid::Uuid;

/// Points a page of a scroll.
const PAGE: u32 = 1_000;
/// Points a question names.
const BY_KEY: usize = 500;
/// Bytes of the vectors that a question may ask for.
const VECTOR_BYTES: usize = 4 << 20;
/// Shards that a count names.
const COUNT_SHARDS: usize = 2_000;
/// Chunks that a count asks for at first.
const COUNT_CHUNKS: u64 = 16_384;

fn all_replicas() -> Option<ReadConsistency> {
    Some(ReadConsistency { value: Some(read_consistency::Value::Type(ReadConsistencyType::All as i32)) })
}

impl QdrantIndex {
    pub(super) async fn read_chunk(&self, name: &str, shard: i64, chunk: i64) -> Result<Vec<PointHead>> {
        let filter = Filter::must([Condition::matches(SHARD, shard), Condition::matches(CHUNK, chunk)]);
        let (mut heads, mut offset) = (Vec::new(), None);
        loop {
            let request = ScrollPoints {
                collection_name: name.to_owned(),
                filter: Some(filter.clone()),
                offset,
                limit: Some(PAGE),
                with_payload: Some(only_head()),
                read_consistency: all_replicas(),
                ..ScrollPoints::default()
            };
            let answer = self.wire.points().scroll(request).await.map_err(|status| {
                failed(format!("read chunk {chunk} of shard {shard} back from the collection {name}"), status)
            })?;
            let answer = answer.into_inner();
            for mut point in answer.result {
                heads.push(head(&mut point.payload)?);
            }
            offset = answer.next_page_offset;
            if offset.is_none() {
                heads.sort();
                return Ok(heads);
            }
        }
    }

    pub(super) async fn count_chunks(&self, name: &str, scope: &Scope) -> Result<Vec<(ChunkRef, u64)>> {
        let mut counts = match scope {
            Scope::All => self.facet(name, None).await?,
            Scope::Shards(shards) => {
                let mut counts = Vec::new();
                for shards in shards.chunks(COUNT_SHARDS) {
                    let filter = Filter::must([Condition::matches(SHARD, shards.to_vec())]);
                    counts.extend(self.facet(name, Some(filter)).await?);
                }
                counts
            }
        };
        counts.sort_unstable();
        Ok(counts)
    }

    /// Points by chunk. An answer as long as was asked for may have been cut: then more is asked for.
    async fn facet(&self, name: &str, filter: Option<Filter>) -> Result<Vec<(ChunkRef, u64)>> {
        let mut limit = COUNT_CHUNKS;
        loop {
            let request = FacetCounts {
                collection_name: name.to_owned(),
                key: PLACE.to_owned(),
                filter: filter.clone(),
                limit: Some(limit),
                exact: Some(true),
                read_consistency: all_replicas(),
                ..FacetCounts::default()
            };
            let answer = self.wire.points().facet(request).await;
            let answer =
                answer.map_err(|status| failed(format!("count the points of the collection {name}"), status))?;
            let hits = answer.into_inner().hits;
            if hits.len() as u64 >= limit {
                limit *= 4;
                continue;
            }
            let read = |hit: qdrant_client::qdrant::FacetHit| match hit.value.and_then(|value| value.variant) {
                Some(Variant::StringValue(text)) => Ok((read_place(&text)?, hit.count)),
                other => Err(Error::permanent(format!("count the points of {name}: found the place {other:?}"))),
            };
            return hits.into_iter().filter(|hit| hit.count > 0).map(read).collect();
        }
    }

    pub(super) async fn read_payloads(&self, name: &str, keys: &[String]) -> Result<Vec<Option<Stored>>> {
        let enable = with_payload_selector::SelectorOptions::Enable(true);
        let all = WithPayloadSelector { selector_options: Some(enable) };
        let ask = GetPoints { with_payload: Some(all), ..GetPoints::default() };
        self.by_key(name, keys, BY_KEY, &ask, |mut point| {
            Ok(Stored { head: head(&mut point.payload)?, payload: payload(&mut point.payload)? })
        })
        .await
    }

    pub(super) async fn read_vectors(&self, known: &Known, keys: &[String]) -> Result<Vec<Option<Vec<f32>>>> {
        let enable = with_vectors_selector::SelectorOptions::Enable(true);
        let with_vectors = Some(WithVectorsSelector { selector_options: Some(enable) });
        let ask = GetPoints { with_vectors, ..GetPoints::default() };
        let (name, dims) = (known.name.as_str(), known.stored.dims);
        let part = (VECTOR_BYTES / (dims * size_of::<f32>())).clamp(1, BY_KEY);
        self.by_key(name, keys, part, &ask, |point| match point.vectors.and_then(|vectors| vectors.get_vector()) {
            Some(vector_output::Vector::Dense(vector)) if vector.data.len() == dims => Ok(vector.data),
            _ => Err(Error::permanent(format!("read vectors of the collection {name}: one has not {dims} values"))),
        })
        .await
    }

    /// Points in the order of their keys, `part` of them a question.
    async fn by_key<T: Clone>(
        &self,
        name: &str,
        keys: &[String],
        part: usize,
        ask: &GetPoints,
        read: impl Fn(RetrievedPoint) -> Result<T>,
    ) -> Result<Vec<Option<T>>> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(part) {
            let request = GetPoints {
                collection_name: name.to_owned(),
                ids: keys.iter().map(|key| point_id(key)).collect(),
                read_consistency: all_replicas(),
                ..ask.clone()
            };
            let answer = self.wire.points().get(request).await;
            let answer = answer.map_err(|status| failed(format!("read points of the collection {name}"), status))?;
            let mut points: HashMap<Uuid, T> = HashMap::with_capacity(keys.len());
            for point in answer.into_inner().result {
                points.insert(read_id(point.id.as_ref())?, read(point)?);
            }
            found.extend(keys.iter().map(|key| points.get(&id(key)).cloned()));
        }
        Ok(found)
    }
}
