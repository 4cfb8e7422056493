//! What whole-system tests share: corpora made by hand, runs in this process, and what makes two runs equal.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test that cannot set up has failed")]

pub mod around;
pub mod broken;
pub mod building;
pub mod chaos;
pub mod child;
pub mod compare;
pub mod corpus;
pub mod encoders;
pub mod events;
pub mod gate;
pub mod hooks;
pub mod http;
pub mod ledger;
pub mod lossy;
pub mod moving;
pub mod points;
pub mod project;
pub mod running;
#[path = "../../pictures/tests/zip_writer/mod.rs"]
pub mod zip_writer;
