//! The domain of imagefleet: its words, its rules, and the ports through which coordinator and worker see the world.
//!
//! Start with [`task`], the state machine of a task: everything else serves it.

pub mod attribution;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
pub mod exposition;
pub mod filter;
pub mod ids;
pub mod job;
pub mod ledger;
pub mod ports;
pub mod task;
pub mod work;

pub use error::{Context, Error, Result};
