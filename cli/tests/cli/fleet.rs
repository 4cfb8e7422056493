//! What a fleet's commands refuse before they reach any service, and what the others do in a data directory.

use crate::{imagefleet, json, output, project};
use imagefleet_tests::project::Project;
use std::{
    fs,
    net::TcpListener,
    process::{Command, Output},
};

/// Settings of a fleet of which nothing is there: what gets as far as its services fails.
fn with_fleet(project: &Project, args: &[&str]) -> Command {
    let mut command = imagefleet(project, args);
    command
        .env("IMAGEFLEET_DATABASE_URL", "postgres://fleet:hush@127.0.0.1:1/fleet")
        .env("IMAGEFLEET_BROKER_URL", "amqp://fleet:hush@127.0.0.1:1")
        .env("IMAGEFLEET_INDEX_URL", "http://127.0.0.1:1")
        .env("IMAGEFLEET_SOURCES", project.path())
        .env("IMAGEFLEET_ARTIFACTS", project.path());
    command
}

/// It ends with 1, prints no data, and says this; never a secret.
#[track_caller]
fn refuses(mut command: Command, said: &[&str]) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout.len()), (Some(1), 0), "{stderr}");
    for said in said {
        assert!(stderr.contains(said), "{said} is not in {stderr}");
    }
    assert!(!stderr.contains("hush"), "{stderr}");
}

#[test]
fn a_fleets_commands_without_a_database_name_the_setting_that_is_missing() {
    let project = project();
    for args in [&["coordinator"][..], &["worker"], &["submit", "job.toml"], &["migrate"]] {
        refuses(imagefleet(&project, args), &["database_url is not set", "IMAGEFLEET_DATABASE_URL", "--config"]);
    }
}

#[test]
fn a_wrong_flag_is_refused_by_its_name() {
    let project = project();
    for (flag, value, said) in [
        ("--slots", "many", "slots = \"many\" (flag --slots): expected a whole number"),
        ("--device", "gpu", "device = \"gpu\" (flag --device): expected cpu or cuda:N"),
        ("--queues", "paint", "queues = \"paint\" (flag --queues): expected kinds of work"),
        ("--grace", "x", "grace = \"x\" (flag --grace): expected a number of seconds"),
        ("--listen", "9", "worker_listen = \"9\" (flag --listen): expected ADDRESS:PORT"),
    ] {
        refuses(with_fleet(&project, &["worker", flag, value]), &[said]);
    }
    refuses(with_fleet(&project, &["jobs", "ls", "--set", "lease=0"]), &["lease = \"0\" (flag --set)"]);
    let mut command = with_fleet(&project, &["jobs", "ls"]);
    command.env("IMAGEFLEET_DATABASE_URL", "mysql://fleet:hush@db");
    refuses(command, &["database_url = (hidden) (variable IMAGEFLEET_DATABASE_URL): expected a URL"]);
}

#[test]
fn settings_come_from_a_file_too_and_it_is_refused_by_its_line() {
    let project = project();
    fs::write(project.path().join("fleet.toml"), "slots = 3\ndevize = \"cpu\"\n").unwrap();
    refuses(imagefleet(&project, &["worker", "--config", "fleet.toml"]), &["fleet.toml:2: there is no setting"]);
    fs::write(project.path().join("fleet.toml"), "slots = 3\ndevice = \"gpu\"\n").unwrap();
    let mut command = imagefleet(&project, &["jobs", "ls"]);
    command.env("IMAGEFLEET_CONFIG", "fleet.toml");
    refuses(command, &["device = \"gpu\" (fleet.toml:2): expected cpu"]);
}

#[test]
fn an_api_in_reach_of_other_machines_is_refused_without_a_token() {
    let project = project();
    refuses(
        with_fleet(&project, &["coordinator", "--listen", "0.0.0.0:0"]),
        &["listen = 0.0.0.0:0", "token is not set", "IMAGEFLEET_TOKEN"],
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refuses(with_fleet(&project, &["coordinator", "--listen", &address]), &["listen on listen = ", &address]);
}

#[test]
fn a_worker_that_cannot_do_its_work_says_so_at_its_start() {
    let project = project();
    refuses(with_fleet(&project, &["worker"]), &["models is not set", "embed or retrieve", "--models", "--queues"]);
    refuses(with_fleet(&project, &["worker", "--queues", "seal,retrieve"]), &["retrieve needs a model"]);
    refuses(with_fleet(&project, &["worker", "--models", "./gone"]), &["gone"]);
    let built_with_cuda = cfg!(feature = "cuda");
    let said = if built_with_cuda { "device cpu computes without one" } else { "--features cuda" };
    refuses(
        with_fleet(&project, &["worker", "--models", "x/y", "--device", "cuda:99"]),
        &["open device cuda:99", said],
    );
}

#[test]
fn submit_refuses_by_name_what_no_other_machine_has() {
    let project = project();
    let job = fs::read_to_string(project.job_file()).unwrap();
    let relative = job.replace(&imagefleet_tests::project::tiny_model().display().to_string(), "model");
    for (was, is, said) in [
        ("source = \"corpus\"", "source = \"/data/corpus\"", "job.toml:4:10: corpus.source: found \"/data/corpus\""),
        ("source = \"corpus\"", "source = \"~/corpus\"", "'~' means this machine"),
        ("source = \"corpus\"", "source = \"../corpus\"", "'..' leads out of the object root"),
        ("file = \"articles.csv\"", "file = \"/articles.csv\"", "articles.file: found \"/articles.csv\""),
        ("path = \"model\"", "path = \"/model\"", "model.path: found \"/model\""),
    ] {
        assert!(relative.contains(was), "{was} is not in {relative}");
        fs::write(project.job_file(), relative.replace(was, is)).unwrap();
        refuses(with_fleet(&project, &["submit", "job.toml"]), &[said]);
    }
    // All that it names must be here, for its identity.
    fs::write(project.job_file(), &relative).unwrap();
    refuses(with_fleet(&project, &["submit", "job.toml"]), &["open model", "there is no such folder"]);
}

#[test]
fn a_run_is_in_one_process_whatever_fleet_is_configured() {
    let project = project();
    let Output { status, stderr, .. } = with_fleet(&project, &["run", "job.toml"]).output().unwrap();
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&stderr));
}

#[test]
fn results_of_a_data_directory_are_fetched_again_to_any_folder() {
    let project = project();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    let summary = fs::read(project.out().join("summary.json")).unwrap();
    let (code, stdout, stderr) = output(&project, &["results", "get", "test", "elsewhere"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout.trim(), project.path().join("elsewhere").display().to_string());
    assert_eq!(fs::read(project.path().join("elsewhere/summary.json")).unwrap(), summary);
    fs::remove_dir_all(project.out()).unwrap();
    assert_eq!(output(&project, &["results", "get", "test"]).0, 0);
    assert_eq!(fs::read(project.out().join("summary.json")).unwrap(), summary, "where the job file says");
    let (code, _, stderr) = output(&project, &["results", "get", "nothing"]);
    assert!(code == 1 && stderr.contains("imagefleet jobs ls"), "{stderr}");
}

#[test]
fn a_job_that_is_watched_says_how_it_ended_by_its_exit_code() {
    let project = project();
    fs::write(project.corpus().join("images/0a2.zip"), "no zip").unwrap();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 3);
    let (code, stdout, stderr) = output(&project, &["jobs", "watch", "test"]);
    assert_eq!((code, stdout.as_str()), (3, ""), "{stderr}");
    let id = json(&project, &["jobs", "ls"])[0]["id"].as_str().unwrap().to_owned();
    for said in ["images/0a2.zip", &format!("imagefleet jobs retry {id}"), &format!("jobs resume {id} --accept-dead")] {
        assert!(stderr.contains(said), "{said} is not in {stderr}");
    }
    assert_eq!(output(&project, &["jobs", "cancel", "test"]).0, 0);
    assert_eq!(output(&project, &["jobs", "watch", &id]).0, 4);
    assert_eq!(json(&project, &["jobs", "ls"])[0]["state"], "cancelled");
    fs::remove_file(project.corpus().join("images/0a2.zip")).unwrap();
    assert_eq!(output(&project, &["run", "job.toml", "--allow-delete"]).0, 0);
    assert_eq!(output(&project, &["jobs", "watch", "test"]).0, 0);
    let (code, _, stderr) = output(&project, &["jobs", "watch", "nothing"]);
    assert!(code == 1 && stderr.contains("find job nothing"), "{stderr}");
}
