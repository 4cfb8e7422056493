//! Watching a job that runs elsewhere: a bar on a terminal, a plain line now and then in a pipe, or JSON.
//!
//! What is seen is what the store says, so a coordinator or a worker that goes away changes nothing here; while the
//! store itself is away the watcher waits for it.

use crate::{
    args::Output,
    exit::Exit,
    jobs::as_json,
    line::{Line, Pictures},
    logging::{print, say},
    run::{self, say_dead},
    speed::{LATELY, Speed, done},
};
use imagefleet_common::{
    Error, Result,
    ids::JobId,
    ports::jobs::{JobState, JobView, Jobs, Pace, Progress},
    task::State,
    work::Stage,
};
use imagefleet_worker::stop::Stop;
use serde_json::json;
use std::time::{Duration, Instant};

/// How often the store is asked how far the job is.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is asked how fast that goes, which reads what the ledger says of every chunk.
const PACE: Duration = Duration::from_secs(5);

/// What a signal means to a watcher.
pub(crate) const GOES_ON: &str = "the job goes on without its watcher";

/// Until the job ends, is blocked, or `stop` is given. As JSON, a line for each change. Permanent error where there is no
/// such job.
pub async fn watch(jobs: &dyn Jobs, id: JobId, output: Output, stop: &Stop) -> Result<Exit> {
    let mut shown = Shown::new(output);
    let (mut pace, mut asked) = (Pace::default(), None::<Instant>);
    loop {
        let is_due = asked.is_none_or(|asked| asked.elapsed() >= PACE);
        match look(jobs, id, is_due).await {
            Ok((job, counted, new_pace)) => {
                if let Some(new) = new_pace {
                    (pace, asked) = (new, Some(Instant::now()));
                }
                shown.show(&job, &counted, &pace);
                match job.state {
                    JobState::Succeeded => {
                        drop(shown);
                        say_what_may_surprise(&job, &counted);
                        return Ok(Exit::Done);
                    }
                    JobState::Cancelled => return Ok(Exit::Cancelled),
                    JobState::Blocked => {
                        drop(shown);
                        say_ways_on(jobs, id).await?;
                        return Ok(Exit::Blocked);
                    }
                    JobState::Submitted | JobState::Running | JobState::Cancelling => {}
                }
            }
            Err(error) if error.is_transient() => shown.lost(&error),
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.stopped() => return Ok(Exit::Stopped),
        }
    }
}

async fn look(jobs: &dyn Jobs, id: JobId, with_pace: bool) -> Result<(JobView, Progress, Option<Pace>)> {
    let job = jobs.job(id).await?;
    let job = job.ok_or_else(|| Error::permanent(format!("find job {id}: there is none of this id")))?;
    let progress = jobs.progress(id).await?;
    let pace = if with_pace { Some(jobs.pace(id, LATELY).await?) } else { None };
    Ok((job, progress, pace))
}

/// Of a success.
fn say_what_may_surprise(job: &JobView, counted: &Progress) {
    let JobView { name, kept_shards, .. } = job;
    if counted.shards == 0 {
        say(format_args!("warning: {name} found no shard: are corpus.source, layout and pattern right?"));
    }
    if !kept_shards.is_empty() {
        let shards = run::counted(kept_shards.len(), "shard");
        say(format_args!(
            "warning: {name}: {shards} gone from the corpus, with its pictures kept; give its file again with --allow-delete to remove them"
        ));
    }
}

/// How a blocked job goes on.
pub(crate) async fn say_ways_on(jobs: &dyn Jobs, id: JobId) -> Result<()> {
    let needs_all = say_dead(jobs, id).await?;
    // Each in less than 80 columns, to be copied as a whole.
    say(format_args!("try what is dead once more, after mending its cause:"));
    say(format_args!("  imagefleet jobs retry {id}"));
    if !needs_all {
        say(format_args!("or go on without it; the summary will say so:"));
        say(format_args!("  imagefleet jobs resume {id} --accept-dead"));
    }
    Ok(())
}

struct Shown {
    output: Output,
    line: Line,
    stage: Option<(JobState, bool, Stage)>,
    /// When pictures were first looked at, and how many were done by then.
    began: Option<(Instant, u64)>,
    /// What was printed last as JSON.
    printed: Option<serde_json::Value>,
    is_lost: bool,
    /// Why the job could not be planned, as it was said last.
    unplanned: Option<String>,
    /// Since when the job waits for a coordinator, until that was said.
    waits: Option<Instant>,
}

impl Shown {
    fn new(output: Output) -> Self {
        let line = Line::new();
        line.tick();
        Self {
            output,
            line,
            stage: None,
            began: None,
            printed: None,
            is_lost: false,
            unplanned: None,
            waits: Some(Instant::now()),
        }
    }

    /// Says once that the store is away.
    fn lost(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.is_lost, true) {
            say(format_args!("the job cannot be looked at, trying again: {error}"));
        }
    }

    fn show(&mut self, job: &JobView, counted: &Progress, pace: &Pace) {
        if std::mem::take(&mut self.is_lost) {
            say(format_args!("the job is in sight again"));
        }
        if self.output == Output::Json {
            return self.print(job, counted, pace);
        }
        if job.error != self.unplanned {
            self.unplanned.clone_from(&job.error);
            if let Some(error) = &job.error {
                say(format_args!("{} cannot be planned yet: {error}", job.name));
            }
        }
        self.say_that_nobody_plans(job);
        let now = (job.state, job.paused, job.stage);
        if self.stage.replace(now) != Some(now) && (!self.line.is_on_terminal() || !job.state.is_active()) {
            say(format_args!("{}: {}", job.name, described(job)));
        }
        if job.state != JobState::Running || !(self.line.is_on_terminal() || self.line.is_due()) {
            return;
        }
        match job.stage {
            Stage::Embed => {
                let speed = Speed::of(counted, pace);
                let (done, all) = (done(counted, pace), counted.pictures.max(counted.counts.seen));
                let rate = speed.rate.or_else(|| self.rate(done));
                self.line.pictures(&Pictures {
                    done,
                    all,
                    rate,
                    seconds_left: rate.map(|rate| (all - done) as f64 / rate),
                    more: more(job, counted, pace, speed.bottleneck),
                });
            }
            stage => self.line.tasks(stage, counted, &more(job, counted, pace, None)),
        }
    }

    /// A coordinator plans within seconds, or says why it cannot.
    fn say_that_nobody_plans(&mut self, job: &JobView) {
        const SOON: Duration = Duration::from_secs(15);
        if job.state != JobState::Submitted || job.paused || job.error.is_some() {
            self.waits = None;
        } else if self.waits.is_some_and(|since| since.elapsed() >= SOON) {
            self.waits = None;
            say(format_args!("nobody has planned {} yet: does a coordinator run, or `imagefleet run`?", job.name));
        }
    }

    /// Until a first chunk has been embedded: what was done since the watch began.
    fn rate(&mut self, done: u64) -> Option<f64> {
        let (began, before) = *self.began.get_or_insert((Instant::now(), done));
        (done > before).then(|| (done - before) as f64 / began.elapsed().as_secs_f64().max(0.001))
    }

    /// Nothing where it would be the line before once more.
    fn print(&mut self, job: &JobView, counted: &Progress, pace: &Pace) {
        let mut line = as_json(job);
        line["pictures"] = json!({"all": counted.pictures, "seen": counted.counts.seen, "done": done(counted, pace)});
        line["shards"] = json!({"all": counted.shards, "listed": counted.shards_listed});
        line["speed"] = Speed::of(counted, pace).as_json();
        line["workers"] = json!(pace.workers);
        line["running"] = json!(count(counted, State::Running));
        line["dead"] = json!(count(counted, State::Dead));
        if self.printed.as_ref() != Some(&line) {
            print(format_args!("{line}"));
            self.printed = Some(line);
        }
    }
}

/// Of every stage.
fn count(counted: &Progress, wanted: State) -> u64 {
    counted.tasks.iter().filter(|(_, state, _)| *state == wanted).map(|(.., count)| count).sum()
}

/// Who works and what is in the way, in less than 80 columns.
fn more(job: &JobView, counted: &Progress, pace: &Pace, bottleneck: Option<&str>) -> String {
    let running = count(counted, State::Running);
    let mut parts = match pace.workers {
        // Workers are counted less often than what they run.
        0 if running > 0 => Vec::new(),
        1 => vec!["1 worker".to_owned()],
        workers => vec![format!("{workers} workers")],
    };
    parts.push(format!("{running} running"));
    if job.stage == Stage::Embed {
        parts.push(format!("{}/{} shards listed", counted.shards_listed, counted.shards));
    }
    parts.extend(bottleneck.map(|stage| format!("bottleneck {stage}")));
    let (rejected, dead) = (counted.counts.rejected_total(), count(counted, State::Dead));
    for (number, what) in [(rejected, "rejected"), (dead, "dead")] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    if job.paused {
        parts.push("paused".to_owned());
    }
    parts.join(", ")
}

fn described(job: &JobView) -> String {
    match job.state {
        JobState::Running if job.paused => format!("paused, stage {}", job.stage),
        JobState::Running => format!("stage {}", job.stage),
        state => state.to_string(),
    }
}
