//! `run.json`: everything that a run's results depend on, and what it took. Two of them say why two runs differ.

use imagefleet_common::{
    job::spec::{IndexSection, JobSpec},
    ledger::Spent,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    pub imagefleet: Binary,
    pub job: JobRecord,
    pub model: ModelRecord,
    pub corpus: CorpusRecord,
    /// Where the vectors are.
    pub collection: String,
    pub storage: IndexSection,
    /// The machine that wrote the results; the workers that did the job's tasks are named beside it.
    pub machine: Machine,
    pub workers: Vec<String>,
    pub timings: Timings,
    /// SHA-256 of each result file that depends on nothing but what stands above.
    pub results: BTreeMap<String, String>,
}

/// What computed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binary {
    pub version: String,
    /// Git's name of the source, `-dirty` after it where files had changed; `unknown` outside of a clone.
    pub commit: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    pub id: String,
    /// Milliseconds since the Unix epoch.
    pub created: i64,
    /// The job file, with its defaults.
    pub spec: JobSpec,
    /// SHA-256 of the articles' file.
    pub articles: String,
    /// SHA-256 of each reranker's head, where it has one.
    pub heads: Vec<Option<String>>,
    /// Tasks that failed for good and were gone on without.
    #[serde(default)]
    pub accepted_dead: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    pub name: String,
    /// Hash over the files that decide a vector.
    pub revision: String,
    /// SHA-256 of each of them.
    pub files: BTreeMap<String, String>,
    pub precision: String,
    pub preprocessing: String,
    pub dims: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusRecord {
    pub id: String,
    pub source: String,
    /// By path.
    pub shards: Vec<ShardRecord>,
    /// Pictures of them that were taken down.
    #[serde(default)]
    pub taken_down: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRecord {
    pub path: String,
    /// The catalog's count of its changes.
    pub version: i64,
    /// What names its content: the tags of its objects, or a hash over them.
    pub listing: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub system: String,
    pub processor: String,
    pub cores: usize,
    pub memory_bytes: u64,
}

/// What the run took, as far as it was done for this job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// In which at least one of the job's tasks was at work.
    pub seconds: f64,
    pub stages: Vec<StageTiming>,
    /// Of the embed tasks that ran for this job.
    pub embedding: Embedding,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTiming {
    pub stage: String,
    pub tasks: u64,
    /// Tasks that earlier jobs had done.
    pub found_done: u64,
    /// In which at least one of them was at work.
    pub seconds: f64,
    /// Sum over the tasks, each from its last claim to its end.
    pub task_seconds: f64,
}

/// The pipeline's stages, by the seconds that each was at work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    pub pictures: u64,
    pub decoders: u64,
    pub read: f64,
    pub decode: f64,
    pub encode: f64,
    pub upsert: f64,
    /// The stage that all others waited for; `None` where nothing was embedded.
    pub bottleneck: Option<String>,
}

impl Embedding {
    /// Of `pictures` pictures that took `spent`. Decoding has several threads, the others work one at a time.
    pub fn new(pictures: u64, spent: &Spent) -> Self {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let mut embedding = Self {
            pictures,
            decoders: spent.decoders,
            read: seconds(spent.read),
            decode: seconds(spent.decode),
            encode: seconds(spent.encode),
            upsert: seconds(spent.upsert),
            bottleneck: None,
        };
        let longest = embedding.by_the_clock().into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
        embedding.bottleneck = longest.filter(|(_, took)| *took > 0.0).map(|(stage, _)| stage.to_owned());
        embedding
    }

    /// What each stage would take alone.
    pub fn by_the_clock(&self) -> [(&'static str, f64); 4] {
        let decode = self.decode / self.decoders.max(1) as f64;
        [("read", self.read), ("decode", decode), ("encode", self.encode), ("upsert", self.upsert)]
    }
}

impl RunRecord {
    /// The whole file.
    pub fn to_bytes(&self) -> Vec<u8> {
        super::pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottleneck_is_the_stage_that_takes_longest_with_all_its_threads() {
        let spent = |read, decode, encode, upsert| Spent { read, decode, encode, upsert, decoders: 4 };
        let bottleneck = |spent| Embedding::new(7, &spent).bottleneck;
        assert_eq!(bottleneck(spent(1, 30, 9, 2)).as_deref(), Some("encode"), "four decoders take 7.5");
        assert_eq!(bottleneck(spent(1, 40, 9, 2)).as_deref(), Some("decode"));
        assert_eq!(bottleneck(spent(11, 40, 9, 2)).as_deref(), Some("read"));
        assert_eq!(bottleneck(spent(1, 40, 9, 20)).as_deref(), Some("upsert"));
        assert_eq!(bottleneck(Spent::default()), None);
    }
}
