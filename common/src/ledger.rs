//! The ledger: what became of every picture.
//!
//! *seen* = embedded + rejected(reason) + unprocessed(dead | cancelled). A picture is rejected only for what
//! its bytes are, for crashes, for the collection's filter, or for a takedown; a failed read fails the task.

use crate::ids::Millis;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Why a picture has no vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No bytes at all.
    Empty,
    /// Begins like no picture format that we read.
    UnknownFormat,
    /// Ends before the picture does.
    Truncated,
    /// A decoder refused it.
    Undecodable,
    /// More bytes than the job file's `limits.max_bytes`.
    TooManyBytes,
    /// More pixels than the job file's `limits.max_pixels`.
    TooManyPixels,
    /// A side longer than the job file's `limits.max_side`.
    SideTooLong,
    /// The archive's own checksum does not match.
    WrongChecksum,
    /// The archive's entry cannot be unpacked: bad local header, unsupported or broken compression.
    BadEntry,
    /// A later entry of a name that the shard already has.
    Duplicate,
    /// Two metadata rows have this key and different URLs.
    KeyCollision,
    /// The key does not begin with its shard's name.
    Misplaced,
    /// An entry name that would leave its folder.
    UnsafeName,
    /// The model gave a vector that is not finite or has no length.
    NotFinite,
    /// The process died twice at this picture.
    Crashes,
    /// Kept out by the collection's filter.
    Filtered,
    /// Taken down.
    Takedown,
}

impl Reason {
    /// By the name that people see.
    pub fn from_name(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The serialised name is the name that people see.
        self.serialize(f)
    }
}

/// A picture that was refused, before it is known which entry of which shard it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    /// What exactly was wrong, for a person; without times, attempts or machine names.
    pub detail: String,
}

impl Rejection {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// The ledger's row of one rejected picture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RejectedRow {
    pub key: String,
    /// Path of the shard below the corpus root.
    pub shard: String,
    /// The entry's name in its shard.
    pub entry: String,
    pub reason: Reason,
    pub detail: String,
}

/// A picture that was embedded, as its takedown needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedRow {
    pub key: String,
    /// The entry's name in its shard.
    pub entry: String,
    /// Without a metadata row where the layout has metadata.
    pub unattributed: bool,
}

/// A picture that is to have no vector any more, in no collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takedown {
    /// Grows with every takedown.
    pub number: i64,
    pub key: String,
    /// When, by the store's clock.
    pub at: Millis,
    /// For people; empty where nobody said.
    pub why: String,
}

impl Takedown {
    pub fn rejection(&self) -> Rejection {
        let detail = if self.why.is_empty() { "taken down" } else { &self.why };
        Rejection::new(Reason::Takedown, detail)
    }
}

/// What the stages of embedding took for one chunk, or for several: microseconds in which each was at work for it.
/// A stage works for several chunks at once, so a chunk's share of a batch is that of its pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Waiting for bytes that reads ahead had not brought yet.
    pub read: u64,
    /// Over all decoder threads.
    pub decode: u64,
    pub encode: u64,
    pub upsert: u64,
    /// Decoder threads of the worker: `decode` can pass so many times as fast as the clock.
    pub decoders: u64,
}

impl Spent {
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.decode += other.decode;
        self.encode += other.encode;
        self.upsert += other.upsert;
        self.decoders = self.decoders.max(other.decoders);
    }

    /// The stages by name, each with the seconds that it needs where nothing else holds it up: decoding is spread over
    /// its threads.
    pub fn stages(&self) -> [(&'static str, f64); 4] {
        let seconds = |micros: u64| micros as f64 / 1e6;
        [
            ("read", seconds(self.read)),
            ("decode", seconds(self.decode) / self.decoders.max(1) as f64),
            ("encode", seconds(self.encode)),
            ("upsert", seconds(self.upsert)),
        ]
    }

    /// The stage that all others wait for; `None` where nothing was measured.
    pub fn bottleneck(&self) -> Option<&'static str> {
        let slowest = self.stages().into_iter().max_by(|(_, one), (_, other)| one.total_cmp(other));
        slowest.filter(|(_, seconds)| *seconds > 0.0).map(|(stage, _)| stage)
    }
}

/// The ledger's row of one chunk, or the sum over several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub seen: u64,
    pub embedded: u64,
    pub rejected: BTreeMap<Reason, u64>,
    /// Embedded pictures without a metadata row where the layout has metadata.
    pub unattributed: u64,
}

impl Counts {
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Every picture of a finished chunk is embedded or rejected.
    pub fn adds_up(&self) -> bool {
        self.seen == self.embedded + self.rejected_total()
    }

    pub fn add(&mut self, other: &Self) {
        self.seen += other.seen;
        self.embedded += other.embedded;
        self.unattributed += other.unattributed;
        for (reason, count) in &other.rejected {
            *self.rejected.entry(*reason).or_default() += count;
        }
    }
}
