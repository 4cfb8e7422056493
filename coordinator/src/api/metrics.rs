//! `/metrics`, for Prometheus. Labels are names of states, kinds, duties and of queues that hold work, so they are few.
//!
//! What comes from the store is read at most once per `FRESH`, however many scrape, and reads no task that has ended
//! well. Where a service does not answer, its figures are left out and `imagefleet_service_up` says so.

use super::{PROBE, Shared, State};
use crate::stats::Duty;
use axum::{http::header::CONTENT_TYPE, response::IntoResponse};
use imagefleet_common::{
    Error, Result,
    exposition::{
        self, Exposition,
        Shape::{Counter, Gauge},
    },
    ids::Queue,
    ports::{jobs::JobState, tasks::QueueLoad},
    task::State as TaskState,
    work::Kind,
};
use std::{
    collections::BTreeSet,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

const FRESH: Duration = Duration::from_secs(5);

/// What was published within a year is not counted as unpublished.
const NEVER_AGAIN: Duration = Duration::from_secs(365 * 24 * 3600);

/// Tasks that wait are counted up to this.
const COUNT_TO: u32 = 10_000;

/// The figures that were read last.
#[derive(Default)]
pub(super) struct Cache(Mutex<Option<(Instant, Arc<Figures>)>>);

/// What the services say; `None` where one gave no answer.
struct Figures {
    store: Option<OfStore>,
    /// Messages in each queue that holds work.
    broker: Option<Vec<(String, usize)>>,
}

struct OfStore {
    jobs: Vec<(JobState, usize)>,
    tasks: Vec<(Kind, TaskState, u64)>,
    queues: Vec<QueueLoad>,
    running: Vec<(Queue, u64)>,
    sessions: usize,
}

impl Cache {
    /// Whoever comes while the figures are read waits for them.
    async fn figures(&self, shared: &Shared) -> Arc<Figures> {
        let mut kept = self.0.lock().await;
        if let Some((read, figures)) = kept.as_ref()
            && read.elapsed() < FRESH
        {
            return Arc::clone(figures);
        }
        let figures = Arc::new(read(shared).await);
        *kept = Some((Instant::now(), Arc::clone(&figures)));
        figures
    }
}

async fn read(shared: &Shared) -> Figures {
    let store = answer("store", of_store(shared)).await;
    let ready = store.iter().flat_map(|store| store.queues.iter().map(|load| &load.queue));
    let running = store.iter().flat_map(|store| store.running.iter().map(|(queue, _)| queue));
    let queues: BTreeSet<&Queue> = ready.chain(running).collect();
    let depths = async {
        let mut depths = Vec::new();
        for queue in queues {
            depths.push((queue.0.clone(), shared.api.ports.broker.depth(queue).await?));
        }
        // Where no queue holds work the broker is asked all the same, to know whether it is there.
        if depths.is_empty() {
            shared.api.ports.broker.depth(&Kind::List.queue("")).await?;
        }
        Ok(depths)
    };
    let broker = answer("broker", depths).await;
    Figures { store, broker }
}

async fn answer<T>(service: &'static str, asked: impl Future<Output = Result<T>>) -> Option<T> {
    let late = |_| Err(Error::transient("no answer"));
    let answer = tokio::time::timeout(PROBE, asked).await.unwrap_or_else(late);
    answer.inspect_err(|error| tracing::warn!(service, %error, "figures are missing from the metrics")).ok()
}

async fn of_store(shared: &Shared) -> Result<OfStore> {
    let ports = &shared.api.ports;
    let all = ports.jobs.jobs().await?;
    let count = |state| all.iter().filter(|job| job.state == state).count();
    Ok(OfStore {
        jobs: JobState::ALL.into_iter().map(|state| (state, count(state))).collect(),
        tasks: ports.tasks.counts().await?,
        queues: ports.tasks.queues(NEVER_AGAIN, COUNT_TO).await?,
        running: ports.tasks.running().await?,
        sessions: ports.tasks.sessions().await?.len(),
    })
}

pub(super) async fn show(shared: State) -> impl IntoResponse {
    let figures = shared.figures.figures(&shared).await;
    let mut text = Exposition::default();
    own(&mut text, &shared);
    text.family("imagefleet_service_up", Gauge, "Whether a service answers.")
        .sample(&[("service", "store")], u8::from(figures.store.is_some()))
        .sample(&[("service", "broker")], u8::from(figures.broker.is_some()));
    if let Some(store) = &figures.store {
        stored(&mut text, store);
    }
    if let Some(depths) = &figures.broker {
        let mut family = text.family("imagefleet_queue_messages", Gauge, "Messages that no worker has taken.");
        for (queue, depth) in depths {
            family.sample(&[("queue", queue)], depth);
        }
    }
    ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], text.into_text())
}

/// Of this process alone.
fn own(text: &mut Exposition, shared: &Shared) {
    let stats = &shared.api.stats;
    text.family("imagefleet_build_info", Gauge, "1, with the version of the binary.")
        .sample(&[("version", &shared.api.version)], 1);
    let mut failures = text.family("imagefleet_duty_failures_total", Counter, "Turns of a duty that failed.");
    for duty in Duty::ALL {
        failures.sample(&[("duty", duty.name())], stats.duty(duty).failures());
    }
    let about = "Since the last turn of a duty that succeeded.";
    let mut ages = text.family("imagefleet_duty_last_success_age_seconds", Gauge, about);
    for duty in Duty::ALL {
        ages.sample(&[("duty", duty.name())], stats.duty(duty).since_success().as_secs_f64());
    }
    text.family("imagefleet_published_messages_total", Counter, "Messages that the broker confirmed.")
        .sample(&[], stats.published());
    text.family("imagefleet_reaped_sessions_total", Counter, "Sessions whose lease ran out.")
        .sample(&[], stats.reaped());
}

/// Of the whole fleet: every coordinator says the same.
fn stored(text: &mut Exposition, store: &OfStore) {
    let mut jobs = text.family("imagefleet_jobs", Gauge, "Jobs by state.");
    for (state, count) in &store.jobs {
        jobs.sample(&[("state", state.name())], count);
    }
    let mut tasks = text.family("imagefleet_tasks", Gauge, "Open and dead tasks by kind and state.");
    for (kind, state, count) in &store.tasks {
        tasks.sample(&[("kind", kind.name()), ("state", state.name())], count);
    }
    // So that the first dead one is seen to come.
    let has_dead = |kind: Kind| store.tasks.iter().any(|(of, state, _)| (*of, *state) == (kind, TaskState::Dead));
    for kind in Kind::ALL.into_iter().filter(|kind| !has_dead(*kind)) {
        tasks.sample(&[("kind", kind.name()), ("state", TaskState::Dead.name())], 0);
    }
    let about = "Tasks that may run and are not in the broker yet, counted up to some thousands.";
    let mut unpublished = text.family("imagefleet_queue_unpublished_tasks", Gauge, about);
    for load in &store.queues {
        unpublished.sample(&[("queue", &load.queue.0)], load.unpublished);
    }
    let mut running = text.family("imagefleet_queue_running_tasks", Gauge, "Tasks that workers run.");
    for (queue, count) in &store.running {
        running.sample(&[("queue", &queue.0)], count);
    }
    text.family("imagefleet_sessions", Gauge, "Worker sessions that live.").sample(&[], store.sessions);
}
