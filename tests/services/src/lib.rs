//! Servers that tests run against, and that `scripts/services` starts.

pub mod s3;
//! Servers that tests run against.

pub mod qdrant;
