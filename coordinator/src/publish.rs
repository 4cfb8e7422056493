//! The window: enough messages in the broker that no free slot waits, few enough that losing them costs nothing.
//!
//! Three steps with no transaction open across them: mark rows with a token, publish their messages, mark
//! them published where the token still matches. A crash between any two leaves rows that are marked again later;
//! the duplicate message is refused by the claim.

use crate::{Ports, Settings, stats::Stats};
use imagefleet_common::{Result, ids::Queue};
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
    let mut failed = None;
    for load in loads.into_iter().filter(|load| load.unpublished > 0) {
        // A queue that is not as it should be holds up no other.
        if let Err(error) = fill(ports, settings, stats, &load.queue, window).await {
            tracing::warn!(queue = %load.queue, %error, "a queue could not be filled");
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn fill(ports: &Ports, settings: &Settings, stats: &Stats, queue: &Queue, window: usize) -> Result<()> {
    let room = window.saturating_sub(ports.broker.depth(queue).await?);
    // Half a window is more than a message a slot: what comes then comes in one go.
    if room < window.div_ceil(2) {
        return Ok(());
    }
    let token = Uuid::now_v7();
    let messages = ports.tasks.mark(queue, room, token, settings.republish_after).await?;
    if messages.is_empty() {
        return Ok(());
    }
    ports.broker.publish(queue, &messages).await?;
    stats.add_published(messages.len());
    ports.tasks.published(token).await?;
    tracing::debug!(%queue, messages = messages.len(), "published");
    Ok(())
}
