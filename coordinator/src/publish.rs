//! The window: enough messages in the broker that no free slot waits, few enough that losing them costs nothing.
//!
//! Three steps with no transaction open across them: mark rows with a token, publish their messages, mark
//! them published where the token still matches. A crash between any two leaves rows that are marked again later;
//! the duplicate message is refused by the claim.

use crate::{Ports, Settings};
use imagefleet_common::Result;
use uuid::Uuid;

/// Tops up the window of every queue that has rows to run.
pub async fn fill_windows(ports: &Ports, settings: &Settings) -> Result<()> {
    for load in ports.tasks.queues(settings.republish_after).await? {
        if load.unpublished == 0 {
            continue;
        }
        let room = settings.window.saturating_sub(ports.broker.depth(&load.queue).await?);
        if room == 0 {
            continue;
        }
        let token = Uuid::now_v7();
        let messages = ports.tasks.mark(&load.queue, room, token, settings.republish_after).await?;
        if messages.is_empty() {
            continue;
        }
        ports.broker.publish(&load.queue, &messages).await?;
        ports.tasks.published(token).await?;
        tracing::debug!(queue = %load.queue, messages = messages.len(), "published");
    }
    Ok(())
}
