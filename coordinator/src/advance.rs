//! Advancing: a stage that has ended for a job gives way to the next.

use crate::Ports;
use imagefleet_common::{Result, ports::jobs::Step};

/// Moves every job as far as its tasks allow, and says so.
pub async fn advance(ports: &Ports) -> Result<()> {
    for (job, step) in ports.jobs.advance().await? {
        match step {
            Step::Began(stage) => tracing::info!(%job, %stage, "a stage begins"),
            Step::Blocked(stage, dead) => {
                tracing::warn!(%job, %stage, dead, "only dead tasks are left: the job is blocked")
            }
            Step::Succeeded => tracing::info!(%job, "the job has succeeded"),
            Step::Cancelled => tracing::info!(%job, "the job is cancelled"),
        }
    }
    Ok(())
}
