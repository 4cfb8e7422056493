//! Writes a report query by query, as one file or as a page with a folder, whichever its size makes it.

use super::{
    FOLDER, File, REPORT, Thumbnails,
    data::{Query, Report, Search},
    page::{self, Data},
    parts::Parts,
    sections,
};

/// Takes queries in, in the order in which they are to stand, and hands out files as soon as they are complete. Each is
/// handed out once; the page itself comes last.
#[derive(Debug)]
pub struct Writer {
    limit: usize,
    parts: Parts,
    /// Closed parts, while all may still fit one file.
    kept: Vec<String>,
    kept_bytes: usize,
    /// Parts that were handed out as files.
    written: usize,
    is_folder: bool,
}

impl Writer {
    /// A page of more than `limit` bytes has a folder beside it.
    pub fn new(limit: usize) -> Self {
        Self { limit, parts: Parts::default(), kept: Vec::new(), kept_bytes: 0, written: 0, is_folder: false }
    }

    /// Whether the thumbnail of this picture would be used: those of pictures that came up before are not.
    pub fn wants(&self, key: &str) -> bool {
        !self.parts.knows(key)
    }

    /// The next query. A picture that comes up for the first time has its thumbnail among these, or never.
    #[must_use = "files that are complete"]
    pub fn query(&mut self, query: &Query, thumbnails: &Thumbnails) -> Vec<File> {
        match self.parts.query(query, thumbnails) {
            Some(part) => self.keep(part),
            None => Vec::new(),
        }
    }

    /// The rest, and what stands around the queries.
    #[must_use = "files that are complete"]
    pub fn finish(mut self, report: &Report) -> Vec<File> {
        let (last, index) = std::mem::take(&mut self.parts).finish();
        let mut files = last.map_or_else(Vec::new, |part| self.keep(part));
        let body = sections::report(report);
        let page = |data: &Data<'_>| page::page(&report.title, &body, &index, data);
        if !self.is_folder {
            let page = page(&Data::Inside(&self.kept));
            if page.len() <= self.limit || self.kept.is_empty() {
                files.push(File { name: REPORT.to_owned(), bytes: page.into() });
                return files;
            }
            files.extend(self.move_out());
        }
        files.push(File { name: REPORT.to_owned(), bytes: page(&Data::Beside).into() });
        files
    }

    /// A search's page, which has everything in it.
    pub(super) fn finish_search(mut self, search: &Search) -> Vec<u8> {
        let (last, index) = std::mem::take(&mut self.parts).finish();
        self.kept.extend(last);
        page::page("Search", &sections::search(search), &index, &Data::Inside(&self.kept)).into()
    }

    fn keep(&mut self, part: String) -> Vec<File> {
        self.kept_bytes = self.kept_bytes.saturating_add(part.len());
        self.kept.push(part);
        if self.is_folder || self.kept_bytes > self.limit { self.move_out() } else { Vec::new() }
    }

    fn move_out(&mut self) -> Vec<File> {
        self.is_folder = true;
        let parts = std::mem::take(&mut self.kept).into_iter();
        let files = parts.enumerate().map(|(at, part)| {
            let number = self.written + at;
            File { name: format!("{FOLDER}/{number:04}.js"), bytes: page::part_script(number, &part).into() }
        });
        let files: Vec<File> = files.collect();
        self.written += files.len();
        files
    }
}
