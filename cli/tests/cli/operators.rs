//! What operators do in a data directory: takedowns, removals, tasks, workers.

use crate::{json, output, project};
use imagefleet_tests::{
    corpus::{photos, write_yfcc_shard},
    points::points,
    project::Project,
};
use serde_json::{Value, json as value};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn run(project: &Project) {
    let (code, _, stderr) = output(project, &["run", "job.toml"]);
    assert_eq!(code, 0, "{stderr}");
}

fn verify(project: &Project) {
    let (code, stdout, _) = output(project, &["verify", "job.toml"]);
    assert_eq!(code, 0, "{stdout}");
}

/// Keys that a search of everything finds.
fn found(project: &Project) -> Vec<String> {
    let found = json(project, &["search", "a title", "--top", "100"]);
    found["results"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
}

fn job_id(project: &Project) -> String {
    json(project, &["jobs", "ls"])[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_picture_that_is_taken_down_is_gone_everywhere_at_once_and_for_good() {
    let project = project();
    run(&project);
    let key = photos("0a1", 12).remove(3).key;
    assert!(found(&project).contains(&key) && points(&project).await.contains_key(&key));

    let taken = json(&project, &["takedown", &key, "--why", "asked by its owner"]);
    assert_eq!((&taken["key"], &taken["why"]), (&value!(key), &value!("asked by its owner")));
    assert_eq!(
        (&taken["collections"][0]["removed"], &taken["collections"][0]["counted"]),
        (&value!(true), &value!(true))
    );
    assert_eq!(found(&project).len(), 11);
    assert!(!found(&project).contains(&key) && !points(&project).await.contains_key(&key));
    verify(&project);
    let shown = json(&project, &["jobs", "show", "test"]);
    assert_eq!(shown["counts"]["rejected"], value!({"takedown": 1}));

    let again = json(&project, &["takedown", &key, "--why", "asked again"]);
    assert_eq!((&again["at"], &again["why"]), (&taken["at"], &taken["why"]), "the first takedown stands");
    assert_eq!(
        (&again["collections"][0]["removed"], &again["collections"][0]["counted"]),
        (&value!(false), &value!(true))
    );

    // The job lists again, embeds nothing, and makes its results anew.
    let (_, stdout, _) = output(&project, &["run", "job.toml"]);
    assert!(stdout.contains("1 rejected(takedown)") && stdout.contains("0 pictures encoded"), "{stdout}");
    let results = fs::read_to_string(project.out().join("inference_results.json")).unwrap();
    assert!(!results.contains(&key), "{key} is in {results}");
    let ledger = fs::read_to_string(project.out().join("ledger.jsonl")).unwrap();
    assert!(ledger.contains("asked by its owner"), "{ledger}");

    // A shard that has changed is embedded again, and the picture is not.
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 14));
    run(&project);
    assert_eq!(found(&project).len(), 13);
    assert!(!points(&project).await.contains_key(&key));
    verify(&project);
}

#[tokio::test]
async fn a_takedown_reaches_every_collection_and_what_is_embedded_later() {
    let project = project();
    run(&project);
    let text = fs::read_to_string(project.job_file()).unwrap();
    // Another way to decode is another collection.
    let other = text.replace("name = \"test\"\n[corpus]", "name = \"other\"\n[corpus]");
    let other = other.replace("batch = 8", "batch = 8\ndecoding = \"fast\"");
    fs::write(project.path().join("other.toml"), other).unwrap();
    assert_eq!(output(&project, &["run", "other.toml"]).0, 0);
    let [first, second] = photos("0a1", 2).try_into().unwrap();
    assert_eq!(output(&project, &["vectors", "export", &collection(&project, "fast"), "vectors"]).0, 0);
    let taken = json(&project, &["takedown", &first.key]);
    let removed: Vec<&Value> =
        taken["collections"].as_array().unwrap().iter().map(|collection| &collection["removed"]).collect();
    assert_eq!(removed, [&value!(true), &value!(true)]);
    for file in ["job.toml", "other.toml"] {
        assert_eq!(output(&project, &["verify", file]).0, 0, "{file}");
    }

    let imported = json(&project, &["vectors", "import", "vectors", "imported"]);
    assert_eq!((&imported["vectors"], &imported["taken_down"]), (&value!(11), &value!(1)));
    assert_eq!(json(&project, &["takedown", &second.key])["collections"].as_array().unwrap().len(), 3);
    assert_eq!(json(&project, &["collections", "show", "imported"])["points"], 10);

    let unknown = json(&project, &["takedown", "no such key"]);
    assert_eq!(unknown["collections"][0]["removed"], value!(false));
    let (_, _, stderr) = output(&project, &["takedown", "no such key"]);
    assert!(stderr.contains("warning: no collection holds no such key"), "{stderr}");
    for wrong in ["", " key", "key ", "new\nline"] {
        let (code, _, stderr) = output(&project, &["takedown", wrong]);
        assert!(code == 1 && stderr.contains("this is no key"), "{stderr}");
    }

    let fresh = crate::project();
    run(&fresh);
    assert_eq!(output(&fresh, &["takedown", &second.key]).0, 0);
    assert_eq!(output(&fresh, &["jobs", "rm", "test"]).0, 0);
    let collection = json(&fresh, &["collections", "ls"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(output(&fresh, &["collections", "rm", &collection]).0, 0);
    run(&fresh);
    assert!(!points(&fresh).await.contains_key(&second.key), "a takedown outlasts the collection");
    verify(&fresh);
}

/// The id of the collection that is decoded so.
fn collection(project: &Project, decoding: &str) -> String {
    let all = json(project, &["collections", "ls"]);
    let found = all.as_array().unwrap().iter().find(|collection| collection["decoding"] == decoding);
    found.unwrap_or_else(|| panic!("{all:#}"))["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_takedown_does_not_wait_for_a_run_but_says_which_process_works() {
    let project = project();
    run(&project);
    let _lock = project.data().lock().unwrap();
    let (code, _, stderr) = output(&project, &["takedown", "key"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("works in it; wait for it"), "{stderr}");
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_removed_job_leaves_its_vectors_and_a_removed_collection_leaves_nothing() {
    let project = project();
    run(&project);
    let id = job_id(&project);
    let collection = json(&project, &["collections", "ls"])[0]["id"].as_str().unwrap().to_owned();
    let artifacts = project.path().join(".imagefleet/artifacts/tasks");
    let before = files(&artifacts).len();

    let (code, _, stderr) = output(&project, &["collections", "rm", &collection]);
    assert!(code == 1 && stderr.contains("jobs need it: test"), "{stderr}");
    let shown = json(&project, &["collections", "show", "test"]);
    assert_eq!((&shown["points"], &shown["jobs"][0]["name"]), (&value!(12), &value!("test")));
    assert!(output(&project, &["collections", "show", "test"]).1.contains("12 of"));

    let removed = json(&project, &["jobs", "rm", &id]);
    assert_eq!(removed["id"], value!(id));
    let gone = removed["artifacts"].as_u64().unwrap() as usize;
    assert!(gone >= 3, "{removed}");
    assert_eq!(files(&artifacts).len(), before - gone);
    assert_eq!(json(&project, &["jobs", "ls"]), value!([]));
    assert_eq!(output(&project, &["jobs", "rm", &id]).0, 1, "it is gone");
    assert_eq!(found(&project).len(), 12);
    let (_, stdout, _) = output(&project, &["run", "job.toml"]);
    assert!(stdout.contains("12 embedded") && stdout.contains("0 pictures encoded"), "{stdout}");

    assert_eq!(output(&project, &["jobs", "rm", "test"]).0, 0);
    let (code, _, stderr) = output(&project, &["collections", "rm", &collection]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(json(&project, &["collections", "ls"]), value!([]));
    let left = fs::read_dir(project.path().join(".imagefleet/index/segments")).unwrap().count();
    assert_eq!(left, 0, "files of the index");
    assert_eq!(output(&project, &["collections", "rm", &collection]).0, 1);
    let (_, stdout, _) = output(&project, &["run", "job.toml"]);
    assert!(stdout.contains("12 pictures encoded"), "{stdout}");
}

#[test]
fn a_blocked_job_is_removed_once_it_is_cancelled_and_tasks_tell_why_it_was() {
    let project = project();
    fs::write(project.corpus().join("images/0a2.zip"), "no zip").unwrap();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 3);
    let id = job_id(&project);

    let dead = json(&project, &["dead", "ls"]);
    assert_eq!((dead.as_array().unwrap().len(), &dead[0]["jobs"]), (1, &value!([id])));
    let task = dead[0]["id"].as_str().unwrap();
    assert!(output(&project, &["dead", "ls"]).1.contains("images/0a2.zip"));
    let shown = json(&project, &["tasks", "show", task]);
    assert_eq!((&shown["state"], &shown["kind"]), (&value!("dead"), &value!("list")));
    let attempt = shown["attempts"].as_array().unwrap().last().unwrap();
    assert_eq!((&attempt["end"], &attempt["worker"]), (&value!("failed"), &shown["worker"]));
    assert_eq!(attempt["error"], shown["error"]);
    let (_, stdout, _) = output(&project, &["tasks", "show", task]);
    for said in
        ["dead", "ATTEMPT", "failed", "images/0a2.zip", &format!("lines with task={task}"), "of the run, process"]
    {
        assert!(stdout.contains(said), "{said} is not in {stdout}");
    }
    let listed = json(&project, &["tasks", "ls", "test", "--state", "dead"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &value!(task)));
    assert_eq!(json(&project, &["tasks", "ls", "test", "--kind", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(output(&project, &["tasks", "ls", "test"]).1.lines().next().unwrap().split_whitespace().count(), 6);
    assert_eq!(output(&project, &["tasks", "ls", "test", "--state", "odd"]).0, 2);
    assert_eq!(output(&project, &["tasks", "show", &id]).0, 1, "that is a job");

    let (code, _, stderr) = output(&project, &["jobs", "rm", "test"]);
    assert!(
        code == 1 && stderr.contains(&format!("it is blocked; cancel it first (imagefleet jobs cancel {id})")),
        "{stderr}"
    );
    let cancelled = json(&project, &["jobs", "cancel", "test"]);
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(output(&project, &["jobs", "rm", "test"]).0, 0);
    assert_eq!(json(&project, &["dead", "ls"]), value!([]));
}

#[test]
fn a_blocked_job_goes_on_without_what_is_dead_when_it_is_resumed_so() {
    let project = project();
    fs::write(project.corpus().join("images/0a2.zip"), "no zip").unwrap();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 3);
    let (code, stdout, stderr) = output(&project, &["jobs", "resume", "test", "--output", "json"]);
    assert!(code == 0 && stdout.contains("blocked") && stderr.contains("--accept-dead"), "{stdout}{stderr}");
    let (_, _, stderr) = output(&project, &["jobs", "resume", "test", "--accept-dead"]);
    assert!(stderr.contains(": running") && stderr.contains("nothing runs in ./.imagefleet"), "{stderr}");
    assert_eq!(json(&project, &["jobs", "pause", "test"])["paused"], true);
    let (code, _, stderr) = output(&project, &["run", "job.toml", "--accept-dead"]);
    assert!(code == 0 && stderr.contains("job test was paused; it goes on"), "{stderr}");
}

#[test]
fn a_job_that_is_over_is_not_moved() {
    let project = project();
    run(&project);
    for control in ["cancel", "pause", "resume", "retry"] {
        let (code, _, stderr) = output(&project, &["jobs", control, "test"]);
        assert!(code == 1 && stderr.contains("it is over (succeeded)"), "{control}: {stderr}");
    }
    fs::write(project.corpus().join("images/0a2.zip"), "no zip").unwrap();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 3);
    for _ in 0..2 {
        assert_eq!(json(&project, &["jobs", "cancel", "test"])["state"], "cancelled", "whether it was or not");
    }
    let (code, _, stderr) = output(&project, &["jobs", "resume", "test", "--accept-dead"]);
    assert!(code == 1 && stderr.contains("it is over (cancelled)"), "{stderr}");
}

#[test]
fn results_and_an_index_that_were_lost_are_made_again() {
    let project = project();
    run(&project);
    let folder = project.path().join(".imagefleet");
    for lost in ["manifest.json", "candidates.jsonl", "inference_results.json"] {
        for file in files(&folder.join("artifacts")).iter().filter(|file| file.ends_with(lost)) {
            fs::remove_file(file).unwrap();
        }
        let (code, stdout, _) = output(&project, &["verify", "job.toml"]);
        assert!(code == 1 && stdout.contains("is gone"), "{lost}: {stdout}");
        let repaired = json(&project, &["verify", "job.toml", "--repair"]);
        assert_eq!((&repaired["wrong"], &repaired["repaired"]["chunks"]), (&value!([]), &value!(0)), "{lost}");
    }
    fs::remove_dir_all(project.out()).unwrap();
    let (code, _, stderr) = output(&project, &["results", "get", "test", "corpus/../none/../out"]);
    assert!(code == 0 && project.out().join("summary.json").is_file(), "{stderr}");

    fs::remove_dir_all(folder.join("index")).unwrap();
    let (code, _, stderr) = output(&project, &["search", "a title"]);
    assert!(code == 1 && stderr.contains("FILE --repair"), "{stderr}");
    // A takedown does not bring the collection back empty, as if nothing were missing.
    let key = photos("0a1", 12).remove(3).key;
    let (code, _, stderr) = output(&project, &["takedown", &key]);
    assert!(code == 1 && stderr.contains("0 of 1 collection done") && stderr.contains("FILE --repair"), "{stderr}");
    let (code, stdout, _) = output(&project, &["doctor"]);
    assert!(code == 1 && stdout.contains("fail  collection"), "{stdout}");
    assert_eq!(json(&project, &["verify", "job.toml", "--repair"])["repaired"]["chunks"], 1);
    assert_eq!(found(&project).len(), 11);
    assert_eq!(output(&project, &["takedown", &key]).0, 0);
}

#[test]
fn chunks_with_rejected_pictures_are_embedded_again() {
    let project = project();
    let mut broken = photos("0a2", 3);
    broken[1].bytes.truncate(40);
    write_yfcc_shard(&project.corpus(), "0a2", &broken);
    run(&project);
    let shown = json(&project, &["jobs", "show", "test"]);
    let (reason, _) = shown["counts"]["rejected"].as_object().unwrap().iter().next().unwrap();
    for (refused, said) in [
        ("odd", "there is no such reason"),
        ("takedown", "a takedown is for good"),
        ("crashes", "none of its pictures is rejected(crashes)"),
    ] {
        let (code, _, stderr) = output(&project, &["jobs", "retry", "test", "--rejected", refused]);
        assert!(code == 1 && stderr.contains(said), "{stderr}");
    }
    let (code, _, stderr) = output(&project, &["jobs", "retry", "test", "--rejected", reason]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("1 chunk with 1 picture") && stderr.contains("imagefleet run FILE"), "{stderr}");
    let (_, stdout, _) = output(&project, &["run", "job.toml"]);
    assert!(stdout.contains("2 pictures encoded"), "the two that are sound: {stdout}");
    verify(&project);
}

#[test]
fn workers_of_a_data_directory_are_listed_and_not_drained() {
    let project = project();
    run(&project);
    assert_eq!(json(&project, &["workers", "ls"]), value!([]));
    assert!(output(&project, &["workers", "ls"]).1.starts_with("WORKER"));
    let (code, _, stderr) = output(&project, &["workers", "drain", "--all"]);
    assert!(code == 1 && stderr.contains("interrupt it"), "{stderr}");
    assert_eq!(output(&project, &["workers", "drain"]).0, 2, "whom?");
}

#[test]
fn a_job_is_shown_and_watched_as_json() {
    let project = project();
    run(&project);
    let shown = json(&project, &["jobs", "show", "test"]);
    assert!(shown["speed"]["stage_seconds"]["encode"].as_f64().unwrap() > 0.0, "{shown}");
    assert!(["read", "decode", "encode", "upsert"].contains(&shown["speed"]["bottleneck"].as_str().unwrap()));
    let (code, stdout, _) = output(&project, &["jobs", "watch", "test", "--output", "json"]);
    assert_eq!((code, stdout.lines().count()), (0, 1), "{stdout}");
    let line: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&line["state"], &line["pictures"]["done"]), (&value!("succeeded"), &value!(12)));
}
