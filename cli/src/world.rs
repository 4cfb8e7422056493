//! The ports that commands work on, whatever adapters stand behind them.

use imagefleet_common::ports::{
    broker::Broker,
    catalog::Catalog,
    index::Index,
    jobs::Jobs,
    layered::{Layer, Layered, Retry},
    objects::Objects,
    tasks::Tasks,
};
use std::sync::Arc;
use tokio::sync::watch;

/// Every port.
#[derive(Clone)]
pub struct World {
    pub tasks: Arc<dyn Tasks>,
    pub jobs: Arc<dyn Jobs>,
    pub catalog: Arc<dyn Catalog>,
    pub broker: Arc<dyn Broker>,
    pub index: Arc<dyn Index>,
    /// The object root that corpora lie below; in an embedded run the whole file system.
    pub sources: Arc<dyn Objects>,
    /// This machine's whole file system, where results are delivered.
    pub files: Arc<dyn Objects>,
    pub artifacts: Arc<dyn Objects>,
    /// Counts the commits after which there may be something to do.
    pub changed: watch::Receiver<u64>,
}

impl World {
    /// Every port with a layer of its own around it.
    #[must_use]
    pub fn layered<L: Layer>(self, layer: impl Fn() -> L) -> Self {
        Self {
            tasks: Arc::new(Layered::new(self.tasks, layer())),
            jobs: Arc::new(Layered::new(self.jobs, layer())),
            catalog: Arc::new(Layered::new(self.catalog, layer())),
            broker: Arc::new(Layered::new(self.broker, layer())),
            index: Arc::new(Layered::new(self.index, layer())),
            sources: Arc::new(Layered::new(self.sources, layer())),
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
            sources: Arc::clone(&self.sources),
            artifacts: Arc::clone(&self.artifacts),
        }
    }

    pub fn worker(&self) -> imagefleet_worker::Ports {
        imagefleet_worker::Ports {
            tasks: Arc::clone(&self.tasks),
            jobs: Arc::clone(&self.jobs),
            catalog: Arc::clone(&self.catalog),
            broker: Arc::clone(&self.broker),
            index: Arc::clone(&self.index),
            sources: Arc::clone(&self.sources),
            artifacts: Arc::clone(&self.artifacts),
        }
    }
}
