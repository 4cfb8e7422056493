//! The embedded adapters, wired to the ports: one process, no services.

use crate::{data_dir::DataDir, world::World};
use imagefleet_adapters::{
    broker::local::LocalBroker,
    index::flat::FlatIndex,
    objects::fs::FsObjects,
    store::sqlite::{Settings, SqliteStore},
};
use imagefleet_common::Result;
use std::{path::Path, sync::Arc};

impl World {
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
        let files = Arc::new(FsObjects::new(Path::new("/").to_path_buf()));
        Ok(Self {
            tasks: store.clone(),
            jobs: store.clone(),
            catalog: store,
            broker: Arc::new(LocalBroker::default()),
            index: Arc::new(FlatIndex::open(&data.index()).await?),
            sources: files.clone(),
            files,
            artifacts: Arc::new(FsObjects::new(data.artifacts())),
            changed,
        })
    }
}
