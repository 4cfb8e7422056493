//! The reference's split of the articles: 80 % to train, 10 % to validate, the rest to test.
//!
//! Rows are permuted as `numpy.random.RandomState(seed).permutation(rows)` does it; the parts are cut from that order and
//! keep it.

use super::numpy::RandomState;
use imagefleet_common::job::spec::Part;

/// The seed of the published runs.
pub const SEED: u32 = 28;

/// Rows are counted from 0, in the order of the articles' file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    permuted: Vec<usize>,
    /// Where validation begins, and where test does.
    validation: usize,
    test: usize,
}

pub fn split(rows: usize, seed: u32) -> Split {
    let validation = share(0.8, rows);
    let test = validation + share(0.1, rows);
    Split { permuted: RandomState::new(seed).permutation(rows), validation, test }
}

/// Python's `int(share * rows)`: a product in f64, cut off and not rounded.
fn share(share: f64, rows: usize) -> usize {
    (share * rows as f64) as usize
}

impl Split {
    pub fn part(&self, part: Part) -> Vec<usize> {
        match part {
            Part::All => (0..self.permuted.len()).collect(),
            Part::Train => self.permuted[..self.validation].to_vec(),
            Part::Validation => self.permuted[self.validation..self.test].to_vec(),
            Part::Test => self.permuted[self.test..].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_together_hold_every_row_once() {
        for rows in [0, 1, 2, 9, 10, 11, 1_000] {
            let split = split(rows, SEED);
            let parts = [Part::Train, Part::Validation, Part::Test].map(|part| split.part(part));
            assert_eq!(parts.concat(), split.permuted);
            let mut sorted = parts.concat();
            sorted.sort_unstable();
            assert_eq!(sorted, split.part(Part::All));
            assert_eq!(sorted, (0..rows).collect::<Vec<_>>());
        }
    }
}
