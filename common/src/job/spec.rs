//! What a job file says, and the parts of it that stand on their own: the corpus and the collection.
//!
//! Every field here has passed the checks of [`file`](super::file); what may be left out of the file has its default.

mod storage;

use crate::{
    error::{Context, Result},
    filter::Filter,
    ids::{CollectionId, CorpusId, content_hash},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

pub use storage::{Hnsw, IndexKind, IndexSection, Quantization, VectorType};

/// A job file. Two files that differ in comments, order or spelled-out defaults are equal here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// Names the job for people, and its results (`experiment_id`).
    pub name: String,
    #[serde(default)]
    pub priority: i32,
    pub corpus: CorpusSection,
    pub model: ModelSection,
    #[serde(default)]
    pub index: IndexSection,
    /// `[index.filter]`: which pictures are indexed at all. Apart from `index`, for it is no matter of storage.
    #[serde(default, skip_serializing_if = "Filter::is_empty")]
    pub index_filter: Filter,
    #[serde(default)]
    pub limits: Limits,
    pub articles: ArticlesSection,
    #[serde(default)]
    pub retrieval: RetrievalSection,
    /// In order; the first is the job's primary one, whose results also stand at the top of the output folder.
    /// Left out: the identity.
    #[serde(default)]
    pub rerank: Vec<RerankSection>,
    /// Left out: nothing is known of right pictures, and all articles are queries.
    #[serde(default)]
    pub evaluation: Option<EvaluationSection>,
    #[serde(default)]
    pub report: ReportSection,
    pub output: OutputSection,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusSection {
    pub name: String,
    /// Below the operator's object root; an absolute path or `~/…` only in an embedded run.
    pub source: String,
    pub layout: Layout,
    /// Which objects below `source` are shards (archives); unused by the folder layout. Left out: the layout's own.
    #[serde(default)]
    pub shards: Option<String>,
    /// Where a shard's metadata stands, `{shard}` being the shard's file name without extension. Left out: the layout's own.
    #[serde(default)]
    pub metadata: Option<String>,
    /// Entries that are pictures; all others are sidecars and not counted.
    #[serde(default = "default_pictures")]
    pub pictures: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Zip shards `images/abc.zip` with `metadata/abc.jsonl.gz`, keys made from download URLs.
    Yfcc,
    /// Zip shards without metadata.
    Zip,
    /// Tar shards (webdataset).
    Tar,
    /// Pictures as files; each folder directly below the source is a shard, and the source itself is one for the files in it.
    Folder,
}

impl Layout {
    pub fn default_shards(self) -> &'static str {
        match self {
            Self::Yfcc => "images/*.zip",
            Self::Zip => "**/*.zip",
            Self::Tar => "**/*.tar",
            Self::Folder => "",
        }
    }

    /// Do its metadata name the pictures by their keys? Elsewhere nothing is known of a picture's author or licence.
    pub fn says_whose_pictures(self) -> bool {
        self == Self::Yfcc
    }

    pub fn default_metadata(self) -> Option<&'static str> {
        (self == Self::Yfcc).then_some("metadata/{shard}.jsonl.gz")
    }
}

pub fn default_pictures() -> Vec<String> {
    ["*.jpg", "*.jpeg", "*.png", "*.webp", "*.gif", "*.bmp"].map(String::from).to_vec()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    pub files: ModelFiles,
    #[serde(default)]
    pub precision: Precision,
    #[serde(default)]
    pub decoding: Decoding,
    /// Pictures a batch.
    #[serde(default = "default_batch")]
    pub batch: usize,
}

/// Where a model's files are, as the job file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelFiles {
    /// A directory in Hugging Face layout.
    Path(String),
    /// `owner/name` or `owner/name@revision` of the Hugging Face hub, in the cache that its tools share.
    Hub(String),
}

impl ModelFiles {
    /// What people call the model: the directory's name, or the hub's.
    pub fn name(&self) -> &str {
        match self {
            Self::Path(path) => path.trim_end_matches('/').rsplit('/').next().unwrap_or(path),
            Self::Hub(name) => name,
        }
    }
}

pub fn default_batch() -> usize {
    32
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
}

/// How pictures become pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decoding {
    /// As the model's reference does, to the last bit.
    #[default]
    Exact,
    /// JPEG at a half, a quarter or an eighth of its size where that is enough for the model: vectors differ a little.
    Fast,
}

/// What a picture may cost. Part of the collection's identity: a worker has no limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of an encoded picture.
    pub max_bytes: u64,
    /// Width × height.
    pub max_pixels: u64,
    /// The longer side, in pixels.
    pub max_side: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_pixels: 100_000_000, max_side: 65_500 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArticlesSection {
    /// CSV, with or without header (reference-pipeline: `article_id, article_url, article_title, …`).
    pub file: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrievalSection {
    /// Pictures a title keeps.
    pub candidates: usize,
    /// Which pictures may be found.
    #[serde(skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
}

impl Default for RetrievalSection {
    fn default() -> Self {
        Self { candidates: 100, filter: Filter::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum RerankSection {
    /// The order of retrieval.
    Identity,
    /// A linear head on the picture's own vector (reference pipeline §5).
    Aesthetics {
        /// Share of the head's scores in the fused score, 0 to 1.
        weight: f64,
        /// File of the head.
        head: String,
    },
}

impl RerankSection {
    /// All that [`name`](Self::name) may say.
    pub const NAMES: [&str; 2] = ["identity", "aesthetics"];

    pub fn name(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Aesthetics { .. } => "aesthetics",
        }
    }

    /// Share of the reranker's scores in the fused score; 0 for one that has none.
    pub fn weight(&self) -> f64 {
        match self {
            Self::Identity => 0.0,
            Self::Aesthetics { weight, .. } => *weight,
        }
    }
}

/// Weight of the reference pipeline's runs.
pub const AESTHETICS_WEIGHT: f64 = 0.2;

/// How rankings are compared with the pictures that the articles were published with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationSection {
    /// The articles that are queries.
    pub split: Part,
    /// The pictures that may be found.
    pub index: Searched,
    /// Of the split's permutation.
    pub seed: u32,
    /// Whether the metrics of other weights are computed too.
    pub sweep: bool,
}

impl Default for EvaluationSection {
    fn default() -> Self {
        Self { split: Part::All, index: Searched::All, seed: 28, sweep: false }
    }
}

/// A part of the articles: 80, 10 and 10 of a hundred (reference pipeline §8).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Every one, in the file's order.
    #[default]
    All,
    Train,
    Validation,
    Test,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The serialised name is the name that people see.
        self.serialize(f)
    }
}

/// What a search looks through while it is evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Searched {
    /// Every picture of the job.
    #[default]
    All,
    /// The pictures of the split's own articles.
    Split,
}

/// What the report shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSection {
    /// Pictures of each query; 0: no report is made.
    pub pictures: usize,
}

impl Default for ReportSection {
    fn default() -> Self {
        Self { pictures: 10 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSection {
    /// Where results are written; relative to the job file.
    pub directory: String,
}

impl JobSpec {
    /// The rerankers that run: those of the file, or the identity.
    pub fn rerankers(&self) -> Vec<RerankSection> {
        if self.rerank.is_empty() { vec![RerankSection::Identity] } else { self.rerank.clone() }
    }
}

/// What a store keeps of a job: its spec, and the inputs that the spec names, by content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedJob {
    pub spec: JobSpec,
    /// Hash of the articles file; its bytes are the artifact [`input_path`] of it.
    pub articles: String,
    /// Articles that are queries: all of the file, or those of the evaluation's part.
    pub titles: u32,
    /// For each reranker the hash of its file, where it has one; its bytes are the artifact [`input_path`] of it.
    #[serde(default)]
    pub heads: Vec<Option<String>>,
    /// SHA-256 of each file that the model's revision is made of.
    #[serde(default)]
    pub model_files: BTreeMap<String, String>,
}

impl ResolvedJob {
    /// The canonical text: whoever has the same, over the same corpus and model, has the same job.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a spec has string keys only")
    }

    pub fn from_text(text: &str) -> Result<Self> {
        serde_json::from_str(text).permanent(|| "read the spec of a stored job".into())
    }
}

/// Where an input of a job stands among the artifacts.
pub fn input_path(hash: &str) -> String {
    format!("inputs/{hash}")
}

/// A corpus: where its pictures stand and how they are packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusSpec {
    pub id: CorpusId,
    pub name: String,
    /// Path below the object root, without slashes at its ends; empty for the root itself.
    pub source: String,
    pub layout: Layout,
    /// Glob for shards below `source`; empty for the folder layout.
    pub shards: String,
    /// Where a shard's metadata stands below `source`, with `{shard}`.
    pub metadata: Option<String>,
    pub pictures: Vec<String>,
}

impl CorpusSpec {
    /// The corpus of a job file. `source` is the path below the object root that the section's own was resolved
    /// to; `identity` names that place for good, and may be shorter: a laptop's folder may move.
    pub fn new(section: &CorpusSection, identity: &str, source: &str) -> Self {
        let layout = section.layout;
        let shards = section.shards.clone().unwrap_or_else(|| layout.default_shards().to_owned());
        let metadata = section.metadata.clone().or_else(|| layout.default_metadata().map(String::from));
        let identity = serde_json::to_string(&(&section.name, identity, layout, &shards, &metadata, &section.pictures))
            .expect("strings serialise");
        let hash = &content_hash(identity.as_bytes())[..12];
        Self {
            id: CorpusId(format!("{}-{hash}", section.name)),
            name: section.name.clone(),
            source: source.to_owned(),
            layout,
            shards,
            metadata,
            pictures: section.pictures.clone(),
        }
    }

    /// An object's path below the object root.
    pub fn object(&self, path: &str) -> String {
        match (self.source.as_str(), path) {
            ("", path) => path.to_owned(),
            (source, "") => source.to_owned(),
            (source, path) => format!("{source}/{path}"),
        }
    }
}

/// A collection: one model's vectors of one corpus, with everything that changes a vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CollectionSpec {
    pub id: CollectionId,
    pub corpus: CorpusId,
    /// The directory's path as the job file gives it, resolved; where a worker finds the model. Not part of the identity.
    pub model_path: String,
    /// Hash of the model's files.
    pub revision: String,
    pub precision: Precision,
    /// Named in `preprocessing` too.
    #[serde(default)]
    pub decoding: Decoding,
    /// The processor's canonical text.
    pub preprocessing: String,
    pub limits: Limits,
    /// Which of the corpus's pictures are in it.
    #[serde(default, skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
    /// Values a vector.
    pub dims: usize,
    /// Pictures a batch; not part of the identity.
    pub batch: usize,
    /// Storage settings; not part of the identity.
    pub storage: IndexSection,
}

/// What a model directory says of itself, as far as a collection depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    pub path: String,
    pub revision: String,
    /// SHA-256 of each file that the revision is made of.
    pub files: BTreeMap<String, String>,
    pub preprocessing: String,
    pub dims: usize,
}

impl CollectionSpec {
    pub fn new(spec: &JobSpec, corpus: &CorpusSpec, model: ModelIdentity) -> Self {
        let ModelIdentity { path, revision, files: _, preprocessing, dims } = model;
        let (precision, limits, filter) = (spec.model.precision, spec.limits, spec.index_filter.clone());
        let vectors = (&corpus.id, &revision, precision, &preprocessing, &limits);
        // What has no filter goes by the name it had before there were any.
        let identity = match filter.is_empty() {
            true => serde_json::to_string(&vectors),
            false => serde_json::to_string(&(vectors, &filter)),
        };
        let identity = identity.expect("strings and numbers serialise");
        let id = format!("{}-{}", corpus.name, &content_hash(identity.as_bytes())[..16]);
        Self {
            id: CollectionId(id),
            corpus: corpus.id.clone(),
            model_path: path,
            revision,
            precision,
            decoding: spec.model.decoding,
            preprocessing,
            limits,
            filter,
            dims,
            batch: spec.model.batch,
            storage: spec.index.effective(),
        }
    }

    /// Names the model in queue names: workers take what they have loaded.
    pub fn model(&self) -> &str {
        queue_name(&self.revision)
    }
}

/// How a model's revision stands in the names of queues.
pub fn queue_name(revision: &str) -> &str {
    &revision[..revision.len().min(12)]
}
