//! Reaping: sessions whose lease ran out are ended, and their tasks go on elsewhere.

use crate::{Ports, stats::Stats};
use imagefleet_common::Result;
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// Waits one lease after its own last failed query: while the database was out of reach no worker could beat
/// either, and an outage must not expire the fleet.
pub struct Reaper {
    lease: Duration,
    /// It reaps nothing before this time; one lease after its start or its last failed query.
    quiet_until: Mutex<Instant>,
}

impl Reaper {
    pub fn new(lease: Duration) -> Self {
        Self { lease, quiet_until: Mutex::new(Instant::now() + lease) }
    }

    pub async fn reap(&self, ports: &Ports, stats: &Stats) -> Result<()> {
        let quiet_until = *self.quiet_until.lock().expect("nothing panics while it holds this lock");
        if Instant::now() < quiet_until {
            // The query is made all the same, so that a failure of it is noticed.
            return self.noticing(ports.tasks.now().await.map(drop));
        }
        for session in self.noticing(ports.tasks.reap().await)? {
            tracing::warn!(%session, "a session's lease ran out; its tasks are ready again");
            stats.add_reaped();
        }
        Ok(())
    }

    fn noticing<T>(&self, answer: Result<T>) -> Result<T> {
        if answer.is_err() {
            *self.quiet_until.lock().expect("nothing panics while it holds this lock") = Instant::now() + self.lease;
        }
        answer
    }
}
