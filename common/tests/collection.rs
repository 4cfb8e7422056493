//! What makes two collections different ones.

use imagefleet_common::job::spec::{CollectionSpec, CorpusSpec, JobSpec, Limits, ModelIdentity};
use serde_json::json;
use std::collections::BTreeSet;

fn collection(limits: Limits) -> CollectionSpec {
    let spec: JobSpec = serde_json::from_value(json!({
        "name": "job",
        "corpus": {"name": "photos", "source": "photos", "layout": "zip"},
        "model": {"files": {"path": "model"}},
        "limits": limits,
        "articles": {"file": "articles.csv"},
        "output": {"directory": "out"},
    }))
    .expect("these are a job file's sections");
    let corpus = CorpusSpec::new(&spec.corpus, "photos", "photos");
    let [path, revision, preprocessing] = ["model", "revision", "resize"].map(String::from);
    CollectionSpec::new(&spec, &corpus, ModelIdentity { path, revision, preprocessing, dims: 4 })
}

#[test]
fn every_limit_enters_a_collections_identity_and_is_what_a_worker_gets() {
    let default = Limits::default();
    let limits = [
        default,
        Limits { max_bytes: default.max_bytes - 1, ..default },
        Limits { max_pixels: default.max_pixels - 1, ..default },
        Limits { max_side: default.max_side - 1, ..default },
    ];
    let ids: BTreeSet<_> = limits.map(|limits| collection(limits).id).into();
    assert_eq!(ids.len(), limits.len(), "{ids:?}");
    assert_eq!(collection(default), collection(default));
    assert!(limits.iter().all(|limits| collection(*limits).limits == *limits));
}
