//! What happened, each event with its log line and its count.

use crate::attempt::Done;
use imagefleet_common::{Result, ids::SessionId, ports::tasks::Outcome, work::Kind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Succeeded,
    Superseded,
    HandedBack,
    Failed,
    /// Its lease was lost: what it did counts for nothing.
    Lost,
}

impl End {
    pub const ALL: [Self; 5] = [Self::Succeeded, Self::Superseded, Self::HandedBack, Self::Failed, Self::Lost];

    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Superseded => "superseded",
            Self::HandedBack => "handed_back",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// Attempts by kind of work and end, since the process began.
#[derive(Debug, Default)]
pub struct Ends([[AtomicU64; End::ALL.len()]; Kind::ALL.len()]);

impl Ends {
    fn add(&self, kind: Kind, end: End) {
        self.0[kind as usize][end as usize].fetch_add(1, Relaxed);
    }

    pub fn count(&self, kind: Kind, end: End) -> u64 {
        self.0[kind as usize][end as usize].load(Relaxed)
    }
}

pub(crate) fn attempt_ended(ends: &Ends, kind: Kind, end: &Result<Done>) {
    let counted = match end {
        Ok(Done::Ended(Outcome::Superseded { detail })) => {
            tracing::info!(%kind, detail, "superseded");
            End::Superseded
        }
        Ok(Done::Ended(Outcome::Embedded(chunk))) => {
            let (embedded, rejected) = (chunk.counts.embedded, chunk.counts.rejected_total());
            tracing::info!(%kind, embedded, rejected, "a chunk is embedded");
            End::Succeeded
        }
        Ok(Done::Ended(_)) => {
            tracing::debug!(%kind, "succeeded");
            End::Succeeded
        }
        Ok(Done::NotYet(delay, why)) => {
            tracing::debug!(%kind, ?delay, why, "handed back");
            End::HandedBack
        }
        Err(error) => {
            tracing::warn!(%kind, %error, "an attempt failed");
            End::Failed
        }
    };
    ends.add(kind, counted);
}

pub(crate) fn attempt_lost(ends: &Ends, kind: Kind, session: SessionId) {
    tracing::warn!(%kind, %session, "dropped an attempt: the lease is lost");
    ends.add(kind, End::Lost);
}
