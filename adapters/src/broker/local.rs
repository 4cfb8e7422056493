//! Queues inside one process. What they hold is lost with the process, which loses nothing: the table is the queue.

use async_trait::async_trait;
use imagefleet_common::{
    error::Result,
    ids::Queue,
    ports::broker::{Broker, Delivery, Message},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::Notify;

#[derive(Default)]
pub struct LocalBroker {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: HashMap<Queue, Line>,
    /// Delivered and not yet acknowledged, by tag.
    held: HashMap<u64, Delivery>,
    last_tag: u64,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Message>,
    arrived: Arc<Notify>,
}

impl LocalBroker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    fn line(&mut self, queue: &Queue) -> &mut Line {
        self.lines.entry(queue.clone()).or_default()
    }

    fn take(&mut self, queue: &Queue) -> Option<Delivery> {
        let message = self.line(queue).waiting.pop_front()?;
        self.last_tag += 1;
        let delivery = Delivery { queue: queue.clone(), message, tag: self.last_tag };
        self.held.insert(delivery.tag, delivery.clone());
        Some(delivery)
    }
}

#[async_trait]
impl Broker for LocalBroker {
    async fn publish(&self, queue: &Queue, messages: &[Message]) -> Result<()> {
        let mut state = self.state();
        let line = state.line(queue);
        line.waiting.extend(messages);
        line.arrived.notify_waiters();
        Ok(())
    }

    async fn depth(&self, queue: &Queue) -> Result<usize> {
        Ok(self.state().lines.get(queue).map_or(0, |line| line.waiting.len()))
    }

    async fn receive(&self, queue: &Queue) -> Result<Delivery> {
        let arrived = self.state().line(queue).arrived.clone();
        loop {
            let mut notified = std::pin::pin!(arrived.notified());
            // Listens before it looks, so that what arrives in between wakes it.
            notified.as_mut().enable();
            // Taken and returned without an await in between: a dropped future has taken nothing.
            if let Some(delivery) = self.state().take(queue) {
                return Ok(delivery);
            }
            notified.await;
        }
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.state().held.remove(&delivery.tag);
        Ok(())
    }

    async fn give_back(&self, delivery: &Delivery) -> Result<()> {
        let mut state = self.state();
        if let Some(delivery) = state.held.remove(&delivery.tag) {
            let line = state.line(&delivery.queue);
            line.waiting.push_front(delivery.message);
            line.arrived.notify_waiters();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn make() -> Arc<dyn Broker> {
        Arc::new(LocalBroker::default())
    }

    imagefleet_common::broker_conformance!(make);
}
