//! What a coordinator did since its process began.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// What a coordinator does over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    Plan,
    Publish,
    Advance,
    Reap,
    /// Searches that were answered are forgotten.
    Forget,
}

impl Duty {
    pub const ALL: [Self; 5] = [Self::Plan, Self::Publish, Self::Advance, Self::Reap, Self::Forget];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Publish => "publish",
            Self::Advance => "advance",
            Self::Reap => "reap",
            Self::Forget => "forget",
        }
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How one duty goes.
#[derive(Debug)]
pub struct Turns {
    failures: AtomicU64,
    /// The beginning of the process counts as one.
    last_success: Mutex<Instant>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { failures: AtomicU64::new(0), last_success: Mutex::new(Instant::now()) }
    }
}

impl Turns {
    pub(crate) fn succeeded(&self) {
        *self.last_success.lock().expect("nothing panics while it holds this lock") = Instant::now();
    }

    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Since the last turn that succeeded, or since the process began.
    pub fn since_success(&self) -> Duration {
        self.last_success.lock().expect("nothing panics while it holds this lock").elapsed()
    }
}

#[derive(Debug, Default)]
pub struct Stats {
    duties: [Turns; Duty::ALL.len()],
    published: AtomicU64,
    reaped: AtomicU64,
}

impl Stats {
    pub fn duty(&self, duty: Duty) -> &Turns {
        &self.duties[duty as usize]
    }

    pub(crate) fn add_published(&self, messages: usize) {
        self.published.fetch_add(messages as u64, Relaxed);
    }

    /// Messages that the broker confirmed.
    pub fn published(&self) -> u64 {
        self.published.load(Relaxed)
    }

    pub(crate) fn add_reaped(&self) {
        self.reaped.fetch_add(1, Relaxed);
    }

    /// Sessions that this coordinator ended.
    pub fn reaped(&self) -> u64 {
        self.reaped.load(Relaxed)
    }
}
