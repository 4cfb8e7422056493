//! Progress of a run in this process, from what its stages measure as they work.

use crate::{
    line::{Line, Pictures},
    logging::say,
};
use imagefleet_common::{
    ports::jobs::{JobView, Progress as Counted},
    work::Stage,
};
use imagefleet_worker::pipeline::stats::Stats;
use std::time::Instant;

pub(crate) struct Progress<'a> {
    stats: &'a Stats,
    line: Line,
    began: Instant,
    stage: Option<Stage>,
    /// Pictures that were done before this run.
    before: Option<u64>,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(stats: &'a Stats) -> Self {
        Self { stats, line: Line::new(), began: Instant::now(), stage: None, before: None }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.line.is_due()
    }

    pub(crate) fn show(&mut self, job: &JobView, counted: &Counted) {
        if self.stage.replace(job.stage) != Some(job.stage) && !self.line.is_on_terminal() {
            say(format_args!("{}: stage {}", job.name, job.stage));
        }
        match job.stage {
            Stage::Embed => self.show_pictures(counted),
            stage => self.line.tasks(stage, counted, ""),
        }
    }

    fn show_pictures(&mut self, counted: &Counted) {
        let before = *self.before.get_or_insert(counted.counts.seen);
        // What is decoded is nearly done; the ledger knows it a chunk later.
        let here = self.stats.decode.items();
        let all = counted.pictures.max(counted.counts.seen);
        let done = (before + here).max(counted.counts.seen).min(all);
        let rate = (here > 0).then(|| here as f64 / self.began.elapsed().as_secs_f64().max(0.001));
        if rate.is_none() && !self.line.is_on_terminal() {
            return;
        }
        self.line.pictures(&Pictures {
            done,
            all,
            rate,
            seconds_left: rate.map(|rate| (all - done) as f64 / rate),
            more: format!("busy {}, {} of {} shards listed", self.busy(), counted.shards_listed, counted.shards),
        });
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
        self.line.clear();
        if encoded > 0 {
            let seconds = self.began.elapsed().as_secs_f64();
            say(format_args!("{encoded} pictures encoded in {seconds:.1} s, busy {}", self.busy()));
        }
    }
}
