//! `imagefleet jobs`: reading only, without the data directory's lock.

use crate::{
    args::{Global, Output},
    embedded::World,
    exit::Exit,
    logging::print,
    table::table,
};
use imagefleet_common::{Error, Result, ports::jobs::JobView, task::State};
use serde_json::{Value, json};

pub(crate) async fn ls(global: &Global) -> Result<Exit> {
    let jobs = World::here(global).await?.jobs.jobs().await?;
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

pub(crate) async fn show(global: &Global, wanted: &str) -> Result<Exit> {
    let world = World::here(global).await?;
    let jobs = world.jobs.jobs().await?;
    let job = jobs.into_iter().rfind(|job| job.id.to_string() == wanted || job.name == wanted);
    let job = job.ok_or_else(|| Error::permanent(format!("find job {wanted}: see `imagefleet jobs ls`")))?;
    let progress = world.jobs.progress(job.id).await?;
    let tasks = world.jobs.tasks(job.id).await?;
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
