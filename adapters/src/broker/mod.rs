//! Brokers.

#[cfg(feature = "embedded")]
pub mod local;
