//! What makes two collections different ones.

use imagefleet_common::{
    filter::Filter,
    job::spec::{CollectionSpec, CorpusSpec, JobSpec, Limits, ModelIdentity},
};
use serde_json::json;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

fn collection(limits: Limits) -> CollectionSpec {
    filtered(limits, Filter::default())
}

fn filtered(limits: Limits, filter: Filter) -> CollectionSpec {
    let spec: JobSpec = serde_json::from_value(json!({
        "name": "job",
        "corpus": {"name": "photos", "source": "photos", "layout": "zip"},
        "model": {"files": {"path": "model"}},
        "limits": limits,
        "index_filter": filter,
        "articles": {"file": "articles.csv"},
        "output": {"directory": "out"},
    }))
    .expect("these are a job file's sections");
    let corpus = CorpusSpec::new(&spec.corpus, "photos", "photos");
    let [path, revision, preprocessing] = ["model", "revision", "resize"].map(String::from);
    CollectionSpec::new(
        &spec,
        &corpus,
        ModelIdentity { path, revision, files: BTreeMap::new(), preprocessing, dims: 4 },
    )
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

/// A collection that is on somebody's disk must be found again.
#[test]
fn a_collection_without_a_filter_keeps_the_id_that_it_had_before_there_were_filters() {
    assert_eq!(collection(Limits::default()).id.0, "photos-12c3431baadec4b0");
    let stored = serde_json::to_value(collection(Limits::default())).expect("it serialises");
    assert_eq!(stored.get("filter"), None);
    let read: CollectionSpec = serde_json::from_value(stored).expect("what was stored before there were filters reads");
    assert_eq!(read, collection(Limits::default()));
}

#[test]
fn every_rule_of_a_filter_enters_a_collections_identity_and_is_what_a_worker_gets() {
    let rules = [
        ("licence", "by"),
        ("licence", "by,by-sa"),
        ("licence_without", "nc"),
        ("taken_from", "2012-05-06"),
        ("taken_before", "2012-05-06"),
        ("text", "boat"),
    ];
    let mut ids = BTreeSet::from([collection(Limits::default()).id]);
    for (key, value) in rules {
        let mut filter = Filter::default();
        filter.set(key, value).expect("it is a rule");
        let made = filtered(Limits::default(), filter.clone());
        assert_eq!(made.filter, filter);
        ids.insert(made.id);
    }
    assert_eq!(ids.len(), rules.len() + 1, "{ids:?}");
}
