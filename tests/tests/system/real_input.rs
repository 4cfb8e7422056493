//! Whole jobs over the real articles, where `IMAGEFLEET_REAL_DATA` names the folder that holds them.

use imagefleet_common::ports::jobs::JobState;
use imagefleet_tests::{
    compare::rows,
    corpus::{photos, write_yfcc_shard},
    project::Project,
};
use serde_json::Value;
use std::{env, fs, path::PathBuf};

const ID: usize = 0;
const TITLE: usize = 2;

/// The file of the release below the folder of real data; `None`, and said, where there is no such folder.
fn real(file: &str) -> Option<PathBuf> {
    match env::var_os("IMAGEFLEET_REAL_DATA") {
        Some(folder) => Some(PathBuf::from(folder).join("newsimages").join(file)),
        None => {
            eprintln!("did not run: IMAGEFLEET_REAL_DATA is not set");
            None
        }
    }
}

/// The fields of every record, by RFC 4180 read to the letter and sharing nothing with the product's own reading.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted && letters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            _ => field.push(letter),
        }
    }
    if !record.is_empty() || !field.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

/// Runs a job over the articles and holds its rows against them; returns how many there are.
async fn answered(file: PathBuf, has_header: bool) -> usize {
    let project = Project::new("yfcc", 1);
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 30));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(project.path().join("articles.csv"), &text).unwrap();
    let ended = project.run().await.unwrap();
    assert_eq!((ended.state, ended.stats.encode.items()), (JobState::Succeeded, 30));

    let articles = records(text.trim_start_matches('\u{feff}')).split_off(usize::from(has_header));
    let rows = rows(&project.out());
    assert_eq!(rows.len(), articles.len());
    for (row, article) in rows.iter().zip(&articles) {
        assert_eq!((&row["article_id"], &row["query"]), (&text_of(&article[ID]), &text_of(&article[TITLE])));
        assert_eq!(row["indices"].as_array().unwrap().len(), 5);
    }
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new());
    rows.len()
}

fn text_of(field: &str) -> Value {
    Value::String(field.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_one_of_a_thousand_real_articles_is_answered_under_its_own_id_and_title() {
    if let Some(file) = real("newsarticles-first-1000.csv") {
        assert_eq!(answered(file, true).await, 1_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_subset_without_a_header_is_answered_in_full() {
    if let Some(file) = real("subset.csv") {
        assert_eq!(answered(file, false).await, 30);
    }
}
