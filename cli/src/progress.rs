//! Progress for people: a bar on a terminal, a plain line now and then in a pipe.

use crate::logging::{BARS, say};
use imagefleet_common::{
    ports::jobs::{JobView, Progress as Counted},
    task::State,
    work::Stage,
};
use imagefleet_worker::pipeline::stats::Stats;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

pub(crate) const ON_TERMINAL: Duration = Duration::from_millis(250);
pub(crate) const IN_PIPE: Duration = Duration::from_secs(5);

pub(crate) struct Progress<'a> {
    stats: &'a Stats,
    bar: Option<ProgressBar>,
    began: Instant,
    shown: Option<Instant>,
    stage: Option<Stage>,
    /// Pictures that were done before this run.
    before: Option<u64>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(stats: &'a Stats) -> Self {
        let bar = stderr().is_terminal().then(|| BARS.add(ProgressBar::new(0)));
        Self { stats, bar, began: Instant::now(), shown: None, stage: None, before: None }
    }

    pub(crate) fn is_due(&self) -> bool {
        let rest = if self.bar.is_some() { ON_TERMINAL } else { IN_PIPE };
        self.shown.is_none_or(|shown| shown.elapsed() >= rest)
    }

    pub(crate) fn show(&mut self, job: &JobView, counted: &Counted) {
        self.shown = Some(Instant::now());
        if self.stage.replace(job.stage) != Some(job.stage) && self.bar.is_none() {
            say(format_args!("{}: stage {}", job.name, job.stage));
        }
        match job.stage {
            Stage::Embed => self.show_pictures(counted),
            stage => self.show_tasks(stage, counted),
        }
    }

    fn show_pictures(&mut self, counted: &Counted) {
        let before = *self.before.get_or_insert(counted.counts.seen);
        // What is decoded is nearly done; the ledger knows it a chunk later.
        let here = self.stats.decode.items();
        let done = (before + here).max(counted.counts.seen).min(counted.pictures.max(counted.counts.seen));
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = here as f64 / seconds.max(0.001);
        let left = counted.pictures.saturating_sub(done) as f64 / rate.max(0.001);
        let eta = if here == 0 { "?".to_owned() } else { clock(left) };
        let busy = self.busy();
        match &self.bar {
            Some(bar) => {
                bar.set_style(style("embed  {bar:30} {human_pos}/{human_len} pictures  {msg}"));
                bar.set_length(counted.pictures);
                bar.set_position(done);
                bar.set_message(format!("{rate:.1}/s  ETA {eta}  busy {busy}"));
            }
            None if here > 0 => say(format_args!(
                "embed: {done}/{} pictures, {rate:.1}/s, ETA {eta}, busy {busy}, {} of {} shards listed",
                counted.pictures, counted.shards_listed, counted.shards
            )),
            None => {}
        }
    }

    fn show_tasks(&self, stage: Stage, counted: &Counted) {
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

    /// Each stage's busy share since the start; the largest is the bottleneck.
    fn busy(&self) -> String {
        let shares = self.stats.shares(self.began.elapsed());
        shares.map(|(stage, share)| format!("{stage} {:.0} %", 100.0 * share.min(1.0))).join(" ")
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        let encoded = self.stats.encode.items();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if encoded > 0 {
            let seconds = self.began.elapsed().as_secs_f64();
            say(format_args!("{encoded} pictures encoded in {seconds:.1} s, busy {}", self.busy()));
        }
    }
}

pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}

pub(crate) fn clock(seconds: f64) -> String {
    let seconds = seconds.min(359_999.0) as u64;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
