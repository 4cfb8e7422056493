//! The files that people read: `inference_results.json`, `summary.json` and `ledger.jsonl` (reference pipeline §7).
//!
//! Their bytes depend on what they say and on nothing else: no times, no attempts, no hash order. Text stands as it is,
//! unescaped UTF-8 as Python's `json.dump(…, ensure_ascii=False, indent=2)` writes it; a similarity has the fewest
//! digits that read back as the same f32. Writers stream: a row is gone from memory once it is written.

mod inference;
mod ledger;
mod list;
mod manifest;
mod summary;

pub use inference::{InferenceResults, RankedPicture, ResultRow, picture_path};
pub use ledger::{ShardRow, Unprocessed, write_ledger};
pub use manifest::Manifest;
pub use summary::{Pictures, Summary};

/// The file that says that a folder of results is complete: removed first, written last.
pub const SUMMARY: &str = "summary.json";

/// The retrieved pictures of every article.
pub const INFERENCE_RESULTS: &str = "inference_results.json";

/// What became of every picture.
pub const LEDGER: &str = "ledger.jsonl";
