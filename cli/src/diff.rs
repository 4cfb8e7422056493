//! `imagefleet diff`: why two runs differ, from their `run.json`.

use crate::{
    args::{Global, Output},
    exit::Exit,
    logging::print,
    table::table,
};
use imagefleet_common::{Context, Result};
use imagefleet_retrieval::results::{RUN, RunRecord};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Parts of the record that change no result. A processor may move a score in its sixth digit.
const CIRCUMSTANCES: [&str; 8] = [
    "job.id",
    "job.created",
    "job.spec.output",
    "job.spec.priority",
    "job.spec.report",
    "machine",
    "workers",
    "timings",
];
/// Longest value that is printed as it is.
const WIDEST: usize = 48;

/// Succeeds where the results are the same, whatever else differs.
pub(crate) fn command(global: &Global, left: &Path, right: &Path) -> Result<Exit> {
    let differences = Differences::between(&read(left)?, &read(right)?)?;
    match global.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&differences).permanent(|| "print the differences".to_owned())?;
            print(format_args!("{text}"));
        }
        Output::Table => differences.show(),
    }
    Ok(if differences.results.is_empty() { Exit::Done } else { Exit::Failed })
}

/// A `run.json`, or the one in a folder of results.
fn read(path: &Path) -> Result<RunRecord> {
    let file = if path.is_dir() { path.join(RUN) } else { path.to_path_buf() };
    let doing = || format!("read the record of a run, {}", file.display());
    let bytes = std::fs::read(&file).permanent(doing)?;
    serde_json::from_slice(&bytes).permanent(doing)
}

#[derive(Debug, PartialEq, Serialize)]
struct Differences {
    /// Result files whose bytes differ, or that one run has alone.
    results: Vec<String>,
    /// What results depend on.
    causes: Vec<Difference>,
    /// What they do not depend on.
    circumstances: Vec<Difference>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Difference {
    what: String,
    left: Option<Value>,
    right: Option<Value>,
}

impl Differences {
    fn between(left: &RunRecord, right: &RunRecord) -> Result<Self> {
        let (left_values, right_values) = (values(left)?, values(right)?);
        let names: BTreeSet<&String> = left_values.keys().chain(right_values.keys()).collect();
        let mut differences = Self { results: Vec::new(), causes: Vec::new(), circumstances: Vec::new() };
        for name in names {
            let (left, right) = (left_values.get(name), right_values.get(name));
            if left == right {
                continue;
            }
            if let Some(file) = name.strip_prefix("results.") {
                differences.results.push(file.to_owned());
                continue;
            }
            let is_circumstance = CIRCUMSTANCES.iter().any(|part| is_part(name, part));
            let to = if is_circumstance { &mut differences.circumstances } else { &mut differences.causes };
            to.push(Difference { what: name.clone(), left: left.cloned(), right: right.cloned() });
        }
        Ok(differences)
    }

    fn show(&self) {
        match self.results.as_slice() {
            [] => print(format_args!("the results are the same")),
            files => print(format_args!("results that differ: {}", files.join(", "))),
        }
        for (title, differences) in
            [("what results depend on", &self.causes), ("what they do not depend on", &self.circumstances)]
        {
            if differences.is_empty() {
                print(format_args!("\n{title}: no difference"));
                continue;
            }
            let rows: Vec<Vec<String>> = differences
                .iter()
                .map(|difference| {
                    vec![difference.what.clone(), shown(difference.left.as_ref()), shown(difference.right.as_ref())]
                })
                .collect();
            print(format_args!("\n{title}:\n{}", table(&["WHAT", "LEFT", "RIGHT"], &rows)));
        }
    }
}

fn is_part(name: &str, of: &str) -> bool {
    name.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    if text.chars().count() <= WIDEST { text } else { text.chars().take(WIDEST - 1).chain(['…']).collect() }
}

/// Every value of the record by its dotted name. Shards and stages are known by their own names, for their place in a
/// list says nothing.
fn values(record: &RunRecord) -> Result<BTreeMap<String, Value>> {
    let record = serde_json::to_value(record).permanent(|| "read the record of a run".to_owned())?;
    let mut values = BTreeMap::new();
    flatten("", record, &mut values);
    Ok(values)
}

fn flatten(name: &str, value: Value, into: &mut BTreeMap<String, Value>) {
    let below = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match value {
        Value::Object(fields) => fields.into_iter().for_each(|(part, value)| flatten(&below(&part), value, into)),
        Value::Array(items) => {
            for (number, mut item) in items.into_iter().enumerate() {
                let own = ["path", "stage"].iter().find_map(|key| item.as_object_mut()?.remove(*key));
                let part = own.as_ref().and_then(Value::as_str).map_or_else(|| number.to_string(), str::to_owned);
                flatten(&below(&part), item, into);
            }
        }
        value => {
            into.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shards_are_compared_by_their_path_and_not_by_their_place() {
        let mut values = BTreeMap::new();
        let shards = json!([{"path": "b.zip", "version": 2}, {"path": "a.zip", "version": 1}]);
        flatten("", json!({"corpus": {"shards": shards, "id": "c"}, "heads": [null, "x"]}), &mut values);
        let expected = [
            ("corpus.id", json!("c")),
            ("corpus.shards.a.zip.version", json!(1)),
            ("corpus.shards.b.zip.version", json!(2)),
            ("heads.0", Value::Null),
            ("heads.1", json!("x")),
        ];
        assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn a_part_is_a_whole_word_of_the_name() {
        assert!(is_part("job.id", "job.id") && is_part("machine.cores", "machine"));
        assert!(!is_part("job.idea", "job.id") && !is_part("machines", "machine"));
    }

    #[test]
    fn long_values_are_cut_for_the_eye() {
        assert_eq!(shown(Some(&json!("x".repeat(100)))).chars().count(), WIDEST);
        assert_eq!((shown(None), shown(Some(&json!(1)))), ("-".to_owned(), "1".to_owned()));
    }
}
