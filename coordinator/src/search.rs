//! Searches apart from any job file: a task is enqueued before all others, and its answer is waited for.
//!
//! It is a task like any: if its worker dies, another one does it. Nothing is lost with a coordinator but the one who
//! waits there.

use crate::Ports;
use imagefleet_common::{
    Context, Error, Result,
    ids::{CollectionId, JobId},
    job::search::Search,
    ports::{
        jobs::{Control, Jobs, NewSearch, TaskView},
        objects::{Objects, read_latest},
    },
    task::State,
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// Whoever waits for an answer has it, or has gone, after this long.
const FORGET_AFTER: Duration = Duration::from_secs(120);

/// How long nobody looks for an answer where nobody says that something changed.
const LOOK: Duration = Duration::from_millis(250);

/// Enqueues searches and waits for their answers.
#[derive(Clone)]
pub struct Searches {
    pub jobs: Arc<dyn Jobs>,
    pub artifacts: Arc<dyn Objects>,
    /// Counts the commits after which there may be an answer.
    pub changed: watch::Receiver<u64>,
}

impl Searches {
    /// What was found, as a JSON list. Transient error where no worker has answered `within` this time: the search is
    /// cancelled then. Permanent error where a worker says that it cannot be done.
    pub async fn ask(&self, collection: &CollectionId, search: &Search, within: Duration) -> Result<Value> {
        let spec = serde_json::to_string(search).permanent(|| "write the search".to_owned())?;
        let id = JobId::random();
        let mut changed = self.changed.clone();
        self.jobs.search(&NewSearch { id, collection: collection.clone(), spec }).await?;
        let deadline = Instant::now() + within;
        loop {
            changed.mark_unchanged();
            let task = self.jobs.tasks(id).await?.pop();
            if let Some(answer) = self.answer(task.as_ref()).await? {
                return Ok(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.jobs.control(id, Control::Cancel).await?;
                return Err(unanswered(collection, task.as_ref(), within));
            }
            if let Ok(Err(_)) = tokio::time::timeout(LOOK.min(left), changed.changed()).await {
                // Nobody will say any more: only the clock is left.
                tokio::time::sleep(LOOK.min(left)).await;
            }
        }
    }

    /// `None`: not yet.
    async fn answer(&self, task: Option<&TaskView>) -> Result<Option<Value>> {
        let Some(task) = task.filter(|task| !task.state.is_open()) else { return Ok(None) };
        let artifact = match (task.state, &task.artifact) {
            (State::Succeeded, Some(artifact)) => artifact,
            _ => {
                return Err(Error::permanent(
                    task.error.clone().unwrap_or_else(|| format!("the search is {}", task.state)),
                ));
            }
        };
        let bytes = read_latest(self.artifacts.as_ref(), artifact).await?;
        let bytes = bytes.ok_or_else(|| Error::transient(format!("read the answer {artifact}: it is gone")))?;
        serde_json::from_slice(&bytes).permanent(|| format!("read the answer {artifact}")).map(Some)
    }
}

fn unanswered(collection: &CollectionId, task: Option<&TaskView>, within: Duration) -> Error {
    let doing = format!("search collection {collection}: no answer within {} s", within.as_secs_f64());
    Error::transient(match task {
        Some(TaskView { error: Some(error), .. }) => format!("{doing}; the last attempt failed: {error}"),
        Some(TaskView { worker: Some(worker), state: State::Running, .. }) => format!("{doing}; {worker} is at it"),
        _ => format!("{doing}: no worker takes it; start one that serves the queue search with the collection's model"),
    })
}

/// Forgets what was answered, and deletes the answers.
pub async fn forget(ports: &Ports) -> Result<()> {
    for answer in ports.jobs.forget_searches(FORGET_AFTER).await? {
        ports.artifacts.delete(&answer).await?;
    }
    Ok(())
}
