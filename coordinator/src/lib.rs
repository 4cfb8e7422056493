//! The coordinator: [`plan`] lists corpora, [`publish`] keeps a window of ready tasks in the broker, [`reap`] ends lost
//! sessions, [`advance`] moves jobs from stage to stage.
//!
//! Any number may run at once: every duty is a compare-and-set in the store, so doing it twice does it once.
//! A duty that fails is logged and tried again at its next turn; none stops the others.

pub mod advance;
pub mod plan;
pub mod publish;
pub mod reap;
pub mod submit;

use imagefleet_common::{
    Result,
    ports::{broker::Broker, catalog::Catalog, jobs::Jobs, objects::Objects, tasks::Tasks},
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::watch;

/// What a coordinator needs of the world.
#[derive(Clone)]
pub struct Ports {
    pub tasks: Arc<dyn Tasks>,
    pub jobs: Arc<dyn Jobs>,
    pub catalog: Arc<dyn Catalog>,
    pub broker: Arc<dyn Broker>,
    /// The object root that corpora lie below.
    pub sources: Arc<dyn Objects>,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// Messages a queue holds at most.
    pub window: usize,
    /// A message that was not claimed for this long is published again, doubling each time.
    pub republish_after: Duration,
    /// The lease of a session: the reaper starts this long after its own last failed query.
    pub lease: Duration,
    /// How long a duty rests when nothing calls it.
    pub idle: Duration,
}

impl Default for Settings {
    /// Protocol's figures; a window of 3 messages for each of 4 slots.
    fn default() -> Self {
        Self {
            window: 12,
            republish_after: Duration::from_secs(60),
            lease: Duration::from_secs(30),
            idle: Duration::from_secs(1),
        }
    }
}

/// Runs all duties until `shutdown` ends. `changed` wakes them early; without it they look once per `idle`.
pub async fn run(ports: Ports, settings: Settings, changed: watch::Receiver<u64>, shutdown: impl Future<Output = ()>) {
    let reaper = reap::Reaper::new(settings.lease);
    tokio::select! {
        () = duty("plan", &settings, changed.clone(), || plan::plan_submitted(&ports)) => {}
        () = duty("publish", &settings, changed.clone(), || publish::fill_windows(&ports, &settings)) => {}
        () = duty("advance", &settings, changed.clone(), || advance::advance(&ports)) => {}
        () = duty("reap", &settings, changed, || reaper.reap(&ports)) => {}
        () = shutdown => {}
    }
}

/// Does `turn` on every change and at least once per `idle`, for ever.
async fn duty<F: Future<Output = Result<()>>>(
    name: &'static str,
    settings: &Settings,
    mut changed: watch::Receiver<u64>,
    turn: impl Fn() -> F,
) {
    loop {
        changed.mark_unchanged();
        let failed = turn().await.inspect_err(|error| tracing::warn!(duty = name, %error, "a duty failed")).is_err();
        if failed {
            tokio::time::sleep(settings.idle).await;
            continue;
        }
        // A closed channel means that nobody will call any more: only the clock is left.
        if let Ok(Err(_)) = tokio::time::timeout(settings.idle, changed.changed()).await {
            tokio::time::sleep(settings.idle).await;
        }
    }
}
