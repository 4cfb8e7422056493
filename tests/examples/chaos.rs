//! The fault campaign's long form: what `scripts/chaos` runs.
//!
//!     chaos --seed N --faults M [--keep FOLDER] [--replay JOURNAL]
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a tool for people who test")]

use imagefleet_tests::chaos::campaign::Campaign;
use std::{
    env,
    path::PathBuf,
    pin::pin,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::signal::unix::{SignalKind, signal};

/// Faults of one fleet: five of them for a thousand.
const PER_FLEET: usize = 200;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let (Some(seed), Some(faults)) = (option("--seed"), option("--faults")) else {
        eprintln!("chaos --seed N --faults M [--keep FOLDER] [--replay JOURNAL]");
        return ExitCode::from(2);
    };
    let target = env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let campaign = Campaign {
        binary: target.join("imagefleet"),
        seed: seed.parse().unwrap(),
        faults: faults.parse().unwrap(),
        per_fleet: PER_FLEET,
        keep: option("--keep").map_or_else(|| target.join("chaos"), PathBuf::from),
        replay: option("--replay").map(PathBuf::from),
    };
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let stopped = AtomicBool::new(false);
    let mut run = pin!(campaign.run(&stopped));
    // What a campaign started ends with it.
    let report = loop {
        tokio::select! {
            report = &mut run => break report,
            _ = tokio::signal::ctrl_c() => match stopped.swap(true, Ordering::Relaxed) {
                false => eprintln!("this run is the last one (once more to stop at once)"),
                true => return ExitCode::from(130),
            },
            _ = terminate.recv() => return ExitCode::from(143),
        }
    };
    println!("{report}");
    if report.wrong().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
