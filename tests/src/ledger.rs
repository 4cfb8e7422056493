//! `ledger.jsonl` and `summary.json` as any reader of the result files would read them.

use imagefleet_common::ledger::{Reason, RejectedRow};
use imagefleet_retrieval::results::{ShardRow, Summary};
use std::{collections::BTreeMap, fs, path::Path};

/// A ledger that was read back, and the summary beside it.
pub struct Ledger {
    pub shards: Vec<ShardRow>,
    pub rejected: Vec<RejectedRow>,
    pub summary: Summary,
}

impl Ledger {
    /// Reads both files of an output folder.
    pub fn read(out: &Path) -> Self {
        let text = fs::read_to_string(out.join("ledger.jsonl")).unwrap();
        let is_shard = |line: &&str| line.starts_with(r#"{"shard":"#);
        Self {
            shards: text.lines().filter(is_shard).map(|line| serde_json::from_str(line).unwrap()).collect(),
            rejected: text
                .lines()
                .filter(|line| !is_shard(line))
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            summary: serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap(),
        }
    }

    pub fn shard(&self, path: &str) -> &ShardRow {
        self.shards.iter().find(|row| row.shard == path).unwrap()
    }

    /// Where shard rows, rejected rows and summary do not give the same sums.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for row in &self.shards {
            let unprocessed: u64 = row.unprocessed.values().sum();
            if row.seen != row.embedded + row.rejected.values().sum::<u64>() + unprocessed {
                faults.push(format!("{row:?} does not add up"));
            }
            let named = by_reason(self.rejected.iter().filter(|rejected| rejected.shard == row.shard));
            if named != row.rejected {
                faults.push(format!("{}: {:?} counted and {named:?} named", row.shard, row.rejected));
            }
        }
        let pictures = &self.summary.pictures;
        let sum = |count: fn(&ShardRow) -> u64| self.shards.iter().map(count).sum::<u64>();
        let sums = [
            ("seen", sum(|row| row.seen), pictures.seen),
            ("embedded", sum(|row| row.embedded), pictures.embedded),
            ("embedded, as the index has it", sum(|row| row.embedded), self.summary.index_size),
            ("unprocessed", sum(|row| row.unprocessed.values().sum()), pictures.unprocessed.values().sum()),
            ("missing", sum(|row| row.missing), pictures.missing),
        ];
        for (what, of_shards, of_summary) in sums {
            if of_shards != of_summary {
                faults.push(format!("{what}: {of_shards} in the shards' rows, {of_summary} in the summary"));
            }
        }
        if by_reason(&self.rejected) != pictures.rejected || !pictures.adds_up() {
            faults.push(format!("the summary has {pictures:?}"));
        }
        faults
    }
}

fn by_reason<'a>(rows: impl IntoIterator<Item = &'a RejectedRow>) -> BTreeMap<Reason, u64> {
    rows.into_iter().fold(BTreeMap::new(), |mut counts, row| {
        *counts.entry(row.reason).or_default() += 1;
        counts
    })
}
