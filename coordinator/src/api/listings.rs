//! `/v1/workers` and `/v1/collections`.

use super::{Refusal, State};
use axum::Json;
use imagefleet_common::{
    ids::{CollectionId, CorpusId, Millis, SessionId},
    job::spec::{CollectionSpec, Decoding, IndexKind, Precision},
    ports::tasks::SessionView,
};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Workers {
    /// The store's clock, by which leases run out.
    now: Millis,
    workers: Vec<Worker>,
}

#[derive(Serialize)]
struct Worker {
    worker: String,
    session: SessionId,
    expires: Millis,
    running: u64,
    slots: u32,
    drains: bool,
}

pub(super) async fn workers(shared: State) -> Result<Json<Workers>, Refusal> {
    let tasks = &shared.api.ports.tasks;
    let (sessions, now) = (tasks.sessions().await?, tasks.now().await?);
    let workers = sessions
        .into_iter()
        .map(|SessionView { id: session, worker, slots, expires, running, drains }| Worker {
            worker,
            session,
            expires,
            running,
            slots,
            drains,
        })
        .collect();
    Ok(Json(Workers { now, workers }))
}

#[derive(Serialize)]
pub(super) struct Collections {
    collections: Vec<Collection>,
}

#[derive(Serialize)]
struct Collection {
    id: CollectionId,
    corpus: CorpusId,
    /// Hash of the model's files.
    revision: String,
    precision: Precision,
    decoding: Decoding,
    dims: usize,
    index: IndexKind,
}

impl From<CollectionSpec> for Collection {
    fn from(spec: CollectionSpec) -> Self {
        let CollectionSpec { id, corpus, revision, precision, decoding, dims, storage, .. } = spec;
        Self { id, corpus, revision, precision, decoding, dims, index: storage.kind }
    }
}

pub(super) async fn collections(shared: State) -> Result<Json<Collections>, Refusal> {
    let all = shared.api.ports.catalog.collections().await?;
    Ok(Json(Collections { collections: all.into_iter().map(Collection::from).collect() }))
}
