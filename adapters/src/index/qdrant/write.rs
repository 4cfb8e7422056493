//! Changes of points. Each waits until it is applied; a later one of a point comes after an earlier one everywhere.

use super::{
    QdrantIndex,
    collections::{Known, in_order},
    fields::{CHUNK, SHARD, VERSION, epoch_before, epoch_up_to, point_id, stored},
    status::{confirmed, failed},
};
use crate::index::check::check_point;
use imagefleet_common::{
    error::Result,
    ids::Epoch,
    ports::index::{Doomed, Point},
    work::ChunkRef,
};
use prost::Message;
use qdrant_client::qdrant::{
    Condition, DeletePoints, Filter, PointStruct, PointsSelector, UpsertPoints, points_selector::PointsSelectorOneOf,
};

/// Points an upsert, as the server's makers advise.
const BATCH_POINTS: usize = 256;
/// Bytes of an upsert's points: with all that stands around them less than 5 MB.
const BATCH_BYTES: usize = 4_500_000;
/// Keys a deletion names.
const DELETE_KEYS: usize = 1_000;

impl QdrantIndex {
    pub(super) async fn put_points(&self, known: &Known, at: ChunkRef, epoch: Epoch, points: &[Point]) -> Result<()> {
        points.iter().try_for_each(|point| check_point(point, known.stored.dims))?;
        let (mut batch, mut bytes) = (Vec::with_capacity(points.len().min(BATCH_POINTS)), 0);
        for point in points {
            let point = stored(point, at, epoch)?;
            let size = point.encoded_len();
            if batch.len() == BATCH_POINTS || !batch.is_empty() && bytes + size > BATCH_BYTES {
                self.upsert(&known.name, at, epoch, std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += size;
            batch.push(point);
        }
        match batch.is_empty() {
            true => Ok(()),
            false => self.upsert(&known.name, at, epoch, batch).await,
        }
    }

    async fn upsert(&self, name: &str, at: ChunkRef, epoch: Epoch, points: Vec<PointStruct>) -> Result<()> {
        let count = points.len();
        let doing = || format!("put {count} points of {at} into the collection {name}");
        let request = UpsertPoints {
            collection_name: name.to_owned(),
            wait: Some(true),
            points,
            ordering: Some(in_order()),
            // A condition on what is there already; what is not is put.
            update_filter: Some(Filter::must([epoch_up_to(epoch)])),
            timeout: Some(self.wire.seconds()),
            ..UpsertPoints::default()
        };
        let answer = self.wire.points().upsert(request).await;
        confirmed(doing(), answer.map_err(|status| failed(doing(), status))?.into_inner())
    }

    pub(super) async fn delete_points(&self, name: &str, doomed: &Doomed) -> Result<()> {
        let shard_is = |shard: i64| Condition::matches(SHARD, shard);
        let chunk_is = |chunk: i64| Condition::matches(CHUNK, chunk);
        match doomed {
            Doomed::OlderInChunk { shard, chunk, before } => {
                self.delete(name, [shard_is(*shard), chunk_is(*chunk), epoch_before(*before)]).await
            }
            Doomed::Chunk { at: ChunkRef { shard, version, chunk }, up_to } => {
                let version = Condition::matches(VERSION, *version);
                self.delete(name, [shard_is(*shard), version, chunk_is(*chunk), epoch_up_to(*up_to)]).await
            }
            Doomed::Shard { shard, up_to } => self.delete(name, [shard_is(*shard), epoch_up_to(*up_to)]).await,
            Doomed::Keys { keys, up_to } => {
                for keys in keys.chunks(DELETE_KEYS) {
                    let ids = keys.iter().map(|key| point_id(key));
                    self.delete(name, [Condition::has_id(ids), epoch_up_to(*up_to)]).await?;
                }
                Ok(())
            }
        }
    }

    async fn delete(&self, name: &str, conditions: impl IntoIterator<Item = Condition>) -> Result<()> {
        let doing = || format!("delete points of the collection {name}");
        let filter = PointsSelectorOneOf::Filter(Filter::must(conditions));
        let request = DeletePoints {
            collection_name: name.to_owned(),
            wait: Some(true),
            points: Some(PointsSelector { points_selector_one_of: Some(filter) }),
            ordering: Some(in_order()),
            timeout: Some(self.wire.seconds()),
            ..DeletePoints::default()
        };
        let answer = self.wire.points().delete(request).await;
        confirmed(doing(), answer.map_err(|status| failed(doing(), status))?.into_inner())
    }
}
