//! `initial_retrieval.json` and `reranking.json`: each evaluated article's candidates before and after reranking.

use super::list::List;
use imagefleet_common::ports::index::Hit;
use serde::Serialize;
use std::io::{self, Write};

/// Fields in the order in which they are written.
#[derive(Serialize)]
struct Fields<'a> {
    query: &'a str,
    ground_truth: &'a str,
    retrieved: Vec<&'a str>,
    similarity_scores: Vec<f32>,
}

/// Writes either file row by row. It is complete after [`finish`](Self::finish) only.
pub struct Rankings<W: Write>(List<W>);

impl<W: Write> Rankings<W> {
    /// `to` should be buffered.
    pub fn new(to: W) -> Self {
        Self(List::new(to))
    }

    /// `ground_truth` is the article's `image_id`, empty where it names no picture. `hits` come best first, with
    /// similarities or fused scores, which must be finite.
    pub fn row(&mut self, query: &str, ground_truth: &str, hits: &[Hit]) -> io::Result<()> {
        self.0.row(&Fields {
            query,
            ground_truth,
            retrieved: hits.iter().map(|hit| hit.key.as_str()).collect(),
            similarity_scores: hits.iter().map(|hit| hit.score).collect(),
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

    #[test]
    fn a_row_has_the_references_fields_and_no_others() {
        let hit = |key: &str, score| Hit { key: key.to_owned(), score, epoch: 7 };
        let mut rankings = Rankings::new(Vec::new());
        rankings.row("\"Café\"", "12", &[hit("a.zip/12.jpg", 0.1), hit("a.zip/%C3%A9.jpg", -0.25)]).unwrap();
        rankings.row("", "", &[]).unwrap();
        let expected = r#"[
  {
    "query": "\"Café\"",
    "ground_truth": "12",
    "retrieved": [
      "a.zip/12.jpg",
      "a.zip/%C3%A9.jpg"
    ],
    "similarity_scores": [
      0.1,
      -0.25
    ]
  },
  {
    "query": "",
    "ground_truth": "",
    "retrieved": [],
    "similarity_scores": []
  }
]
"#;
        assert_eq!(String::from_utf8(rankings.finish().unwrap()).unwrap(), expected);
    }
}
