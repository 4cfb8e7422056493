//! The list of a job's result files, which stand beside it among the artifacts.

use imagefleet_common::{Context, Result};
use serde::{Deserialize, Serialize};

/// Paths relative to the manifest's own folder, and to the output folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub files: Vec<String>,
}

impl Manifest {
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("strings serialise")
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; `name` names it in errors, which are permanent.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        serde_json::from_slice(bytes).permanent(|| format!("read manifest {name}"))
    }
}
