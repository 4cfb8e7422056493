//! The coordinator: [`plan`] lists corpora, [`publish`] keeps a window of ready tasks in the broker, [`reap`] ends lost
//! sessions, [`advance`] moves jobs from stage to stage, [`search`] answers what somebody waits for.
//!
//! Any number may run at once: every duty is a compare-and-set in the store, so doing it twice does it once.
//! A duty that fails is logged and tried again at its next turn; none stops the others.
//! `api` (of the feature of that name) shows it all over HTTP.

pub mod advance;
#[cfg(feature = "api")]
pub mod api;
pub mod plan;
pub mod publish;
pub mod reap;
pub mod search;
pub mod stats;
pub mod submit;

use imagefleet_common::{
    Result,
    ports::{broker::Broker, catalog::Catalog, jobs::Jobs, objects::Objects, tasks::Tasks},
};
use stats::{Duty, Stats};
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
    /// Where attempts leave what they made.
    pub artifacts: Arc<dyn Objects>,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// Messages that a queue holds at most for each slot of a worker.
    pub window: usize,
    /// A message that was not claimed for this long is published again, doubling each time.
    pub republish_after: Duration,
    /// The lease of a session: the reaper starts this long after its own last failed query.
    pub lease: Duration,
    /// How long a duty rests when nothing calls it.
    pub idle: Duration,
}

impl Default for Settings {
    /// The protocol's figures.
    fn default() -> Self {
        Self {
            window: 3,
            republish_after: Duration::from_secs(60),
            lease: Duration::from_secs(30),
            idle: Duration::from_secs(1),
        }
    }
}

/// Runs all duties until `shutdown` ends. `changed` wakes them early; without it they look once per `idle`.
pub async fn run(
    ports: Ports,
    settings: Settings,
    stats: Arc<Stats>,
    changed: watch::Receiver<u64>,
    shutdown: impl Future<Output = ()>,
) {
    let reaper = reap::Reaper::new(settings.lease);
    let duties = Duties { settings: &settings, stats: &stats, changed };
    tokio::select! {
        () = duties.repeat(Duty::Plan, || plan::plan_submitted(&ports)) => {}
        () = duties.repeat(Duty::Publish, || publish::fill_windows(&ports, &settings, &stats)) => {}
        () = duties.repeat(Duty::Advance, || advance::advance(&ports)) => {}
        () = duties.repeat(Duty::Reap, || reaper.reap(&ports, &stats)) => {}
        () = duties.repeat(Duty::Forget, || search::forget(&ports)) => {}
        () = shutdown => {}
    }
}

struct Duties<'a> {
    settings: &'a Settings,
    stats: &'a Stats,
    changed: watch::Receiver<u64>,
}

impl Duties<'_> {
    /// Does `turn` on every change and at least once per `idle`, for ever.
    async fn repeat<F: Future<Output = Result<()>>>(&self, duty: Duty, turn: impl Fn() -> F) {
        let (idle, turns) = (self.settings.idle, self.stats.duty(duty));
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            if let Err(error) = turn().await {
                tracing::warn!(%duty, %error, "a duty failed");
                turns.failed();
                tokio::time::sleep(idle).await;
                continue;
            }
            turns.succeeded();
            tokio::time::sleep(rest(duty)).await;
            // A closed channel means that nobody will call any more: only the clock is left.
            if let Ok(Err(_)) = tokio::time::timeout(idle, changed.changed()).await {
                tokio::time::sleep(idle).await;
            }
        }
    }
}

/// What a duty rests at least between two turns, so that changes that come thick are looked at together. A slot may wait
/// for the publisher, a job for its next stage, and nobody for the others.
fn rest(duty: Duty) -> Duration {
    Duration::from_millis(match duty {
        Duty::Publish => 2,
        Duty::Plan | Duty::Advance => 20,
        Duty::Reap => 500,
        Duty::Forget => 10_000,
    })
}
