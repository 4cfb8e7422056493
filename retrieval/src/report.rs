//! `report.html`: what a person opens after a run, and the same page for a single search.
//!
//! One file without anything from elsewhere: style, script, data and thumbnails stand in it. Where that would be more
//! than a limit, the data stand in files beside it, in [`FOLDER`], each of which is loaded when something of it is
//! looked at. These are scripts, since a page that is opened as a file may load nothing else.
//!
//! Invariants: equal input gives equal bytes. Titles, metadata and whatever else was not written here are text and never
//! markup: sections go through `escape`, the script sets text content only, and the page's own policy allows no script
//! but the one that it was made with (and, where there are files beside it, files). Links lead to `http` and `https`.
//! Every picture has author, title, licence and source beside it, as Creative Commons requires it.
//!
//! Memory: a [`Writer`] holds the limit's bytes, or a part where it is past that, and some 200 bytes a query and 100 a
//! picture. [`Writer::finish`] holds the page twice.

mod chart;
mod data;
mod escape;
mod figures;
mod licence;
mod page;
mod parts;
mod sections;
#[cfg(test)]
mod tests;
mod writer;

pub use data::{
    Change, Evaluation, EvaluationRow, Found, Ledger, Picture, PipelineTime, Preview, Query, RejectedExample, Report,
    Reranker, ResultFile, RightRank, Search, StageTime, Sweep, SweepPoint, Timings,
};
pub use writer::Writer;

use std::collections::HashMap;

/// The page.
pub const REPORT: &str = "report.html";

/// What stands beside a page that is larger than one file should be.
pub const FOLDER: &str = "report";

/// Bytes of a page that is one file.
pub const LIMIT: usize = 20_000_000;

/// The longer side of thumbnails in pixels: they are shown at 150 to 200, of which phones have up to three times as many.
pub const THUMBNAIL_SIDE: u32 = 192;

/// More shards than a person reads are not listed; the ledger has them.
pub const MOST_SHARDS: usize = 40;

/// JPEGs by the keys of their pictures.
pub type Thumbnails = HashMap<String, Vec<u8>>;

/// A file of the report; its name is a path relative to the output folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// A whole report at once: as [`Writer`], for queries that are all there. The page comes last.
pub fn render(report: &Report, queries: &[Query], thumbnails: &Thumbnails, limit: usize) -> Vec<File> {
    let mut writer = Writer::new(limit);
    let mut files = Vec::new();
    for query in queries {
        files.extend(writer.query(query, thumbnails));
    }
    files.extend(writer.finish(report));
    files
}

/// The page of a search, in one file however large it is.
pub fn gallery(search: &Search, queries: &[Query], thumbnails: &Thumbnails) -> Vec<u8> {
    let mut writer = Writer::new(usize::MAX);
    for query in queries {
        let files = writer.query(query, thumbnails);
        debug_assert!(files.is_empty(), "there is no limit");
    }
    writer.finish_search(search)
}
