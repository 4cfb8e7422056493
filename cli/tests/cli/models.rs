//! Models by name: listed, checked, and not there.

use crate::{imagefleet, project};
use imagefleet_tests::project::{Project, tiny_model};
use serde_json::Value;
use std::{fs, os::unix::fs::symlink, path::Path, process::Output};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A cache with one model, as Hugging Face's tools lay it out.
fn with_cache(project: &Project) {
    let repository = project.path().join("hub/models--tiny--clip");
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::create_dir_all(repository.join("snapshots")).unwrap();
    fs::write(repository.join("refs/main"), COMMIT).unwrap();
    symlink(fs::canonicalize(tiny_model()).unwrap(), repository.join("snapshots").join(COMMIT)).unwrap();
}

fn run(project: &Project, args: &[&str]) -> (i32, String, String) {
    let cache = project.path().join("hub");
    let variables = [("HF_HUB_CACHE", cache.as_path()), ("HF_HUB_OFFLINE", Path::new("1"))];
    let Output { status, stdout, stderr } = imagefleet(project, args).envs(variables).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_model_of_the_cache_is_listed_checked_and_used_by_its_name() {
    let project = project();
    with_cache(&project);
    let (code, table, stderr) = run(&project, &["models", "ls"]);
    assert_eq!(code, 0, "{stderr}");
    let line = table.lines().nth(1).unwrap();
    assert!(line.starts_with("tiny/clip  0123456789ab  main  clip") && line.ends_with("yes"), "{table}");
    let listed: Value = serde_json::from_str(&run(&project, &["models", "ls", "--output", "json"]).1).unwrap();
    assert_eq!((&listed[0]["revision"], &listed[0]["complete"]), (&COMMIT.into(), &true.into()));

    let (code, stdout, stderr) = run(&project, &["models", "check", "tiny/clip@main"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("sound. clip"), "{stdout}");
    let (code, stdout, stderr) = run(&project, &["models", "pull", &format!("tiny/clip@{COMMIT}")]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.trim_end().ends_with(COMMIT), "{stdout}");
    let by_name = run(&project, &["encode", "--model", "tiny/clip", "--text", "a red boat"]);
    let folder = tiny_model().display().to_string();
    assert_eq!(by_name, run(&project, &["encode", "--model", &folder, "--text", "a red boat"]));
}

#[test]
fn a_model_that_is_not_there_or_broken_is_said_with_the_remedy() {
    let project = project();
    let (code, _, stderr) = run(&project, &["encode", "--model", "tiny/other", "--text", "x"]);
    assert!(code == 1 && stderr.contains("imagefleet models pull tiny/other"), "{stderr}");
    let (code, _, stderr) = run(&project, &["models", "pull", "tiny/other"]);
    assert!(code == 1 && stderr.contains("HF_HUB_OFFLINE"), "{stderr}");
    let (code, _, stderr) = run(&project, &["models", "check", "gone"]);
    assert!(code == 1 && stderr.contains("gone"), "{stderr}");

    let broken = project.path().join("broken");
    fs::create_dir(&broken).unwrap();
    for file in fs::read_dir(tiny_model()).unwrap().map(|file| file.unwrap().path()) {
        fs::copy(&file, broken.join(file.file_name().unwrap())).unwrap();
    }
    let weights = fs::read(broken.join("model.safetensors")).unwrap();
    fs::write(broken.join("model.safetensors"), &weights[..weights.len() - 9]).unwrap();
    let (code, _, stderr) = run(&project, &["models", "check", "broken"]);
    assert!(code == 1 && stderr.contains("model.safetensors"), "{stderr}");
}

#[test]
fn a_job_runs_with_a_model_of_the_cache() {
    let project = project();
    with_cache(&project);
    let text = fs::read_to_string(project.job_file()).unwrap();
    let path = text.lines().find(|line| line.starts_with("path = ")).unwrap();
    fs::write(project.job_file(), text.replace(path, "hub = \"tiny/other\"")).unwrap();
    let (code, _, stderr) = run(&project, &["run", "job.toml"]);
    assert!(code == 1 && stderr.contains("imagefleet models pull tiny/other"), "{stderr}");
    fs::write(project.job_file(), text.replace(path, "hub = \"tiny/clip\"")).unwrap();
    let (code, stdout, stderr) = run(&project, &["run", "job.toml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("12 embedded"), "{stdout}");
    let summary = fs::read_to_string(project.out().join("summary.json")).unwrap();
    assert!(summary.contains("\"model_id\": \"tiny/clip\""), "{summary}");
}
