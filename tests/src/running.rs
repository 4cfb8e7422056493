//! A run under way, with a layer around its ports and below the retries that ship.

use crate::{around::around, project::Project};
use imagefleet::{
    data_dir::Lock,
    run::{Ended, Run},
    world::World,
};
use imagefleet_common::ports::layered::Layer;
use imagefleet_worker::stop::{self, Stopper};
use std::time::Duration;
use tokio::{task::JoinHandle, time::timeout};

/// A run of a test takes a few seconds; one that takes this long hangs.
pub const PATIENCE: Duration = Duration::from_secs(50);

pub struct Running {
    run: JoinHandle<Ended>,
    stopper: Stopper,
    _lock: Lock,
}

/// Starts a run; some of its fields may be changed before.
pub async fn start(project: &Project, layer: &(impl Layer + Clone), change: impl FnOnce(&mut Run)) -> Running {
    let (lock, world) = project.take_over().await.unwrap();
    let mut run = project.prepare(around(world, layer).retrying()).unwrap();
    change(&mut run);
    let (stopper, stop) = stop::channel();
    Running { run: tokio::spawn(async { run.run(stop).await.unwrap() }), stopper, _lock: lock }
}

/// The ports of a project, to do things behind its run's back. The run need not have begun.
pub async fn behind(project: &Project) -> World {
    drop(project.data().lock().unwrap());
    World::open(&project.data()).await.unwrap()
}

impl Running {
    /// Asks it to drain, as SIGTERM does.
    pub fn stop(&self) {
        self.stopper.stop();
    }

    pub async fn end(self) -> Ended {
        timeout(PATIENCE, self.run).await.expect("the run comes to an end").unwrap()
    }
}
