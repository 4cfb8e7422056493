//! The sweep: what a reranker would reach at each weight, from the scores that it gave once.

use super::metrics::{AtK, Tally};
use crate::fusion::{Form, Scored, fuse};
use serde::{Deserialize, Serialize};

/// 0, 0.1, … 1.
fn weights() -> [f64; 11] {
    std::array::from_fn(|tenths| tenths as f64 / 10.0)
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtWeight {
    pub weight: f64,
    /// A row a length, in rising order.
    pub at: Vec<AtK>,
}

#[derive(Debug, Clone)]
pub struct Sweep {
    form: Form,
    tallies: [(f64, Tally); 11],
}

impl Sweep {
    /// For lists of at most `candidates`.
    pub fn new(form: Form, candidates: usize) -> Self {
        Self { form, tallies: weights().map(|weight| (weight, Tally::new(candidates))) }
    }

    /// Measures the candidates of one title, in the order of retrieval, at every weight.
    pub fn add(&mut self, image_id: &str, candidates: &[Scored]) {
        for (weight, tally) in &mut self.tallies {
            tally.add(image_id, &fuse(candidates.to_vec(), *weight, self.form));
        }
    }

    /// In the order of the weights.
    pub fn at_weights(&self) -> Vec<AtWeight> {
        let at = |(weight, tally): &(f64, Tally)| AtWeight { weight: *weight, at: tally.at() };
        self.tallies.iter().map(at).collect()
    }
}
