//! The line under which a job goes on: a bar on a terminal, plain text now and then in a pipe.

use crate::logging::{BARS, say};
use imagefleet_common::{ports::jobs::Progress, task::State, work::Stage};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// How often a terminal is drawn anew.
pub(crate) const ON_TERMINAL: Duration = Duration::from_millis(250);
const IN_PIPE: Duration = Duration::from_secs(5);

pub(crate) struct Line {
    bar: Option<ProgressBar>,
    /// When something was last shown.
    shown: Option<Instant>,
}

/// How far pictures are.
pub(crate) struct Pictures {
    pub(crate) done: u64,
    pub(crate) all: u64,
    /// A second; `None` where it is not known yet.
    pub(crate) rate: Option<f64>,
    pub(crate) seconds_left: Option<f64>,
    /// What else there is to say.
    pub(crate) more: String,
}

impl Line {
    pub(crate) fn new() -> Self {
        let bar = stderr().is_terminal().then(|| BARS.add(ProgressBar::new(0)));
        Self { bar, shown: None }
    }

    pub(crate) fn is_on_terminal(&self) -> bool {
        self.bar.is_some()
    }

    /// Is it time to show something again?
    pub(crate) fn is_due(&self) -> bool {
        let rest = if self.bar.is_some() { ON_TERMINAL } else { IN_PIPE };
        self.shown.is_none_or(|shown| shown.elapsed() >= rest)
    }

    /// Keeps what was shown alive while nothing new comes.
    pub(crate) fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.enable_steady_tick(ON_TERMINAL);
        }
    }

    pub(crate) fn pictures(&mut self, pictures: &Pictures) {
        self.shown = Some(Instant::now());
        let Pictures { done, all, rate, seconds_left, more } = pictures;
        let rate = rate.map_or_else(|| "?".to_owned(), |rate| format!("{rate:.1}"));
        let eta = seconds_left.map_or_else(|| "?".to_owned(), clock);
        match &self.bar {
            Some(bar) => {
                bar.set_style(style("embed  {wide_bar} {human_pos}/{human_len} pictures  {prefix}\n{msg}"));
                bar.set_length(*all);
                bar.set_position(*done);
                bar.set_prefix(format!("{rate}/s  ETA {eta}"));
                bar.set_message(more.clone());
            }
            None => {
                let more = if more.is_empty() { String::new() } else { format!(", {more}") };
                say(format_args!("embed: {done}/{all} pictures, {rate}/s, ETA {eta}{more}"));
            }
        }
    }

    /// A terminal only: other stages take no time to speak of.
    pub(crate) fn tasks(&mut self, stage: Stage, counted: &Progress, more: &str) {
        self.shown = Some(Instant::now());
        let Some(bar) = &self.bar else { return };
        let (mut done, mut all) = (0, 0);
        for (_, state, count) in counted.tasks.iter().filter(|(kind, ..)| kind.stage() == stage) {
            all += count;
            done += if *state == State::Succeeded { *count } else { 0 };
        }
        bar.set_style(style("{prefix:8} {wide_bar} {human_pos}/{human_len} tasks\n{msg}"));
        bar.set_length(all);
        bar.set_position(done);
        bar.set_prefix(stage.name());
        bar.set_message(more.to_owned());
    }

    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}

pub(crate) fn clock(seconds: f64) -> String {
    let seconds = seconds.min(359_999.0) as u64;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
