//! The broker hands out a window of the table: messages that name a task and an attempt, nothing more.

use crate::{
    error::Result,
    ids::{Queue, TaskId},
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// "This task may be claimed, if it still stands at this attempt."
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    pub task: TaskId,
    pub attempt: u32,
}

/// A message on its way through one consumer. It comes again, to anyone, until it is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub queue: Queue,
    pub message: Message,
    /// The broker's own name for this delivery.
    pub tag: u64,
}

/// At-least-once delivery, in no promised order. Losing every message loses nothing: the table is the queue.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Returns when the broker has confirmed all of them.
    async fn publish(&self, queue: &Queue, messages: &[Message]) -> Result<()>;

    /// Messages in the queue that no consumer holds.
    async fn depth(&self, queue: &Queue) -> Result<usize>;

    /// Waits for a message. Dropping the future takes nothing: a message that was not returned stays in the queue.
    async fn receive(&self, queue: &Queue) -> Result<Delivery>;

    /// The message is done with. Acknowledging twice, or after the channel was lost, does nothing.
    async fn ack(&self, delivery: &Delivery) -> Result<()>;

    /// Hands a delivery back that was not looked at, for anyone to take.
    async fn give_back(&self, delivery: &Delivery) -> Result<()>;
}
