//! Watching a job that runs elsewhere: a bar on a terminal, a plain line now and then in a pipe.
//!
//! What is seen is what the store says, so a coordinator or a worker that goes away changes nothing here; while the
//! store itself is away the watcher waits for it.

use crate::{
    exit::Exit,
    logging::{BARS, say},
    progress::{IN_PIPE, ON_TERMINAL, clock, style},
    run::say_dead,
};
use imagefleet_common::{
    Error, Result,
    ids::JobId,
    ports::jobs::{JobState, JobView, Jobs, Progress},
    task::State,
    work::Stage,
};
use imagefleet_worker::stop::Stop;
use indicatif::ProgressBar;
use std::{
    collections::VecDeque,
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// How often the store is asked.
const LOOK: Duration = Duration::from_secs(1);
/// Rates are those of the last minute: chunks are done a minute apart.
const LATELY: Duration = Duration::from_secs(60);

/// What a signal means to a watcher.
pub(crate) const GOES_ON: &str = "the job goes on without its watcher";

/// Until the job ends, is blocked, or `stop` is given. Permanent error where there is no such job.
pub async fn watch(jobs: &dyn Jobs, id: JobId, stop: &Stop) -> Result<Exit> {
    let mut shown = Shown::new();
    loop {
        match look(jobs, id).await {
            Ok((job, counted)) => {
                shown.show(&job, &counted);
                match job.state {
                    JobState::Succeeded => return Ok(Exit::Done),
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

async fn look(jobs: &dyn Jobs, id: JobId) -> Result<(JobView, Progress)> {
    let job = jobs.job(id).await?;
    let job = job.ok_or_else(|| Error::permanent(format!("find job {id}: there is none of this id")))?;
    Ok((job, jobs.progress(id).await?))
}

async fn say_ways_on(jobs: &dyn Jobs, id: JobId) -> Result<()> {
    let needs_all = say_dead(jobs, id).await?;
    say(format_args!("{}", if needs_all { "the way on:" } else { "two ways on:" }));
    say(format_args!("  imagefleet jobs retry {id}         try what is dead once more, after mending its cause"));
    if !needs_all {
        say(format_args!("  imagefleet jobs accept-dead {id}   go on without it; the summary will say so"));
    }
    Ok(())
}

struct Shown {
    bar: Option<ProgressBar>,
    /// When something was last said of pictures.
    said: Option<Instant>,
    stage: Option<(JobState, Stage)>,
    /// Pictures that were done at a time, oldest first.
    lately: VecDeque<(Instant, u64)>,
    is_lost: bool,
}

impl Shown {
    fn new() -> Self {
        let bar = stderr().is_terminal().then(|| BARS.add(ProgressBar::new(0)));
        if let Some(bar) = &bar {
            bar.enable_steady_tick(ON_TERMINAL);
        }
        Self { bar, said: None, stage: None, lately: VecDeque::new(), is_lost: false }
    }

    /// Says once that the store is away.
    fn lost(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.is_lost, true) {
            say(format_args!("the job cannot be looked at, trying again: {error}"));
        }
    }

    fn show(&mut self, job: &JobView, counted: &Progress) {
        if std::mem::take(&mut self.is_lost) {
            say(format_args!("the job is in sight again"));
        }
        let now = (job.state, job.stage);
        if self.stage.replace(now) != Some(now) && (self.bar.is_none() || !job.state.is_active()) {
            say(format_args!("{}: {}", job.name, described(job)));
        }
        if job.state == JobState::Running {
            match job.stage {
                Stage::Embed => self.show_pictures(counted),
                stage => self.show_tasks(stage, counted),
            }
        }
    }

    fn show_pictures(&mut self, counted: &Progress) {
        let (done, all) = (counted.counts.seen, counted.pictures.max(counted.counts.seen));
        let rate = self.rate(Instant::now(), done);
        let eta = if rate > 0.0 { clock((all - done) as f64 / rate) } else { "?".to_owned() };
        let shards = format!("{} of {} shards listed", counted.shards_listed, counted.shards);
        match &self.bar {
            Some(bar) => {
                bar.set_style(style("embed  {bar:30} {human_pos}/{human_len} pictures  {msg}"));
                bar.set_length(all);
                bar.set_position(done);
                bar.set_message(format!("{rate:.1}/s  ETA {eta}  {shards}"));
            }
            None if self.said.is_none_or(|said| said.elapsed() >= IN_PIPE) => {
                self.said = Some(Instant::now());
                say(format_args!("embed: {done}/{all} pictures, {rate:.1}/s, ETA {eta}, {shards}"));
            }
            None => {}
        }
    }

    fn show_tasks(&self, stage: Stage, counted: &Progress) {
        let Some(bar) = &self.bar else { return };
        let of_stage = counted.tasks.iter().filter(|(kind, ..)| kind.stage() == stage);
        let (mut done, mut all) = (0, 0);
        for (_, state, count) in of_stage {
            all += count;
            done += if *state == State::Succeeded { *count } else { 0 };
        }
        bar.set_style(style("{msg:8} {bar:30} {human_pos}/{human_len} tasks"));
        bar.set_length(all);
        bar.set_position(done);
        bar.set_message(stage.name());
    }

    /// Pictures a second over the last minute, or since the watch began.
    fn rate(&mut self, now: Instant, done: u64) -> f64 {
        self.lately.push_back((now, done));
        while self.lately.get(1).is_some_and(|(then, _)| now.duration_since(*then) >= LATELY) {
            self.lately.pop_front();
        }
        let (then, before) = self.lately[0];
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds > 0.0 { done.saturating_sub(before) as f64 / seconds } else { 0.0 }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn described(job: &JobView) -> String {
    match job.state {
        JobState::Running if job.paused => format!("paused, stage {}", job.stage),
        JobState::Running => format!("stage {}", job.stage),
        state => state.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let mut shown = Shown { bar: None, said: None, stage: None, lately: VecDeque::new(), is_lost: false };
        let start = Instant::now();
        let mut rate = |seconds, done| shown.rate(start + Duration::from_secs(seconds), done);
        assert_eq!(rate(0, 100), 0.0, "what was done before the watch is no speed");
        assert_eq!(rate(10, 200), 10.0);
        assert_eq!(rate(60, 400), 5.0);
        assert_eq!(rate(120, 1000), 10.0, "since the look of a minute ago");
    }
}
