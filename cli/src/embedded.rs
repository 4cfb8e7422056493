//! The embedded adapters, wired to the ports: one process, no services.

use crate::{args::Global, data_dir::DataDir};
use imagefleet_adapters::{
    broker::local::LocalBroker,
    index::flat::FlatIndex,
    objects::fs::FsObjects,
    store::sqlite::{Settings, SqliteStore},
};
use imagefleet_common::{
    Error, Result,
    ports::{
        broker::Broker,
        catalog::Catalog,
        index::Index,
        jobs::Jobs,
        layered::{Layer, Layered, Retry},
        objects::Objects,
        tasks::Tasks,
    },
};
use std::{path::Path, sync::Arc};
use tokio::sync::watch;

/// Every port of an embedded run.
#[derive(Clone)]
pub struct World {
    pub tasks: Arc<dyn Tasks>,
    pub jobs: Arc<dyn Jobs>,
    pub catalog: Arc<dyn Catalog>,
    pub broker: Arc<dyn Broker>,
    pub index: Arc<dyn Index>,
    /// The whole file system: corpora lie below the object root, outputs where the job file says.
    pub files: Arc<dyn Objects>,
    pub artifacts: Arc<dyn Objects>,
    /// Counts the commits after which there may be something to do.
    pub changed: watch::Receiver<u64>,
}

impl World {
    /// Opens the data directory of a command that has no job file, to read.
    pub(crate) async fn here(global: &Global) -> Result<Self> {
        let data = DataDir::here(global);
        if !data.is_there() {
            let path = data.path().display();
            return Err(Error::permanent(format!(
                "look into {path}: nothing has run there; name the directory with --data"
            )));
        }
        Self::open(&data).await
    }

    /// Opens everything in `data`, to read.
    pub async fn open(data: &DataDir) -> Result<Self> {
        Ok(Self::of(SqliteStore::open(&data.store(), Settings::default()).await?, data).await?.retrying())
    }

    /// Opens everything in `data` for the holder of its lock: what earlier processes held is taken over.
    pub async fn take_over(data: &DataDir) -> Result<Self> {
        let store = SqliteStore::open(&data.store(), Settings::default()).await?;
        store.take_over().await?;
        Self::of(store, data).await
    }

    async fn of(store: SqliteStore, data: &DataDir) -> Result<Self> {
        let changed = store.changed();
        let store = Arc::new(store);
        Ok(Self {
            tasks: store.clone(),
            jobs: store.clone(),
            catalog: store,
            broker: Arc::new(LocalBroker::default()),
            index: Arc::new(FlatIndex::open(&data.index()).await?),
            files: Arc::new(FsObjects::new(Path::new("/").to_path_buf())),
            artifacts: Arc::new(FsObjects::new(data.artifacts())),
            changed,
        })
    }

    /// Every port with a layer of its own around it.
    #[must_use]
    pub fn layered<L: Layer>(self, layer: impl Fn() -> L) -> Self {
        Self {
            tasks: Arc::new(Layered::new(self.tasks, layer())),
            jobs: Arc::new(Layered::new(self.jobs, layer())),
            catalog: Arc::new(Layered::new(self.catalog, layer())),
            broker: Arc::new(Layered::new(self.broker, layer())),
            index: Arc::new(Layered::new(self.index, layer())),
            files: Arc::new(Layered::new(self.files, layer())),
            artifacts: Arc::new(Layered::new(self.artifacts, layer())),
            changed: self.changed,
        }
    }

    /// With the retries that the product ships with.
    #[must_use]
    pub fn retrying(self) -> Self {
        self.layered(Retry::default)
    }

    pub fn coordinator(&self) -> imagefleet_coordinator::Ports {
        imagefleet_coordinator::Ports {
            tasks: Arc::clone(&self.tasks),
            jobs: Arc::clone(&self.jobs),
            catalog: Arc::clone(&self.catalog),
            broker: Arc::clone(&self.broker),
            sources: Arc::clone(&self.files),
        }
    }

    pub fn worker(&self) -> imagefleet_worker::Ports {
        imagefleet_worker::Ports {
            tasks: Arc::clone(&self.tasks),
            jobs: Arc::clone(&self.jobs),
            catalog: Arc::clone(&self.catalog),
            broker: Arc::clone(&self.broker),
            index: Arc::clone(&self.index),
            sources: Arc::clone(&self.files),
            artifacts: Arc::clone(&self.artifacts),
        }
    }
}
