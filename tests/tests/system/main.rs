//! The whole system, from job file to result files.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod broken_input;
mod faults;
mod incremental;
mod layouts;
mod main_job;
mod real_input;
mod sigkill;
