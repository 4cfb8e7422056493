//! The whole system, from job file to result files.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bad_encoder;
mod broken_input;
mod building_index;
mod crashes;
mod faults;
mod filters;
mod incremental;
mod layouts;
mod leases;
mod losses;
mod main_job;
mod races;
mod real_input;
mod reranking;
mod sigkill;
mod takedowns;
