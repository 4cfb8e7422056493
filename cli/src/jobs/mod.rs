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
    watch::{GOES_ON, say_ways_on, watch},
};
use imagefleet_common::{
    Error, Result,
    ports::jobs::{Control, JobState, JobView, Jobs},
};
use serde_json::{Value, json};

pub(crate) async fn command(global: &Global, command: JobsCommand) -> Result<Exit> {
    let site = Site::of(global)?;
    let (job, doing, controls): (_, _, &[Control]) = match &command {
        JobsCommand::Ls => return ls(global, site.jobs().await?.as_ref()).await,
        JobsCommand::Show { job } => return show::show(global, site.jobs().await?.as_ref(), job).await,
        JobsCommand::Watch { job } => return watch_one(global, &site, job).await,
        JobsCommand::Rm { job } => return remove::remove(global, &site, job).await,
        JobsCommand::Retry { job, rejected: Some(reason) } => {
            return retry::rejected(global, &site, job, reason).await;
        }
        JobsCommand::Retry { job, rejected: None } => (job, "retry", &[Control::RetryDead]),
        JobsCommand::Cancel { job } => (job, "cancel", &[Control::Cancel]),
        JobsCommand::Pause { job } => (job, "pause", &[Control::Pause]),
        JobsCommand::Resume { job, accept_dead: false } => (job, "resume", &[Control::Resume]),
        JobsCommand::Resume { job, accept_dead: true } => (job, "resume", &[Control::AcceptDead, Control::Resume]),
    };
    let jobs = site.jobs().await?;
    let before = find(jobs.as_ref(), job).await?;
    must_move(&before, doing, controls)?;
    let id = before.id;
    for control in controls {
        jobs.control(id, *control).await?;
    }
    // What can follow at once does: in a data directory no coordinator may be running.
    jobs.advance().await?;
    let after = find(jobs.as_ref(), &id.to_string()).await?;
    tell(global, &after);
    if after.state == JobState::Blocked && controls.contains(&Control::Resume) {
        say_ways_on(jobs.as_ref(), id).await?;
    }
    say_who_runs(&site, &after);
    Ok(Exit::Done)
}

/// An ended job does not move. One that is cancelled already is as whoever cancels it wants it.
fn must_move(job: &JobView, doing: &str, controls: &[Control]) -> Result<()> {
    let has_ended = matches!(job.state, JobState::Cancelling | JobState::Cancelled | JobState::Succeeded);
    if !has_ended || (controls == [Control::Cancel] && job.state != JobState::Succeeded) {
        return Ok(());
    }
    let JobView { name, id, state, .. } = job;
    let is = if *state == JobState::Cancelling { "being cancelled".to_owned() } else { format!("over ({state})") };
    Err(Error::permanent(format!(
        "{doing} job {name} {id}: it is {is}; to have it done again, give its file once more"
    )))
}

/// In a data directory a job goes on with the process that runs its file, and there may be none.
fn say_who_runs(site: &Site, job: &JobView) {
    let goes_on = job.state == JobState::Cancelling || (job.state.is_active() && !job.paused);
    if let Site::Here(data) = site
        && goes_on
        && !data.is_in_use()
    {
        say(format_args!("nothing runs in {}: imagefleet run FILE goes on with it", data.path().display()));
    }
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
        let job = find(jobs.as_ref(), wanted).await?;
        Ok((jobs, job))
    });
    match found.await? {
        Some((jobs, job)) => {
            say_who_runs(site, &job);
            watch(jobs.as_ref(), job.id, global.output, &stop).await
        }
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
        "error": job.error, "accept_dead": job.accept_dead, "kept_shards": job.kept_shards,
    })
}
