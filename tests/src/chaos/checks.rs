//! What must hold when a run has come to rest.

use super::{fleet::COORDINATORS, process::Service, run::Run, site::Site};
use crate::{compare::differences, ledger::Ledger};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// Half-open connections are noticed within this time, and pools come down.
const REST: Duration = Duration::from_secs(40);
/// MiB that a process may occupy at rest beyond what it did when it first came to rest.
const GROWTH: u64 = 48;
/// MiB that a process occupies that has worked: one that had not by its first rest may come to that without growing.
const WORKED: u64 = 40;
/// MiB that a process may occupy at rest, beside its decoders' and its model's.
const MEMORY: u64 = 600;

/// Memory of each living process, in MiB, when it first came to rest.
pub type Memory = BTreeMap<u32, u64>;

/// Compares everything with what the undisturbed run left in `reference`, and says in the run what is wrong.
pub async fn check(run: &Run, reference: &Path, memory: &mut Memory) {
    connections(run).await;
    database(run).await;
    let (job, relisted) = (run.job.to_string(), run.relisted.load(Ordering::SeqCst));
    let wrong = results(&run.fleet.site, &run.fleet.binary, &job, reference, relisted).await;
    wrong.into_iter().for_each(|wrong| run.wrong(wrong));
    if let Err(wrong) = run.fleet.command(&["verify", "job.toml"]).await {
        run.wrong(format!("the index is not as the ledger says: {wrong}"));
    }
    for process in &run.fleet.processes {
        let process = process.lock().await;
        let (Some(id), Some((mib, files))) = (process.id(), process.occupies()) else { continue };
        let first = *memory.entry(id).or_insert(mib);
        if mib > first.max(WORKED) + GROWTH || mib > MEMORY {
            run.wrong(format!("{} occupies {mib} MiB at rest, and at its first rest {first}", process.name));
        }
        if files > 200 {
            run.wrong(format!("{} has {files} open files at rest", process.name));
        }
        if let Some(line) = process.log().lines().find(|line| line.contains("panicked")) {
            run.wrong(format!("{}: {line}", process.name));
        }
    }
}

/// Connections to each service that a process may keep: eight of the pool, one that beats, one that listens, one that
/// speaks; one that publishes, one that consumes; one; those of a pool of HTTP.
const CONNECTIONS: [usize; 4] = [11, 2, 1, 48];

/// None leaked.
async fn connections(run: &Run) {
    let since = Instant::now();
    loop {
        let over: Vec<String> =
            run.fleet.links.iter().enumerate().filter_map(|(number, links)| over(number, links.open())).collect();
        if over.is_empty() {
            return;
        }
        if since.elapsed() > REST {
            over.into_iter().for_each(|over| run.wrong(over));
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn over(number: usize, open: [usize; 4]) -> Option<String> {
    let kind = if number < COORDINATORS { "coordinator" } else { "worker" };
    let over = Service::ALL.into_iter().find(|service| open[*service as usize] > CONNECTIONS[*service as usize])?;
    Some(format!("{kind} {number} holds {} connections to {over:?} {REST:?} after the job's end", open[over as usize]))
}

/// No task is open, nobody is inside a transaction, and only living workers have sessions.
async fn database(run: &Run) {
    let namespace = &run.fleet.site.namespace;
    let open = format!("SELECT count(*) FROM {namespace}.task WHERE state IN ('pending', 'ready', 'running')");
    let idle = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'imagefleet {namespace}' \
         AND xact_start < now() - interval '5 s'"
    );
    for (what, sql) in [("tasks are open", open), ("transactions are open", idle)] {
        match run.fleet.site.services.query(&sql).await {
            Ok(count) if count == "0" => {}
            Ok(count) => run.wrong(format!("{count} {what} after the job's end")),
            Err(error) => run.wrong(format!("the database cannot be asked whether {what}: {error}")),
        }
    }
}

/// Results and ledger of a job are those of the undisturbed run, and the ledger adds up: else what is wrong.
pub async fn results(site: &Site, binary: &Path, job: &str, reference: &Path, relisted: bool) -> Vec<String> {
    let results = site.folder.path().join("results");
    if let Err(wrong) = site.command(binary, &["results", "get", job, results.to_str().unwrap()]).await {
        return vec![wrong];
    }
    if relisted {
        forget_versions(&results);
    }
    let mut wrong = Vec::new();
    for folder in ["", "identity", "aesthetics"] {
        let differences = differences(&reference.join(folder), &results.join(folder));
        wrong.extend(differences.into_iter().map(|difference| format!("results {folder}: {difference}")));
    }
    let lines = |folder: &Path| -> BTreeSet<String> {
        fs::read_to_string(folder.join("ledger.jsonl")).unwrap_or_default().lines().map(str::to_owned).collect()
    };
    let (ours, theirs) = (lines(&results), lines(reference));
    wrong.extend(ours.symmetric_difference(&theirs).take(6).map(|line| format!("only one ledger has {line}")));
    wrong.extend(Ledger::read(&results).faults());
    fs::remove_dir_all(&results).unwrap();
    wrong
}

/// A shard that was listed again has another version and nothing else.
fn forget_versions(results: &Path) {
    let file = results.join("ledger.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| match serde_json::from_str::<Value>(line) {
        Ok(row) if row["version"].is_u64() => {
            let version = format!("\"version\":{}", row["version"]);
            line.replacen(&version, "\"version\":1", 1) + "\n"
        }
        _ => line.to_owned() + "\n",
    });
    fs::write(&file, lines.collect::<String>()).unwrap();
}
