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
        let deadline = Instant::now() + within;
        let asked = Asked { jobs: Arc::clone(&self.jobs), id, is_over: false };
        self.jobs.search(&NewSearch { id, collection: collection.clone(), spec }).await?;
        loop {
            changed.mark_unchanged();
            let task = self.jobs.tasks(id).await?.pop();
            if let Some(answer) = self.answer(task.as_ref()).await? {
                asked.end();
                return Ok(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.jobs.control(id, Control::Cancel).await?;
                asked.end();
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

/// A search that somebody waits for: cancelled when they go, for whatever reason, before it is over.
struct Asked {
    jobs: Arc<dyn Jobs>,
    id: JobId,
    is_over: bool,
}

impl Asked {
    fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (jobs, id) = (Arc::clone(&self.jobs), self.id);
        tokio::spawn(async move {
            if let Err(error) = jobs.control(id, Control::Cancel).await {
                tracing::debug!(%error, search = %id, "a search that nobody waits for could not be cancelled");
            }
        });
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

/// Deletes answers that nobody waits for any more, and then forgets the searches.
pub async fn forget(ports: &Ports) -> Result<()> {
    let old = ports.jobs.old_searches(FORGET_AFTER).await?;
    for answer in old.iter().filter_map(|search| search.artifact.as_ref()) {
        ports.artifacts.delete(answer).await?;
    }
    let ids: Vec<JobId> = old.iter().map(|search| search.id).collect();
    if ids.is_empty() { Ok(()) } else { ports.jobs.forget_searches(&ids).await }
}
