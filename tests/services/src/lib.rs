//! Servers that tests run against, and that `scripts/services` starts.

pub mod qdrant;
pub mod s3;
