//! Publishing: persistent, mandatory, confirmed.
//!
//! A call has a channel to itself. What the server returns names no message that the client could tell apart, so a call
//! that shared its channel could be told of another's message.
//!
//! A queue that for a while answers nobody, on a connection that lives, or stores nothing is removed and made again: what it
//! loses is a window of the table. RabbitMQ 3.10 leaves such queues behind where it is killed soon after they were made.

use super::{close, declare, failed, link::Link, remove, server::Server};
use futures::future::join_all;
use imagefleet_common::{
    error::{Error, Result},
    ids::Queue,
    ports::broker::Message,
};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

pub(super) struct Publisher {
    server: Arc<Server>,
    link: Link,
    /// Channels that no call uses. One on which anything went wrong is not among them.
    idle: Mutex<Vec<Publishing>>,
    /// Queues that neither answered in time nor stored anything when they were last published to, and since when.
    failing: Mutex<HashMap<Queue, Instant>>,
}

/// In milliseconds, while another client makes the queue: far more than that takes, and nothing to those who wait for others.
const NEW_QUEUE_RESTS: [u64; 6] = [10, 20, 50, 100, 200, 400];

struct Publishing {
    channel: Channel,
    /// Queues that were there when this channel first published to them.
    declared: HashSet<Queue>,
}

impl Publisher {
    pub(super) fn new(server: Arc<Server>, link: Link) -> Self {
        Self { server, link, idle: Mutex::default(), failing: Mutex::default() }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Returns when all are confirmed. After an error some may be in the queue all the same.
    pub(super) async fn publish(&self, queue: &Queue, messages: &[Message]) -> Result<()> {
        let doing = || format!("publish {} messages to queue {queue}", messages.len());
        let began = Instant::now();
        let stored = self.server.in_time(doing, self.on_a_channel(queue, messages, &doing)).await;
        if !matches!(stored, Ok(true)) {
            // An operator may have deleted the queue: no channel believes any more that it is there.
            self.idle().iter_mut().for_each(|idle| idle.declared.clear());
        }
        let fails = match stored {
            Ok(stored) => !stored,
            Err(_) => began.elapsed() >= self.server.settings.timeout && self.link.is_open(),
        };
        if self.fails_for_long(queue, fails.then_some(began)) {
            self.remove(queue).await;
        }
        match stored? {
            true => Ok(()),
            false => Err(Error::transient(format!("{}: the server could not store a message", doing()))),
        }
    }

    /// Remembers since when a queue fails, if it does: is that longer than two exchanges may take?
    fn fails_for_long(&self, queue: &Queue, began: Option<Instant>) -> bool {
        let mut failing = self.failing.lock().expect("nothing panics while it holds this lock");
        let Some(began) = began else {
            failing.remove(queue);
            return false;
        };
        let since = *failing.entry(queue.clone()).or_insert(began);
        let is_long = since.elapsed() >= 2 * self.server.settings.timeout;
        if is_long {
            failing.remove(queue);
        }
        is_long
    }

    async fn remove(&self, queue: &Queue) {
        let name = self.server.queue_name(queue);
        remove(&name, self.link.channel(|| format!("remove queue {name}, which fails"))).await;
    }

    /// As [`send`](Self::send), on a channel that nobody else uses.
    async fn on_a_channel(&self, queue: &Queue, messages: &[Message], doing: &impl Fn() -> String) -> Result<bool> {
        let mut publishing = self.take(doing).await?;
        let sent = self.send(&mut publishing, queue, messages, doing).await;
        match sent {
            Ok(true) => self.idle().push(publishing),
            Ok(false) | Err(_) => close(&publishing.channel).await,
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

    /// `false`: the queue could not store all of them.
    ///
    /// The server tells of a queue that another client is just making before the queue stores anything; so a queue that is
    /// new to this channel is asked again.
    async fn send(
        &self,
        publishing: &mut Publishing,
        queue: &Queue,
        messages: &[Message],
        doing: &impl Fn() -> String,
    ) -> Result<bool> {
        let name = self.server.queue_name(queue);
        let Publishing { channel, declared } = publishing;
        let is_new = !declared.contains(queue);
        if is_new {
            declare(channel, &name).await.map_err(|error| failed(doing(), error))?;
            declared.insert(queue.clone());
        }
        let mut left = refused(channel, &name, messages.iter().collect(), doing).await?;
        let mut rests = NEW_QUEUE_RESTS.iter().filter(|_| is_new);
        while let (false, Some(rest)) = (left.is_empty(), rests.next()) {
            tokio::time::sleep(Duration::from_millis(*rest)).await;
            left = refused(channel, &name, left, doing).await?;
        }
        Ok(left.is_empty())
    }

    fn pop(&self) -> Option<Publishing> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Publishing>> {
        self.idle.lock().expect("nothing panics while it holds this lock")
    }
}

/// Publishes messages and returns those that the queue could not store.
async fn refused<'a>(
    channel: &Channel,
    name: &str,
    messages: Vec<&'a Message>,
    doing: &impl Fn() -> String,
) -> Result<Vec<&'a Message>> {
    let confirmations = join_all(messages.iter().map(|message| publish(channel, name, message))).await;
    let mut refused = Vec::new();
    for (message, confirmation) in messages.into_iter().zip(confirmations) {
        match confirmation.map_err(|error| failed(doing(), error))? {
            Confirmation::Ack(None) => {}
            Confirmation::Ack(Some(_)) => {
                return Err(Error::transient(format!("{}: the queue is gone, it will be made again", doing())));
            }
            Confirmation::Nack(_) => refused.push(message),
            Confirmation::NotRequested => {
                return Err(Error::permanent(format!("{}: the server does not confirm", doing())));
            }
        }
    }
    Ok(refused)
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
