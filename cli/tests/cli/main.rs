//! The binary as people and scripts meet it: exit codes, what is printed, and what is left behind.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fleet;
mod malformed;
mod models;
mod operators;
mod runs;
mod search;
mod tools;
mod vectors;

use imagefleet_tests::{
    corpus::{photos, write_yfcc_shard},
    project::Project,
};
use serde_json::Value;
use std::process::{Command, Output};

/// Of one shard with twelve pictures.
fn project() -> Project {
    let project = Project::new("yfcc", 4);
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 12));
    project
}

/// The binary in the project's folder, without what the caller's environment says.
fn imagefleet(project: &Project, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagefleet"));
    command.args(args).current_dir(project.path());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("IMAGEFLEET_")) {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end: exit code, standard output, standard error.
fn output(project: &Project, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = imagefleet(project, args).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn json(project: &Project, args: &[&str]) -> Value {
    let (code, stdout, stderr) = output(project, &[args, &["--output", "json"]].concat());
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}
