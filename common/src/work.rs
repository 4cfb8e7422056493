//! Kinds of work, the stages of a job, and what a task's row says is to be done.

use crate::ids::{CollectionId, CorpusId, JobId, Queue, TaskId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Raised when tasks change so that an older worker must not touch them; part of every queue's name.
pub const PROTOCOL: u32 = 2;

/// A step of a job. Listing and embedding can add to each other, so they begin and end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Embed,
    Seal,
    Retrieve,
    Rerank,
    Finalize,
}

impl Stage {
    pub const ALL: [Self; 5] = [Self::Embed, Self::Seal, Self::Retrieve, Self::Rerank, Self::Finalize];

    /// The stage after this one; `None` after the last.
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage > self)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Seal => "seal",
            Self::Retrieve => "retrieve",
            Self::Rerank => "rerank",
            Self::Finalize => "finalize",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    List,
    Embed,
    Seal,
    Retrieve,
    Rerank,
    Finalize,
    /// Outside of any job file: a text that somebody waits for.
    Search,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::List, Self::Embed, Self::Seal, Self::Retrieve, Self::Rerank, Self::Finalize, Self::Search];

    pub fn stage(self) -> Stage {
        match self {
            Self::List | Self::Embed => Stage::Embed,
            Self::Seal => Stage::Seal,
            Self::Retrieve => Stage::Retrieve,
            Self::Rerank => Stage::Rerank,
            // A search is a job of this one task: it begins in its last stage.
            Self::Finalize | Self::Search => Stage::Finalize,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Embed => "embed",
            Self::Seal => "seal",
            Self::Retrieve => "retrieve",
            Self::Rerank => "rerank",
            Self::Finalize => "finalize",
            Self::Search => "search",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Is the encoder needed? Then the queue carries the model's name.
    pub fn needs_model(self) -> bool {
        matches!(self, Self::Embed | Self::Retrieve | Self::Search)
    }

    /// The queue of this kind of work, for one model where that matters.
    pub fn queue(self, model: &str) -> Queue {
        Queue(match self.needs_model() {
            true => format!("{}.{model}.p{PROTOCOL}", self.name()),
            false => format!("{}.p{PROTOCOL}", self.name()),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A chunk of a shard at one version: the unit of embedding, and of the index port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChunkRef {
    /// The shard's number in its corpus, as the catalog gave it.
    pub shard: i64,
    /// The catalog's count of the changes of the shard, as it was when the chunk was cut.
    pub version: i64,
    /// The chunk's number in its shard.
    pub chunk: i64,
}

impl fmt::Display for ChunkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} version {} chunk {}", self.shard, self.version, self.chunk)
    }
}

/// What is to be done. Shared work is keyed by content, a job's own work by the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Work {
    /// Read a shard's directory and cut it into chunks.
    List { corpus: CorpusId, shard: i64 },
    /// Turn a chunk's pictures into vectors in the index.
    Embed { collection: CollectionId, chunk: ChunkRef },
    /// Prove that the index holds what the ledger says.
    Seal { job: JobId },
    /// Encode a block of titles and store the candidates of each.
    Retrieve { job: JobId, block: u32 },
    /// Score a block's candidates with the job's `reranker`-th reranker.
    Rerank { job: JobId, reranker: u32, block: u32 },
    /// Read payloads, fuse, write the result files.
    Finalize { job: JobId },
    /// Encode a text and name the pictures nearest to it.
    Search { job: JobId },
}

impl Work {
    pub fn kind(&self) -> Kind {
        match self {
            Self::List { .. } => Kind::List,
            Self::Embed { .. } => Kind::Embed,
            Self::Seal { .. } => Kind::Seal,
            Self::Retrieve { .. } => Kind::Retrieve,
            Self::Rerank { .. } => Kind::Rerank,
            Self::Finalize { .. } => Kind::Finalize,
            Self::Search { .. } => Kind::Search,
        }
    }

    /// The job that owns it; shared work has none.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::List { .. } | Self::Embed { .. } => None,
            Self::Seal { job }
            | Self::Retrieve { job, .. }
            | Self::Rerank { job, .. }
            | Self::Finalize { job }
            | Self::Search { job } => Some(*job),
        }
    }

    /// One row per key.
    pub fn key(&self) -> String {
        match self {
            Self::List { corpus, shard } => format!("list/{corpus}/{shard}"),
            Self::Embed { collection, chunk: ChunkRef { shard, version, chunk } } => {
                format!("embed/{collection}/{shard}/{version}/{chunk}")
            }
            Self::Seal { job } => format!("seal/{job}"),
            Self::Retrieve { job, block } => format!("retrieve/{job}/{block}"),
            Self::Rerank { job, reranker, block } => format!("rerank/{job}/{reranker}/{block}"),
            Self::Finalize { job } => format!("finalize/{job}"),
            Self::Search { job } => format!("search/{job}"),
        }
    }

    pub fn id(&self) -> TaskId {
        TaskId::of_key(&self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_each_other_and_names_read_back() {
        assert_eq!(Stage::Embed.next(), Some(Stage::Seal));
        assert_eq!(Stage::Finalize.next(), None);
        for stage in Stage::ALL {
            assert_eq!(Stage::from_name(stage.name()), Some(stage));
        }
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
    }

    #[test]
    fn only_work_with_the_encoder_is_queued_by_model() {
        assert_eq!(Kind::Embed.queue("clip-1"), Queue("embed.clip-1.p2".into()));
        assert_eq!(Kind::List.queue("clip-1"), Queue("list.p2".into()));
    }
}
