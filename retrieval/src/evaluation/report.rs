//! What reranking changed: retrieval's order beside a reranker's, over the same titles.

use super::{
    metrics::{AtK, MEASURES, Tally},
    sweep::{AtWeight, Sweep},
};
use imagefleet_common::ports::index::Hit;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Measures titles in both orders.
#[derive(Debug, Clone)]
pub struct Comparison {
    before: Tally,
    after: Tally,
}

impl Comparison {
    /// For lists of at most `candidates`.
    pub fn new(candidates: usize) -> Self {
        Self { before: Tally::new(candidates), after: Tally::new(candidates) }
    }

    /// Measures the candidates of one title in both orders, best first.
    pub fn add(&mut self, image_id: &str, before: &[Hit], after: &[Hit]) {
        self.before.add(image_id, before);
        self.after.add(image_id, after);
    }

    /// With the sweep over the same titles, where one was made.
    pub fn report(&self, sweep: Option<&Sweep>) -> Report {
        let (before, after) = (self.before.at(), self.after.at());
        Report {
            queries: self.before.queries(),
            without_truth: self.before.without_truth(),
            k: before.iter().map(|at| at.k).collect(),
            // Both tallies have seen the same titles at the same lengths.
            difference: before.iter().zip(&after).map(|(before, after)| added(before, after)).collect(),
            before,
            after,
            sweep: sweep.map(Sweep::at_weights),
        }
    }
}

fn added(before: &AtK, after: &AtK) -> AtK {
    AtK {
        k: before.k,
        hits: after.hits - before.hits,
        mrr: after.mrr - before.mrr,
        precision: after.precision - before.precision,
    }
}

/// What was found: `metrics.json` holds it, fields in this order, and a terminal shows it as a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Titles that were measured.
    pub queries: u64,
    /// Titles whose article names no picture, which were left out.
    pub without_truth: u64,
    /// The lengths; none where no title was measured. Each has a row in the lists that follow.
    pub k: Vec<usize>,
    pub before: Vec<AtK>,
    pub after: Vec<AtK>,
    /// What reranking adds; negative where it takes.
    pub difference: Vec<AtK>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Vec<AtWeight>>,
}

impl Report {
    /// The orders that are compared and their difference, each by its name.
    pub(crate) fn phases(&self) -> [(&'static str, &[AtK]); 3] {
        [("before", &self.before), ("after", &self.after), ("difference", &self.difference)]
    }
}

/// Three decimals of the exact values, ties to even, as Python's `format` prints them. A difference is rounded after it
/// is taken.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} titles measured, {} without a picture left out", self.queries, self.without_truth)?;
        if self.queries == 0 {
            return Ok(());
        }
        writeln!(f, "{:<14}{:>10}{:>10}{:>12}", "metric", "before", "after", "difference")?;
        for (name, of) in MEASURES {
            for ((before, after), difference) in self.before.iter().zip(&self.after).zip(&self.difference) {
                let (name, before, after) = (format!("{name}@{}", before.k), of(before), of(after));
                writeln!(f, "{name:<14}{before:>10.3}{after:>10.3}{:>+12.3}", of(difference))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(keys: &[&str]) -> Vec<Hit> {
        keys.iter().map(|key| Hit { key: (*key).to_owned(), score: 0.5, epoch: 1 }).collect()
    }

    #[test]
    fn the_table_has_three_decimals_and_a_sign_for_the_difference() {
        let mut comparison = Comparison::new(5);
        comparison.add("1", &hits(&["x", "1"]), &hits(&["1", "x"]));
        comparison.add("2", &hits(&["2"]), &hits(&["2"]));
        comparison.add("3", &hits(&["x", "3"]), &hits(&["x", "y", "z", "3"]));
        comparison.add("", &[], &[]);
        let expected = "\
3 titles measured, 1 without a picture left out
metric            before     after  difference
hits@1             0.333     0.667      +0.333
hits@5             1.000     1.000      +0.000
mrr@1              0.333     0.667      +0.333
mrr@5              0.667     0.750      +0.083
precision@1        0.333     0.667      +0.333
precision@5        0.200     0.200      +0.000
";
        assert_eq!(comparison.report(None).to_string(), expected);
    }

    #[test]
    fn a_reranker_that_takes_has_a_negative_difference() {
        let mut comparison = Comparison::new(1);
        comparison.add("1", &hits(&["1"]), &hits(&["2"]));
        let report = comparison.report(None);
        assert_eq!(report.difference, [AtK { k: 1, hits: -1.0, mrr: -1.0, precision: -1.0 }]);
        assert!(report.to_string().contains("hits@1             1.000     0.000      -1.000\n"));
    }

    #[test]
    fn a_figure_between_two_of_three_decimals_is_printed_as_python_prints_it() {
        // 1 of 16 is 0.0625: Python's format(1 / 16, ".3f") is 0.062, and of 3 / 16 it is 0.188.
        let printed = |right: usize| {
            let mut comparison = Comparison::new(1);
            for title in 0..16 {
                comparison.add("1", &[], &hits(&[if title < right { "1" } else { "0" }]));
            }
            comparison.report(None).to_string()
        };
        assert!(printed(1).contains(" 0.062      +0.062\n") && printed(3).contains(" 0.188      +0.188\n"));
    }

    #[test]
    fn nothing_measured_is_a_report_without_rows() {
        let mut comparison = Comparison::new(100);
        comparison.add("", &hits(&["1"]), &hits(&["1"]));
        let report = comparison.report(None);
        assert_eq!((report.queries, report.without_truth, report.phases().map(|(_, at)| at.len())), (0, 1, [0; 3]));
        assert_eq!(report.to_string(), "0 titles measured, 1 without a picture left out\n");
    }
}
