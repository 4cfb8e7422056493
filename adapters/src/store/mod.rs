//! Stores of tasks, jobs and the catalog.

#[cfg(feature = "embedded")]
pub mod sqlite;
