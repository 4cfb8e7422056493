//! An upgrade while a job runs: processes of an older release go on through the migration, and beside new ones.

use super::{
    checks::results,
    fault::Artifacts,
    process::{Process, how},
    services::Services,
    site::Site,
};
use crate::{http, project::tiny_model};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long each call of the index takes: embedding is to outlast the migration.
const PACE: Duration = Duration::from_millis(400);
/// For whatever is waited for.
const PATIENCE: Duration = Duration::from_secs(180);
/// Lines that an older process may say more while a task waits that it does not know.
const WORDS: usize = 10;
/// How often a message that nobody takes may be published within the time of a search.
const PUBLICATIONS: u64 = 12;

/// What an upgrade showed, and what must not be: a line each.
#[derive(Debug, Default)]
pub struct Report {
    pub facts: Vec<String>,
    pub wrong: Vec<String>,
}

struct Upgrade {
    site: Site,
    old: PathBuf,
    new: PathBuf,
    report: Report,
}

/// Takes a fleet of the program `old` to the program `new`.
pub async fn upgrade(old: &Path, new: &Path) -> Report {
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL's own user has to get there.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let services = folder.path().join("services");
    let services = Arc::new(tokio::task::spawn_blocking(move || Services::start(&services)).await.unwrap());
    let site = Site::new(services, Artifacts::Bucket, 1).await;
    let mut upgrade = Upgrade { site, old: old.to_owned(), new: new.to_owned(), report: Report::default() };
    upgrade.run().await;
    upgrade.report
}

impl Upgrade {
    async fn run(&mut self) {
        self.site.command(&self.old, &["migrate"]).await.unwrap();
        let coordinator = ["coordinator", "--listen", "127.0.0.1:0"];
        let model = tiny_model();
        let worker = ["worker", "--models", model.to_str().unwrap()];
        let mut older = [
            self.start("old-coordinator", &self.old, &coordinator),
            self.start("old-worker-0", &self.old, &worker),
            self.start("old-worker-1", &self.old, &worker),
        ];

        // A job begins on the old release, and ends among both.
        self.site.servers.set_pace(PACE);
        let job = self.submit("first", &self.old).await;
        self.until("a few chunks are embedded", "SELECT count(*) >= 3 FROM task WHERE kind = 'embed' AND finished > 0")
            .await;
        self.site.command(&self.new, &["migrate"]).await.unwrap();
        let migrated = self.ask("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").await;
        let left = self.ask("SELECT count(*) FROM task WHERE state <> 'succeeded'").await;
        self.fact(format!("migrated with {left} tasks of the first job open"));
        // Alone for a moment, then beside new ones.
        self.until(
            "the old release ends tasks after the migration",
            &format!("SELECT count(*) >= 3 FROM task WHERE finished > {migrated}"),
        )
        .await;
        let mut newer =
            [self.start("new-coordinator", &self.new, &coordinator), self.start("new-worker", &self.new, &worker)];
        let id = newer[1].id().unwrap();
        let sql = format!("SELECT count(*) >= 3 FROM task WHERE finished > 0 AND worker LIKE '%-{id}'");
        self.until("the new release ends tasks", &sql).await;
        self.site.servers.set_pace(Duration::ZERO);
        self.ended("first", &job, &migrated, [&older[1], &older[2], &newer[1]]).await;

        // A whole job among both.
        self.site.servers.set_pace(PACE / 4);
        let job = self.submit("second", &self.new).await;
        self.ended("second", &job, &migrated, [&older[1], &older[2], &newer[1]]).await;
        self.site.servers.set_pace(Duration::ZERO);

        // Work that the old release does not know is done by the new one …
        let address = http::address(&newer[0].log()).unwrap();
        let (status, body) = search(&address).await;
        let found = body.matches("\"rank\"").count();
        self.expect(
            status == 200 && found == 10,
            format!("a search with a new worker is answered {status}, {found} pictures"),
        );
        // … and waits, without a word, where there is none.
        newer[1].signal("TERM");
        self.gone(&mut newer[1]).await;
        let words: Vec<usize> = older.iter().map(|process| process.log().lines().count()).collect();
        let (status, body) = search(&address).await;
        self.expect(status == 503, format!("a search without a new worker is answered {status}: {body}"));
        for (process, before) in older.iter().zip(words) {
            let log = process.log();
            let more: Vec<&str> = log.lines().skip(before).collect();
            let said = more.first().copied().unwrap_or_default();
            self.expect(
                more.len() <= WORDS,
                format!("{} said {} lines while that task waited {said}", process.name, more.len()),
            );
        }
        let tried = "SELECT max(publications) || ' publications, ' || max(attempt) || ' attempts' FROM task \
             WHERE kind = 'search' AND state = 'cancelled'";
        let tried = self.ask(tried).await;
        let publications = tried.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(u64::MAX);
        self.expect(publications <= PUBLICATIONS, format!("a search that nobody could take had {tried}"));

        // The old ones go, and do not come again.
        for process in &mut older {
            let log = process.log();
            if let Some(line) = log.lines().find(|line| line.contains("panicked")) {
                self.expect(false, format!("{}: {line}", process.name));
            }
            process.signal("TERM");
            self.gone(process).await;
        }
        let refused = self.site.command(&self.old, &["worker", "--models", model.to_str().unwrap()]).await;
        let why = refused.err().unwrap_or_default();
        self.expect(
            why.contains("newer imagefleet"),
            format!("an old worker started after the migration: {}", why.trim()),
        );
        let job = self.submit("third", &self.new).await;
        newer[1].start();
        self.ended("third", &job, &migrated, [&newer[1]]).await;
    }

    fn start(&self, name: &str, binary: &Path, arguments: &[&str]) -> Process {
        let variables = self.site.variables(self.site.addresses());
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut process = Process::new(name.to_owned(), binary, arguments, variables, self.site.folder.path(), None);
        process.start();
        process
    }

    /// The job's id; what it must give is there, too.
    async fn submit(&self, name: &str, binary: &Path) -> String {
        self.site.write_job(name);
        self.site.command(&self.new, &["run", "job.toml"]).await.unwrap();
        self.site.command(binary, &["submit", "job.toml"]).await.unwrap().trim().to_owned()
    }

    /// The job has succeeded, each of these workers had a share of it, and all of it is as it must be.
    async fn ended(&mut self, name: &str, job: &str, migrated: &str, workers: impl IntoIterator<Item = &Process>) {
        self.until(
            "the job ends",
            &format!("SELECT state NOT IN ('submitted', 'running') FROM job WHERE id = '{job}'"),
        )
        .await;
        let state = self.ask(&format!("SELECT state FROM job WHERE id = '{job}'")).await;
        self.expect(state == "succeeded", format!("the {name} job {state}"));
        for worker in workers {
            let id = worker.id().unwrap();
            let ended = "SELECT count(*) FROM task t JOIN job j ON j.collection = t.collection";
            let ended = format!("{ended} WHERE j.id = '{job}' AND t.finished > {migrated} AND t.worker LIKE '%-{id}'");
            let count = self.ask(&ended).await;
            let fact = format!("{} ended {count} tasks of the {name} job after the migration", worker.name);
            self.expect(count != "0", fact);
        }
        let reference = self.site.project.path().join(format!("out-{name}"));
        let mut wrong = results(&self.site, &self.new, job, &reference, false).await;
        wrong.extend(self.site.command(&self.new, &["verify", "job.toml"]).await.err());
        let fact = format!("the {name} job: {} differences from an embedded run", wrong.len());
        self.expect(wrong.is_empty(), format!("{fact} {}", wrong.join("; ")));
    }

    async fn gone(&mut self, process: &mut Process) {
        let since = Instant::now();
        let status = process.ends().await;
        let took = since.elapsed().as_secs_f64();
        self.expect(status.success(), format!("{} ended {took:.1} s after SIGTERM: {}", process.name, how(status)));
    }

    async fn until(&self, what: &str, sql: &str) {
        let since = Instant::now();
        while self.ask(sql).await != "t" {
            assert!(since.elapsed() < PATIENCE, "never: {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ask(&self, sql: &str) -> String {
        let sql = format!("SET search_path = {}; {sql}", self.site.namespace);
        self.site.services.query(&sql).await.unwrap()
    }

    fn fact(&mut self, fact: String) {
        eprintln!("{fact}");
        self.report.facts.push(fact);
    }

    fn expect(&mut self, holds: bool, fact: String) {
        if !holds {
            eprintln!("WRONG:");
            self.report.wrong.push(fact.clone());
        }
        self.fact(fact);
    }
}

async fn search(address: &str) -> (u16, String) {
    let address = address.to_owned();
    let body = r#"{"text": "a red bicycle", "collection": "first"}"#;
    tokio::task::spawn_blocking(move || http::post(&address, "/v1/search", body)).await.unwrap()
}
