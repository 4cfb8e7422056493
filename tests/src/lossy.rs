//! A broker that loses messages, and says how full its queues were.

use async_trait::async_trait;
use imagefleet_common::{
    Result,
    ids::Queue,
    ports::broker::{Broker, Delivery, Message},
};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

pub struct LossyBroker {
    broker: Arc<dyn Broker>,
    /// Does it lose the first messages of every queue?
    loses: bool,
    lost: Mutex<HashSet<Queue>>,
    deepest: AtomicUsize,
}

impl LossyBroker {
    /// Loses what is published first in each queue, though it confirms it.
    pub fn losing(broker: Arc<dyn Broker>) -> Self {
        Self { loses: true, ..Self::watching(broker) }
    }

    /// Loses nothing.
    pub fn watching(broker: Arc<dyn Broker>) -> Self {
        Self { broker, loses: false, lost: Mutex::default(), deepest: AtomicUsize::new(0) }
    }

    /// The queues that lost messages.
    pub fn lost(&self) -> usize {
        self.lost.lock().unwrap().len()
    }

    /// The most messages that waited in a queue.
    pub fn deepest(&self) -> usize {
        self.deepest.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Broker for LossyBroker {
    async fn publish(&self, queue: &Queue, messages: &[Message]) -> Result<()> {
        if self.loses && self.lost.lock().unwrap().insert(queue.clone()) {
            return Ok(());
        }
        self.broker.publish(queue, messages).await?;
        self.deepest.fetch_max(self.broker.depth(queue).await?, Ordering::SeqCst);
        Ok(())
    }

    async fn depth(&self, queue: &Queue) -> Result<usize> {
        self.broker.depth(queue).await
    }

    async fn receive(&self, queue: &Queue) -> Result<Delivery> {
        self.broker.receive(queue).await
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.broker.ack(delivery).await
    }

    async fn give_back(&self, delivery: &Delivery) -> Result<()> {
        self.broker.give_back(delivery).await
    }
}
