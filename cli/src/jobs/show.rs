//! `imagefleet jobs show`

use super::{as_json, find, state};
use crate::{
    args::{Global, Output},
    colour::{Tone, paint},
    exit::Exit,
    line::clock,
    logging::print,
    run::counted,
    speed::{LATELY, Speed},
    table::table,
    times::ago,
};
use imagefleet_common::{
    Result,
    ports::jobs::{JobState, JobView, Jobs, Pace, Progress, TaskView},
    task::State,
    work::Kind,
};
use serde_json::{Value, json};
use std::io::stdout;

/// Tasks in trouble that a table names.
const NAMED: usize = 10;

pub(super) async fn show(global: &Global, jobs: &dyn Jobs, wanted: &str) -> Result<Exit> {
    let job = find(jobs, wanted).await?;
    let progress = jobs.progress(job.id).await?;
    let pace = jobs.pace(job.id, LATELY).await?;
    let tasks = jobs.tasks(job.id).await?;
    let failed: Vec<&TaskView> = tasks
        .iter()
        .filter(|task| task.state == State::Dead || (task.error.is_some() && task.state.is_open()))
        .collect();
    match global.output {
        Output::Json => print(format_args!("{:#}", shown_as_json(&job, &progress, &pace, &failed))),
        Output::Table => show_table(&job, &progress, &pace, &failed),
    }
    Ok(Exit::Done)
}

fn shown_as_json(job: &JobView, progress: &Progress, pace: &Pace, failed: &[&TaskView]) -> Value {
    let mut shown = as_json(job);
    let tasks = progress.tasks.iter();
    shown["tasks"] = tasks.map(|(kind, state, count)| json!({"kind": kind, "state": state, "count": count})).collect();
    shown["shards"] = json!({"all": progress.shards, "listed": progress.shards_listed});
    shown["pictures"] = json!(progress.pictures);
    shown["counts"] = json!(progress.counts);
    shown["speed"] = Speed::of(progress, pace).as_json();
    let failed = failed.iter().map(|task| {
        json!({"task": task.id, "kind": task.work.kind(), "key": task.work.key(), "state": task.state,
            "attempt": task.attempt, "failures": task.failures, "crashes": task.crashes, "error": task.error})
    });
    shown["failed"] = failed.collect();
    shown
}

fn show_table(job: &JobView, progress: &Progress, pace: &Pace, failed: &[&TaskView]) {
    let line = |name: &str, text: &str| print(format_args!("{name:<12}{text}"));
    let tone = match job.state {
        JobState::Succeeded => Tone::Good,
        JobState::Blocked => Tone::Bad,
        _ if job.paused => Tone::Warn,
        _ => Tone::Plain,
    };
    print(format_args!("{} {}", job.name, job.id));
    let without = if job.accept_dead { ", without what is dead" } else { "" };
    line("state", &format!("{}, stage {}{without}", paint(&stdout(), tone, &state(job)), job.stage));
    if let Some(error) = &job.error {
        line("not planned", error);
    }
    line("collection", &job.collection.0);
    line("corpus", &job.corpus.0);
    let workers = |count: u32| counted(usize::try_from(count).unwrap_or(usize::MAX), "worker");
    let bound = if job.max_tasks > 0 { format!(", at most {}", workers(job.max_tasks)) } else { String::new() };
    line("priority", &format!("{}{bound}", job.priority));
    let ended = job.ended.map_or_else(String::new, |ended| format!(", ended {}", ago(pace.now, ended)));
    line("submitted", &format!("{}{ended}", ago(pace.now, job.created)));
    let found_none = progress.shards == 0 && job.state != JobState::Submitted;
    let none = if found_none { "; layout, pattern and source found none" } else { "" };
    line("shards", &format!("{} of {} listed{none}", progress.shards_listed, progress.shards));
    if !job.kept_shards.is_empty() {
        line(
            "kept",
            &format!(
                "{}; give its file again with --allow-delete to remove them",
                wrapped(job.kept_shards.iter().cloned())
            ),
        );
    }
    let counts = &progress.counts;
    line(
        "pictures",
        &format!(
            "{} of {} seen, {} embedded, {} rejected",
            counts.seen,
            progress.pictures.max(counts.seen),
            counts.embedded,
            counts.rejected_total()
        ),
    );
    if counts.rejected_total() > 0 {
        let reasons = counts.rejected.iter().map(|(reason, count)| format!("{reason} {count}"));
        line("rejected", &wrapped(reasons));
    }
    if job.state == JobState::Running {
        let speed = Speed::of(progress, pace);
        let rate = speed.rate.map_or_else(|| "no chunk of late".to_owned(), |rate| format!("{rate:.1} pictures/s"));
        let eta = speed.seconds_left.map_or_else(String::new, |left| format!(", ETA {}", clock(left)));
        let slowest = speed.bottleneck.map_or_else(String::new, |stage| format!(", bottleneck {stage}"));
        line("speed", &format!("{rate}{eta}{slowest}"));
        line("workers", &pace.workers.to_string());
    }
    print(format_args!("\n{}", by_kind(&progress.tasks)));
    for task in failed.iter().take(NAMED) {
        let tone = if task.state == State::Dead { Tone::Bad } else { Tone::Warn };
        let state = paint(&stdout(), tone, task.state.name());
        let (kind, error) = (task.work.kind(), task.error.as_deref().unwrap_or("no error was kept"));
        print(format_args!(
            "\n{kind} {} is {state} after {}:\n  {error}",
            task.id,
            counted(task.attempt as usize, "attempt")
        ));
    }
    if failed.len() > NAMED {
        print(format_args!("\n… and {} more: imagefleet tasks ls {}", failed.len() - NAMED, job.id));
    }
}

/// With commas, in lines that fit 80 columns behind a name.
fn wrapped(items: impl Iterator<Item = String>) -> String {
    const WIDTH: usize = 66;
    let (mut text, mut column) = (String::new(), 0);
    for item in items {
        if column > 0 && column + 2 + item.len() > WIDTH {
            text += &format!(",\n{:12}", "");
            column = 0;
        } else if column > 0 {
            text += ", ";
            column += 2;
        }
        column += item.len();
        text += &item;
    }
    text
}

/// A row for each kind of task; what is superseded is done.
fn by_kind(tasks: &[(Kind, State, u64)]) -> String {
    let count = |kind: Kind, states: &[State]| -> u64 {
        tasks.iter().filter(|(of, state, _)| *of == kind && states.contains(state)).map(|(.., count)| count).sum()
    };
    let rows: Vec<Vec<String>> = Kind::ALL
        .into_iter()
        .filter(|kind| tasks.iter().any(|(of, ..)| of == kind))
        .map(|kind| {
            let cells = [
                count(kind, &State::ALL),
                count(kind, &[State::Succeeded, State::Superseded]),
                count(kind, &[State::Running]),
                count(kind, &[State::Ready, State::Pending]),
                count(kind, &[State::Dead]),
                count(kind, &[State::Cancelled]),
            ];
            std::iter::once(kind.to_string()).chain(cells.map(|cell| cell.to_string())).collect()
        })
        .collect();
    table(&["KIND", "TASKS", "DONE", "RUNNING", "WAITING", "DEAD", "CANCELLED"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_broken_between_its_items() {
        let items = (0..9).map(|number| format!("a-long-reason {number}"));
        let text = wrapped(items);
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.len() <= 80) && text.ends_with("a-long-reason 8"), "{text}");
        assert_eq!(wrapped(["one 1".to_owned(), "two 2".to_owned()].into_iter()), "one 1, two 2");
    }
}
