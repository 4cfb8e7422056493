//! Puts the source's commit into the binary, so that a run can say what computed it.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).map(|commit| {
        let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|files| !files.is_empty());
        if changed { format!("{commit}-dirty") } else { commit }
    });
    println!("cargo::rustc-env=IMAGEFLEET_COMMIT={}", commit.unwrap_or_else(|| "unknown".to_owned()));
    // HEAD names the commit, or the branch whose reference does; the log of HEAD grows with either.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]).filter(|path| std::path::Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    // A change that is not committed shows in the name too.
    for part in ["common", "adapters", "pictures", "models", "retrieval", "worker", "coordinator", "cli"] {
        println!("cargo::rerun-if-changed=../{part}/src");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
