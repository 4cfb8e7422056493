//! What looks after the machine: doctor, config, bench, completions, manual pages.

use crate::{imagefleet, json, output, project};
use imagefleet_tests::{corpus::jpeg_of, project::tiny_model};
use serde_json::{Value, json as value};
use std::{fs, process::Output};

/// What the doctor found of this thing.
fn of<'a>(found: &'a Value, thing: &str) -> Vec<&'a Value> {
    found.as_array().unwrap().iter().filter(|finding| finding["thing"] == thing).collect()
}

#[test]
fn the_doctor_looks_at_a_data_directory_and_says_what_to_do() {
    let project = project();
    let found = json(&project, &["doctor"]);
    assert_eq!(of(&found, "data directory")[0]["verdict"], "warn");
    assert!(of(&found, "data directory")[0]["remedy"].as_str().unwrap().contains("run a job file"));
    for thing in ["settings", "disk", "device", "model cache"] {
        assert_eq!(of(&found, thing).len(), 1, "{thing}: {found:#}");
    }

    fs::write(project.corpus().join("images/0a2.zip"), "no zip").unwrap();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 3);
    let found = json(&project, &["doctor"]);
    assert_eq!(of(&found, "data directory")[0]["verdict"], "ok");
    assert_eq!(of(&found, "store and index")[0]["found"], "open, 1 job");
    assert!(of(&found, "job")[0]["remedy"].as_str().unwrap().contains("imagefleet jobs retry"));
    let (_, stdout, _) = output(&project, &["doctor"]);
    assert!(stdout.starts_with("ok    settings") && stdout.contains("→ see `imagefleet dead ls`"), "{stdout}");
    assert!(!stdout.contains('\u{1b}'), "no colour in a pipe");

    let lock = project.data().lock().unwrap();
    assert!(of(&json(&project, &["doctor"]), "data directory")[0]["found"].as_str().unwrap().contains("works in it"));
    drop(lock);
    for end in ["-wal", "-shm"] {
        // There where the last process was cut off.
        let _ = fs::remove_file(project.path().join(format!(".imagefleet/state.sqlite{end}")));
    }
    fs::write(project.path().join(".imagefleet/state.sqlite"), vec![b'x'; 8192]).unwrap();
    let (code, stdout, _) = output(&project, &["doctor"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("fail  store and index"), "{stdout}");
}

#[test]
fn the_doctor_misses_no_collection_that_nothing_was_embedded_for_and_knows_a_model_that_moved() {
    let project = project();
    fs::write(project.corpus().join("images/0a1.zip"), "no zip").unwrap();
    let model = project.path().join("model");
    let copied = std::process::Command::new("cp").arg("-rL").args([&tiny_model(), &model]).status().unwrap();
    assert!(copied.success());
    let text = fs::read_to_string(project.job_file()).unwrap();
    let text = text.replace(tiny_model().to_str().unwrap(), model.to_str().unwrap());
    fs::write(project.job_file(), text).unwrap();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 3);
    assert_eq!(of(&json(&project, &["doctor"]), "collection").len(), 0);
    assert_eq!(output(&project, &["takedown", "a key"]).0, 0, "there is nothing to take it out of");
    fs::remove_dir_all(model).unwrap();
    let found = json(&project, &["doctor"]);
    assert_eq!(of(&found, "collection")[0]["verdict"], "warn", "{found:#}");
    let moved = imagefleet(&project, &["doctor", "--output", "json"]).env("IMAGEFLEET_MODELS", tiny_model()).output();
    let found: Value = serde_json::from_slice(&moved.unwrap().stdout).unwrap();
    assert_eq!(of(&found, "collection").len(), 0, "{found:#}");
}

#[test]
fn the_doctor_fails_for_settings_and_models_that_are_wrong() {
    let project = project();
    let doctor = |name: &str, text: &str| {
        let Output { status, stdout, .. } =
            imagefleet(&project, &["doctor", "--output", "json"]).env(name, text).output().unwrap();
        (status.code().unwrap(), serde_json::from_slice::<Value>(&stdout).unwrap())
    };
    let (code, found) = doctor("IMAGEFLEET_SLOTS", "many");
    assert_eq!((code, &of(&found, "settings")[0]["verdict"]), (1, &value!("fail")));
    let (code, found) = doctor("IMAGEFLEET_MODELS", "./gone");
    assert_eq!((code, &of(&found, "model")[0]["verdict"]), (1, &value!("fail")));
    assert!(of(&found, "model")[0]["remedy"].as_str().unwrap().contains("models pull"));
    let (code, found) = doctor("IMAGEFLEET_MODELS", tiny_model().to_str().unwrap());
    assert_eq!((code, &of(&found, "model")[0]["verdict"]), (0, &value!("ok")));
}

#[test]
fn the_doctor_of_a_fleet_names_each_service_that_is_away_and_no_secret() {
    let project = project();
    let mut command = imagefleet(&project, &["doctor", "--output", "json"]);
    command
        .env("IMAGEFLEET_DATABASE_URL", "postgres://fleet:hush@127.0.0.1:1/fleet")
        .env("IMAGEFLEET_BROKER_URL", "amqp://fleet:hush@127.0.0.1:1")
        .env("IMAGEFLEET_INDEX_URL", "http://127.0.0.1:1")
        .env("IMAGEFLEET_SOURCES", project.path())
        .env("IMAGEFLEET_ARTIFACTS", project.path().join("gone"));
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (text, said) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!text.contains("hush") && !said.contains("hush"), "{text}{said}");
    if cfg!(feature = "fleet") {
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status.code(), Some(1));
        for thing in ["database", "broker", "index", "artifacts"] {
            let finding = of(&found, thing)[0];
            assert_eq!(finding["verdict"], "fail", "{finding}");
            assert!(!finding["remedy"].as_str().unwrap().is_empty(), "{finding}");
        }
        assert_eq!(of(&found, "sources")[0]["verdict"], "ok");
    }
}

#[test]
fn settings_are_shown_with_where_they_come_from_and_without_secrets() {
    let project = project();
    fs::write(project.path().join("fleet.toml"), "slots = 5\ngrace = 7\n").unwrap();
    let show = |args: &[&str]| {
        let Output { status, stdout, .. } =
            imagefleet(&project, &[&["config", "show", "--config", "fleet.toml"], args].concat())
                .env("IMAGEFLEET_TOKEN", "hush")
                .env("IMAGEFLEET_GRACE", "8")
                .env("IMAGEFLEET_INDEX_URL", "http://me:hush@index:6334")
                .output()
                .unwrap();
        assert!(status.success());
        String::from_utf8(stdout).unwrap()
    };
    let shown: Value = serde_json::from_str(&show(&["--output", "json", "--set", "device=cuda:1"])).unwrap();
    let setting = |name: &str| {
        let found = shown.as_array().unwrap().iter().find(|setting| setting["setting"] == name).unwrap();
        (found["value"].clone(), found["source"].as_str().unwrap().to_owned())
    };
    assert_eq!(setting("slots"), (value!("5"), "fleet.toml:1".to_owned()));
    assert_eq!(setting("grace"), (value!("8"), "variable IMAGEFLEET_GRACE".to_owned()));
    assert_eq!(setting("device"), (value!("cuda:1"), "flag --set".to_owned()));
    assert_eq!(setting("lease"), (value!("30"), "default".to_owned()));
    assert_eq!(setting("database_url"), (Value::Null, "not set".to_owned()));
    assert_eq!((setting("token").0, setting("index_url").0), (value!("(hidden)"), value!("(hidden)")));
    let table = show(&[]);
    assert!(table.starts_with("SETTING") && !table.contains("hush"), "{table}");
}

#[test]
fn settings_are_checked_for_each_kind_of_process() {
    let project = project();
    let (code, stdout, _) = output(&project, &["config", "check"]);
    assert_eq!(code, 0);
    assert!(
        stdout.contains("enough for embedded runs") && stdout.contains("not enough for a worker: database_url"),
        "{stdout}"
    );
    let checked = json(&project, &["config", "check"]);
    assert_eq!((&checked["right"], &checked["fleet"]), (&value!(true), &value!(false)));
    let (code, stdout, stderr) = output(&project, &["config", "check", "--set", "slots=0"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("slots = \"0\" (flag --set)"), "{stderr}");
}

#[test]
fn a_worker_is_measured_without_any_service() {
    let project = project();
    let model = tiny_model();
    let model = model.to_str().unwrap();
    let bench = ["bench", "worker", "--model", model, "--seconds", "0.05", "--max-batch", "8"];
    let found = json(&project, &bench);
    let batches = found["batches"].as_array().unwrap();
    assert!(batches.iter().any(|tried| tried["batch"] == found["batch"]), "{found}");
    assert!(batches.iter().all(|tried| tried["pictures_per_second"].as_f64().unwrap() > 0.0), "{found}");
    let stages: Vec<&str> =
        found["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["read", "decode", "encode", "upsert"]);
    let rate = |at: usize| found["stages"][at]["pictures_per_second"].as_f64();
    assert_eq!(rate(0), None, "nothing is read");
    assert!((1..4).all(|at| rate(at).unwrap() > 0.0), "{found}");
    let slowest = (1..4).min_by(|a, b| rate(*a).unwrap().total_cmp(&rate(*b).unwrap())).unwrap();
    assert_eq!(found["bottleneck"], stages[slowest], "{found}");

    let folder = project.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    let of_folder = [&bench[..], &["--pictures", folder.to_str().unwrap()]].concat();
    let (code, _, stderr) = output(&project, &of_folder);
    assert!(code == 1 && stderr.contains("there is none"), "{stderr}");
    fs::write(folder.join("1.jpg"), jpeg_of(1, 300, 200)).unwrap();
    let read = &json(&project, &of_folder)["stages"][0]["pictures_per_second"];
    assert!(read.as_f64().unwrap() > 0.0, "{read}");
    let (code, stdout, stderr) = output(&project, &of_folder);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("bottleneck") && stdout.contains("set model.batch ="), "{stdout}");
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let project = project();
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = output(&project, &["completions", shell]);
        assert_eq!(code, 0, "{shell}");
        assert!(script.contains("takedown") && script.contains("accept-dead"), "{shell}");
    }
    assert_eq!(output(&project, &["completions", "cmd"]).0, 2);
    let (code, stdout, stderr) = output(&project, &["man", "pages"]);
    assert_eq!((code, stdout.trim()), (0, "pages"), "{stderr}");
    for page in ["imagefleet.1", "imagefleet-jobs-show.1", "imagefleet-takedown.1", "imagefleet-bench-worker.1"] {
        let text = fs::read_to_string(project.path().join("pages").join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
}
