//! An upgrade's long form: what `scripts/upgrade` runs.
//!
//!     upgrade OLD        `OLD` is the older program, built with the fleet
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a tool for people who test")]

use imagefleet_tests::chaos::upgrade::upgrade;
use std::{env, path::Path, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let Some(old) = env::args().nth(1) else {
        eprintln!("upgrade OLD");
        return ExitCode::from(2);
    };
    let target = env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let report = upgrade(Path::new(&old), &target.join("imagefleet")).await;
    println!("wrong: {}", report.wrong.len());
    report.wrong.iter().for_each(|wrong| println!("- {wrong}"));
    if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
