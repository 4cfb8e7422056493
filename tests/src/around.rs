//! One layer around every port.

use async_trait::async_trait;
use imagefleet::world::World;
use imagefleet_common::{
    Result,
    ports::layered::{Effect, Layer, Layered, Op},
};
use std::{any::Any, sync::Arc};

/// Gives its port's calls another port's name.
struct Named<L> {
    port: &'static str,
    layer: L,
}

#[async_trait]
impl<L: Layer> Layer for Named<L> {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        self.layer.call(Op { port: self.port, ..op }, effect).await
    }
}

/// Every port of `world` with a clone of `layer` around it. Objects go by two names: `artifacts`, and
/// `files` for the file system.
pub fn around<L: Layer + Clone>(world: World, layer: &L) -> World {
    let layer = |port| Named { port, layer: layer.clone() };
    World {
        tasks: Arc::new(Layered::new(world.tasks, layer("tasks"))),
        jobs: Arc::new(Layered::new(world.jobs, layer("jobs"))),
        catalog: Arc::new(Layered::new(world.catalog, layer("catalog"))),
        broker: Arc::new(Layered::new(world.broker, layer("broker"))),
        index: Arc::new(Layered::new(world.index, layer("index"))),
        sources: Arc::new(Layered::new(world.sources, layer("files"))),
        files: Arc::new(Layered::new(world.files, layer("files"))),
        artifacts: Arc::new(Layered::new(world.artifacts, layer("artifacts"))),
        changed: world.changed,
    }
}
