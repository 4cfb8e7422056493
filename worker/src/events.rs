//! What happened, each event with its log line.

use crate::attempt::Done;
use imagefleet_common::{Result, ports::tasks::Outcome, work::Kind};

pub fn attempt_ended(kind: Kind, end: &Result<Done>) {
    match end {
        Ok(Done::Ended(Outcome::Superseded { detail })) => tracing::info!(%kind, detail, "superseded"),
        Ok(Done::Ended(Outcome::Embedded(chunk))) => {
            let (embedded, rejected) = (chunk.counts.embedded, chunk.counts.rejected_total());
            tracing::info!(%kind, embedded, rejected, "a chunk is embedded");
        }
        Ok(Done::Ended(_)) => tracing::debug!(%kind, "succeeded"),
        Ok(Done::NotYet(delay)) => tracing::debug!(%kind, ?delay, "handed back"),
        Err(error) => tracing::warn!(%kind, %error, "an attempt failed"),
    }
}
