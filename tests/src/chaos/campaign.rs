//! Fleet after fleet, run after run, until there were so many faults; and what came of it.

use super::{
    checks::{Memory, check},
    fault::Artifacts,
    fleet::Fleet,
    run::{Entry, Outcome, Run},
    services::Services,
    site::{GRACE, LEASE},
    table::{Injection, Table},
};
use std::{
    collections::VecDeque,
    fmt, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// What a lost worker may cost beyond its lease.
const RECOVERY: Duration = Duration::from_secs(2);

pub struct Campaign {
    /// `imagefleet`, built with the fleet.
    pub binary: PathBuf,
    /// Of the first fleet; each further one has the next.
    pub seed: u64,
    /// In all, at least: the last run is a whole one.
    pub faults: usize,
    /// After which a fleet makes room for the next.
    pub per_fleet: usize,
    /// Where journals and logs of runs go in which something was wrong.
    pub keep: PathBuf,
    /// A journal to repeat in one run, in place of chance.
    pub replay: Option<PathBuf>,
}

/// What a campaign found.
#[derive(Default)]
pub struct Report {
    pub table: Table,
    pub outcome: Outcome,
    pub runs: usize,
    pub fleets: usize,
    /// MiB that a process occupied at rest, the most.
    pub memory: u64,
    pub took: Duration,
}

impl Campaign {
    /// Until there were so many faults; where `stopped` is set, to the end of the run under way.
    pub async fn run(&self, stopped: &AtomicBool) -> Report {
        let begun = Instant::now();
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL's own user has to get there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let services = folder.path().join("services");
        let services = Arc::new(tokio::task::spawn_blocking(move || Services::start(&services)).await.unwrap());
        let table = Mutex::new(Table::default());
        let mut report = Report::default();
        while injected(&table) < self.faults && !stopped.load(Ordering::Relaxed) {
            self.fleet(&services, report.fleets as u64, &table, &mut report, stopped).await;
            report.fleets += 1;
        }
        report.table = table.into_inner().unwrap();
        report.took = begun.elapsed();
        report
    }

    /// One fleet's share of the faults.
    async fn fleet(
        &self,
        services: &Arc<Services>,
        number: u64,
        table: &Mutex<Table>,
        report: &mut Report,
        stopped: &AtomicBool,
    ) {
        let seed = self.seed + number;
        let artifacts = if seed % 2 == 1 { Artifacts::Bucket } else { Artifacts::Folder };
        let fleet = Fleet::start(&self.binary, Arc::clone(services), artifacts, seed).await;
        eprintln!("fleet {}, seed {seed}, artifacts in a {artifacts:?}", fleet.site.namespace);
        let fleet = Arc::new(fleet);
        let (mut memory, before) = (Memory::new(), injected(table));
        for number in 0.. {
            let enough = injected(table) >= self.faults || injected(table) - before >= self.per_fleet;
            if enough || stopped.load(Ordering::Relaxed) {
                break;
            }
            let outcome = self.one_run(&fleet, number, seed * 1000 + number, table, &mut memory).await;
            let is_wrong = !outcome.wrong.is_empty();
            report.add(outcome, &memory);
            if is_wrong {
                // What is left of it would be found again in every run to come.
                break;
            }
        }
    }

    async fn one_run(
        &self,
        fleet: &Arc<Fleet>,
        number: u64,
        seed: u64,
        table: &Mutex<Table>,
        memory: &mut Memory,
    ) -> Outcome {
        let begun = Instant::now();
        let name = format!("run-{number}");
        fleet.site.write_job(&name);
        fleet.command(&["run", "job.toml"]).await.expect("the undisturbed run succeeds");
        let job = fleet.command(&["submit", "job.toml"]).await.expect("an undisturbed fleet takes a job");
        let job = job.trim().parse().expect("submit prints an id");
        let run = Arc::new(Run::new(Arc::clone(fleet), name.clone(), job));
        let replay = self.replay.as_deref().map(journal);
        if run.suffer(seed, table, replay).await {
            check(&run, &fleet.site.project.path().join(format!("out-{name}")), memory).await;
        }
        let mut outcome = run.outcome.lock().unwrap().clone();
        outcome.journal.sort_by_key(|entry| entry.at);
        for entry in outcome.journal.iter().filter(|entry| entry.met == 0) {
            table.lock().unwrap().miss(entry.injection.fault, entry.injection.stage);
        }
        let met = outcome.journal.iter().filter(|entry| entry.met > 0).count();
        eprintln!(
            "  {name}, seed {seed}: {met} faults, {:.0} s, {} in all{}",
            begun.elapsed().as_secs_f64(),
            injected(table),
            if outcome.wrong.is_empty() { "" } else { ", WRONG" }
        );
        if !outcome.wrong.is_empty() {
            self.keep(fleet, &name, seed, &outcome).await;
        }
        outcome
    }

    /// All that is needed to find out what went wrong.
    async fn keep(&self, fleet: &Fleet, name: &str, seed: u64, outcome: &Outcome) {
        let folder = self.keep.join(format!("{seed}-{name}"));
        fs::create_dir_all(&folder).unwrap();
        let lines = outcome.journal.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n");
        fs::write(folder.join("journal.jsonl"), lines.collect::<String>()).unwrap();
        fs::write(folder.join("wrong.txt"), outcome.wrong.join("\n") + "\n").unwrap();
        for process in &fleet.processes {
            let process = process.lock().await;
            fs::write(folder.join(format!("{}.log", process.name)), process.log()).unwrap();
        }
        let show = fleet.command(&["jobs", "show", name]).await.unwrap_or_else(|error| error);
        fs::write(folder.join("job.txt"), show).unwrap();
        eprintln!("  see {}", folder.display());
    }
}

fn injected(table: &Mutex<Table>) -> usize {
    table.lock().unwrap().total() as usize
}

fn journal(file: &Path) -> VecDeque<Injection> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str::<Entry>(line).unwrap().injection).collect()
}

impl Report {
    fn add(&mut self, outcome: Outcome, memory: &Memory) {
        let Outcome { journal, wrong, recoveries, drains, retries } = outcome;
        self.runs += 1;
        self.outcome.journal.extend(journal);
        self.outcome.wrong.extend(wrong);
        self.outcome.retries.extend(retries);
        for (all, more) in self.outcome.recoveries.iter_mut().zip(recoveries) {
            all.extend(more);
        }
        for (all, more) in self.outcome.drains.iter_mut().zip(drains) {
            all.extend(more);
        }
        self.memory = self.memory.max(memory.values().copied().max().unwrap_or(0));
    }

    /// Everything that must not be: also what took too long with nothing else broken.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = self.outcome.wrong.clone();
        let (lease, grace) = ((LEASE + RECOVERY).as_secs_f64(), GRACE.as_secs_f64());
        let late = self.outcome.recoveries[0].iter().filter(|took| **took > lease);
        wrong.extend(late.map(|took| format!("a killed worker's tasks waited {took:.1} s, with a lease of {LEASE:?}")));
        let late = self.outcome.drains[0].iter().filter(|took| **took > grace);
        wrong.extend(late.map(|took| format!("a worker drained for {took:.1} s, with a grace of {GRACE:?}")));
        wrong
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, outcome, runs, fleets, memory, took } = self;
        writeln!(f, "{table}")?;
        let seconds = took.as_secs_f64();
        writeln!(
            f,
            "{} faults in {runs} runs of {fleets} fleets, {seconds:.0} s; a process occupied at most {memory} MiB at its first rest",
            table.total()
        )?;
        let figures = [
            ("SIGKILL of a worker, until its tasks may go on elsewhere", &outcome.recoveries),
            ("SIGTERM of a worker, until it has ended", &outcome.drains),
        ];
        for (what, [alone, among]) in figures {
            writeln!(f, "{what}: {}; among other faults: {}", spread(alone), spread(among))?;
        }
        writeln!(f, "`jobs retry` by the operator: {}", outcome.retries.len())?;
        outcome.retries.iter().try_for_each(|why| writeln!(f, "- {why}"))?;
        let wrong = self.wrong();
        writeln!(f, "wrong: {}", wrong.len())?;
        wrong.iter().try_for_each(|wrong| writeln!(f, "- {wrong}"))
    }
}

fn spread(seconds: &[f64]) -> String {
    let mut seconds = seconds.to_vec();
    seconds.sort_by(f64::total_cmp);
    match (seconds.get(seconds.len() / 2), seconds.last()) {
        (Some(median), Some(most)) => format!("{} times, median {median:.1} s, most {most:.1} s", seconds.len()),
        _ => "never".to_owned(),
    }
}
