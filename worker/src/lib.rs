//! The worker: holds a [`session`]'s lease, [`pull`]s messages, claims tasks, and does them ([`tasks`]).
//!
//! Embedding runs through a [`pipeline`] of bounded channels that all tasks of one model share; [`shards`] knows how
//! each layout is cut and read. The worker sees the world through ports only.

pub mod attempt;
pub mod engine;
pub mod events;
pub mod machine;
pub mod metrics;
pub mod pipeline;
pub mod pull;
pub mod search;
pub mod session;
pub mod shards;
pub mod stop;
pub mod tasks;
pub mod thumbnails;

use engine::Engines;
use events::Ends;
use imagefleet_common::{
    ports::{broker::Broker, catalog::Catalog, index::Index, jobs::Jobs, objects::Objects, tasks::Tasks},
    work::Kind,
};
use imagefleet_retrieval::results::Binary;
use shards::cache::ShardCache;
use std::{sync::Arc, time::Duration};

/// What a worker needs of the world.
#[derive(Clone)]
pub struct Ports {
    pub tasks: Arc<dyn Tasks>,
    pub jobs: Arc<dyn Jobs>,
    pub catalog: Arc<dyn Catalog>,
    pub broker: Arc<dyn Broker>,
    pub index: Arc<dyn Index>,
    /// The object root that corpora lie below.
    pub sources: Arc<dyn Objects>,
    /// Where attempts leave what they made.
    pub artifacts: Arc<dyn Objects>,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// Host and process, for people.
    pub name: String,
    /// Embed tasks at a time, and as many others. Several share one encoder, so that one reads while another's pictures are encoded.
    pub slots: usize,
    pub lease: Duration,
    pub beat: Duration,
    /// From the call to stop until what still runs is handed back.
    pub grace: Duration,
    /// An embed attempt that reaches this ends at its next picture; the rest becomes a chunk of its own.
    pub attempt_limit: Duration,
    /// An attempt that does nothing for this long has failed.
    pub no_progress: Duration,
    /// How long a write of a lost attempt can still be under way.
    pub upsert_timeout: Duration,
    /// When a seal looks again at an index that is building: each look counts the whole collection.
    pub building_look: Duration,
    /// How long after the last embedding an index may build before the job goes on without waiting for it.
    pub building_limit: Duration,
    /// Threads that decode pictures.
    pub decoders: usize,
    /// The kinds of work that it takes.
    pub kinds: Vec<Kind>,
    /// The revision (first letters) of each model whose queues it serves.
    pub models: Vec<String>,
    /// What runs, for the record of a run.
    pub binary: Binary,
}

impl Settings {
    /// The protocol's figures for a worker of this machine that serves `models`.
    pub fn new(name: String, models: Vec<String>) -> Self {
        Self {
            name,
            slots: 3,
            lease: Duration::from_secs(30),
            beat: Duration::from_secs(5),
            grace: Duration::from_secs(30),
            attempt_limit: Duration::from_secs(600),
            no_progress: Duration::from_secs(300),
            upsert_timeout: Duration::from_secs(60),
            building_look: Duration::from_secs(15),
            building_limit: Duration::from_secs(2 * 3600),
            decoders: std::thread::available_parallelism().map_or(1, usize::from),
            kinds: Kind::ALL.to_vec(),
            models,
            binary: Binary { version: env!("CARGO_PKG_VERSION").to_owned(), commit: "unknown".to_owned() },
        }
    }
}

/// Everything that attempts share.
pub struct Worker {
    pub ports: Ports,
    pub settings: Settings,
    pub engines: Engines,
    pub shards: ShardCache,
    /// How attempts ended so far.
    pub ends: Ends,
}

impl Worker {
    pub fn new(ports: Ports, settings: Settings, engines: Engines) -> Self {
        Self { ports, settings, engines, shards: ShardCache::default(), ends: Ends::default() }
    }
}
