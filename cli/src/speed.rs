//! How fast a job goes and what holds it up, from what the ledger measured.

use imagefleet_common::ports::jobs::{Pace, Progress};
use serde_json::{Value, json};
use std::time::Duration;

/// Chunks are done a minute apart: what was embedded within this time says how fast it goes.
pub(crate) const LATELY: Duration = Duration::from_secs(300);

pub(crate) struct Speed {
    /// Pictures a second; `None` where no chunk was embedded lately.
    pub(crate) rate: Option<f64>,
    /// Until all pictures that listings know are embedded.
    pub(crate) seconds_left: Option<f64>,
    /// The stage that the others wait for.
    pub(crate) bottleneck: Option<&'static str>,
    /// Seconds of each stage for the chunks that were embedded lately.
    stages: [(&'static str, f64); 4],
}

impl Speed {
    pub(crate) fn of(progress: &Progress, pace: &Pace) -> Self {
        let seconds = pace.since.map(|since| {
            let lately = i64::try_from(LATELY.as_millis()).unwrap_or(i64::MAX);
            (pace.now - since).clamp(1, lately) as f64 / 1000.0
        });
        let rate = seconds.filter(|_| pace.pictures > 0).map(|seconds| pace.pictures as f64 / seconds);
        let left = progress.pictures.saturating_sub(done(progress, pace));
        Self {
            rate,
            seconds_left: rate.map(|rate| left as f64 / rate),
            bottleneck: pace.spent.bottleneck(),
            stages: pace.spent.stages(),
        }
    }

    pub(crate) fn as_json(&self) -> Value {
        let stages: serde_json::Map<String, Value> =
            self.stages.iter().map(|(stage, seconds)| ((*stage).to_owned(), json!(seconds))).collect();
        json!({"pictures_per_second": self.rate, "seconds_left": self.seconds_left, "bottleneck": self.bottleneck,
            "stage_seconds": stages})
    }
}

/// Pictures that are done: those of the ledger, and of chunks under way those that were looked at.
pub(crate) fn done(progress: &Progress, pace: &Pace) -> u64 {
    let seen = progress.counts.seen;
    (seen + pace.under_way).min(progress.pictures.max(seen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use imagefleet_common::ledger::{Counts, Spent};

    #[test]
    fn a_rate_is_that_of_the_chunks_done_lately_and_the_slowest_stage_is_the_bottleneck() {
        let counts = Counts { seen: 500, embedded: 500, ..Counts::default() };
        let progress = Progress { pictures: 1_600, counts, ..Progress::default() };
        // Two decoder threads: their 8 s are 4 s of the clock.
        let spent = Spent { read: 1_000_000, decode: 8_000_000, encode: 5_000_000, upsert: 100, decoders: 2 };
        let pace = Pace {
            under_way: 100,
            chunks: 2,
            pictures: 400,
            spent,
            since: Some(60_000),
            now: 100_000,
            ..Pace::default()
        };
        let speed = Speed::of(&progress, &pace);
        assert_eq!((speed.rate, speed.seconds_left, speed.bottleneck), (Some(10.0), Some(100.0), Some("encode")));
        let long_ago = Pace { now: 100_000_000, ..pace };
        assert_eq!(Speed::of(&progress, &long_ago).rate, Some(400.0 / 300.0));
    }

    #[test]
    fn nothing_is_said_of_what_was_not_measured() {
        let speed = Speed::of(&Progress::default(), &Pace::default());
        assert_eq!((speed.rate, speed.seconds_left, speed.bottleneck), (None, None, None));
    }
}
