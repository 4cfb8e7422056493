//! What a report says. Whoever makes it has checked nothing: every text may hold anything.

use crate::results::{Pictures, ShardRow};
use imagefleet_common::{
    ledger::{Reason, RejectedRow},
    ports::index::Attribution,
};
use serde::{Deserialize, Serialize};

/// All of a run's report but the queries and their pictures, which come one by one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The job's name.
    pub title: String,
    pub model: String,
    pub corpus: String,
    pub collection: String,
    /// The first one's order is the one that is shown.
    pub rerankers: Vec<Reranker>,
    /// Pictures that were retrieved for each query.
    pub candidates: u64,
    pub queries: u64,
    /// Points in the job's shards.
    pub index_size: u64,
    /// As it is to be shown.
    pub created: String,
    /// Of imagefleet, with the commit where that is known.
    pub version: String,
    /// What a reader must know before believing the numbers: "2 dead tasks left out".
    pub notes: Vec<String>,
    /// The run's other result files.
    pub files: Vec<ResultFile>,
    /// None without ground truth.
    pub evaluations: Vec<Evaluation>,
    pub sweeps: Vec<Sweep>,
    pub timings: Timings,
    pub ledger: Ledger,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reranker {
    pub name: String,
    /// `None` where nothing is fused.
    pub weight: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultFile {
    /// Relative to the report; anything else is shown without a link.
    pub path: String,
    /// What is in it, in a few words.
    pub about: String,
}

/// How well one reranker did, over the queries that have a right picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub reranker: String,
    /// Queries that were counted.
    pub queries: u64,
    pub rows: Vec<EvaluationRow>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRow {
    pub k: u32,
    pub hits: Change,
    pub mrr: Change,
    pub precision: Change,
}

/// A metric before and after reranking, unrounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub before: f64,
    pub after: f64,
}

/// One metric over the weights of one reranker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    pub reranker: String,
    /// "Hits@1"
    pub metric: String,
    /// By weight, upwards.
    pub points: Vec<SweepPoint>,
    /// The weight that the run used.
    pub used: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    pub weight: f64,
    pub value: f64,
}

/// Where the time went. Nothing at all where everything was done already.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Of the whole run.
    pub wall_seconds: f64,
    /// embed, seal, retrieve, rerank, finalize.
    pub stages: Vec<StageTime>,
    /// Within embed, all at once: read, decode, encode, upsert. The busiest is the bottleneck.
    pub pipeline: Vec<PipelineTime>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTime {
    pub name: String,
    /// 0 where the stage had nothing to do.
    pub wall_seconds: f64,
    pub items: u64,
    /// What is counted: "pictures".
    pub unit: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PipelineTime {
    pub name: String,
    /// 0 to 1: the share of the wall clock in which its threads were at work, on average.
    pub busy: f64,
    /// Of all its threads together.
    pub busy_seconds: f64,
    pub items: u64,
}

/// What became of every picture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    pub pictures: Pictures,
    /// Shown up to [`MOST_SHARDS`](super::MOST_SHARDS); beyond that their number is.
    pub shards: Vec<ShardRow>,
    /// A few pictures a reason.
    pub rejected: Vec<RejectedExample>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedExample {
    pub key: String,
    pub shard: String,
    pub entry: String,
    pub reason: Reason,
    pub detail: String,
    /// Otherwise a tile stands for it.
    pub preview: Option<Preview>,
}

/// A picture that a browser may be able to show, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// A thumbnail, or the small picture itself.
    pub bytes: Vec<u8>,
    pub of: Picture,
}

impl RejectedExample {
    pub fn new(row: RejectedRow, preview: Option<Preview>) -> Self {
        let RejectedRow { key, shard, entry, reason, detail } = row;
        Self { key, shard, entry, reason, detail, preview }
    }
}

/// A query and the first pictures that were found for it, in the order after reranking.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Query {
    /// Unique in a report.
    pub id: String,
    /// The text that was searched for.
    pub title: String,
    /// The article's.
    pub url: String,
    pub tags: String,
    /// A JPEG of the picture that was searched for, where it was no text.
    pub picture: Option<Vec<u8>>,
    /// `None` without ground truth.
    pub right: Option<RightRank>,
    pub found: Vec<Found>,
}

/// From 1 on, among all candidates; `None` where the right picture is not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightRank {
    pub before: Option<u32>,
    pub after: Option<u32>,
}

/// One picture of a query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    pub picture: Picture,
    /// Ranks from 1 on.
    pub before: u32,
    pub after: u32,
    pub similarity: f32,
    /// The reranker's.
    pub score: Option<f32>,
    pub fused: Option<f32>,
    pub is_right: bool,
    /// It is no longer the picture that was retrieved.
    pub changed: bool,
}

/// What is the same wherever a picture comes up: the first to come is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Picture {
    /// Unique in a report.
    pub key: String,
    /// Shard and entry.
    pub path: String,
    /// What Creative Commons wants to be said. Empty where it is not known.
    pub title: String,
    pub author: String,
    /// The page that the picture is from.
    pub page: String,
    /// What the licence is called.
    pub licence: String,
    pub licence_url: String,
    /// The layout has no metadata, so that nobody can be named.
    pub is_own: bool,
}

impl Picture {
    /// A picture with metadata.
    pub fn credited(key: &str, path: &str, known: &Attribution) -> Self {
        Self {
            key: key.to_owned(),
            path: path.to_owned(),
            title: known.title_text(),
            author: known.credit(),
            page: known.page_url.clone(),
            licence: known.licence.clone(),
            licence_url: known.licence_url.clone(),
            is_own: false,
        }
    }

    /// A picture of a layout without metadata.
    pub fn own(key: &str, path: &str) -> Self {
        Self { key: key.to_owned(), path: path.to_owned(), is_own: true, ..Self::default() }
    }
}

/// What a page for a single search says above its pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Search {
    pub model: String,
    pub collection: String,
    /// Pictures that were searched.
    pub index_size: u64,
    pub created: String,
    pub version: String,
}
