//! Hits@k, MRR@k and precision@k over the titles whose article names its picture.
//!
//! - **Hits@k**: the share of titles with at least one right picture among their first k.
//! - **MRR@k**: the mean of 1 / rank of the first right picture, 0 where none is among the first k.
//! - **precision@k**: the mean of (right pictures among the first k) / k; a list that is shorter than k has wrong ones in
//!   the places that it lacks.

use imagefleet_common::ports::index::Hit;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::HashSet};

/// The lengths that are measured, as far as so many candidates are kept.
pub const LENGTHS: [usize; 6] = [1, 5, 10, 25, 50, 100];

/// Whether the picture with this key is the one that an article names: NewsImages calls its files `{image_id}.jpg`.
///
/// The key is the id itself, or its last part is, with or without extension; parts of keys are percent-escaped. An
/// empty id names no picture.
pub fn is_right(image_id: &str, key: &str) -> bool {
    if image_id.is_empty() {
        return false;
    }
    let id = image_id.as_bytes();
    let file = file_name(key);
    key == image_id || *file == *id || stem(&file) == Some(id)
}

/// The pictures of several articles, by their ids.
#[derive(Debug, Clone, Default)]
pub struct ImageIds(HashSet<Vec<u8>>);

impl ImageIds {
    /// Empty ids name no picture.
    pub fn new<'a>(ids: impl Iterator<Item = &'a str>) -> Self {
        Self(ids.filter(|id| !id.is_empty()).map(|id| id.as_bytes().to_vec()).collect())
    }

    /// Whether the picture with this key [is right](is_right) for one of them.
    pub fn name(&self, key: &str) -> bool {
        let file = file_name(key);
        let is_one = |id: &[u8]| self.0.contains(id);
        is_one(key.as_bytes()) || is_one(&file) || stem(&file).is_some_and(is_one)
    }
}

/// A key's last part, as the file is called.
fn file_name(key: &str) -> Cow<'_, [u8]> {
    unescape(key.rsplit_once('/').map_or(key, |(_, last)| last))
}

fn stem(file: &[u8]) -> Option<&[u8]> {
    file.iter().rposition(|byte| *byte == b'.').map(|dot| &file[..dot])
}

/// Every `%` with two digits after it becomes the byte that they name. Any other stays, as in a key that is no path.
fn unescape(text: &str) -> Cow<'_, [u8]> {
    let mut rest = text.as_bytes();
    if !rest.contains(&b'%') {
        return rest.into();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, after @ ..] => digit(*high).zip(digit(*low)).map(|(high, low)| (high * 16 + low, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    bytes.into()
}

/// What is measured at one length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AtK {
    pub k: usize,
    pub hits: f64,
    pub mrr: f64,
    pub precision: f64,
}

/// A field of an [`AtK`], by its name.
type Measure = (&'static str, fn(&AtK) -> f64);

pub(crate) const MEASURES: [Measure; 3] =
    [("hits", |at| at.hits), ("mrr", |at| at.mrr), ("precision", |at| at.precision)];

/// Measures lists of candidates one after the other.
#[derive(Debug, Clone)]
pub struct Tally {
    queries: u64,
    without_truth: u64,
    sums: Vec<Sums>,
}

/// Over the titles, at one length.
#[derive(Debug, Clone, Default)]
struct Sums {
    k: usize,
    /// Titles with a right picture.
    hits: u64,
    reciprocal_ranks: f64,
    right: u64,
}

impl Sums {
    /// Adds a title's list: which of its pictures are right.
    fn add(&mut self, list: &[bool]) {
        let first = &list[..list.len().min(self.k)];
        if let Some(at) = first.iter().position(|right| *right) {
            self.hits += 1;
            self.reciprocal_ranks += 1.0 / (at + 1) as f64;
        }
        self.right += first.iter().filter(|right| **right).count() as u64;
    }

    /// The means over so many titles.
    fn means(&self, queries: u64) -> AtK {
        let mean = |sum: f64| sum / queries as f64;
        let precision = mean(self.right as f64) / self.k as f64;
        AtK { k: self.k, hits: mean(self.hits as f64), mrr: mean(self.reciprocal_ranks), precision }
    }
}

impl Tally {
    /// For lists of at most `candidates`.
    pub fn new(candidates: usize) -> Self {
        let lengths = LENGTHS.into_iter().filter(|k| *k <= candidates);
        let sums = lengths.map(|k| Sums { k, ..Sums::default() }).collect();
        Self { queries: 0, without_truth: 0, sums }
    }

    /// Measures the candidates of one title, best first.
    pub fn add(&mut self, image_id: &str, hits: &[Hit]) {
        if image_id.is_empty() {
            self.without_truth += 1;
            return;
        }
        self.queries += 1;
        let list: Vec<bool> = hits.iter().map(|hit| is_right(image_id, &hit.key)).collect();
        for sums in &mut self.sums {
            sums.add(&list);
        }
    }

    /// Titles that were measured: means are over them.
    pub fn queries(&self) -> u64 {
        self.queries
    }

    /// Titles whose article names no picture.
    pub fn without_truth(&self) -> u64 {
        self.without_truth
    }

    /// A row a length, in rising order; none where no title was measured.
    pub fn at(&self) -> Vec<AtK> {
        let measured = if self.queries == 0 { &[][..] } else { &self.sums };
        measured.iter().map(|sums| sums.means(self.queries)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(keys: &[&str]) -> Vec<Hit> {
        keys.iter().map(|key| Hit { key: (*key).to_owned(), score: 0.5, epoch: 1 }).collect()
    }

    #[test]
    fn a_picture_is_right_if_its_key_or_its_file_has_the_articles_id() {
        for key in ["42", "42.jpg", "a.zip/42.jpg", "a.zip/data/42.png", "a.zip/42", "a.zip/%34%32.jpg"] {
            assert!(is_right("42", key), "{key}");
        }
        assert!(is_right("42.jpg", "a.zip/42.jpg"));
        assert!(is_right("a.zip/42.jpg", "a.zip/42.jpg"));
        assert!(is_right("é 1", "a.zip/%C3%A9%201.jpg"));
        assert!(is_right("a.b", "a.zip/a.b.jpg"));
        // Unescaped once, and only where two digits follow.
        assert!(is_right("%41", "a.zip/%2541.jpg") && is_right("5%", "a.zip/5%.jpg") && is_right("%é", "%é.jpg"));
    }

    #[test]
    fn a_picture_of_another_name_is_wrong_however_alike() {
        let keys =
            ["142.jpg", "42a.jpg", "42/1.jpg", "42.zip/1.jpg", "a.zip/42.v2.jpg", "a.zip/", "", "a.zip/%2F42.jpg"];
        for key in keys {
            assert!(!is_right("42", key), "{key}");
        }
        for key in ["a", "a.zip/a", "a.jpg"] {
            assert!(!is_right("A", key), "{key}");
        }
        assert!(!is_right("41", "%2541"));
        for key in ["", ".jpg", "a.zip/", "a.zip/.jpg"] {
            assert!(!is_right("", key), "{key}");
        }
    }

    #[test]
    fn many_ids_name_the_pictures_that_each_names() {
        let ids = ["42", "é 1", "", "%41", "a.b"];
        let all = ImageIds::new(ids.into_iter());
        let keys =
            ["42", "a.zip/42.jpg", "a.zip/%C3%A9%201.jpg", "a.zip/%2541.jpg", "x/a.b.png", "142.jpg", "", ".jpg", "41"];
        for key in keys {
            assert_eq!(all.name(key), ids.iter().any(|id| is_right(id, key)), "{key}");
        }
    }

    #[test]
    fn the_first_right_picture_gives_the_rank_and_every_right_one_counts_for_precision() {
        let mut tally = Tally::new(5);
        tally.add("1", &hits(&["x", "1", "a/1.jpg", "y", "z"]));
        tally.add("2", &hits(&["2"]));
        tally.add("3", &hits(&["x", "y"]));
        tally.add("4", &[]);
        let at_1 = AtK { k: 1, hits: 0.25, mrr: 0.25, precision: 0.25 };
        let at_5 = AtK { k: 5, hits: 0.5, mrr: 1.5 / 4.0, precision: 3.0 / 20.0 };
        assert_eq!((tally.queries(), tally.without_truth()), (4, 0));
        assert_eq!(tally.at(), [at_1, at_5]);
    }

    #[test]
    fn what_stands_behind_the_kth_place_does_not_count() {
        let mut tally = Tally::new(10);
        tally.add("1", &hits(&["a", "b", "c", "d", "e", "1"]));
        let at = tally.at();
        assert_eq!(at[1], AtK { k: 5, hits: 0.0, mrr: 0.0, precision: 0.0 });
        assert_eq!(at[2], AtK { k: 10, hits: 1.0, mrr: 1.0 / 6.0, precision: 0.1 });
    }

    #[test]
    fn lengths_beyond_the_candidates_are_not_measured() {
        for (candidates, lengths) in [(0, 0), (1, 1), (4, 1), (5, 2), (25, 4), (99, 5), (100, 6), (10_000, 6)] {
            let mut tally = Tally::new(candidates);
            tally.add("1", &[]);
            assert_eq!(tally.at().iter().map(|at| at.k).collect::<Vec<_>>(), LENGTHS[..lengths]);
        }
    }

    #[test]
    fn an_article_that_names_no_picture_is_left_out_and_counted() {
        let mut tally = Tally::new(1);
        tally.add("", &hits(&["", ".jpg"]));
        assert_eq!((tally.queries(), tally.without_truth(), tally.at()), (0, 1, Vec::new()));
        tally.add("1", &hits(&["1"]));
        assert_eq!((tally.queries(), tally.without_truth()), (1, 1));
        assert_eq!(tally.at(), [AtK { k: 1, hits: 1.0, mrr: 1.0, precision: 1.0 }]);
    }
}
