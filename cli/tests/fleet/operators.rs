//! What operators do to a fleet at work.

use crate::{
    fleet::Fleet,
    runs::{equals_the_embedded_run, project},
};
use serde_json::{Value, json};
use std::fs;

fn workers(fleet: &Fleet) -> Vec<Value> {
    fleet.json(&["workers", "ls"]).as_array().unwrap().clone()
}

#[test]
fn a_worker_that_is_asked_to_drain_exits_with_0_and_its_work_goes_on() {
    let mut fleet = Fleet::new(project()).with("IMAGEFLEET_SLOTS", "1");
    fleet.coordinator();
    let processes = [fleet.worker(), fleet.worker()];
    let job = fleet.submit();
    fleet.until("both workers live", |fleet| workers(fleet).len() == 2);
    let process = fleet.process(processes[0]).id();
    let name = workers(&fleet)
        .iter()
        .map(|worker| worker["worker"].as_str().unwrap().to_owned())
        .find(|name| name.ends_with(&format!("-{process}")))
        .unwrap();
    let (code, _, stderr) = fleet.run(&["workers", "drain", "nobody"]);
    assert!(code == 1 && stderr.contains("none of this name or id lives"), "{stderr}");
    assert_eq!(fleet.json(&["workers", "drain", &name])["asked"], 1);
    assert_eq!(fleet.ends(processes[0]), Some(0), "{}", fleet.logs());
    assert!(fleet.log(processes[0]).contains("has drained, as it was asked to"), "{}", fleet.logs());
    assert_eq!(workers(&fleet).len(), 1);
    equals_the_embedded_run(&fleet, &job);
}

#[test]
fn a_job_whose_bucket_is_away_says_why_it_is_not_planned_and_goes_on_when_it_is_back() {
    let mut fleet = Fleet::new(project());
    let job = fleet.submit();
    let (bucket, away) = (fleet.bucket(), fleet.bucket().with_extension("away"));
    fs::rename(&bucket, &away).unwrap();
    fleet.coordinator();
    let error = |fleet: &Fleet| fleet.json(&["jobs", "show", &job])["error"].clone();
    fleet.until("the reason is shown", |fleet| error(fleet).as_str().is_some_and(|error| error.contains("fleet")));
    assert!(fleet.run(&["jobs", "show", &job]).1.contains("not planned "));
    fs::rename(&away, &bucket).unwrap();
    fleet.worker();
    equals_the_embedded_run(&fleet, &job);
    assert_eq!(error(&fleet), Value::Null);
}

#[test]
fn the_doctor_finds_a_fleet_in_order_and_says_so_of_each_service() {
    let mut fleet = Fleet::new(project());
    let found = fleet.json(&["doctor"]);
    for thing in ["database", "clock", "tables", "broker", "index", "sources", "artifacts", "queues", "dead tasks"] {
        let finding = found.as_array().unwrap().iter().find(|finding| finding["thing"] == thing);
        assert_eq!(finding.unwrap()["verdict"], "ok", "{thing}: {found:#}");
    }
    fleet.coordinator();
    fleet.worker();
    let job = fleet.submit();
    equals_the_embedded_run(&fleet, &job);
    assert_eq!(fleet.run(&["doctor"]).0, 0);

    let empty = Fleet::new(project()).with("IMAGEFLEET_NAMESPACE", "test_not_migrated");
    let (code, stdout, _) = empty.run(&["doctor"]);
    assert!(code == 1 && stdout.contains("fail  tables") && stdout.contains("imagefleet migrate"), "{stdout}");
}

#[test]
fn a_takedown_reaches_the_index_of_a_fleet_and_priorities_are_changed_by_submitting_again() {
    let mut fleet = Fleet::new(project());
    let first = fleet.json(&["submit", "job.toml", "--priority", "-3", "--max-workers", "1"]);
    let job = first["job"].as_str().unwrap().to_owned();
    let shown = fleet.json(&["jobs", "show", &job]);
    assert_eq!((&shown["priority"], &shown["max_workers"]), (&json!(-3), &json!(1)));
    assert_eq!(fleet.submit(), job);
    let shown = fleet.json(&["jobs", "show", &job]);
    assert_eq!((&shown["priority"], &shown["max_workers"]), (&json!(0), &Value::Null));
    fleet.coordinator();
    fleet.worker();
    equals_the_embedded_run(&fleet, &job);

    let model = imagefleet_tests::project::tiny_model();
    let model = model.to_str().unwrap();
    let search = ["search", "a title", "--top", "1000", "--set", &format!("models={model}")];
    let keys = |fleet: &Fleet| -> Vec<String> {
        let found = fleet.json(&search);
        found["results"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
    };
    let before = keys(&fleet);
    let taken = fleet.json(&["takedown", &before[0]]);
    assert_eq!(taken["collections"][0]["removed"], true);
    assert_eq!(keys(&fleet).len(), before.len() - 1);
    assert!(!keys(&fleet).contains(&before[0]));
    assert_eq!(fleet.run(&["verify", "job.toml"]).0, 0);
    fleet.succeeds(&["jobs", "rm", &job]);
    fleet.succeeds(&["collections", "rm", taken["collections"][0]["collection"].as_str().unwrap()]);
    assert_eq!(fleet.json(&["collections", "ls"]), json!([]));
}
