//! `inference_results.json`: for each article, in their order, the pictures that were retrieved, best first.

use super::list::List;
use serde::Serialize;
use std::io::{self, Write};

/// One article's pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    pub article_id: String,
    /// The text that was searched for, byte for byte.
    pub query: String,
    /// Best first.
    pub pictures: Vec<RankedPicture>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RankedPicture {
    /// The point's id.
    pub key: String,
    /// As [`picture_path`] makes it.
    pub path: String,
    /// Similarity, or what a reranker made of it. Must be finite.
    pub score: f32,
    /// The picture is no longer the one that was retrieved; it keeps its place.
    pub changed: bool,
}

/// How people find a picture: its shard's path below the corpus root, and the entry in it. The shard of the files
/// that lie directly in a folder corpus has no path.
pub fn picture_path(shard: &str, entry: &str) -> String {
    if shard.is_empty() { entry.to_owned() } else { format!("{shard}/{entry}") }
}

/// Fields in the order in which they are written.
#[derive(Serialize)]
struct Fields<'a> {
    article_id: &'a str,
    query: &'a str,
    retrieved_images: Vec<&'a str>,
    similarity_scores: Vec<f32>,
    /// The points' ids, never positions.
    indices: Vec<&'a str>,
    /// Ids of the pictures that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<&'a str>,
}

/// Writes the file row by row. It is complete after [`finish`](Self::finish) only.
pub struct InferenceResults<W: Write>(List<W>);

impl<W: Write> InferenceResults<W> {
    /// `to` should be buffered.
    pub fn new(to: W) -> Self {
        Self(List::new(to))
    }

    pub fn row(&mut self, row: &ResultRow) -> io::Result<()> {
        let pictures = || row.pictures.iter();
        self.0.row(&Fields {
            article_id: &row.article_id,
            query: &row.query,
            retrieved_images: pictures().map(|picture| picture.path.as_str()).collect(),
            similarity_scores: pictures().map(|picture| picture.score).collect(),
            indices: pictures().map(|picture| picture.key.as_str()).collect(),
            changed: pictures().filter(|picture| picture.changed).map(|picture| picture.key.as_str()).collect(),
        })
    }

    /// Ends the list, flushes, and hands back what was written to.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

    use super::*;

    fn picture(key: &str, path: &str, score: f32, changed: bool) -> RankedPicture {
        RankedPicture { key: key.into(), path: path.into(), score, changed }
    }

    fn written(rows: &[ResultRow]) -> String {
        let mut results = InferenceResults::new(Vec::new());
        for row in rows {
            results.row(row).unwrap();
        }
        String::from_utf8(results.finish().unwrap()).unwrap()
    }

    #[test]
    fn the_file_is_laid_out_as_the_reference_lays_it_out() {
        let rows = [
            ResultRow {
                article_id: "7".into(),
                query: "\"Café\" & Co,\n\u{1f600}\u{c3}\u{a9}".into(),
                pictures: vec![
                    picture("abc1", "images/abc.zip/data/abc1.jpg", 0.312_5, false),
                    picture("abd2", "images/abd.zip/data/abd2.jpg", 0.1, true),
                ],
            },
            ResultRow { article_id: "8".into(), query: String::new(), pictures: Vec::new() },
        ];
        let expected = r#"[
  {
    "article_id": "7",
    "query": "\"Café\" & Co,\n😀Ã©",
    "retrieved_images": [
      "images/abc.zip/data/abc1.jpg",
      "images/abd.zip/data/abd2.jpg"
    ],
    "similarity_scores": [
      0.3125,
      0.1
    ],
    "indices": [
      "abc1",
      "abd2"
    ],
    "changed": [
      "abd2"
    ]
  },
  {
    "article_id": "8",
    "query": "",
    "retrieved_images": [],
    "similarity_scores": [],
    "indices": []
  }
]
"#;
        assert_eq!(written(&rows), expected);
    }

    #[test]
    fn no_articles_make_an_empty_list() {
        assert_eq!(written(&[]), "[]\n");
    }

    #[test]
    fn a_similarity_has_the_fewest_digits_that_read_back() {
        for (score, digits) in [(0.1_f32, "0.1"), (1.0 / 3.0, "0.33333334"), (1.0, "1.0"), (-0.25, "-0.25")] {
            let row = ResultRow {
                article_id: "1".into(),
                query: String::new(),
                pictures: vec![picture("k", "p", score, false)],
            };
            let text = written(std::slice::from_ref(&row));
            assert!(text.contains(&format!("[\n      {digits}\n    ]")), "{text}");
        }
    }

    #[test]
    fn a_picture_outside_of_every_shard_is_its_entry() {
        assert_eq!(picture_path("images/abc.zip", "abc1.jpg"), "images/abc.zip/abc1.jpg");
        assert_eq!(picture_path("", "abc1.jpg"), "abc1.jpg");
    }
}
