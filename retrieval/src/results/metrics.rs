//! `metrics.json`, `metrics.csv` and `metrics.jsonl`: what an evaluation measured, unrounded.
//!
//! The table and the lines are for trackers, which log a row at a time; the sweep stands in `metrics.json` only.

use super::{METRICS, METRICS_LINES, METRICS_TABLE};
use crate::evaluation::{metrics::AtK, report::Report};
use serde::Serialize;
use std::fmt::Write;

/// A row of the lines, fields in the order in which they are written.
#[derive(Serialize)]
struct Line {
    step: usize,
    phase: &'static str,
    hits: f64,
    mrr: f64,
    precision: f64,
}

/// The three files, each with its name.
pub fn metrics_files(report: &Report) -> Vec<(String, Vec<u8>)> {
    let mut table = String::from("phase,k,hits,mrr,precision\n");
    let mut lines = String::new();
    for (phase, at) in report.phases() {
        for &AtK { k, hits, mrr, precision } in at {
            let line = serde_json::to_string(&Line { step: k, phase, hits, mrr, precision });
            let line = line.expect("numbers under names serialise");
            writeln!(table, "{phase},{k},{hits},{mrr},{precision}").expect("a String takes all that is written");
            writeln!(lines, "{line}").expect("a String takes all that is written");
        }
    }
    vec![
        (METRICS.to_owned(), whole(report)),
        (METRICS_TABLE.to_owned(), table.into()),
        (METRICS_LINES.to_owned(), lines.into()),
    ]
}

/// `metrics.json`.
pub(super) fn whole(report: &Report) -> Vec<u8> {
    super::pretty(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluation::{report::Comparison, sweep::Sweep},
        fusion::{Form, Scored},
    };
    use imagefleet_common::ports::index::Hit;

    fn hits(keys: &[&str]) -> Vec<Hit> {
        keys.iter().map(|key| Hit { key: (*key).to_owned(), score: 0.5, epoch: 1 }).collect()
    }

    fn comparison() -> Comparison {
        let mut comparison = Comparison::new(5);
        comparison.add("1", &hits(&["x", "1"]), &hits(&["1", "x"]));
        comparison.add("2", &hits(&["y", "z", "2"]), &hits(&["y", "2", "z"]));
        comparison.add("3", &hits(&["3"]), &hits(&["3"]));
        comparison.add("", &hits(&["x"]), &hits(&["x"]));
        comparison
    }

    fn text(files: &[(String, Vec<u8>)], name: &str) -> String {
        let found = files.iter().find(|(other, _)| other == name);
        found.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    }

    #[test]
    fn every_file_has_every_digit() {
        let files = metrics_files(&comparison().report(None));
        assert_eq!(
            files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["metrics.json", "metrics.csv", "metrics.jsonl"]
        );
        let table = "\
phase,k,hits,mrr,precision
before,1,0.3333333333333333,0.3333333333333333,0.3333333333333333
before,5,1,0.611111111111111,0.2
after,1,0.6666666666666666,0.6666666666666666,0.6666666666666666
after,5,1,0.8333333333333334,0.2
difference,1,0.3333333333333333,0.3333333333333333,0.3333333333333333
difference,5,0,0.22222222222222232,0
";
        assert_eq!(text(&files, "metrics.csv"), table);
        let lines = text(&files, "metrics.jsonl");
        let first = r#"{"step":1,"phase":"before","hits":0.3333333333333333,"mrr":0.3333333333333333,"precision":0.3333333333333333}"#;
        assert_eq!((lines.lines().next(), lines.lines().count()), (Some(first), 6));
        let json = text(&files, "metrics.json");
        let head = r#"{
  "queries": 3,
  "without_truth": 1,
  "k": [
    1,
    5
  ],
  "before": [
    {
      "k": 1,
      "hits": 0.3333333333333333,
      "mrr": 0.3333333333333333,
      "precision": 0.3333333333333333
    },
"#;
        assert!(json.starts_with(head) && json.ends_with("    }\n  ]\n}\n") && !json.contains("sweep"), "{json}");
        assert!(json.find("\"after\"") < json.find("\"difference\""));
    }

    #[test]
    fn a_sweep_stands_behind_the_rest_of_the_whole_file() {
        let mut sweep = Sweep::new(Form::Plain, 1);
        let scored = |(hit, score)| Scored { hit, score };
        let candidates: Vec<Scored> = hits(&["x", "1"]).into_iter().zip([0.1, 0.2]).map(scored).collect();
        sweep.add("1", &candidates);
        let report = comparison().report(Some(&sweep));
        let whole = text(&metrics_files(&report), "metrics.json");
        let (_, swept) = whole.split_once("\"sweep\": ").unwrap_or_default();
        let found: Vec<&str> =
            swept.lines().map(str::trim).filter(|line| !line.contains(['{', '}', '[', ']'])).collect();
        assert_eq!(
            found[..5],
            ["\"weight\": 0.0,", "\"k\": 1,", "\"hits\": 0.0,", "\"mrr\": 0.0,", "\"precision\": 0.0"]
        );
        assert_eq!(found[5..7], ["\"weight\": 0.1,", "\"k\": 1,"]);
        assert_eq!((found[7], found[50], found.len()), ("\"hits\": 1.0,", "\"weight\": 1.0,", 55));
    }

    #[test]
    fn nothing_measured_is_no_row() {
        let files = metrics_files(&Comparison::new(100).report(None));
        assert_eq!(text(&files, "metrics.csv"), "phase,k,hits,mrr,precision\n");
        assert_eq!(text(&files, "metrics.jsonl"), "");
        assert!(text(&files, "metrics.json").contains("\"before\": [],\n"));
    }

    #[test]
    fn the_whole_file_is_read_back_as_the_report_that_it_was() {
        let files = metrics_files(&comparison().report(Some(&Sweep::new(Form::Plain, 5))));
        let back: Option<Report> = serde_json::from_slice(&files[0].1).ok();
        let table = |report: &Report| report.to_string();
        assert_eq!(back.as_ref().map(table), Some(table(&comparison().report(None))));
        assert_eq!(back.and_then(|report| report.sweep).map(|sweep| sweep.len()), Some(11));
    }
}
