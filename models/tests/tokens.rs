//! Token ids against those of transformers' `CLIPTokenizerFast`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use fixture::Fixture;
use imagefleet_common::ids::content_hash;
use imagefleet_models::tokenizer::{PaddedIds, TitleTokenizer, pad};
use std::path::{Path, PathBuf};

const CONTEXT: usize = 77;

#[test]
fn awkward_titles_get_the_reference_ids_and_padding() {
    for name in ["clip-tiny", "clip-legacy", "clip-added", "clip-pad-highest", "clip-sparse"] {
        let fixture = Fixture::open(name);
        let tokenizer = TitleTokenizer::open(&fixture.dir, CONTEXT).unwrap();
        let ids = tokenizer.ids(&fixture.titles).unwrap();

        let length = fixture.shape("ids")[1];
        let (expected, mask) = (fixture.integers("ids"), fixture.integers("mask"));
        for ((title, ids), mask) in fixture.titles.iter().zip(&ids).zip(mask.chunks_exact(length)) {
            assert_eq!(ids.len() as i64, mask.iter().sum::<i64>(), "{name}, {title:?}");
        }
        let padded = pad(ids.iter().map(Vec::as_slice), tokenizer.pad_id());
        assert_eq!((padded.rows, padded.length), (fixture.titles.len(), length));
        let rows = padded.ids.chunks_exact(length).zip(expected.chunks_exact(length));
        for (title, (got, expected)) in fixture.titles.iter().zip(rows) {
            assert!(got.iter().map(|&id| i64::from(id)).eq(expected.iter().copied()), "{name}, {title:?}: {got:?}");
        }
    }
}

#[test]
fn a_title_has_the_same_ids_where_padding_goes_to_the_left() {
    let fixture = Fixture::open("clip-pad-left");
    let tokenizer = TitleTokenizer::open(&fixture.dir, CONTEXT).unwrap();
    let length = fixture.shape("ids")[1];
    let (padded, mask) = (fixture.integers("ids"), fixture.integers("mask"));
    assert_eq!((mask[0], padded[0]), (0, i64::from(tokenizer.pad_id())), "the first title is short");
    let rows = padded.chunks_exact(length).zip(mask.chunks_exact(length));
    for ((padded, mask), ids) in rows.zip(tokenizer.ids(&fixture.titles).unwrap()) {
        let own = padded.iter().zip(mask).filter(|(_, own)| **own == 1).map(|(&id, _)| id);
        assert!(own.eq(ids.iter().map(|&id| i64::from(id))));
    }
}

#[test]
fn a_title_that_is_too_long_keeps_its_end_token() {
    let tokenizer = TitleTokenizer::open(&Fixture::open("clip-tiny").dir, 5).unwrap();
    let ids = tokenizer.ids(&["harbour harbour harbour harbour harbour harbour".to_owned(), String::new()]).unwrap();
    let [start, end] = ids[1][..] else { panic!("the empty title has start and end only: {:?}", ids[1]) };
    assert_eq!((ids[0].len(), ids[0][0], ids[0][4]), (5, start, end));
}

#[test]
fn the_pad_token_is_the_one_that_the_folder_names() {
    let folder = Fixture::open("clip-tiny").copy();
    let pad_id = || TitleTokenizer::open(folder.path(), CONTEXT).unwrap().pad_id();
    let exclamation_mark = 0;
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();

    let end = pad_id();
    assert_ne!(end, exclamation_mark);
    write("tokenizer_config.json", r#"{"pad_token": "!"}"#);
    assert_eq!(pad_id(), exclamation_mark);
    write("tokenizer_config.json", r#"{"pad_token": {"__type": "AddedToken", "content": "!"}}"#);
    assert_eq!(pad_id(), exclamation_mark);
    write("tokenizer_config.json", "{}");
    write("special_tokens_map.json", r#"{"pad_token": {"content": "!"}}"#);
    assert_eq!(pad_id(), exclamation_mark);
    std::fs::remove_file(folder.path().join("special_tokens_map.json")).unwrap();
    assert_eq!(pad_id(), end);

    write("tokenizer_config.json", r#"{"pad_token": "<pad>"}"#);
    let error = TitleTokenizer::open(folder.path(), CONTEXT).map(|_| ()).unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("<pad>"), "{error}");
}

#[test]
fn padding_goes_to_the_right_up_to_the_longest() {
    let titles: [&[u32]; 3] = [&[1, 5, 2], &[1, 2], &[1, 6, 7, 2]];
    let padded = pad(titles.into_iter(), 9);
    let ids = vec![1, 5, 2, 9, 1, 2, 9, 9, 1, 6, 7, 2];
    assert_eq!(padded, PaddedIds { rows: 3, length: 4, ids, own: vec![3, 2, 4] });
    assert!(padded.titles().eq(titles));
}

/// What `scripts/fixtures/clip.py ids` prints for the two files.
const REAL_TITLES: &str = "c2c5dfed888fbc47fb2259a7f986f2ba146774f3e6732ad8416449f0218cb072";

#[test]
fn a_thousand_real_titles_get_the_reference_ids() {
    let Some(data) = std::env::var_os("IMAGEFLEET_REAL_DATA").map(PathBuf::from) else {
        eprintln!("did not run: IMAGEFLEET_REAL_DATA is not set");
        return;
    };
    let titles = article_titles(&data.join("newsimages/newsarticles-first-1000.csv"));
    assert_eq!(titles.len(), 1000);
    let tokenizer = TitleTokenizer::open(&data.join("clip-tokenizer"), CONTEXT).unwrap();
    let mut lines = String::new();
    for ids in tokenizer.ids(&titles).unwrap() {
        lines += &ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        lines.push('\n');
    }
    assert_eq!(content_hash(lines.as_bytes()), REAL_TITLES);
    eprintln!("{} titles have the reference's ids", titles.len());
}

fn article_titles(file: &Path) -> Vec<String> {
    let mut rows = csv::Reader::from_path(file).unwrap();
    let column = rows.headers().unwrap().iter().position(|name| name == "article_title").unwrap();
    rows.records().map(|row| row.unwrap()[column].to_owned()).collect()
}

#[test]
fn a_tokenizer_that_panics_is_an_error_by_its_files_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read(Fixture::open("clip-tiny").dir.join("tokenizer.json")).unwrap();
    let mut tokenizer: serde_json::Value = serde_json::from_slice(&text).unwrap();
    tokenizer["normalizer"] = serde_json::json!({"type": "Replace", "pattern": {"String": ""}, "content": "x"});
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let tokenizer = TitleTokenizer::open(folder.path(), CONTEXT).unwrap();
    let error = tokenizer.ids(&["a red boat".to_owned()]).unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("tokenizer.json"), "{error}");
}
