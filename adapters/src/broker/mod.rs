//! Brokers.

#[cfg(feature = "fleet")]
pub mod amqp;
#[cfg(feature = "embedded")]
pub mod local;
