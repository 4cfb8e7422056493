//! `ledger.jsonl`: what became of every picture: a line a shard, then a line a rejected picture.
//!
//! Two runs that did the same to the same pictures write the same bytes.

use imagefleet_common::ledger::{Reason, RejectedRow};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
};

/// Why a seen picture was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unprocessed {
    /// Its chunk's task is dead.
    Dead,
    /// Its chunk's task was cancelled.
    Cancelled,
}

impl fmt::Display for Unprocessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The serialised name is the name that people see.
        self.serialize(f)
    }
}

/// What became of one shard: seen = embedded + rejected + unprocessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRow {
    /// Path below the corpus root.
    pub shard: String,
    pub version: i64,
    pub seen: u64,
    pub embedded: u64,
    pub rejected: BTreeMap<Reason, u64>,
    pub unprocessed: BTreeMap<Unprocessed, u64>,
    /// Photos that the metadata names and the shard does not hold; not seen.
    pub missing: u64,
}

/// Writes the shards by path, then the rejected pictures by key, shard and entry, all in byte order. `to` should be buffered.
pub fn write_ledger(mut to: impl Write, mut shards: Vec<ShardRow>, mut rejected: Vec<RejectedRow>) -> io::Result<()> {
    shards.sort_by(|a, b| a.shard.cmp(&b.shard));
    rejected.sort_by(|a, b| (&a.key, &a.shard, &a.entry).cmp(&(&b.key, &b.shard, &b.entry)));
    for row in &shards {
        line(&mut to, row)?;
    }
    for row in &rejected {
        line(&mut to, row)?;
    }
    to.flush()
}

fn line(to: &mut impl Write, row: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, row)?;
    to.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

    use super::*;

    fn rejected(key: &str, shard: &str, entry: &str, reason: Reason) -> RejectedRow {
        RejectedRow {
            key: key.into(),
            shard: shard.into(),
            entry: entry.into(),
            reason,
            detail: "what “exactly”".into(),
        }
    }

    fn written(shards: Vec<ShardRow>, rejected: Vec<RejectedRow>) -> String {
        let mut bytes = Vec::new();
        write_ledger(&mut bytes, shards, rejected).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn shards_come_first_by_path_then_rejected_pictures_by_key() {
        let shards = vec![
            ShardRow { shard: "images/abd.zip".into(), version: 1, ..ShardRow::default() },
            ShardRow {
                shard: "images/abc.zip".into(),
                version: 2,
                seen: 9,
                embedded: 5,
                rejected: BTreeMap::from([(Reason::WrongChecksum, 1), (Reason::Duplicate, 2)]),
                unprocessed: BTreeMap::from([(Unprocessed::Cancelled, 1)]),
                missing: 4,
            },
        ];
        let pictures = vec![
            rejected("abc/é", "images/abc.zip", "é.jpg", Reason::WrongChecksum),
            rejected("abc/a", "images/abc.zip", "b.jpg", Reason::Duplicate),
            rejected("abc/a", "images/abc.zip", "a.jpg", Reason::Duplicate),
            rejected("abc/Z", "images/abc.zip", "Z.jpg", Reason::Empty),
        ];
        let expected = r#"{"shard":"images/abc.zip","version":2,"seen":9,"embedded":5,"rejected":{"wrong-checksum":1,"duplicate":2},"unprocessed":{"cancelled":1},"missing":4}
{"shard":"images/abd.zip","version":1,"seen":0,"embedded":0,"rejected":{},"unprocessed":{},"missing":0}
{"key":"abc/Z","shard":"images/abc.zip","entry":"Z.jpg","reason":"empty","detail":"what “exactly”"}
{"key":"abc/a","shard":"images/abc.zip","entry":"a.jpg","reason":"duplicate","detail":"what “exactly”"}
{"key":"abc/a","shard":"images/abc.zip","entry":"b.jpg","reason":"duplicate","detail":"what “exactly”"}
{"key":"abc/é","shard":"images/abc.zip","entry":"é.jpg","reason":"wrong-checksum","detail":"what “exactly”"}
"#;
        assert_eq!(written(shards.clone(), pictures.clone()), expected);
        let backwards = |mut shards: Vec<ShardRow>, mut pictures: Vec<RejectedRow>| {
            shards.reverse();
            pictures.reverse();
            written(shards, pictures)
        };
        assert_eq!(backwards(shards, pictures), expected);
    }
}
