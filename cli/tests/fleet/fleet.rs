//! A fleet of its own for each test: a namespace, an object root, and processes that end with it.

use imagefleet_test_services::{qdrant, s3};
use imagefleet_tests::{
    http,
    project::{Project, tiny_model},
};
use serde_json::Value;
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};
use uuid::Uuid;

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Fleet {
    pub(crate) project: Project,
    variables: Vec<(&'static str, String)>,
    processes: Vec<(String, Child)>,
    /// Objects, and what processes say.
    folder: TempDir,
    /// Of the servers in this process.
    _servers: Runtime,
}

fn service(name: &str) -> String {
    let variable = format!("IMAGEFLEET_TEST_{name}");
    env::var(&variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run scripts/test, or \
             eval \"$(scripts/services up --bare | sed s/IMAGEFLEET_/IMAGEFLEET_TEST_/)\""
        )
    })
}

impl Fleet {
    /// Over the project's corpus, without a process yet.
    pub(crate) fn new(project: Project) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bucket = folder.path().join("s3/fleet");
        fs::create_dir_all(bucket.join("sources")).unwrap();
        // The server reads the corpus where the embedded run does.
        symlink(project.corpus(), bucket.join("sources/corpus")).unwrap();
        let servers = Runtime::new().unwrap();
        let (s3, index) = servers.block_on(serve(folder.path().join("s3")));
        let place = |below: &str| format!("s3://fleet/{below}?endpoint={s3}&path_style=true&region=us-east-1");
        let variables = vec![
            ("IMAGEFLEET_DATABASE_URL", service("DATABASE_URL")),
            ("IMAGEFLEET_BROKER_URL", service("BROKER_URL")),
            ("IMAGEFLEET_INDEX_URL", env::var("IMAGEFLEET_TEST_INDEX_URL").unwrap_or(index)),
            ("IMAGEFLEET_SOURCES", place("sources")),
            ("IMAGEFLEET_ARTIFACTS", place("artifacts")),
            ("IMAGEFLEET_NAMESPACE", format!("test_{}", &Uuid::now_v7().simple().to_string()[8..])),
            ("IMAGEFLEET_LEASE", "2".to_owned()),
            ("IMAGEFLEET_INDEX_TIMEOUT", "5".to_owned()),
            ("IMAGEFLEET_GRACE", "5".to_owned()),
            ("IMAGEFLEET_LOG", "info".to_owned()),
            ("AWS_ACCESS_KEY_ID", s3::KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", s3::SECRET.to_owned()),
        ];
        symlink(tiny_model(), project.path().join("model")).unwrap();
        let fleet = Self { project, variables, processes: Vec::new(), folder, _servers: servers };
        fleet.write_job("");
        fleet.succeeds(&["migrate"]);
        fleet
    }

    /// Writes the job file anew, with `more` sections at its end; it names the model as one that goes to a fleet may.
    pub(crate) fn write_job(&self, more: &str) {
        self.project.write_job("yfcc", more);
        let text = fs::read_to_string(self.project.job_file()).unwrap();
        let here = format!("{:?}", tiny_model());
        fs::write(self.project.job_file(), text.replace(&here, "\"model\"")).unwrap();
    }

    pub(crate) fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.variables.retain(|(name, _)| *name != variable);
        self.variables.push((variable, value.to_owned()));
        self
    }

    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imagefleet"));
        command.args(arguments).current_dir(self.project.path());
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("IMAGEFLEET_")) {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())));
        command
    }

    /// A command to its end: exit code, standard output, standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// What a command that succeeds prints.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}{}", self.logs());
        stdout
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.succeeds(&[arguments, &["--output", "json"]].concat())).unwrap()
    }

    /// Starts a process that stays, and returns its number.
    pub(crate) fn start(&mut self, arguments: &[&str]) -> usize {
        let number = self.processes.len();
        let name = format!("{}-{number}", arguments[0]);
        let log = fs::File::create(self.folder.path().join(&name)).unwrap();
        let mut command = self.command(arguments);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.processes.push((name, child));
        number
    }

    /// The folder that the bucket of sources and artifacts is.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.folder.path().join("s3/fleet")
    }

    pub(crate) fn coordinator(&mut self) -> usize {
        self.start(&["coordinator", "--listen", "127.0.0.1:0"])
    }

    pub(crate) fn worker(&mut self) -> usize {
        let model = tiny_model();
        self.start(&["worker", "--models", model.to_str().unwrap()])
    }

    /// Asks a coordinator: status and body.
    pub(crate) fn post(&self, coordinator: usize, path: &str, body: &str) -> (u16, String) {
        let mut address = None;
        self.until("the coordinator listens", |fleet| {
            address = http::address(&fleet.log(coordinator));
            address.is_some()
        });
        http::post(&address.unwrap(), path, body)
    }

    pub(crate) fn process(&self, number: usize) -> &Child {
        &self.processes[number].1
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, number: usize, signal: &str) {
        let id = self.process(number).id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }

    /// Waits for the process to end by itself: its exit code.
    pub(crate) fn ends(&mut self, number: usize) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.processes[number].1.try_wait().unwrap() {
                return status.code();
            }
            assert!(since.elapsed() < PATIENCE, "it does not end{}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a process has said so far.
    pub(crate) fn log(&self, number: usize) -> String {
        fs::read_to_string(self.folder.path().join(&self.processes[number].0)).unwrap()
    }

    /// What all processes have said, for whoever must find out why a test failed.
    pub(crate) fn logs(&self) -> String {
        let logs =
            (0..self.processes.len()).map(|number| format!("\n== {}\n{}", self.processes[number].0, self.log(number)));
        logs.collect()
    }

    /// Waits until `is_so`, or says what did not come.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let since = Instant::now();
        while !is_so(self) {
            assert!(since.elapsed() < PATIENCE, "{what}{}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Submits the project's job file; the job's id.
    pub(crate) fn submit(&self) -> String {
        self.succeeds(&["submit", "job.toml"]).trim().to_owned()
    }

    /// Waits for the job's end and fetches its results.
    pub(crate) fn results(&self, job: &str) -> PathBuf {
        let (code, _, stderr) = self.run(&["jobs", "watch", job]);
        assert_eq!(code, 0, "{stderr}{}", self.logs());
        let results = self.folder.path().join("results");
        self.succeeds(&["results", "get", job, results.to_str().unwrap()]);
        results
    }

    /// Tasks of a job that have succeeded, by kind.
    pub(crate) fn succeeded(&self, job: &str, kind: &str) -> u64 {
        let shown = self.json(&["jobs", "show", job]);
        let counts = shown["tasks"].as_array().unwrap().iter();
        let of_kind = counts.filter(|count| count["kind"] == kind && count["state"] == "succeeded");
        of_kind.map(|count| count["count"].as_u64().unwrap()).sum()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for (_, process) in &mut self.processes {
            // It may have ended.
            let _ = process.kill();
            let _ = process.wait();
        }
        let drop_schema = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.variable("IMAGEFLEET_NAMESPACE"));
        let dropped = Command::new("psql")
            .args(["--quiet", "--command", &drop_schema, self.variable("IMAGEFLEET_DATABASE_URL")])
            .env("PGOPTIONS", "-c client_min_messages=error")
            .status();
        // Left behind, it is dropped with the throw-away database.
        let _ = dropped;
    }
}

/// Addresses of an S3 server over `root` and of a server of Qdrant's protocol.
async fn serve(root: PathBuf) -> (String, String) {
    let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (objects, index) = (listen().await, listen().await);
    let addresses = [&objects, &index].map(|listener| format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move { s3::Server::new(root).serve(objects).await });
    tokio::spawn(async move { qdrant::serve(index, qdrant::Store::in_memory(), qdrant::Settings::default()).await });
    addresses.into()
}
