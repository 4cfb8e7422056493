//! The real NewsImages files, where `IMAGEFLEET_REAL_DATA` names the folder that holds `newsimages/`.
//!
//! The hashes come from Python's `csv` module, over `id TAB title NEWLINE` and over all six fields, of every row:
//!
//! ```python
//! rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
//! sha256("".join("\t".join(row) + "\n" for row in rows).encode())
//! ```

#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use imagefleet_common::ids::content_hash;
use imagefleet_retrieval::articles::{Article, read_articles};
use std::path::PathBuf;

/// The articles of a real file; `None`, and a word about it, where there is none.
fn real(name: &str) -> Option<Vec<Article>> {
    let Some(folder) = std::env::var_os("IMAGEFLEET_REAL_DATA") else {
        eprintln!("did not run: IMAGEFLEET_REAL_DATA is not set");
        return None;
    };
    let bytes = std::fs::read(PathBuf::from(folder).join("newsimages").join(name)).unwrap();
    Some(read_articles(&bytes, name).unwrap())
}

fn hash(articles: &[Article], row: impl Fn(&Article) -> Vec<&String>) -> String {
    let lines = articles.iter().map(|article| {
        let fields: Vec<&str> = row(article).into_iter().map(String::as_str).collect();
        format!("{}\n", fields.join("\t"))
    });
    content_hash(lines.collect::<String>().as_bytes())
}

fn titles(articles: &[Article]) -> String {
    hash(articles, |a| vec![&a.id, &a.title])
}

fn everything(articles: &[Article]) -> String {
    hash(articles, |a| vec![&a.id, &a.url, &a.title, &a.tags, &a.image_id, &a.image_url])
}

#[test]
fn the_first_thousand_articles_are_read_byte_for_byte() {
    let Some(articles) = real("newsarticles-first-1000.csv") else { return };
    assert_eq!(articles.len(), 1_000);
    assert_eq!(titles(&articles), "300a58b776d1ddaed0056e9fc92f74c07dc2c8df4f4035c41cc299131ad20270");
    assert_eq!(everything(&articles), "bfb01bd1d82b2a32ce1a16a7f80ff4edcb9a0f0af9192cfaf12b7a890d66eca6");
}

#[test]
fn the_subset_of_thirty_has_no_header_and_is_read_byte_for_byte() {
    let Some(articles) = real("subset.csv") else { return };
    assert_eq!(articles.len(), 30);
    assert_eq!(titles(&articles), "a66d755713a775646dbee1b5c21cba58b9108affdb650f9502e2016aab2e258e");
    assert_eq!(everything(&articles), "d1c87cb242328c460c86e22e79cf62b44cdc2ccc6f873673d0bf10b4cf4765f7");
}
