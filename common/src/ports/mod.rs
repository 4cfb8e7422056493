//! The ports: what coordinator and worker need of the world, one small trait each.
//!
//! An adapter implements a trait and runs its suite in `conformance` (a feature of the same name). Retries, timeouts
//! and faults are [layers](layered) around a port, written once for all adapters.

pub mod broker;
pub mod catalog;
pub mod index;
pub mod jobs;
pub mod layered;
pub mod objects;
pub mod tasks;
