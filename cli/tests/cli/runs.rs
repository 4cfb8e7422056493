//! Runs, plans, verification, jobs.

use crate::{imagefleet, json, output, project};
use imagefleet_common::{
    ports::index::{Doomed, Point},
    work::ChunkRef,
};
use imagefleet_tests::{
    corpus::{jpeg, jpeg_of, photos},
    points::newest_job,
    project::Project,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, pipe},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

#[test]
fn a_run_to_the_end_exits_0_and_leaves_three_files() {
    let project = project();
    let (code, stdout, stderr) = output(&project, &["run", "job.toml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("12 pictures seen, 12 embedded"), "{stdout}");
    for file in ["inference_results.json", "ledger.jsonl", "summary.json"] {
        assert!(project.out().join(file).is_file(), "{file}");
    }
    let summary = json(&project, &["run", "job.toml"]);
    assert_eq!((&summary["experiment_id"], &summary["index_size"]), (&"test".into(), &12.into()));
}

#[test]
fn a_blocked_run_exits_3_and_prints_both_ways_on() {
    let project = project();
    fs::write(project.corpus().join("images/0a2.zip"), "no zip").unwrap();
    let (code, _, stderr) = output(&project, &["run", "job.toml"]);
    assert_eq!(code, 3, "{stderr}");
    for said in ["images/0a2.zip", "run job.toml --retry-dead", "run job.toml --accept-dead"] {
        assert!(stderr.contains(said), "{said} is not in {stderr}");
    }
    assert_eq!(output(&project, &["run", "job.toml", "--retry-dead"]).0, 3, "nothing was mended");
    assert_eq!(output(&project, &["run", "job.toml", "--accept-dead"]).0, 0);
}

/// A job file with `line` in place of `by` is refused at a place and with words, and nothing is made.
#[track_caller]
fn refuses(command: &str, line: &str, by: &str, said: &str) {
    let project = project();
    let job = fs::read_to_string(project.job_file()).unwrap();
    assert!(job.contains(line), "{line} is not in the file");
    fs::write(project.job_file(), job.replace(line, by)).unwrap();
    let before = names(&project);
    let (code, stdout, stderr) = output(&project, &[command, "job.toml"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains(said), "{said} is not in {stderr}");
    assert_eq!(names(&project), before);
}

fn names(project: &Project) -> Vec<String> {
    let entries = fs::read_dir(project.path()).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_wrong_with_a_job_file_is_said_with_file_and_line_before_anything_is_made() {
    for command in ["run", "plan", "verify"] {
        refuses(command, "batch = 8", "batch = 8\ncolour = 3", "job.toml:9:1: model.colour: no such key");
        refuses(command, "candidates = 5", "candidates = \"5\"", "job.toml:12:14: retrieval.candidates: found");
        refuses(command, "articles.csv", "gone.csv", "job.toml:10:8: articles.file: found \"gone.csv\"");
        refuses(command, "source = \"corpus\"", "source = \"gone\"", "job.toml:4:10: corpus.source: found \"gone\"");
        refuses(command, "name = \"test\"\n[", "name = test\n[", "job.toml:1:8: not TOML");
    }
    refuses("run", "articles.csv", "job.toml", "job.toml");
    refuses("run", "path = ", "path = \"corpus\" #", "config.json");
}

#[test]
fn plan_says_that_it_estimates_until_a_shard_was_listed_and_makes_nothing() {
    let project = project();
    let before = names(&project);
    let plan = json(&project, &["plan", "job.toml"]);
    assert_eq!((&plan["shards"][0]["estimated"], &plan["shards"][0]["version"]), (&true.into(), &0.into()));
    assert!(output(&project, &["plan", "job.toml"]).1.contains("estimated"));
    assert_eq!(names(&project), before);

    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    let plan = json(&project, &["plan", "job.toml"]);
    let embed = plan["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "embed").unwrap();
    assert_eq!((&embed["tasks"], &embed["done"]), (&1.into(), &1.into()));
    let (_, stdout, _) = output(&project, &["plan", "job.toml"]);
    assert!(stdout.contains("images/0a1.zip") && !stdout.contains("estimated"), "{stdout}");
    // The archive is as it was, its pictures' words are not.
    let metadata = project.corpus().join("metadata/0a1.jsonl.gz");
    fs::write(&metadata, [&fs::read(&metadata).unwrap()[..], b" "].concat()).unwrap();
    assert_eq!(json(&project, &["plan", "job.toml"])["shards"][0]["estimated"], true);
}

#[test]
fn plan_sees_that_a_picture_of_a_folder_was_replaced() {
    let project = Project::new("folder", 4);
    let folder = project.corpus().join("holiday");
    fs::create_dir_all(&folder).unwrap();
    for number in 0..3 {
        fs::write(folder.join(format!("{number}.jpg")), jpeg_of(number, 40, 30)).unwrap();
    }
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    let is_estimated = || json(&project, &["plan", "job.toml"])["shards"][0]["estimated"].as_bool().unwrap();
    assert!(!is_estimated());
    fs::write(folder.join("1.jpg"), jpeg_of(9, 60, 30)).unwrap();
    assert!(is_estimated());
}

#[tokio::test]
async fn verify_names_a_point_that_is_gone_from_the_index_and_exits_1() {
    let project = project();
    assert_eq!(output(&project, &["verify", "job.toml"]).0, 1, "nothing has run");
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    let (code, stdout, _) = output(&project, &["verify", "job.toml"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("every picture is accounted for"), "{stdout}");

    let key = photos("0a1", 12).remove(3).key;
    let (world, job) = newest_job(&project).await;
    let doomed = Doomed::Keys { keys: vec![key.clone()], up_to: i64::MAX };
    world.index.delete(&job.collection, &doomed).await.unwrap();
    drop(world);
    let (code, stdout, _) = output(&project, &["verify", "job.toml"]);
    assert_eq!(code, 1);
    assert!(stdout.contains(&format!("{key} is embedded and not in the index")), "{stdout}");
    assert!(stdout.contains("not every picture is accounted for"), "{stdout}");
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let status = imagefleet(&project, &["verify", "job.toml"]).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(1), "whether anybody reads on or not");

    let text = fs::read_to_string(project.job_file()).unwrap();
    fs::write(project.job_file(), text.replace("candidates = 5", "candidates = 4")).unwrap();
    let (code, _, stderr) = output(&project, &["verify", "job.toml", "--repair"]);
    assert!(code == 1 && stderr.contains("it has changed since the job ran"), "{stderr}");
    fs::write(project.job_file(), text).unwrap();

    let (code, stdout, stderr) = output(&project, &["verify", "job.toml", "--repair"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("1 of 1 chunks are embedded again"), "{stderr}");
    assert!(stdout.contains("12 pictures encoded"), "{stdout}");
    let (code, stdout, _) = output(&project, &["verify", "job.toml", "--repair"]);
    assert_eq!(code, 0);
    assert!(stdout.ends_with("every picture is accounted for\n") && !stdout.contains("encoded"), "{stdout}");
}

#[tokio::test]
async fn a_repair_deletes_points_that_no_ledger_row_names_and_writes_a_lost_list_anew() {
    let project = project();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    let (world, job) = newest_job(&project).await;
    let ledger = world.catalog.ledger(job.id).await.unwrap();
    let known = [photos("0a1", 12).remove(0).key];
    let payload = world.index.payloads(&job.collection, &known).await.unwrap().remove(0).unwrap().payload;
    let vector = world.index.vectors(&job.collection, &known).await.unwrap().remove(0).unwrap();
    let stranger = Point { key: "stranger".into(), vector, payload };
    let nowhere = ChunkRef { chunk: 7, ..ledger[0].at };
    world.index.put(&job.collection, nowhere, 1, &[stranger]).await.unwrap();
    world.artifacts.delete(ledger[0].artifact.as_ref().unwrap()).await.unwrap();
    drop(world);
    let (code, stdout, _) = output(&project, &["verify", "job.toml"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("1 points in the index that no ledger row names"), "{stdout}");
    assert!(stdout.contains("is gone"), "{stdout}");
    let (code, stdout, stderr) = output(&project, &["verify", "job.toml", "--repair"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
}

#[test]
fn jobs_are_listed_and_shown_as_tables_and_as_json() {
    let project = project();
    let (code, _, stderr) = output(&project, &["jobs", "ls"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("nothing has run there"), "{stderr}");
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);

    let jobs = json(&project, &["jobs", "ls"]);
    assert_eq!((&jobs[0]["name"], &jobs[0]["state"]), (&"test".into(), &"succeeded".into()));
    let id = jobs[0]["id"].as_str().unwrap();
    let (_, table, _) = output(&project, &["jobs", "ls"]);
    assert!(table.lines().nth(1).unwrap().starts_with(id), "{table}");
    let shown = json(&project, &["jobs", "show", id]);
    assert_eq!((&shown["counts"]["embedded"], &shown["failed"]), (&12.into(), &Value::Array(vec![])));
    let (_, table, _) = output(&project, &["jobs", "show", "test"]);
    assert!(table.contains("12 embedded") && table.contains("finalize"), "{table}");
    assert_eq!(output(&project, &["jobs", "show", "another"]).0, 1);
}

#[test]
fn state_is_kept_where_the_environment_says() {
    let project = project();
    let elsewhere = project.path().join("elsewhere");
    let run = |args: &[&str]| imagefleet(&project, args).env("IMAGEFLEET_DATA", &elsewhere).output().unwrap();
    assert!(run(&["run", "job.toml"]).status.success());
    assert!(elsewhere.join("state.sqlite").is_file() && !project.path().join(".imagefleet").exists());
    assert!(run(&["jobs", "show", "test"]).status.success());
    assert_eq!(output(&project, &["jobs", "ls"]).0, 1, "without the variable nothing has run");
}

#[test]
fn sigterm_hands_back_what_runs_exits_130_and_the_next_run_goes_on() {
    const PICTURES: u32 = 2_000;
    let project = Project::new("folder", 2);
    for seed in 0..PICTURES {
        fs::write(project.corpus().join(format!("{seed:04}.jpg")), jpeg(seed % 50)).unwrap();
    }
    let mut run = imagefleet(&project, &["run", "job.toml"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("stage embed")));
    let asked = Instant::now();
    assert!(Command::new("kill").args(["-TERM", &run.id().to_string()]).status().unwrap().success());
    let said: Vec<String> = lines.collect();
    assert_eq!(run.wait().unwrap().code(), Some(130), "{said:?}");
    assert!(asked.elapsed() < Duration::from_secs(30), "that is the grace");
    assert!(said.iter().any(|line| line.contains("the same command goes on from here")), "{said:?}");
    assert!(!project.out().exists());

    let summary = json(&project, &["run", "job.toml"]);
    assert_eq!(summary["pictures"]["embedded"], PICTURES);
    assert_eq!(output(&project, &["verify", "job.toml"]).0, 0);
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_no_panic() {
    let project = project();
    for args in
        [&["run", "job.toml"][..], &["jobs", "ls"], &["jobs", "show", "test"], &["plan", "job.toml"], &["--help"]]
    {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let Output { status, stderr, .. } = imagefleet(&project, args).stdout(writer).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.success() && !stderr.contains("panicked"), "{args:?}: {status}: {stderr}");
    }
    assert!(project.out().join("summary.json").is_file());
}

#[test]
fn a_run_goes_on_when_nobody_reads_its_messages_either() {
    let project = project();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut run = imagefleet(&project, &["run", "job.toml", "--log", "debug"]);
    let status = run.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(project.out().join("summary.json").is_file());
}

#[test]
fn one_process_at_a_time_works_in_a_data_directory() {
    let project = project();
    let lock = project.data().lock().unwrap();
    let (code, _, stderr) = output(&project, &["run", "job.toml"]);
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("process {} works in it", std::process::id())), "{stderr}");
    drop(lock);
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
}

#[test]
fn a_data_directory_is_the_same_however_it_is_named() {
    let project = project();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    for data in [".imagefleet", "./.imagefleet", project.path().join(".imagefleet").to_str().unwrap()] {
        let (code, _, stderr) = output(&project, &["verify", "job.toml", "--data", data]);
        assert_eq!(code, 0, "{data}: {stderr}");
    }
}

#[test]
fn data_that_cannot_be_written_is_an_error() {
    let project = project();
    for args in [&["config", "show"][..], &["plan", "job.toml", "--output", "json"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = imagefleet(&project, args).stdout(full).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && stderr.contains("write to standard output: No space"), "{stderr}");
    }
}
