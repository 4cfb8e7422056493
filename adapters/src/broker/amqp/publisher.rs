//! Publishing: persistent, mandatory, confirmed.
//!
//! A call has a channel to itself. What the server returns names no message that the client could tell apart, so a call
//! that shared its channel could be told of another's message.
//!
//! A queue that answers nobody, on a connection that lives, is removed and made again: what it loses is a window of the
//! table. RabbitMQ 3.10 leaves such a queue behind where it is killed soon after the queue was made.

use super::{close, declare, failed, link::Link, server::Server};
use futures::future::join_all;
use imagefleet_common::{
    error::{Error, Result},
    ids::Queue,
    ports::broker::Message,
};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeleteOptions},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

pub(super) struct Publisher {
    server: Arc<Server>,
    link: Link,
    /// Channels that no call uses. One on which anything went wrong is not among them.
    idle: Mutex<Vec<Publishing>>,
    /// Queues that did not answer in time when they were last published to.
    silent: Mutex<HashSet<Queue>>,
}

/// The server gives up asking a queue that does not answer after five seconds, and removes it then.
const REMOVAL: Duration = Duration::from_secs(20);

struct Publishing {
    channel: Channel,
    /// Queues that were there when this channel first published to them.
    declared: HashSet<Queue>,
}

impl Publisher {
    pub(super) fn new(server: Arc<Server>, link: Link) -> Self {
        Self { server, link, idle: Mutex::default(), silent: Mutex::default() }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Returns when all are confirmed. After an error some may be in the queue all the same.
    pub(super) async fn publish(&self, queue: &Queue, messages: &[Message]) -> Result<()> {
        let doing = || format!("publish {} messages to queue {queue}", messages.len());
        let began = Instant::now();
        let published = self.server.in_time(doing, self.on_a_channel(queue, messages, &doing)).await;
        if published.is_err() {
            // An operator may have deleted the queue: no channel believes any more that it is there.
            self.idle().iter_mut().for_each(|idle| idle.declared.clear());
        }
        let is_silent = published.is_err() && began.elapsed() >= self.server.settings.timeout && self.link.is_open();
        if self.is_silent_again(queue, is_silent) {
            self.remove(queue).await;
        }
        published
    }

    /// Remembers whether a queue was silent: is this the second time in a row?
    fn is_silent_again(&self, queue: &Queue, now: bool) -> bool {
        let mut silent = self.silent.lock().expect("nothing panics while it holds this lock");
        let before = silent.remove(queue);
        if now && !before {
            silent.insert(queue.clone());
        }
        now && before
    }

    async fn remove(&self, queue: &Queue) {
        let name = self.server.queue_name(queue);
        let doing = || format!("remove queue {name}, which does not answer");
        let removed = tokio::time::timeout(REMOVAL, async {
            let channel = self.link.channel(doing).await?;
            let removed = channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await;
            close(&channel).await;
            removed.map_err(|error| failed(doing(), error))
        });
        match removed.await {
            Ok(Ok(_)) => tracing::warn!(queue = name, "a queue did not answer and was removed; it is made again"),
            Ok(Err(error)) => tracing::warn!(%error, "a queue does not answer and could not be removed"),
            Err(_) => tracing::warn!(queue = name, "neither a queue nor its removal is answered"),
        }
    }

    async fn on_a_channel(&self, queue: &Queue, messages: &[Message], doing: &impl Fn() -> String) -> Result<()> {
        let mut publishing = self.take(doing).await?;
        let sent = self.send(&mut publishing, queue, messages, doing).await;
        match sent {
            Ok(()) => self.idle().push(publishing),
            Err(_) => close(&publishing.channel).await,
        }
        sent
    }

    /// A channel in confirm mode.
    async fn take(&self, doing: &impl Fn() -> String) -> Result<Publishing> {
        let blocked = self.link.connection().await.is_some_and(|connection| connection.status().blocked());
        if blocked {
            return Err(Error::transient(format!(
                "{}: {} takes no messages, an alarm is set (memory or disk; see rabbitmqctl status)",
                doing(),
                self.server
            )));
        }
        while let Some(idle) = self.pop() {
            if idle.channel.status().connected() {
                return Ok(idle);
            }
        }
        let channel = self.link.channel(doing).await?;
        let confirming = channel.confirm_select(ConfirmSelectOptions::default()).await;
        confirming.map_err(|error| failed(doing(), error))?;
        Ok(Publishing { channel, declared: HashSet::new() })
    }

    async fn send(
        &self,
        publishing: &mut Publishing,
        queue: &Queue,
        messages: &[Message],
        doing: &impl Fn() -> String,
    ) -> Result<()> {
        let name = self.server.queue_name(queue);
        let Publishing { channel, declared } = publishing;
        if !declared.contains(queue) {
            declare(channel, &name).await.map_err(|error| failed(doing(), error))?;
            declared.insert(queue.clone());
        }
        let confirmations = join_all(messages.iter().map(|message| publish(channel, &name, message))).await;
        for confirmation in confirmations {
            match confirmation.map_err(|error| failed(doing(), error))? {
                Confirmation::Ack(None) => {}
                Confirmation::Ack(Some(_)) => {
                    return Err(Error::transient(format!("{}: the queue is gone, it will be made again", doing())));
                }
                Confirmation::Nack(_) => {
                    return Err(Error::transient(format!("{}: the server could not store a message", doing())));
                }
                Confirmation::NotRequested => {
                    return Err(Error::permanent(format!("{}: the server does not confirm", doing())));
                }
            }
        }
        Ok(())
    }

    fn pop(&self) -> Option<Publishing> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Publishing>> {
        self.idle.lock().expect("nothing panics while it holds this lock")
    }
}

async fn publish(channel: &Channel, name: &str, message: &Message) -> lapin::Result<Confirmation> {
    const PERSISTENT: u8 = 2;
    let body = serde_json::to_vec(message).expect("a message has no key that is not text");
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(format!("{}.{}", message.task, message.attempt).into());
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    channel.basic_publish("".into(), name.into(), options, &body, properties).await?.await
}
