//! What a project's index holds after a run, point by point.

use crate::project::Project;
use imagefleet::world::World;
use imagefleet_common::{
    ids::Epoch,
    ports::{
        index::{Payload, Scope},
        jobs::JobView,
    },
    work::ChunkRef,
};
use std::collections::BTreeMap;

/// A point with all that the index knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub at: ChunkRef,
    pub epoch: Epoch,
    pub vector: Vec<f32>,
    pub payload: Payload,
}

/// The newest job of a project, and the ports to look at it with.
pub async fn newest_job(project: &Project) -> (World, JobView) {
    let world = World::open(&project.data()).await.unwrap();
    let job = world.jobs.jobs().await.unwrap().pop().unwrap();
    (world, job)
}

/// All points of the newest job's collection, by key; those of removed shards and of old versions too.
pub async fn points(project: &Project) -> BTreeMap<String, Held> {
    let (world, job) = newest_job(project).await;
    let mut points = BTreeMap::new();
    for (at, _) in world.index.counts(&job.collection, &Scope::All).await.unwrap() {
        let heads = world.index.chunk(&job.collection, at.shard, at.chunk).await.unwrap();
        let keys: Vec<String> = heads.iter().map(|head| head.key.clone()).collect();
        let vectors = world.index.vectors(&job.collection, &keys).await.unwrap();
        let stored = world.index.payloads(&job.collection, &keys).await.unwrap();
        for ((head, vector), stored) in heads.into_iter().zip(vectors).zip(stored) {
            let (vector, payload) = (vector.unwrap(), stored.unwrap().payload);
            points.insert(head.key, Held { at: head.at, epoch: head.epoch, vector, payload });
        }
    }
    points
}

/// The largest difference between two vectors' values.
pub fn distance(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}
