//! An MLflow file store: `mlruns/EXPERIMENT/RUN/`, with a file a parameter, a metric and a tag.
//!
//! MLflow keeps this layout in maintenance: 3.17 reads it with `MLFLOW_ALLOW_FILE_STORE=true` in the environment, and
//! `mlflow migrate-filestore` carries it over into a database.
//!
//! Ids are derived from names, so that writing a run again replaces it. A run is only read if it has parameters, metrics
//! and artifacts, and each folder here holds at least one file.

use super::{METRICS, metrics};
use crate::evaluation::{metrics::MEASURES, report::Report};
use imagefleet_common::ids::{Millis, content_hash};
use std::{collections::BTreeMap, fmt::Write};

/// One reranker's evaluation.
pub struct MlflowRun<'a> {
    /// What the run's id is derived from: unique, such as the job's id and the reranker's name.
    pub key: String,
    /// What the run is called, one line.
    pub name: String,
    pub started: Millis,
    pub ended: Millis,
    /// Names are of letters, digits and `_ - . /`, and none begins another's path; `key` is taken.
    pub params: Vec<(&'static str, String)>,
    pub report: &'a Report,
}

/// An experiment's files, each with its path relative to the folder that holds `mlruns/`. Artifacts are found by tools
/// that run in that folder.
pub fn mlflow_files(experiment: &str, created: Millis, runs: &[MlflowRun]) -> Vec<(String, Vec<u8>)> {
    let id = experiment_id(experiment);
    let folder = format!("mlruns/{id}");
    let meta = yaml(&[
        ("artifact_location", quoted(&folder)),
        ("creation_time", created.to_string()),
        ("experiment_id", quoted(&id)),
        ("last_update_time", created.to_string()),
        ("lifecycle_stage", quoted("active")),
        ("name", quoted(experiment)),
    ]);
    let mut files = vec![(format!("{folder}/meta.yaml"), meta)];
    for run in runs {
        files.extend(run.files(&id));
    }
    files
}

/// 18 digits at most, as MLflow's own.
fn experiment_id(name: &str) -> String {
    let hash = content_hash(name.as_bytes());
    let number = u64::from_str_radix(&hash[..16], 16).expect("a hash has 64 hexadecimal digits");
    (number % 1_000_000_000_000_000_000).to_string()
}

impl MlflowRun<'_> {
    fn files(&self, experiment: &str) -> Vec<(String, Vec<u8>)> {
        let id = &content_hash(self.key.as_bytes())[..32];
        let folder = format!("mlruns/{experiment}/{id}");
        let meta = yaml(&[
            ("artifact_uri", quoted(&format!("{folder}/artifacts"))),
            ("end_time", self.ended.to_string()),
            ("entry_point_name", quoted("")),
            ("experiment_id", quoted(experiment)),
            ("lifecycle_stage", quoted("active")),
            ("run_id", quoted(id)),
            ("run_name", quoted(&self.name)),
            ("source_name", quoted("")),
            ("source_type", LOCAL.to_string()),
            ("source_version", quoted("")),
            ("start_time", self.started.to_string()),
            ("status", FINISHED.to_string()),
            ("tags", "[]".to_owned()),
            ("user_id", quoted("imagefleet")),
        ]);
        let mut files = vec![
            (format!("{folder}/meta.yaml"), meta),
            (format!("{folder}/tags/mlflow.runName"), self.name.clone().into()),
            (format!("{folder}/params/key"), self.key.clone().into()),
            (format!("{folder}/artifacts/{METRICS}"), metrics::whole(self.report)),
        ];
        files.extend(self.params.iter().map(|(name, value)| (format!("{folder}/params/{name}"), value.clone().into())));
        files
            .extend(self.metrics().into_iter().map(|(name, lines)| (format!("{folder}/metrics/{name}"), lines.into())));
        files
    }

    /// Each metric's lines: time, value, step. Those of the sweep have a line a weight, whose step is the weight in
    /// hundredths, since steps are whole numbers.
    fn metrics(&self) -> BTreeMap<String, String> {
        let mut metrics: BTreeMap<String, String> = BTreeMap::new();
        let mut log = |name: String, value: f64, step: u32| {
            let line = format!("{} {value} {step}\n", self.ended);
            metrics.entry(name).or_default().push_str(&line);
        };
        log("queries".to_owned(), self.report.queries as f64, 0);
        log("without_truth".to_owned(), self.report.without_truth as f64, 0);
        let phases = self.report.phases().into_iter().map(|(phase, at)| (phase, at, 0));
        let weights = self.report.sweep.iter().flatten();
        let weights = weights.map(|at| ("sweep", &at.at[..], (at.weight * 100.0).round() as u32));
        for (phase, measured, step) in phases.chain(weights) {
            for at in measured {
                for (name, of) in MEASURES {
                    log(format!("{phase}/{name}_at_{}", at.k), of(at), step);
                }
            }
        }
        metrics
    }
}

/// MLflow's numbers for where a run ran, and for how it ended.
const LOCAL: u32 = 4;
const FINISHED: u32 = 3;

/// A mapping, a line an entry.
fn yaml(entries: &[(&str, String)]) -> Vec<u8> {
    entries
        .iter()
        .fold(String::new(), |mut text, (name, value)| {
            writeln!(text, "{name}: {value}").expect("a String takes all that is written");
            text
        })
        .into()
}

/// Text in YAML's double quotes, which hold what JSON's do.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text serialises")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluation::{report::Comparison, sweep::Sweep},
        fusion::{Form, Scored},
    };
    use imagefleet_common::ports::index::Hit;
    use std::collections::BTreeSet;

    const RUN: &str = "mlruns/EXPERIMENT/RUN";

    /// The files of an experiment with one run, whose ids are replaced by words.
    fn files(swept: bool) -> BTreeMap<String, String> {
        let hit = |key: &str| Hit { key: key.to_owned(), score: 0.5, epoch: 1 };
        let (mut comparison, mut sweep) = (Comparison::new(1), Sweep::new(Form::Plain, 1));
        comparison.add("1", &[hit("x"), hit("1")], &[hit("1"), hit("x")]);
        comparison.add("", &[], &[]);
        sweep.add("1", &[Scored { hit: hit("x"), score: 0.0 }, Scored { hit: hit("1"), score: 1.0 }]);
        let report = comparison.report(swept.then_some(&sweep));
        let run = MlflowRun {
            key: "job/aesthetics".into(),
            name: "clip, \"aesthetics\"".into(),
            started: 1_000,
            ended: 2_500,
            params: vec![("model", "clip".into()), ("rerank.weight", "0.2".into())],
            report: &report,
        };
        let files = mlflow_files("news", 900, &[run]);
        let id = &content_hash(b"job/aesthetics")[..32];
        let words = |text: &str| text.replace(&experiment_id("news"), "EXPERIMENT").replace(id, "RUN");
        let count = files.len();
        let named: BTreeMap<String, String> =
            files.into_iter().map(|(name, bytes)| (words(&name), words(&String::from_utf8_lossy(&bytes)))).collect();
        assert_eq!(named.len(), count, "no file comes twice");
        named
    }

    #[test]
    fn an_experiment_and_its_run_are_described_as_mlflow_describes_them() {
        let files = files(false);
        let experiment = "\
artifact_location: \"mlruns/EXPERIMENT\"
creation_time: 900
experiment_id: \"EXPERIMENT\"
last_update_time: 900
lifecycle_stage: \"active\"
name: \"news\"
";
        assert_eq!(files["mlruns/EXPERIMENT/meta.yaml"], experiment);
        let run = r#"artifact_uri: "mlruns/EXPERIMENT/RUN/artifacts"
end_time: 2500
entry_point_name: ""
experiment_id: "EXPERIMENT"
lifecycle_stage: "active"
run_id: "RUN"
run_name: "clip, \"aesthetics\""
source_name: ""
source_type: 4
source_version: ""
start_time: 1000
status: 3
tags: []
user_id: "imagefleet"
"#;
        assert_eq!(files[&format!("{RUN}/meta.yaml")], run);
    }

    #[test]
    fn parameters_and_metrics_are_a_file_each() {
        let files = files(true);
        let file = |name: &str| files.get(&format!("{RUN}/{name}")).map(String::as_str);
        assert_eq!(file("params/key"), Some("job/aesthetics"));
        assert_eq!(file("params/rerank.weight"), Some("0.2"));
        assert_eq!(file("tags/mlflow.runName"), Some("clip, \"aesthetics\""));
        assert_eq!(file("metrics/queries"), Some("2500 1 0\n"));
        assert_eq!(file("metrics/without_truth"), Some("2500 1 0\n"));
        assert_eq!(file("metrics/before/hits_at_1"), Some("2500 0 0\n"));
        assert_eq!(file("metrics/after/mrr_at_1"), Some("2500 1 0\n"));
        assert_eq!(file("metrics/difference/precision_at_1"), Some("2500 1 0\n"));
        let swept = file("metrics/sweep/hits_at_1").unwrap_or_default();
        assert_eq!(swept.lines().count(), 11);
        assert!(swept.starts_with("2500 0 0\n2500 1 10\n") && swept.ends_with("2500 1 100\n"), "{swept}");
    }

    #[test]
    fn a_run_has_each_folder_without_which_mlflow_passes_it_over() {
        let nothing = Comparison::new(0).report(None);
        let run =
            MlflowRun { key: "k".into(), name: "n".into(), started: 0, ended: 0, params: Vec::new(), report: &nothing };
        let files = mlflow_files("e", 0, &[run]);
        let folders: BTreeSet<&str> = files.iter().filter_map(|(name, _)| name.split('/').nth(3)).collect();
        assert_eq!(folders, BTreeSet::from(["artifacts", "meta.yaml", "metrics", "params", "tags"]));
    }

    #[test]
    fn an_experiments_id_is_a_number_that_its_name_decides() {
        // int(hashlib.sha256(name).hexdigest()[:16], 16) % 10**18
        for (name, id) in [("news", "872266995202357583"), ("", "406829232824261652")] {
            assert_eq!(experiment_id(name), id);
        }
    }
}
