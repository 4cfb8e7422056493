//! RabbitMQ behind the port of brokers: the port's suite, and what only a server over a network can do wrong.
#![cfg(feature = "fleet")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod losses;
mod node;
mod outages;
mod queues;
mod speed;

use node::{Scoped, shared};
use std::sync::Arc;

async fn make() -> Arc<dyn imagefleet_common::ports::broker::Broker> {
    Arc::new(Scoped::connect(shared()).await)
}

imagefleet_common::broker_conformance!(make);
