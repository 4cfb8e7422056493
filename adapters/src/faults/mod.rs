//! Faulty twins: layers around a port that fail, delay, truncate, duplicate or kill, on a seed.
//!
//! [`Faults`] injects what networks and disks do and counts it; [`Kill`] ends the process at a call.

mod counts;
mod inject;
mod kill;

pub use counts::{Counts, Table};
pub use inject::{FaultPlan, Faults};
pub use kill::{Kill, Moment, die};

use imagefleet_common::ports::layered::Op;

/// Methods by name, as tests and the environment give them: `("index", "put")`.
#[derive(Debug, Clone, Default)]
pub struct Methods(Vec<(String, String)>);

impl Methods {
    pub fn new(names: &[(&str, &str)]) -> Self {
        Self(names.iter().map(|(port, method)| ((*port).to_owned(), (*method).to_owned())).collect())
    }

    fn has(&self, op: Op) -> bool {
        self.0.iter().any(|(port, method)| op.port == port && op.method == method)
    }
}
