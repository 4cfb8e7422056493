//! Vector indexes.

#[cfg(feature = "embedded")]
pub mod flat;
