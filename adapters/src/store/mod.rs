//! Stores of tasks, jobs and the catalog.

#[cfg(feature = "fleet")]
pub mod postgres;
#[cfg(any(feature = "embedded", feature = "fleet"))]
mod sql;
#[cfg(feature = "embedded")]
pub mod sqlite;
