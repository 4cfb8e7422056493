//! `imagefleet run`: coordinator and worker in one process, from submission to result files.

use crate::{
    args::{Global, Output, RunArgs},
    data_dir::Lock,
    exit::Exit,
    logging::{print, say},
    progress::Progress,
    results,
    signals::stop_on_signals,
    submission::{Opened, object_path},
    world::World,
};
use imagefleet_common::{
    Context, Error, Result,
    ids::JobId,
    job::spec::{CollectionSpec, JobSpec, RerankSection},
    ports::jobs::{Control, How, JobState, JobView, Jobs},
};
use imagefleet_coordinator::{
    plan::shards_of,
    submit::{Submission, new_job, submit},
};
use imagefleet_models::{Device, Encoder};
use imagefleet_retrieval::{
    evaluation::report::Report as Evaluated,
    report::REPORT,
    results::{Binary, METRICS, RUN, RunRecord, SUMMARY, Summary},
};
use imagefleet_worker::{
    Worker,
    engine::{Engines, Load},
    pipeline::stats::Stats,
    pull,
    stop::{self, Stop},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How often the job is looked at when nothing says that it changed.
const LOOK: Duration = Duration::from_millis(200);

/// An embedded run that is ready to start.
pub struct Run {
    pub world: World,
    pub submission: Submission,
    /// Where results go, as a path of `world.files`.
    pub output: String,
    pub accept_dead: bool,
    pub retry_dead: bool,
    pub load: Arc<Load>,
    pub coordinator: imagefleet_coordinator::Settings,
    /// Changes the worker's settings from those of the product.
    pub worker: fn(&mut imagefleet_worker::Settings),
}

/// How a run went.
pub struct Ended {
    pub job: JobId,
    pub state: JobState,
    /// `None`: it was stopped before the job ended. Else the result files that had to be written.
    pub written: Option<usize>,
    pub stats: Arc<Stats>,
}

/// Loads a model on the CPU.
pub fn load(path: &Path) -> Result<Box<dyn Encoder>> {
    imagefleet_models::load(path, Device::Cpu)
}

pub(crate) async fn command(global: &Global, args: RunArgs) -> Result<Exit> {
    let (exit, finished) = run_file(global, args).await?;
    if let Some(finished) = finished {
        finished.report(global).await?;
    }
    Ok(exit)
}

/// A job that succeeded, and the results that it has delivered.
pub(crate) struct Finished {
    world: World,
    ended: Ended,
    directory: PathBuf,
    /// The same, as a path of `world.files`.
    output: String,
    written: usize,
    /// Nobody else works on the results before they are told of.
    _lock: Lock,
}

/// Runs a job file without printing what came of it.
pub(crate) async fn run_file(global: &Global, args: RunArgs) -> Result<(Exit, Option<Finished>)> {
    let stop = stop_on_signals("what runs is handed back")?;
    let opened = Opened::read(global, &args.file)?;
    let output = object_path(&opened.file.output)?;
    let (data, directory) = (opened.data.clone(), opened.file.output.clone());
    // Before anything is made: model and articles can still be refused.
    let submission = blocking(move || opened.submission()).await?;
    let lock = data.lock()?;
    let world = World::take_over(&data).await?.retrying();
    let run = Run {
        world: world.clone(),
        submission: Submission { allow_delete: args.allow_delete, ..submission },
        output: output.clone(),
        accept_dead: args.accept_dead,
        retry_dead: args.retry_dead,
        load: Arc::new(load),
        coordinator: imagefleet_coordinator::Settings::default(),
        worker: |_| {},
    };
    let ended = run.run(stop).await?;
    let exit = match (ended.state, ended.written) {
        (JobState::Succeeded, Some(written)) => {
            return Ok((Exit::Done, Some(Finished { world, ended, directory, output, written, _lock: lock })));
        }
        (JobState::Blocked, _) => {
            say_blocked(&world, ended.job, &args.file).await?;
            Exit::Blocked
        }
        (JobState::Cancelled | JobState::Cancelling, _) => Exit::Cancelled,
        _ => {
            say(format_args!("stopped; the same command goes on from here"));
            Exit::Stopped
        }
    };
    Ok((exit, None))
}

impl Run {
    /// Runs until the job has ended, is blocked, or `shutdown` is given and the worker has drained.
    pub async fn run(self, shutdown: Stop) -> Result<Ended> {
        let Self { world, submission, output, accept_dead, retry_dead, load, coordinator, worker } = self;
        let collection = new_job(&submission).collection;
        let name = submission.spec.name.clone();
        let ports = world.coordinator();
        // What a plan would stumble over for good is refused before anything starts.
        shards_of(&new_job(&submission).corpus, world.sources.as_ref()).await?;
        let submitted = submit(ports.jobs.as_ref(), world.artifacts.as_ref(), submission).await?;
        say_submitted(&name, submitted.how, &submitted.cancelled);
        run_alone(&world, submitted.job).await?;

        let (stopper, stop) = stop::channel();
        let worker = Arc::new(make_worker(&world, load, &collection, worker));
        let stats = Arc::clone(worker.engines.stats());
        let coordinating =
            tokio::spawn({
                let (changed, stop) = (world.changed.clone(), stop.clone());
                async move {
                    imagefleet_coordinator::run(ports, coordinator, Arc::default(), changed, async move {
                        stop.stopped().await
                    })
                    .await
                }
            });
        let mut working = tokio::spawn(pull::run(worker, stop));

        let mut progress = Progress::new(&stats);
        let watching = Watching { world: &world, job: submitted.job, accept_dead, retry_dead };
        let watched = tokio::select! {
            state = watching.until_it_ends(&mut progress) => state,
            () = shutdown.stopped() => Ok(JobState::Running),
            ended = &mut working => return Err(worker_ended(ended)),
        };
        stopper.stop();
        working.await.map_err(|error| Error::permanent("run the worker").because(error))??;
        // Says what was done, until the last attempt had ended.
        drop(progress);
        coordinating.await.map_err(|error| Error::permanent("run the coordinator").because(error))?;
        let state = watched?;
        let written = match state {
            JobState::Succeeded => Some(results::deliver(&world, submitted.job, &output).await?),
            _ => None,
        };
        Ok(Ended { job: submitted.job, state, written, stats })
    }
}

/// Jobs of other files in this data directory wait while this one runs: their results would be delivered by nobody.
async fn run_alone(world: &World, job: JobId) -> Result<()> {
    for other in world.jobs.jobs().await? {
        if other.id == job && other.paused {
            world.jobs.control(job, Control::Resume).await?;
            say(format_args!("job {} was paused; it goes on", other.name));
        } else if other.id != job && other.state.is_active() && !other.paused {
            world.jobs.control(other.id, Control::Pause).await?;
            say(format_args!("job {} is paused; running its file again goes on with it", other.name));
        }
    }
    Ok(())
}

/// A worker ends when it is told to; whatever else ends it is the run's error.
pub(crate) fn worker_ended(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Error {
    match ended {
        Ok(Ok(())) => Error::permanent("run the worker: it ended by itself"),
        Ok(Err(error)) => error.while_doing("run the worker"),
        Err(error) => Error::permanent("run the worker").because(error),
    }
}

/// What runs here, for the record of a run.
pub(crate) fn binary() -> Binary {
    Binary { version: env!("CARGO_PKG_VERSION").to_owned(), commit: env!("IMAGEFLEET_COMMIT").to_owned() }
}

fn make_worker(
    world: &World,
    load: Arc<Load>,
    collection: &CollectionSpec,
    change: fn(&mut imagefleet_worker::Settings),
) -> Worker {
    let name = format!("embedded-{}", std::process::id());
    let mut settings = imagefleet_worker::Settings::new(name, vec![collection.model().to_owned()]);
    settings.binary = binary();
    change(&mut settings);
    let engines = Engines::new(load, settings.decoders);
    Worker::new(world.worker(), settings, engines)
}

struct Watching<'a> {
    world: &'a World,
    job: JobId,
    accept_dead: bool,
    retry_dead: bool,
}

impl Watching<'_> {
    async fn until_it_ends(mut self, progress: &mut Progress<'_>) -> Result<JobState> {
        let mut changed = self.world.changed.clone();
        loop {
            match self.look(progress).await {
                Ok(None) => {}
                Ok(Some(state)) => return Ok(state),
                // Coordinator and worker go on whether anyone looks or not.
                Err(error) if error.is_transient() => tracing::warn!(%error, "the job could not be looked at"),
                Err(error) => return Err(error),
            }
            // Woken by a commit or by the clock; either way the job is looked at.
            let _ = tokio::time::timeout(LOOK, changed.changed()).await;
        }
    }

    /// The state in which the job's run ends; `None` while it goes on.
    async fn look(&mut self, progress: &mut Progress<'_>) -> Result<Option<JobState>> {
        let job = job(self.world, self.job).await?;
        match job.state {
            JobState::Succeeded | JobState::Cancelled => return Ok(Some(job.state)),
            JobState::Blocked if self.retry_dead => {
                self.world.jobs.control(self.job, Control::RetryDead).await?;
                self.retry_dead = false;
            }
            JobState::Blocked if self.accept_dead => {
                self.world.jobs.control(self.job, Control::AcceptDead).await?;
                self.accept_dead = false;
            }
            JobState::Blocked => return Ok(Some(job.state)),
            _ if progress.is_due() => progress.show(&job, &self.world.jobs.progress(self.job).await?),
            _ => {}
        }
        Ok(None)
    }
}

async fn job(world: &World, id: JobId) -> Result<JobView> {
    world.jobs.job(id).await?.ok_or_else(|| Error::permanent(format!("find job {id}: there is none of this id")))
}

/// Runs what blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::permanent("work on a thread of its own").because(error))?
}

pub(crate) fn say_submitted(name: &str, how: How, cancelled: &[JobId]) {
    for job in cancelled {
        say(format_args!(
            "job {name}: its file has changed; the older job {job} is cancelled, its finished chunks are kept"
        ));
    }
    match how {
        How::New => say(format_args!("job {name}: submitted")),
        How::Active => say(format_args!("job {name}: goes on where it was")),
        How::Again => say(format_args!("job {name}: has run before; listing again")),
    }
}

/// What blocks the job. `true` where one of its own steps is dead: without that there are no results to go on to.
pub(crate) async fn say_dead(jobs: &dyn Jobs, id: JobId) -> Result<bool> {
    let dead = jobs.dead().await?.into_iter().filter(|(_, jobs)| jobs.contains(&id));
    let dead: Vec<_> = dead.map(|(task, _)| task).collect();
    say(format_args!("job {id} is blocked: {} dead", counted(dead.len(), "task")));
    const SHOWN: usize = 10;
    for task in dead.iter().take(SHOWN) {
        say(format_args!("  {}: {}", task.work.kind(), task.error.as_deref().unwrap_or("no error was kept")));
    }
    if dead.len() > SHOWN {
        say(format_args!("  … and {} more: imagefleet jobs show {id}", dead.len() - SHOWN));
    }
    Ok(dead.iter().any(|task| task.work.job().is_some()))
}

/// What blocks the job, and the two ways on.
async fn say_blocked(world: &World, id: JobId, file: &Path) -> Result<()> {
    let file = file.display();
    if say_dead(world.jobs.as_ref(), id).await? {
        say(format_args!("the way on:"));
        say(format_args!(
            "  imagefleet run {file} --retry-dead    try what is dead once more, after mending its cause"
        ));
        return Ok(());
    }
    say(format_args!("two ways on:"));
    say(format_args!("  imagefleet run {file} --retry-dead    try what is dead once more, after mending its cause"));
    say(format_args!("  imagefleet run {file} --accept-dead   go on without it; the summary will say so"));
    if !job(world, id).await?.kept_shards.is_empty() {
        say(format_args!("shards that are gone were kept: --allow-delete removes them and what is dead in them"));
    }
    Ok(())
}

pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Finished {
    async fn report(self, global: &Global) -> Result<()> {
        let Self { world, ended, directory, output, written, _lock } = &self;
        let summary = results::read_delivered(world, &format!("{output}/{SUMMARY}")).await?;
        if global.output == Output::Json {
            print(format_args!("{}", String::from_utf8_lossy(&summary).trim_end()));
            return Ok(());
        }
        let summary: Summary = serde_json::from_slice(&summary).permanent(|| format!("read {SUMMARY}"))?;
        let pictures = &summary.pictures;
        let mut line = format!("{} pictures seen, {} embedded", pictures.seen, pictures.embedded);
        for (reason, count) in &pictures.rejected {
            line += &format!(", {count} rejected({reason})");
        }
        for (reason, count) in &pictures.unprocessed {
            line += &format!(", {count} unprocessed({reason})");
        }
        if summary.accepted_dead > 0 {
            line += &format!("; {} left out", counted(summary.accepted_dead as usize, "dead task"));
        }
        print(format_args!("{line}"));
        let encoded = ended.stats.encode.items();
        print(format_args!("this run: {encoded} pictures encoded, {} written", counted(*written, "result file")));
        let record: RunRecord = delivered(world, &format!("{output}/{RUN}")).await?;
        if record.job.spec.evaluation.is_some() {
            show_metrics(world, output, &record.job.spec).await?;
        }
        if record.job.spec.report.pictures > 0 {
            print(format_args!("report: {}", directory.join(REPORT).display()));
        }
        print(format_args!("results: {}", directory.display()));
        Ok(())
    }
}

/// A table for each reranker.
async fn show_metrics(world: &World, output: &str, spec: &JobSpec) -> Result<()> {
    let rerankers = spec.rerankers();
    for reranker in &rerankers {
        let name = match reranker {
            RerankSection::Identity => reranker.name().to_owned(),
            RerankSection::Aesthetics { weight, .. } => format!("{} of weight {weight}", reranker.name()),
        };
        let folder = if rerankers.len() > 1 { format!("{output}/{}", reranker.name()) } else { output.to_owned() };
        let metrics: Evaluated = delivered(world, &format!("{folder}/{METRICS}")).await?;
        print(format_args!("\nevaluation of {name}: {metrics}"));
    }
    Ok(())
}

/// A delivered JSON file.
async fn delivered<T: serde::de::DeserializeOwned>(world: &World, path: &str) -> Result<T> {
    let bytes = results::read_delivered(world, path).await?;
    serde_json::from_slice(&bytes).permanent(|| format!("read /{path}"))
}
