//! One consumer with a prefetch of 1 on a channel of its own, from the first receiver that needs it to the last.
//!
//! It is idle, then offers the message it was sent, then waits until the receiver has settled it, and is idle again. A
//! channel that ends at any of these points is opened anew while receivers wait.

use super::{
    close, declare, failed, is_internal,
    line::{Line, Settlement, Withdrawn},
    link::Link,
    server::{Backoff, Server},
    trial,
};
use futures::StreamExt;
use imagefleet_common::{error::Result, ports::broker::Message};
use lapin::{
    Channel,
    message::Delivery as Raw,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions},
    types::FieldTable,
};
use std::{ops::ControlFlow, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until, timeout};

const PREFETCH: u16 = 1;

/// Runs until no receiver needs it, or the link is closed. The line counts it already.
pub(super) async fn run(line: Arc<Line>, server: Arc<Server>, link: Arc<Link>) {
    let mut backoff = Backoff::new(server.settings.max_rest);
    loop {
        if link.connection().await.is_none() {
            return;
        }
        let opened = Instant::now();
        match open(&line, &server, &link).await {
            Ok(consumer) => {
                if let End::Left = consumer.serve().await {
                    return;
                }
                tracing::debug!(queue = line.name, "a consumer's channel was lost");
                backoff.held(opened);
            }
            Err(error) if error.is_permanent() => tracing::error!(%error, "a queue cannot be consumed, trying again"),
            Err(error) => tracing::warn!(%error, "a queue cannot be consumed, trying again"),
        }
        if line.leave_if_not_needed() {
            return;
        }
        backoff.rest().await;
    }
}

/// What the server broke off the last time is tried alone first.
async fn open(line: &Arc<Line>, server: &Server, link: &Link) -> Result<Consumer> {
    if line.is_suspect() {
        trial::stand(line, server, link).await?;
    }
    Consumer::open(line, server, link).await
}

struct Consumer {
    line: Arc<Line>,
    channel: Channel,
    deliveries: lapin::Consumer,
    timeout: Duration,
    linger: Duration,
}

enum End {
    /// Nobody needed it, and the line no longer counts it.
    Left,
    /// The server or the network ended it.
    Lost,
}

impl Consumer {
    async fn open(line: &Arc<Line>, server: &Server, link: &Link) -> Result<Self> {
        let doing = || format!("consume queue {}", line.name);
        server
            .in_time(doing, async {
                let channel = link.channel(doing).await?;
                let deliveries = consume(&channel, &line.name).await.map_err(|error| {
                    if is_internal(&error) {
                        line.suspect();
                    }
                    failed(doing(), error)
                })?;
                Ok(Self {
                    line: Arc::clone(line),
                    channel,
                    deliveries,
                    timeout: server.settings.timeout,
                    linger: server.settings.linger,
                })
            })
            .await
    }

    async fn serve(mut self) -> End {
        loop {
            let raw = match self.idle().await {
                ControlFlow::Continue(raw) => raw,
                ControlFlow::Break(end) => return end,
            };
            let kept = match serde_json::from_slice(&raw.data) {
                Ok(message) => self.offer(&raw, message).await,
                Err(error) => {
                    let id = raw.properties.message_id().as_ref().map(|id| id.as_str());
                    tracing::error!(%error, queue = self.line.name, id, "a message cannot be read, it is dropped");
                    self.ack(&raw).await;
                    ControlFlow::Continue(())
                }
            };
            if let ControlFlow::Break(end) = kept {
                return end;
            }
        }
    }

    /// Waits for a message while one may be needed.
    async fn idle(&mut self) -> ControlFlow<End, Raw> {
        let since = Instant::now();
        let mut ask = since + self.linger;
        loop {
            tokio::select! {
                sent = self.deliveries.next() => return match sent {
                    Some(Ok(raw)) => ControlFlow::Continue(raw),
                    _ => ControlFlow::Break(self.lost().await),
                },
                () = sleep_until(ask) => match self.line.leave(since) {
                    Ok(()) => {
                        self.retire(None).await;
                        return ControlFlow::Break(End::Left);
                    }
                    Err(again) => ask = again,
                },
            }
        }
    }

    /// Waits until the message was taken and settled, or hands it back when nobody takes it.
    async fn offer(&mut self, raw: &Raw, message: Message) -> ControlFlow<End> {
        let (tag, mut settled) = self.line.offer(message);
        let since = Instant::now();
        let mut ask = Some(since + self.linger);
        loop {
            tokio::select! {
                biased;
                settled = &mut settled => return match settled {
                    Ok((Settlement::Ack, done)) => {
                        self.ack(raw).await;
                        // Who acknowledged may have stopped waiting for it.
                        let _ = done.send(());
                        ControlFlow::Continue(())
                    }
                    Ok((Settlement::GiveBack, done)) => {
                        self.retire(Some(raw)).await;
                        let _ = done.send(());
                        ControlFlow::Break(End::Left)
                    }
                    Err(_) => unreachable!("only this consumer drops the sender, and then returns"),
                },
                // With a prefetch of 1 nothing but the end can come.
                _ = self.deliveries.next() => {
                    let given_back = !self.line.forget(tag) && matches!(settled.try_recv(), Ok((Settlement::GiveBack, _)));
                    let lost = self.lost().await;
                    return ControlFlow::Break(if given_back { End::Left } else { lost });
                },
                () = sleep_until(ask.unwrap_or(since)), if ask.is_some() => match self.line.withdraw(tag, since) {
                    Withdrawn::Yes => {
                        self.retire(Some(raw)).await;
                        return ControlFlow::Break(End::Left);
                    }
                    Withdrawn::Held => ask = None,
                    Withdrawn::NotBefore(again) => ask = Some(again),
                },
            }
        }
    }

    /// Has no effect where the channel was lost: the message comes again.
    async fn ack(&self, raw: &Raw) {
        match raw.acker.ack(BasicAckOptions::default()).await {
            Ok(true) => {}
            stale => tracing::debug!(
                ?stale,
                queue = self.line.name,
                "a channel was lost before its message was acknowledged"
            ),
        }
    }

    /// Ends this consumer first, so that what is handed back is not sent to it again.
    async fn retire(&mut self, raw: Option<&Raw>) {
        let retired = timeout(self.timeout, async {
            let tag = self.deliveries.tag();
            self.channel.basic_cancel(tag, BasicCancelOptions::default()).await?;
            // What the server sent before it knew.
            while let Some(Ok(late)) = self.deliveries.next().await {
                hand_back(&late).await?;
            }
            if let Some(raw) = raw {
                hand_back(raw).await?;
            }
            self.channel.close(200, "OK".into()).await
        });
        match retired.await {
            Ok(Ok(())) => {}
            unsure => {
                tracing::debug!(?unsure, queue = self.line.name, "a consumer's channel was lost while it was closed")
            }
        }
    }

    async fn lost(&self) -> End {
        let _ = timeout(self.timeout, close(&self.channel)).await;
        End::Lost
    }
}

/// Connects a channel to the queue, in the order that matters: the prefetch holds for consumers made after it.
pub(super) async fn consume(channel: &Channel, name: &str) -> lapin::Result<lapin::Consumer> {
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    declare(channel, name).await?;
    channel.basic_consume(name.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await
}

async fn hand_back(raw: &Raw) -> lapin::Result<bool> {
    raw.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await
}
