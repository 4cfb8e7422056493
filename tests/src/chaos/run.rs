//! One run: a job over a corpus of its own, and up to 25 faults while it goes through its stages.

use super::{
    fault::{Fault, Part},
    fleet::Fleet,
    inject::inject,
    process::how,
    table::{Injection, Table, seeded},
};
use imagefleet_common::{
    ids::{JobId, TaskId},
    ports::jobs::{JobState, Jobs},
    task::State,
    work::Stage,
};
use rand::{Rng, rngs::StdRng};
use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// The most faults of a run; after them it comes to rest and is checked.
const FAULTS: usize = 25;
/// Faults that live at a time, so that something goes on meanwhile.
const AT_ONCE: usize = 3;
/// From the last fault to the job's end.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long each call of the index takes until a stage has had its share of the faults: so that each stage lasts.
const PACE: Duration = Duration::from_millis(400);
/// The share of a run's faults that has been injected when a stage ends.
const SHARES: [(Stage, f64); 5] =
    [(Stage::Embed, 0.3), (Stage::Seal, 0.45), (Stage::Retrieve, 0.65), (Stage::Rerank, 0.82), (Stage::Finalize, 1.0)];

/// A fault as it went.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// Milliseconds since the run began.
    pub at: u64,
    #[serde(flatten)]
    pub injection: Injection,
    /// What it met; 0: nothing.
    pub met: u32,
}

/// A worker is killed, or told to go.
fn first(rng: &mut StdRng) -> Injection {
    let fault = if rng.random_bool(0.5) { Fault::KillWorker } else { Fault::TermWorker };
    Injection { fault, stage: Stage::Embed, target: rng.random(), millis: 1000, rest: 200 }
}

/// What is known of a run under way.
pub struct Run {
    pub fleet: Arc<Fleet>,
    pub name: String,
    pub job: JobId,
    begun: Instant,
    /// Faults that began, and that live.
    pub injected: AtomicUsize,
    living: AtomicUsize,
    /// Shards were replaced by equal ones, or missing for a while: they are listed again as new versions.
    pub relisted: AtomicBool,
    pub outcome: Mutex<Outcome>,
}

/// What a run showed.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    pub journal: Vec<Entry>,
    /// What must not be, a line each.
    pub wrong: Vec<String>,
    /// Seconds from a worker's SIGKILL until its tasks might go on elsewhere, with nothing else broken; and with.
    pub recoveries: [Vec<f64>; 2],
    /// Seconds from a worker's SIGTERM to its end, with nothing else broken; and with.
    pub drains: [Vec<f64>; 2],
    /// Why an operator had to say `jobs retry`, each time.
    pub retries: Vec<String>,
}

impl Run {
    pub fn new(fleet: Arc<Fleet>, name: String, job: JobId) -> Self {
        Self {
            fleet,
            name,
            job,
            begun: Instant::now(),
            injected: AtomicUsize::new(0),
            living: AtomicUsize::new(0),
            relisted: AtomicBool::new(false),
            outcome: Mutex::default(),
        }
    }

    pub fn wrong(&self, what: String) {
        eprintln!("  WRONG: {what}");
        self.outcome.lock().unwrap().wrong.push(what);
    }

    /// Where one fault lives and no other, the number of faults so far.
    pub fn alone(&self) -> Option<usize> {
        let injected = self.injected.load(Ordering::SeqCst);
        (self.living.load(Ordering::SeqCst) == 1).then_some(injected)
    }

    pub fn note_recovery(&self, took: Duration, alone: bool) {
        self.outcome.lock().unwrap().recoveries[usize::from(!alone)].push(took.as_secs_f64());
    }

    pub fn note_drain(&self, took: Duration, alone: bool) {
        self.outcome.lock().unwrap().drains[usize::from(!alone)].push(took.as_secs_f64());
    }

    /// Tasks that the worker of this process runs.
    pub async fn held_by(&self, process: u32) -> Vec<TaskId> {
        let suffix = format!("-{process}");
        let tasks = self.fleet.store.tasks(self.job).await.unwrap_or_default();
        let held = tasks.into_iter().filter(|task| {
            task.state == State::Running && task.worker.as_ref().is_some_and(|name| name.ends_with(&suffix))
        });
        held.map(|task| task.id).collect()
    }

    /// Works the job off under `FAULTS`, or those of a journal, and returns when it has succeeded and every
    /// fault is healed. False where it did not come to its end.
    pub async fn suffer(
        self: &Arc<Self>,
        seed: u64,
        table: &Mutex<Table>,
        mut replay: Option<VecDeque<Injection>>,
    ) -> bool {
        let mut rng = seeded(seed);
        let mut living = JoinSet::new();
        let busy = Arc::new(Mutex::new(HashSet::<Part>::new()));
        let (mut next, mut last) = (Instant::now(), Instant::now());
        let mut stage = Stage::Embed;
        // The first fault is measured, with nothing else broken until it is over.
        let mut quiet = replay.is_none();
        loop {
            while living.try_join_next().is_some() {}
            match self.state().await {
                Some((JobState::Succeeded, _)) => break,
                Some((JobState::Blocked, _)) => self.retry().await,
                Some((_, now)) => stage = now,
                // The database is away; so is whatever would change the stage.
                None => {}
            }
            self.look_after_processes().await;
            let injected = self.injected.load(Ordering::SeqCst);
            let share = SHARES.iter().find(|(of, _)| *of == stage).map_or(1.0, |(_, share)| *share);
            let due = ((FAULTS as f64 * share).round() as usize).saturating_sub(injected);
            self.fleet.site.servers.set_pace(if due > 0 { PACE } else { Duration::ZERO });
            if quiet && injected == 0 && stage == Stage::Embed {
                if self.both_work().await {
                    last = Instant::now();
                    self.begin(&mut living, first(&mut rng), table, &busy);
                }
            } else if quiet && !living.is_empty() {
                // It is not over.
            } else if due > 0 && Instant::now() >= next && living.len() < AT_ONCE {
                quiet = false;
                let taken = busy.lock().unwrap().clone();
                let chosen = match &mut replay {
                    None => table.lock().unwrap().choose(stage, self.fleet.site.artifacts, &taken, &mut rng),
                    Some(journal) => journal.pop_front_if(|next| !taken.contains(&next.fault.part())),
                };
                if let Some(injection) = chosen {
                    last = Instant::now();
                    next = last + Duration::from_millis(injection.rest);
                    self.begin(&mut living, injection, table, &busy);
                }
            }
            if last.elapsed() > PATIENCE {
                self.wrong(format!("the job is stuck in {stage}, {PATIENCE:?} after the last fault"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        self.fleet.site.servers.set_pace(Duration::ZERO);
        while living.join_next().await.is_some() {}
        matches!(self.state().await, Some((JobState::Succeeded, _)))
    }

    fn begin(
        self: &Arc<Self>,
        living: &mut JoinSet<()>,
        injection: Injection,
        table: &Mutex<Table>,
        busy: &Arc<Mutex<HashSet<Part>>>,
    ) {
        let at = self.begun.elapsed().as_millis() as u64;
        let Injection { fault, stage, .. } = injection;
        table.lock().unwrap().add(fault, stage);
        busy.lock().unwrap().insert(fault.part());
        self.injected.fetch_add(1, Ordering::SeqCst);
        self.living.fetch_add(1, Ordering::SeqCst);
        let (run, busy) = (Arc::clone(self), Arc::clone(busy));
        living.spawn(async move {
            let met = inject(&run, &injection).await;
            busy.lock().unwrap().remove(&fault.part());
            run.living.fetch_sub(1, Ordering::SeqCst);
            let mut entry = Entry { at, injection, met: met.count };
            entry.injection.stage = met.stage;
            run.outcome.lock().unwrap().journal.push(entry);
        });
    }

    /// Do two workers hold tasks?
    async fn both_work(&self) -> bool {
        let tasks = self.fleet.store.tasks(self.job).await.unwrap_or_default();
        let running = tasks.iter().filter(|task| task.state == State::Running);
        running.filter_map(|task| task.worker.as_ref()).collect::<HashSet<_>>().len() > 1
    }

    /// The job's, as far as it can be asked for.
    async fn state(&self) -> Option<(JobState, Stage)> {
        let asked = tokio::time::timeout(Duration::from_secs(2), self.fleet.store.job(self.job)).await;
        asked.ok()?.ok()?.map(|job| (job.state, job.stage))
    }

    /// What an operator does who has seen why the job is blocked.
    async fn retry(&self) {
        let id = self.job.to_string();
        let shown = self.fleet.json(&["jobs", "show", &id]).await.unwrap_or_default();
        let why = shown["failed"].as_array().into_iter().flatten().filter(|task| task["state"] == "dead");
        let why: Vec<String> = why.map(|task| format!("{}: {}", task["kind"], task["error"])).collect();
        if self.fleet.command(&["jobs", "retry", &id]).await.is_ok() && !why.is_empty() {
            self.outcome.lock().unwrap().retries.push(why.join("; "));
        }
    }

    /// No process ends but those that are told to or killed.
    async fn look_after_processes(&self) {
        for process in &self.fleet.processes {
            let Ok(mut process) = process.try_lock() else { continue };
            if let Some(status) = process.has_ended() {
                self.wrong(format!("{} ended by itself with {}", process.name, how(status)));
                process.start();
            }
        }
    }
}
