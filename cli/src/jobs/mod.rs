//! `imagefleet jobs`: without the data directory's lock where it is one transaction of the store; what takes several, or
//! touches artifacts, takes the lock.

mod remove;
mod retry;
mod show;

pub(crate) use remove::delete_artifacts;

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
};
use serde_json::{Value, json};

pub(crate) async fn command(global: &Global, command: JobsCommand) -> Result<Exit> {
    let site = Site::of(global)?;
    let (job, controls): (_, &[Control]) = match &command {
        JobsCommand::Ls => return ls(global, site.jobs().await?.as_ref()).await,
        JobsCommand::Show { job } => return show::show(global, site.jobs().await?.as_ref(), job).await,
        JobsCommand::Watch { job } => return watch_one(global, &site, job).await,
        JobsCommand::Rm { job } => return remove::remove(global, &site, job).await,
        JobsCommand::Retry { job, rejected: Some(reason) } => {
            return retry::rejected(global, &site, job, reason).await;
        }
        JobsCommand::Retry { job, rejected: None } => (job, &[Control::RetryDead]),
        JobsCommand::Cancel { job } => (job, &[Control::Cancel]),
        JobsCommand::Pause { job } => (job, &[Control::Pause]),
        JobsCommand::Resume { job, accept_dead: false } => (job, &[Control::Resume]),
        JobsCommand::Resume { job, accept_dead: true } => (job, &[Control::AcceptDead, Control::Resume]),
    };
    let jobs = site.jobs().await?;
    let id = find(jobs.as_ref(), job).await?.id;
    for control in controls {
        jobs.control(id, *control).await?;
    }
    // What can follow at once does: in a data directory no coordinator may be running.
    jobs.advance().await?;
    tell(global, &find(jobs.as_ref(), &id.to_string()).await?);
    Ok(Exit::Done)
}

/// Says how a job stands after something was done to it.
fn tell(global: &Global, job: &JobView) {
    match global.output {
        Output::Json => print(format_args!("{:#}", as_json(job))),
        Output::Table => say(format_args!("job {} {}: {}", job.name, job.id, state(job))),
    }
}

/// The job of this id, or the newest of this name.
pub(crate) async fn find(jobs: &dyn Jobs, wanted: &str) -> Result<JobView> {
    let found = jobs.jobs().await?.into_iter().rfind(|job| job.id.to_string() == wanted || job.name == wanted);
    found.ok_or_else(|| Error::permanent(format!("find job {wanted}: see `imagefleet jobs ls`")))
}

async fn watch_one(global: &Global, site: &Site, wanted: &str) -> Result<Exit> {
    let stop = stop_on_signals(GOES_ON)?;
    let found = patiently(&stop, "find the job", async || {
        let jobs = site.jobs().await?;
        let id = find(jobs.as_ref(), wanted).await?.id;
        Ok((jobs, id))
    });
    match found.await? {
        Some((jobs, id)) => watch(jobs.as_ref(), id, global.output, &stop).await,
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

pub(crate) fn state(job: &JobView) -> String {
    match job.paused {
        true => format!("{} (paused)", job.state),
        false => job.state.to_string(),
    }
}

pub(crate) fn as_json(job: &JobView) -> Value {
    json!({
        "id": job.id, "name": job.name, "state": job.state, "paused": job.paused, "stage": job.stage,
        "corpus": job.corpus, "collection": job.collection, "created": job.created, "ended": job.ended,
        "priority": job.priority, "max_workers": (job.max_tasks > 0).then_some(job.max_tasks),
        "error": job.error,
    })
}
