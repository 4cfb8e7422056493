//! What was injected, by port and method.

use imagefleet_common::ports::layered::Op;
use std::{collections::BTreeMap, fmt};

/// What happened to the calls of one method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub calls: u64,
    /// Failed, and the effect did not take place.
    pub failed_before: u64,
    /// Failed, though the effect took place.
    pub failed_after: u64,
    /// Answered with fewer bytes or objects than there were.
    pub truncated: u64,
    /// The effect took place twice.
    pub duplicated: u64,
    pub delayed: u64,
}

impl Counts {
    pub fn failures(&self) -> u64 {
        self.failed_before + self.failed_after + self.truncated
    }

    /// The counts as columns, in the order of [`Table`]'s heading.
    fn columns(&self) -> [u64; 6] {
        [self.calls, self.failed_before, self.failed_after, self.truncated, self.duplicated, self.delayed]
    }

    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failed_before += other.failed_before;
        self.failed_after += other.failed_after;
        self.truncated += other.truncated;
        self.duplicated += other.duplicated;
        self.delayed += other.delayed;
    }
}

/// Counts by method, in order of port and method. Printed, it is a table with a line a method and one a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table(pub BTreeMap<Op, Counts>);

impl Table {
    /// The sums of each port.
    pub fn ports(&self) -> BTreeMap<&'static str, Counts> {
        let mut ports: BTreeMap<&'static str, Counts> = BTreeMap::new();
        for (op, counts) in &self.0 {
            ports.entry(op.port).or_default().add(counts);
        }
        ports
    }

    /// Adds what another table counted: a run of many seeds has one table.
    pub fn add(&mut self, other: &Self) {
        for (op, counts) in &other.0 {
            self.0.entry(*op).or_default().add(counts);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["calls", "before", "after", "short", "twice", "late"];
        let mut line = |name: &str, columns: [String; 6]| -> fmt::Result {
            write!(f, "{name:<28}")?;
            columns.iter().try_for_each(|column| write!(f, "{column:>10}"))?;
            writeln!(f)
        };
        line("", heading.map(String::from))?;
        for (port, sum) in self.ports() {
            line(port, sum.columns().map(|count| count.to_string()))?;
            for (op, counts) in self.0.iter().filter(|(op, _)| op.port == port) {
                line(&format!("  {}", op.method), counts.columns().map(|count| count.to_string()))?;
            }
        }
        Ok(())
    }
}
