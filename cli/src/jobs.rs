//! `imagefleet jobs`: without the data directory's lock, since each of these is one transaction of the store.

use crate::{
    args::{Global, JobsCommand, Output},
    exit::Exit,
    logging::{print, say},
    patience::patiently,
    signals::stop_on_signals,
    site::Site,
    table::table,
    watch::{GOES_ON, watch},
};
use imagefleet_common::{
    Error, Result,
    ports::jobs::{Control, JobView, Jobs},
    task::State,
};
use serde_json::{Value, json};

pub(crate) async fn command(global: &Global, command: JobsCommand) -> Result<Exit> {
    let site = Site::of(global)?;
    let (job, control) = match &command {
        JobsCommand::Ls => return ls(global, site.jobs().await?.as_ref()).await,
        JobsCommand::Show { job } => return show(global, site.jobs().await?.as_ref(), job).await,
        JobsCommand::Watch { job } => return watch_one(&site, job).await,
        JobsCommand::Cancel { job } => (job, Control::Cancel),
        JobsCommand::Pause { job } => (job, Control::Pause),
        JobsCommand::Resume { job } => (job, Control::Resume),
        JobsCommand::Retry { job } => (job, Control::RetryDead),
        JobsCommand::AcceptDead { job } => (job, Control::AcceptDead),
    };
    let jobs = site.jobs().await?;
    let id = find(jobs.as_ref(), job).await?.id;
    jobs.control(id, control).await?;
    // What can follow at once does: in a data directory no coordinator may be running.
    jobs.advance().await?;
    let job = find(jobs.as_ref(), &id.to_string()).await?;
    say(format_args!("job {} {id}: {}", job.name, state(&job)));
    Ok(Exit::Done)
}

/// The job of this id, or the newest of this name.
pub(crate) async fn find(jobs: &dyn Jobs, wanted: &str) -> Result<JobView> {
    let found = jobs.jobs().await?.into_iter().rfind(|job| job.id.to_string() == wanted || job.name == wanted);
    found.ok_or_else(|| Error::permanent(format!("find job {wanted}: see `imagefleet jobs ls`")))
}

async fn watch_one(site: &Site, wanted: &str) -> Result<Exit> {
    let stop = stop_on_signals(GOES_ON)?;
    let found = patiently(&stop, "find the job", async || {
        let jobs = site.jobs().await?;
        let id = find(jobs.as_ref(), wanted).await?.id;
        Ok((jobs, id))
    });
    match found.await? {
        Some((jobs, id)) => watch(jobs.as_ref(), id, &stop).await,
        None => Ok(Exit::Stopped),
    }
}

async fn ls(global: &Global, jobs: &dyn Jobs) -> Result<Exit> {
    let jobs = jobs.jobs().await?;
    match global.output {
        Output::Json => print(format_args!("{:#}", Value::Array(jobs.iter().map(as_json).collect()))),
        Output::Table => {
            let rows: Vec<Vec<String>> = jobs
                .iter()
                .map(|job| vec![job.id.to_string(), job.name.clone(), state(job), job.stage.to_string()])
                .collect();
            print(format_args!("{}", table(&["ID", "NAME", "STATE", "STAGE"], &rows)));
        }
    }
    Ok(Exit::Done)
}

async fn show(global: &Global, jobs: &dyn Jobs, wanted: &str) -> Result<Exit> {
    let job = find(jobs, wanted).await?;
    let progress = jobs.progress(job.id).await?;
    let tasks = jobs.tasks(job.id).await?;
    let failed =
        tasks.iter().filter(|task| task.state == State::Dead || (task.error.is_some() && task.state.is_open()));
    if global.output == Output::Json {
        let mut shown = as_json(&job);
        shown["tasks"] = progress
            .tasks
            .iter()
            .map(|(kind, state, count)| json!({"kind": kind, "state": state, "count": count}))
            .collect();
        shown["shards"] = json!({"all": progress.shards, "listed": progress.shards_listed});
        shown["pictures"] = json!(progress.pictures);
        shown["counts"] = json!(progress.counts);
        shown["failed"] = failed
            .map(|task| {
                json!({"task": task.id, "kind": task.work.kind(), "key": task.work.key(), "state": task.state,
                    "attempt": task.attempt, "failures": task.failures, "crashes": task.crashes, "error": task.error})
            })
            .collect();
        print(format_args!("{shown:#}"));
        return Ok(Exit::Done);
    }
    let counts = &progress.counts;
    print(format_args!("{} {}: {}, stage {}", job.name, job.id, state(&job), job.stage));
    print(format_args!("collection {}, corpus {}", job.collection, job.corpus));
    print(format_args!(
        "shards {} of {} listed, pictures {} of {} seen, {} embedded, {} rejected",
        progress.shards_listed,
        progress.shards,
        counts.seen,
        progress.pictures,
        counts.embedded,
        counts.rejected_total()
    ));
    let rows: Vec<Vec<String>> = progress
        .tasks
        .iter()
        .map(|(kind, state, count)| vec![kind.to_string(), state.to_string(), count.to_string()])
        .collect();
    print(format_args!("{}", table(&["TASK", "STATE", "COUNT"], &rows)));
    for task in failed {
        let (kind, error) = (task.work.kind(), task.error.as_deref().unwrap_or("no error was kept"));
        print(format_args!("{kind} {} is {} after {} attempts: {error}", task.id, task.state, task.attempt));
    }
    Ok(Exit::Done)
}

fn state(job: &JobView) -> String {
    match job.paused {
        true => format!("{} (paused)", job.state),
        false => job.state.to_string(),
    }
}

fn as_json(job: &JobView) -> Value {
    json!({
        "id": job.id, "name": job.name, "state": job.state, "paused": job.paused, "stage": job.stage,
        "corpus": job.corpus, "collection": job.collection, "created": job.created, "ended": job.ended,
    })
}
