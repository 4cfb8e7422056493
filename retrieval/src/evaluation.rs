//! Evaluation: how far up the right pictures of a title come, before and after reranking (reference pipeline §8).
//!
//! [`queries`] takes the articles of a [`split`](mod@split)'s part, [`metrics`] measures lists of candidates, [`report`] compares two orders of
//! each, [`sweep`] measures a reranker at eleven weights. Articles that name no picture are left out and counted.
//!
//! Lists are measured as they pass: only sums are kept, and nothing is matched by its position in another list.

pub mod metrics;
mod numpy;
mod queries;
pub mod report;
pub mod split;
pub mod sweep;

pub use queries::queries;
