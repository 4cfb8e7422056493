//! When two runs are equal (protocol §8): the same pictures for every title but for swaps among scores within 1e-6, the
//! same ledger, and the same figures.

use serde_json::Value;
use std::{collections::HashMap, fs, path::Path};

const MARGIN: f64 = 1e-6;

/// Says how the results in `other` differ from those in `folder`, or that they are equal.
pub fn differences(folder: &Path, other: &Path) -> Vec<String> {
    let mut differences = Vec::new();
    for file in ["ledger.jsonl", "summary.json"] {
        if read(folder, file) != read(other, file) {
            differences.push(format!("{file} differs"));
        }
    }
    let (left, right) = (rows(folder), rows(other));
    if left.len() != right.len() {
        differences.push(format!("{} rows and {}", left.len(), right.len()));
    }
    for (left, right) in left.iter().zip(&right) {
        let id = &left["article_id"];
        if id != &right["article_id"] || left["query"] != right["query"] {
            differences.push(format!("another article than {id} stands in its place"));
        }
        differences
            .extend(list_differences(left, right).into_iter().map(|difference| format!("article {id}: {difference}")));
    }
    differences
}

/// Each rank's score agrees within the margin, and a picture that stands elsewhere or is gone has a neighbour's score.
fn list_differences(left: &Value, right: &Value) -> Vec<String> {
    let (left_scores, right_scores) = (scores(left), scores(right));
    if left_scores.len() != right_scores.len() {
        return vec![format!("{} pictures and {}", left_scores.len(), right_scores.len())];
    }
    let (left_keys, right_keys) = (keys(left), keys(right));
    let by_key: HashMap<&str, f64> = right_keys.iter().copied().zip(right_scores.iter().copied()).collect();
    let mut differences = Vec::new();
    for (rank, (score, other)) in left_scores.iter().zip(&right_scores).enumerate() {
        if (score - other).abs() > MARGIN {
            differences.push(format!("rank {rank} scores {score} and {other}"));
        }
        let key = left_keys[rank];
        let at_the_end = left_scores.last().is_some_and(|last| score - last <= MARGIN);
        match by_key.get(key) {
            Some(there) if (there - score).abs() <= MARGIN => {}
            None if at_the_end => {}
            _ => differences.push(format!("{key} at rank {rank} stands elsewhere")),
        }
    }
    differences
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_else(|error| format!("{file}: {error}"))
}

pub fn rows(folder: &Path) -> Vec<Value> {
    serde_json::from_str(&read(folder, "inference_results.json")).unwrap_or_default()
}

fn scores(row: &Value) -> Vec<f64> {
    row["similarity_scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect()
}

fn keys(row: &Value) -> Vec<&str> {
    row["indices"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect()
}
