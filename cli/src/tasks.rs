//! `imagefleet tasks` and `imagefleet dead`

use crate::{
    args::{DeadCommand, Global, Output, TasksCommand},
    colour::{Tone, paint},
    exit::Exit,
    jobs::find,
    logging::print,
    site::Site,
    table::table,
    times::{ago, span},
};
use imagefleet_common::{
    Error, Result,
    ids::{JobId, Millis, TaskId},
    ports::jobs::{AttemptView, TaskDetail, TaskView},
    task::State,
    work::Kind,
};
use serde_json::{Value, json};
use std::io::stdout;

pub(crate) async fn command(global: &Global, command: TasksCommand) -> Result<Exit> {
    let site = Site::of(global)?;
    match command {
        TasksCommand::Ls { job, state, kind } => ls(global, &site, &job, state, kind).await,
        TasksCommand::Show { task } => show(global, &site, task).await,
    }
}

async fn ls(global: &Global, site: &Site, job: &str, state: Option<State>, kind: Option<Kind>) -> Result<Exit> {
    let jobs = site.jobs().await?;
    let job = find(jobs.as_ref(), job).await?;
    let mut tasks = jobs.tasks(job.id).await?;
    tasks.retain(|task| state.is_none_or(|state| task.state == state));
    tasks.retain(|task| kind.is_none_or(|kind| task.work.kind() == kind));
    if global.output == Output::Json {
        print(format_args!("{:#}", Value::Array(tasks.iter().map(as_json).collect())));
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|task| {
            vec![
                task.id.to_string(),
                task.work.kind().to_string(),
                task.state.to_string(),
                task.attempt.to_string(),
                took(task).map_or_else(|| "-".to_owned(), span),
                task.worker.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    print(format_args!("{}", table(&["TASK", "KIND", "STATE", "ATTEMPT", "TOOK", "WORKER"], &rows)));
    Ok(Exit::Done)
}

/// Of the attempt that succeeded.
fn took(task: &TaskView) -> Option<Millis> {
    (task.state == State::Succeeded).then_some(task.finished? - task.claimed?)
}

fn as_json(task: &TaskView) -> Value {
    json!({
        "id": task.id, "kind": task.work.kind(), "key": task.work.key(), "work": task.work, "state": task.state,
        "attempt": task.attempt, "failures": task.failures, "crashes": task.crashes, "error": task.error,
        "worker": task.worker, "claimed": task.claimed, "finished": task.finished, "artifact": task.artifact,
    })
}

async fn show(global: &Global, site: &Site, id: TaskId) -> Result<Exit> {
    let world = site.look().await?;
    let found = world.jobs.task(id).await?;
    let found = found.ok_or_else(|| Error::permanent(format!("find task {id}: see `imagefleet tasks ls JOB`")))?;
    let now = world.tasks.now().await?;
    match global.output {
        Output::Json => print(format_args!("{:#}", detail_as_json(&found))),
        Output::Table => show_detail(&found, now),
    }
    Ok(Exit::Done)
}

fn detail_as_json(detail: &TaskDetail) -> Value {
    let mut shown = as_json(&detail.task);
    shown["run_after"] = json!(detail.run_after);
    shown["done"] = json!(detail.done);
    shown["jobs"] = json!(detail.jobs);
    let attempts = detail.attempts.iter().map(|attempt| {
        let AttemptView { attempt, worker, began, ended, end, error } = attempt;
        json!({"attempt": attempt, "worker": worker, "began": began, "ended": ended, "end": end, "error": error})
    });
    shown["attempts"] = attempts.collect();
    shown
}

fn show_detail(detail: &TaskDetail, now: Millis) {
    let TaskDetail { task, run_after, done, jobs, attempts } = detail;
    let line = |name: &str, text: &str| print(format_args!("{name:<12}{text}"));
    print(format_args!("{} {}", task.work.kind(), task.id));
    let tone = match task.state {
        State::Succeeded => Tone::Good,
        State::Dead => Tone::Bad,
        _ => Tone::Plain,
    };
    line("state", &paint(&stdout(), tone, task.state.name()));
    line("key", &task.work.key());
    line("needed by", &if jobs.is_empty() { "no job".to_owned() } else { joined(jobs) });
    line("attempts", &format!("{}, {} failed, {} crashed", task.attempt, task.failures, task.crashes));
    if task.state == State::Ready && *run_after > now {
        line("runs", &format!("in {} at the earliest", span(run_after - now)));
    }
    if task.state == State::Running {
        line(
            "running",
            &format!("since {}, {done} pictures looked at", task.claimed.map_or(String::new(), |at| ago(now, at))),
        );
    }
    if let Some(took) = took(task) {
        line("took", &format!("{}, ended {}", span(took), task.finished.map_or(String::new(), |at| ago(now, at))));
    }
    line("artifact", task.artifact.as_deref().unwrap_or("none"));
    if let Some(worker) = &task.worker {
        line("log", &log_of(worker, task));
    }
    if let Some(error) = &task.error {
        line("error", error);
    }
    if attempts.is_empty() {
        return;
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = attempts
        .iter()
        .map(|attempt| {
            vec![
                attempt.attempt.to_string(),
                serde_json::to_value(attempt.end)
                    .map_or_else(|_| String::new(), |end| end.as_str().unwrap_or_default().to_owned()),
                ago(now, attempt.ended),
                or_dash(attempt.began.map(|began| span(attempt.ended - began))),
                or_dash(attempt.worker.clone()),
                or_dash(attempt.error.clone()),
            ]
        })
        .collect();
    print(format_args!("\n{}", table(&["ATTEMPT", "END", "ENDED", "TOOK", "WORKER", "ERROR"], &rows)));
}

/// A worker's name is its host and its process: there its log is, and the task's lines carry the task's id.
fn log_of(worker: &str, task: &TaskView) -> String {
    match worker.rsplit_once('-') {
        Some(("embedded", process)) => {
            format!("standard error of the run, process {process}, lines with task={}", task.id)
        }
        Some((host, process)) if process.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("standard error of process {process} on {host}, lines with task={}", task.id)
        }
        _ => format!("standard error of worker {worker}, lines with task={}", task.id),
    }
}

fn joined(jobs: &[JobId]) -> String {
    jobs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(crate) async fn dead(global: &Global, command: DeadCommand) -> Result<Exit> {
    let DeadCommand::Ls = command;
    let dead = Site::of(global)?.jobs().await?.dead().await?;
    if global.output == Output::Json {
        let all = dead.iter().map(|(task, jobs)| {
            let mut shown = as_json(task);
            shown["jobs"] = json!(jobs);
            shown
        });
        print(format_args!("{:#}", Value::Array(all.collect())));
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = dead
        .into_iter()
        .map(|(task, jobs)| {
            vec![
                task.id.to_string(),
                task.work.kind().to_string(),
                task.attempt.to_string(),
                joined(&jobs),
                task.error.unwrap_or_else(|| "no error was kept".to_owned()),
            ]
        })
        .collect();
    print(format_args!("{}", table(&["TASK", "KIND", "ATTEMPT", "JOBS", "ERROR"], &rows)));
    Ok(Exit::Done)
}
