//! What a fleet does when nothing goes wrong.

use crate::fleet::Fleet;
use imagefleet_tests::{
    compare::differences,
    corpus::{photos, write_yfcc_shard},
    project::Project,
};
use serde_json::Value;

const SHARDS: [&str; 4] = ["0a1", "0a2", "0a3", "0a4"];

/// Four shards of sixteen pictures.
pub(crate) fn project() -> Project {
    let project = Project::new("yfcc", 20);
    for shard in SHARDS {
        write_yfcc_shard(&project.corpus(), shard, &photos(shard, 16));
    }
    project
}

/// The fleet's results are those of the embedded run of the same file.
pub(crate) fn equals_the_embedded_run(fleet: &Fleet, job: &str) {
    let results = fleet.results(job);
    fleet.succeeds(&["run", "job.toml"]);
    assert_eq!(differences(&fleet.project.out(), &results), Vec::<String>::new());
    fleet.succeeds(&["verify", "job.toml"]);
}

#[test]
fn two_coordinators_and_two_workers_give_what_one_process_gives() {
    let mut fleet = Fleet::new(project());
    let coordinators = [fleet.coordinator(), fleet.coordinator()];
    let workers = [fleet.worker(), fleet.worker()];
    let job = fleet.submit();
    assert_eq!(fleet.submit(), job, "an active job is not submitted twice");
    equals_the_embedded_run(&fleet, &job);
    for process in coordinators.into_iter().chain(workers) {
        fleet.signal(process, "TERM");
        assert_eq!(fleet.ends(process), Some(0), "{}", fleet.logs());
    }
}

#[test]
fn a_second_run_of_the_same_embeds_nothing() {
    let mut fleet = Fleet::new(project());
    fleet.coordinator();
    fleet.worker();
    let job = fleet.submit();
    fleet.results(&job);
    let attempts = |fleet: &Fleet| fleet.json(&["jobs", "show", &job])["counts"].clone();
    let before = attempts(&fleet);
    assert_eq!(fleet.submit(), job);
    fleet.results(&job);
    assert_eq!(attempts(&fleet), before);
}

#[test]
fn a_cancelled_job_ends_and_watching_it_says_so() {
    let mut fleet = Fleet::new(project());
    fleet.coordinator();
    let job = fleet.submit();
    fleet.until("the job is planned", |fleet| fleet.json(&["jobs", "show", &job])["state"] == "running");
    fleet.succeeds(&["jobs", "cancel", &job]);
    assert_eq!(fleet.run(&["jobs", "watch", &job]).0, 4);
    assert_eq!(fleet.json(&["jobs", "show", &job])["state"], "cancelled");
}

#[test]
fn what_a_fleet_cannot_read_is_refused_by_name() {
    let fleet = Fleet::new(project());
    let text = std::fs::read_to_string(fleet.project.job_file()).unwrap();
    for (from, to, said) in [
        ("source = \"corpus\"", "source = \"/srv/pictures\"", "/srv/pictures"),
        ("source = \"corpus\"", "source = \"~/pictures\"", "~/pictures"),
        ("source = \"corpus\"", "source = \"nowhere\"", "nowhere"),
        ("file = \"articles.csv\"", "file = \"gone.csv\"", "gone.csv"),
    ] {
        std::fs::write(fleet.project.job_file(), text.replace(from, to)).unwrap();
        let (code, _, stderr) = fleet.run(&["submit", "job.toml"]);
        assert!(code != 0 && stderr.contains(said), "{to}: {code} {stderr}");
    }
    assert_eq!(fleet.json(&["jobs", "ls"]).as_array().map(Vec::len), Some(0), "nothing was submitted");
}

#[test]
fn storage_settings_belong_to_the_collection() {
    let fleet = Fleet::new(project());
    fleet.submit();
    fleet.write_job("[index]\ntype = \"hnsw\"\n");
    let (code, _, stderr) = fleet.run(&["submit", "job.toml"]);
    assert!(code != 0 && stderr.contains("flat_ip") && stderr.contains("hnsw"), "{stderr}");
}

#[test]
fn a_search_by_the_api_finds_what_the_command_finds() {
    let mut fleet = Fleet::new(project());
    let coordinator = fleet.coordinator();
    fleet.worker();
    let job = fleet.submit();
    fleet.results(&job);
    let (status, found) = fleet.post(coordinator, "/v1/search", r#"{"text": "a red bicycle", "top": 5}"#);
    assert_eq!(status, 200, "{found} {}", fleet.logs());
    let mut by_command = fleet.json(&["search", "a red bicycle", "--top", "5"]);
    let mut by_api: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(by_api["results"].as_array().unwrap().len(), 5);
    for found in [&mut by_api, &mut by_command] {
        for picture in found["results"].as_array_mut().unwrap() {
            // Another process, another batch.
            picture["score"] = Value::from((picture["score"].as_f64().unwrap() * 1e5).round());
        }
        found.as_object_mut().unwrap().remove("query");
    }
    assert_eq!(by_api, by_command);
    assert!(!fleet.succeeds(&["jobs", "ls"]).contains("search"), "a search is not listed among the jobs");
}
