//! Retrieval as pure functions: nothing here waits, and nothing knows where bytes come from or go to.
//!
//! [`articles`] reads the queries, [`candidates`] cuts and stores what a search found for each, [`fusion`] puts the
//! candidates into a reranker's order, [`evaluation`] measures how good an order is, [`results`] writes the files that
//! programs and people read, [`report`] the page that a person opens.
//!
//! A picture's key, path and score travel together in one value; nothing is identified by its position.

pub mod articles;
pub mod candidates;
pub mod evaluation;
pub mod fusion;
pub mod report;
pub mod results;
