//! The data of a page, column by column: what is needed of all queries in an index, the rest in parts of a few queries.

use super::{
    Thumbnails,
    data::{Found, Picture, Query, RightRank},
    escape::{base64, web},
    licence,
};
use serde::Serialize;
use std::collections::HashMap;

/// A part is closed once it has so many bytes: little enough to be read at once, enough to keep the files few.
const PART_BYTES: usize = 1_000_000;

/// What filters, sorting and the pages of the list need.
#[derive(Debug, Default, Serialize)]
pub(super) struct Index {
    // A query each.
    id: Vec<String>,
    title: Vec<String>,
    /// The right picture's rank: `null` without ground truth, 0 where it is not among the candidates.
    before: Vec<Option<u32>>,
    after: Vec<Option<u32>>,
    /// The best similarity.
    best: Vec<Option<f32>>,
    /// Whether the first picture is another after reranking.
    moved: Vec<u8>,
    licences: Vec<Vec<usize>>,
    // A part each: the numbers of its first query and of its first picture.
    first_query: Vec<usize>,
    first_picture: Vec<usize>,
    // A licence each.
    licence: Vec<String>,
    licence_url: Vec<String>,
}

/// Some queries, and the pictures that came up with them for the first time.
#[derive(Debug, Default, Serialize)]
struct Part {
    // A query each.
    url: Vec<String>,
    tags: Vec<String>,
    asked: Vec<String>,
    count: Vec<usize>,
    // Each picture of each query.
    /// Counted over all parts.
    picture: Vec<usize>,
    before: Vec<u32>,
    after: Vec<u32>,
    similarity: Vec<f32>,
    score: Vec<Option<f32>>,
    fused: Vec<Option<f32>>,
    right: Vec<u8>,
    changed: Vec<u8>,
    // A picture each.
    key: Vec<String>,
    path: Vec<String>,
    name: Vec<String>,
    author: Vec<String>,
    page: Vec<String>,
    /// `null` where there is nobody to name.
    licence: Vec<Option<usize>>,
    /// Base64, or empty.
    jpeg: Vec<String>,
}

/// Sorts queries into parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    index: Index,
    open: Part,
    open_bytes: usize,
    numbers: HashMap<String, usize>,
    licences: HashMap<(String, String), usize>,
}

impl Parts {
    pub(super) fn knows(&self, key: &str) -> bool {
        self.numbers.contains_key(key)
    }

    /// Takes a query in, and hands out a part, as JSON is made of it, if that is full.
    pub(super) fn query(&mut self, query: &Query, thumbnails: &Thumbnails) -> Option<String> {
        if self.open.count.is_empty() {
            self.index.first_query.push(self.index.id.len());
            self.index.first_picture.push(self.numbers.len());
        }
        let mut licences = Vec::new();
        for found in &query.found {
            let number = self.picture(&found.picture, thumbnails);
            licences.extend(self.licence(&found.picture));
            self.found(found, number);
        }
        licences.sort_unstable();
        licences.dedup();

        let index = &mut self.index;
        let rank = |of: fn(RightRank) -> Option<u32>| query.right.map(|right| of(right).unwrap_or(0));
        index.id.push(query.id.clone());
        index.title.push(query.title.clone());
        index.before.push(rank(|right| right.before));
        index.after.push(rank(|right| right.after));
        index.best.push(query.found.iter().map(|found| found.similarity).max_by(f32::total_cmp));
        index.moved.push(query.found.first().is_some_and(|first| first.before != first.after).into());
        index.licences.push(licences);

        let asked = query.picture.as_deref().map(base64).unwrap_or_default();
        self.open_bytes += query.url.len() + query.tags.len() + asked.len();
        let open = &mut self.open;
        open.url.push(web(&query.url).unwrap_or_default().to_owned());
        open.tags.push(query.tags.clone());
        open.asked.push(asked);
        open.count.push(query.found.len());
        (self.open_bytes >= PART_BYTES).then(|| self.close())
    }

    /// The last part, if there is one, and the index.
    pub(super) fn finish(mut self) -> (Option<String>, Index) {
        let last = (!self.open.count.is_empty()).then(|| self.close());
        (last, self.index)
    }

    fn close(&mut self) -> String {
        self.open_bytes = 0;
        super::escape::json(&std::mem::take(&mut self.open))
    }

    fn found(&mut self, found: &Found, number: usize) {
        // Numbers and commas.
        self.open_bytes += 48;
        let open = &mut self.open;
        open.picture.push(number);
        open.before.push(found.before);
        open.after.push(found.after);
        open.similarity.push(found.similarity);
        open.score.push(found.score);
        open.fused.push(found.fused);
        open.right.push(found.is_right.into());
        open.changed.push(found.changed.into());
    }

    /// A picture's number; it is written where it comes up first.
    fn picture(&mut self, picture: &Picture, thumbnails: &Thumbnails) -> usize {
        if let Some(number) = self.numbers.get(&picture.key) {
            return *number;
        }
        let Picture { key, path, title, author, page, .. } = picture;
        let jpeg = thumbnails.get(key).map(|jpeg| base64(jpeg)).unwrap_or_default();
        let texts = [key, path, title, author, page, &jpeg];
        self.open_bytes += texts.map(|text| text.len() + 3).iter().sum::<usize>();
        let licence = self.licence(picture);
        let open = &mut self.open;
        open.key.push(key.clone());
        open.path.push(path.clone());
        open.name.push(title.clone());
        open.author.push(author.clone());
        open.page.push(web(page).unwrap_or_default().to_owned());
        open.licence.push(licence);
        open.jpeg.push(jpeg);
        let number = self.numbers.len();
        self.numbers.insert(key.clone(), number);
        number
    }

    fn licence(&mut self, picture: &Picture) -> Option<usize> {
        if picture.is_own {
            return None;
        }
        let of = (picture.licence.clone(), picture.licence_url.clone());
        let next = self.licences.len();
        Some(*self.licences.entry(of).or_insert_with_key(|(name, url)| {
            self.index.licence.push(licence::short(name, url));
            self.index.licence_url.push(web(url).unwrap_or_default().to_owned());
            next
        }))
    }
}
