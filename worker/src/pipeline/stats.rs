//! How busy each stage is: the one with the largest share is the bottleneck.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Time and count of pictures of one stage, since the process began.
#[derive(Debug, Default)]
pub struct StageStats {
    busy: AtomicU64,
    items: AtomicU64,
}

impl StageStats {
    /// Counts a time in which `items` went through.
    pub fn add(&self, time: Duration, items: u64) {
        self.busy.fetch_add(time.as_nanos() as u64, Relaxed);
        self.items.fetch_add(items, Relaxed);
    }

    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Relaxed))
    }

    pub fn items(&self) -> u64 {
        self.items.load(Relaxed)
    }
}

/// The stages of embedding, by the time that each is at work; `read` by the time that tasks wait for it.
#[derive(Debug, Default)]
pub struct Stats {
    pub read: StageStats,
    pub decode: StageStats,
    pub encode: StageStats,
    pub upsert: StageStats,
    /// Calls of the encoder for pictures.
    pub batches: AtomicU64,
    /// Pictures that a batch may hold: of the model that was loaded or halved last; 0 until one is loaded.
    pub batch: AtomicU64,
    /// Texts encoded.
    pub texts: AtomicU64,
    /// Threads that decode: `decode` can be busy this many times the wall clock.
    pub decoders: AtomicU64,
}

impl Stats {
    /// Each stage's share of `wall` in which it was busy, 1 = always.
    pub fn shares(&self, wall: Duration) -> [(&'static str, f64); 4] {
        let share = |stage: &StageStats, workers: u64| {
            stage.busy().as_secs_f64() / (wall.as_secs_f64() * workers.max(1) as f64).max(1e-9)
        };
        [
            ("read", share(&self.read, 1)),
            ("decode", share(&self.decode, self.decoders.load(Relaxed))),
            ("encode", share(&self.encode, 1)),
            ("upsert", share(&self.upsert, 1)),
        ]
    }
}
