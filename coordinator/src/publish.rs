//! The window: enough messages in the broker that no free slot waits, few enough that losing them costs nothing.
//!
//! Three steps with no transaction open across them: mark rows with a token, publish their messages, mark
//! them published where the token still matches. A crash between any two leaves rows that are marked again later;
//! the duplicate message is refused by the claim.

use crate::{Ports, Settings, stats::Stats};
use imagefleet_common::Result;
use uuid::Uuid;

/// Tops up the window of every queue that has rows to run. The window grows with the slots that may take from it; until
/// there is one, it is that of one.
pub async fn fill_windows(ports: &Ports, settings: &Settings, stats: &Stats) -> Result<()> {
    let loads = ports.tasks.queues(settings.republish_after, 1).await?;
    if loads.iter().all(|load| load.unpublished == 0) {
        return Ok(());
    }
    let slots: u32 = ports.tasks.sessions().await?.iter().map(|session| session.slots).sum();
    let window = settings.window * slots.max(1) as usize;
    for load in loads {
        if load.unpublished == 0 {
            continue;
        }
        let room = window.saturating_sub(ports.broker.depth(&load.queue).await?);
        // Half a window is more than a message a slot: what comes then comes in one go.
        if room < window.div_ceil(2) {
            continue;
        }
        let token = Uuid::now_v7();
        let messages = ports.tasks.mark(&load.queue, room, token, settings.republish_after).await?;
        if messages.is_empty() {
            continue;
        }
        ports.broker.publish(&load.queue, &messages).await?;
        stats.add_published(messages.len());
        ports.tasks.published(token).await?;
        tracing::debug!(queue = %load.queue, messages = messages.len(), "published");
    }
    Ok(())
}
