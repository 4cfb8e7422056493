//! Vector indexes.

#[cfg(any(feature = "embedded", feature = "fleet"))]
mod check;
#[cfg(feature = "embedded")]
pub mod flat;
#[cfg(feature = "fleet")]
pub mod qdrant;
