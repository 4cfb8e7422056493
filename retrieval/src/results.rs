//! The files that people read: `inference_results.json`, `attribution.jsonl`, `summary.json` and `ledger.jsonl`
//! (reference pipeline §7), and those of an evaluation (§8).
//!
//! Their bytes depend on what they say and on nothing else: no times (but for those that MLflow's files must have), no
//! attempts, no hash order. Text stands as it is, unescaped UTF-8 as Python's `json.dump(…, ensure_ascii=False,
//! indent=2)` writes it; a similarity has the fewest digits that read back as the same f32. Writers stream: a row is
//! gone from memory once it is written.

mod attribution;
mod inference;
mod ledger;
mod list;
mod manifest;
mod metrics;
mod mlflow;
mod rankings;
mod run;
mod summary;

pub use attribution::{AttributionRow, Attributions};
pub use inference::{InferenceResults, RankedPicture, ResultRow, picture_path};
pub use ledger::{ShardRow, Unprocessed, write_ledger};
pub use manifest::Manifest;
pub use metrics::metrics_files;
pub use mlflow::{MlflowRun, mlflow_files};
pub use rankings::Rankings;
pub use run::{
    Binary, CorpusRecord, Embedding, JobRecord, Machine, ModelRecord, RunRecord, ShardRecord, StageTiming, Timings,
};
pub use summary::{Pictures, Summary};

/// The file that says that a folder of results is complete: removed first, written last.
pub const SUMMARY: &str = "summary.json";

/// The names of all result files, wherever they stand, but for the parts of a report and of `mlruns/`.
pub const RESULT_FILES: [&str; 11] = [
    SUMMARY,
    INFERENCE_RESULTS,
    ATTRIBUTION,
    LEDGER,
    RUN,
    INITIAL_RETRIEVAL,
    RERANKING,
    METRICS,
    METRICS_TABLE,
    METRICS_LINES,
    crate::report::REPORT,
];

/// The retrieved pictures of every article.
pub const INFERENCE_RESULTS: &str = "inference_results.json";

/// What a run's results depend on, and what it took.
pub const RUN: &str = "run.json";

/// Whom to credit for the retrieved pictures.
pub const ATTRIBUTION: &str = "attribution.jsonl";

/// What became of every picture.
pub const LEDGER: &str = "ledger.jsonl";

/// What retrieval found for each article that was evaluated, in its order.
pub const INITIAL_RETRIEVAL: &str = "initial_retrieval.json";

/// The same in a reranker's order.
pub const RERANKING: &str = "reranking.json";

/// What an evaluation measured: whole, as a table, and as lines.
pub const METRICS: &str = "metrics.json";
pub const METRICS_TABLE: &str = "metrics.csv";
pub const METRICS_LINES: &str = "metrics.jsonl";

/// A JSON file for people: indented, with a newline at its end.
fn pretty(file: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(file).expect("numbers and strings under names serialise");
    bytes.push(b'\n');
    bytes
}
