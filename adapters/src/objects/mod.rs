//! Object stores.

#[cfg(feature = "embedded")]
pub mod fs;
