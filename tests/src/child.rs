//! A run in a process of its own: the test binary again, running one test that does nothing else.

use crate::{
    around::around,
    corpus,
    encoders::dies_at,
    events::{Events, Place},
    project::Project,
    running::PATIENCE,
};
use imagefleet::run::Ended;
use imagefleet_worker::stop;
use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{self, Command, ExitStatus, Stdio},
};
use tokio::time::timeout;

/// The folder of the project that the child runs.
const FOLDER: &str = "IMAGEFLEET_TEST_FOLDER";
/// The place where it dies, if it does.
const KILL: &str = "IMAGEFLEET_TEST_KILL";
/// Set where some pictures are deadly.
const DEADLY: &str = "IMAGEFLEET_TEST_DEADLY";
/// How the line begins that says how a run ended.
const ENDED: &str = "ended ";

/// What the child's test does: the run that its parent asked for; nothing where there is no parent.
pub fn run_for_parent() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let kill = env::var(KILL).ok().map(|place| place.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let Ended { state, .. } = runtime.block_on(run(&Project::at(Path::new(&folder)), kill));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ENDED}{state}").unwrap();
}

async fn run(project: &Project, kill: Option<Place>) -> Ended {
    let (_lock, world) = project.take_over().await.unwrap();
    let world = around(world, &Events::new(kill)).retrying();
    let (_stopper, stop) = stop::channel();
    let mut run = project.prepare(world).unwrap();
    if env::var_os(DEADLY).is_some() {
        run.load = dies_at(corpus::is_deadly);
    }
    timeout(PATIENCE, run.run(stop)).await.expect("the run comes to an end").unwrap()
}

/// A living child. What it says to people goes to `child.log` in the project's folder.
pub struct Child {
    process: process::Child,
    lines: std::io::Lines<BufReader<process::ChildStdout>>,
    log: PathBuf,
}

/// How a child came to its end.
pub struct Death {
    status: ExitStatus,
    /// The last place it reported.
    pub last: Option<Place>,
    /// The state of its job, where the run came to an end.
    pub state: Option<String>,
    /// What it said to people.
    pub log: String,
}

impl Death {
    pub fn by_kill(&self) -> bool {
        self.status.signal() == Some(9)
    }
}

impl Child {
    /// Starts `test`, which calls [`run_for_parent`], on a project.
    pub fn start(test: &str, project: &Project, kill: Option<&Place>) -> Self {
        Self::start_with(test, project, kill.map(|place| (KILL, place.to_string())))
    }

    /// The same, and it dies at each [`deadly_jpeg`](corpus::deadly_jpeg).
    pub fn start_with_deadly_pictures(test: &str, project: &Project) -> Self {
        Self::start_with(test, project, Some((DEADLY, String::new())))
    }

    fn start_with(test: &str, project: &Project, variable: Option<(&str, String)>) -> Self {
        let log = project.path().join("child.log");
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--include-ignored"]).env(FOLDER, project.path());
        command.envs(variable);
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines, log }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The places that it comes to, until it comes to `end` or its output ends.
    pub fn places_until(&mut self, end: Option<&Place>) -> Vec<Place> {
        let mut places = Vec::new();
        for line in self.lines.by_ref() {
            if let Ok(place) = line.unwrap().parse::<Place>() {
                places.push(place);
                if places.last() == end {
                    break;
                }
            }
        }
        places
    }

    /// SIGKILL from outside.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// Waits for its end.
    pub fn end(mut self) -> Death {
        let (mut last, mut state) = (None, None);
        for line in self.lines.map(Result::unwrap) {
            match line.strip_prefix(ENDED) {
                Some(ended) => state = Some(ended.to_owned()),
                None => last = line.parse().ok().or(last),
            }
        }
        let status = self.process.wait().unwrap();
        let log = std::fs::read_to_string(self.log).unwrap();
        Death { status, last, state, log }
    }
}
