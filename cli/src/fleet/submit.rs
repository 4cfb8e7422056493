//! `imagefleet submit`

use super::{artifacts, jobs, sources};
use crate::{
    args::{Global, Output, SubmitArgs},
    config::{self, FleetConfig, Key},
    exit::Exit,
    logging::{print, say},
    run::{blocking, say_submitted},
    signals::stop_on_signals,
    submission::for_fleet,
    watch::{GOES_ON, watch},
};
use imagefleet_common::{
    Error, Result,
    job::file::{self, Place},
    ports::jobs::How,
};
use imagefleet_coordinator::submit::{Submission, submit};
use serde_json::json;

/// Everything that can be refused is, before anything is connected to or stored.
pub(crate) async fn command(global: &Global, args: SubmitArgs) -> Result<Exit> {
    let SubmitArgs { file, wait, priority, max_workers, allow_delete } = args;
    let config = config::load(global, Vec::new())?.into_fleet()?;
    let file = file::read(&file, Place::Fleet)?;
    let name = file.spec.name.clone();
    let submission = blocking(move || for_fleet(&file)).await?;
    let (jobs, artifacts) = (jobs(&config).await?, artifacts(&config).await?);
    must_hold_something(&config, &submission.source).await?;
    let submission = Submission {
        allow_delete,
        priority: priority.unwrap_or(submission.priority),
        max_tasks: max_workers.unwrap_or(0),
        ..submission
    };
    let submitted = submit(jobs.as_ref(), artifacts.as_ref(), submission).await?;
    let id = submitted.job;
    say_submitted(&name, submitted.how, &submitted.cancelled);
    match global.output {
        Output::Table => print(format_args!("{id}")),
        // A line, as those of a watcher are that may follow.
        Output::Json => print(format_args!("{}", json!({"job": id, "name": name, "new": submitted.how == How::New}))),
    }
    // It is submitted, whether this can be looked up or not.
    for job in jobs.jobs().await.unwrap_or_default().iter().filter(|job| job.name == name) {
        match job.id == id {
            true if job.paused => say(format_args!("job {name} is paused: imagefleet jobs resume {id} lets it go on")),
            false if job.state.is_active() => {
                say(format_args!("another job {name} goes on, too: imagefleet jobs cancel {} ends it", job.id));
            }
            _ => {}
        }
    }
    if !wait {
        return Ok(Exit::Done);
    }
    let exit = watch(jobs.as_ref(), id, global.output, &stop_on_signals(GOES_ON)?).await?;
    if exit == Exit::Done {
        say(format_args!("fetch the results: imagefleet results get {id}"));
    }
    Ok(exit)
}

/// A source without an object is more often a wrong name than a corpus that is still to come.
async fn must_hold_something(config: &FleetConfig, source: &str) -> Result<()> {
    let prefix = if source.is_empty() { String::new() } else { format!("{source}/") };
    match sources(config).await?.list(&prefix, None).await?.objects.is_empty() {
        false => Ok(()),
        true => Err(Error::permanent(format!(
            "find corpus.source {source:?}: there is no object below it in {}; name it as it is called there, or put the corpus there",
            Key::Sources.variable()
        ))),
    }
}
