//! `summary.json`: what ran, on what, and what became of the pictures. Written last: a run whose summary is there is done.

use super::ledger::Unprocessed;
use imagefleet_common::ledger::{Counts, Reason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fields in the order in which they are written: the reference's, then ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The job's name.
    pub experiment_id: String,
    pub model_family: String,
    /// What the model directory is called.
    pub model_id: String,
    pub num_queries: u64,
    pub num_candidates: u64,
    pub reranking_algorithm: String,
    /// Points in the job's shards.
    pub index_size: u64,
    /// Relative to the output folder.
    pub output_file: String,

    /// Hash of the model's files.
    pub revision: String,
    pub precision: String,
    pub pictures: Pictures,
    /// Results whose picture is no longer the one that was retrieved.
    pub changed: u64,
    /// Dead tasks that a person accepted: what they would have done is not in the results.
    pub accepted_dead: u64,
}

/// The job's shards in sum: seen = embedded + rejected + unprocessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pictures {
    pub seen: u64,
    pub embedded: u64,
    pub rejected: BTreeMap<Reason, u64>,
    pub unprocessed: BTreeMap<Unprocessed, u64>,
    /// Photos that the metadata names and no shard holds; not seen.
    pub missing: u64,
    /// Embedded without a metadata row where the layout has metadata.
    pub unattributed: u64,
}

impl Pictures {
    /// Adds what finished chunks did.
    pub fn add(&mut self, counts: &Counts) {
        self.seen += counts.seen;
        self.embedded += counts.embedded;
        self.unattributed += counts.unattributed;
        for (reason, count) in &counts.rejected {
            *self.rejected.entry(*reason).or_default() += count;
        }
    }

    /// Adds pictures that were seen and not looked at.
    pub fn add_unprocessed(&mut self, reason: Unprocessed, count: u64) {
        if count > 0 {
            self.seen += count;
            *self.unprocessed.entry(reason).or_default() += count;
        }
    }

    pub fn adds_up(&self) -> bool {
        self.seen == self.embedded + self.rejected.values().sum::<u64>() + self.unprocessed.values().sum::<u64>()
    }
}

impl Summary {
    /// The whole file.
    pub fn to_bytes(&self) -> Vec<u8> {
        super::pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_the_references_fields_first_and_ours_after_them() {
        let mut pictures = Pictures { missing: 2, ..Pictures::default() };
        pictures.add(&Counts {
            seen: 10,
            embedded: 7,
            rejected: BTreeMap::from([(Reason::Truncated, 2), (Reason::Empty, 1)]),
            unattributed: 3,
        });
        pictures.add_unprocessed(Unprocessed::Dead, 5);
        pictures.add_unprocessed(Unprocessed::Cancelled, 0);
        assert!(pictures.adds_up());
        let summary = Summary {
            experiment_id: "démo".into(),
            model_family: "clip".into(),
            model_id: "clip-vit-base-patch32".into(),
            num_queries: 30,
            num_candidates: 100,
            reranking_algorithm: "identity".into(),
            index_size: 7,
            output_file: "inference_results.json".into(),
            revision: "0a1b".into(),
            precision: "f32".into(),
            pictures,
            changed: 0,
            accepted_dead: 1,
        };
        let expected = r#"{
  "experiment_id": "démo",
  "model_family": "clip",
  "model_id": "clip-vit-base-patch32",
  "num_queries": 30,
  "num_candidates": 100,
  "reranking_algorithm": "identity",
  "index_size": 7,
  "output_file": "inference_results.json",
  "revision": "0a1b",
  "precision": "f32",
  "pictures": {
    "seen": 15,
    "embedded": 7,
    "rejected": {
      "empty": 1,
      "truncated": 2
    },
    "unprocessed": {
      "dead": 5
    },
    "missing": 2,
    "unattributed": 3
  },
  "changed": 0,
  "accepted_dead": 1
}
"#;
        assert_eq!(String::from_utf8_lossy(&summary.to_bytes()), expected);
    }
}
