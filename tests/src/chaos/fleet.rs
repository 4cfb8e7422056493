//! Two coordinators and two workers over services of our own: everything that a campaign breaks.

use super::{
    fault::Artifacts,
    process::{Addresses, Links, Process},
    servers::Servers,
    services::Services,
};
use crate::{
    corpus::{Photo, jpeg, write_yfcc_shard},
    project::{Project, tiny_model},
};
use imagefleet_adapters::store::postgres::{PostgresStore, Settings};
use imagefleet_common::{job::spec::queue_name, work::Kind, work::Stage};
use imagefleet_pictures::archive::names::photo_key;
use imagefleet_test_services::s3;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::Mutex;

pub const LEASE: Duration = Duration::from_secs(2);
pub const GRACE: Duration = Duration::from_secs(4);
/// Of a call of the index.
const INDEX_TIMEOUT: &str = "3";
pub const COORDINATORS: usize = 2;
pub const WORKERS: usize = 2;

pub struct Fleet {
    pub namespace: String,
    pub artifacts: Artifacts,
    pub services: Arc<Services>,
    pub servers: Servers,
    /// Coordinators, then workers.
    pub processes: Vec<Mutex<Process>>,
    /// Of each process.
    pub links: Vec<Links>,
    /// A look into the database that no proxy disturbs.
    pub store: PostgresStore,
    binary: PathBuf,
    variables: Vec<(String, String)>,
    pub project: Project,
    /// Objects, logs, results.
    pub folder: TempDir,
}

/// Photos a shard.
const PHOTOS: usize = 24;

/// The corpus and the articles of every run: 20 shards of 24 pictures, 600 titles.
fn project() -> Project {
    let project = Project::new("yfcc", 600);
    let mut shards: BTreeMap<String, Vec<Photo>> = (0..20).map(|shard| (format!("{shard:02x}"), Vec::new())).collect();
    for id in 0.. {
        let url = format!("http://example.org/photos/{id}.jpg");
        let key = photo_key(&url);
        if let Some(photos) = shards.get_mut(&key[..2]).filter(|photos| photos.len() < PHOTOS) {
            photos.push(Photo { id, key, url, bytes: jpeg(id) });
        }
        if shards.values().all(|photos| photos.len() == PHOTOS) {
            break;
        }
    }
    for (shard, photos) in &shards {
        write_yfcc_shard(&project.corpus(), shard, photos);
    }
    symlink(tiny_model(), project.path().join("model")).unwrap();
    let head = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fixtures/head/head.pth");
    symlink(head, project.path().join("head.pth")).unwrap();
    project
}

impl Fleet {
    /// Starts all of it.
    pub async fn start(
        binary: &Path,
        services: Arc<Services>,
        namespace: &str,
        artifacts: Artifacts,
        seed: u64,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = project();
        let bucket = folder.path().join("s3/fleet");
        fs::create_dir_all(bucket.join("sources")).unwrap();
        fs::create_dir_all(folder.path().join("artifacts")).unwrap();
        symlink(project.corpus(), bucket.join("sources/corpus")).unwrap();
        let servers = Servers::start(folder.path().join("s3"), seed).await;
        let direct = [address(&services.database_url), address(&services.broker_url), servers.index, servers.objects];
        let shared = Shared {
            namespace: namespace.to_owned(),
            artifacts,
            services: Arc::clone(&services),
            folder: folder.path().to_owned(),
        };
        let variables = shared.variables(direct);
        let library = library(folder.path());
        let (mut processes, mut links) = (Vec::new(), Vec::new());
        for number in 0..COORDINATORS + WORKERS {
            let model = tiny_model();
            let (name, arguments) = match number.checked_sub(COORDINATORS) {
                None => (format!("coordinator-{number}"), ["coordinator", "--listen", "127.0.0.1:0"]),
                Some(worker) => (format!("worker-{worker}"), ["worker", "--models", model.to_str().unwrap()]),
            };
            let link = Links::new(direct).await;
            // The plain program is attacked, too: one of each kind.
            let library = (number % 2 == 0).then_some(library.as_path());
            let (arguments, variables) = (arguments.map(str::to_owned).into(), shared.variables(link.addresses()));
            processes.push(Mutex::new(Process::new(name, binary, arguments, variables, folder.path(), library)));
            links.push(link);
        }
        let migrated = command(binary, project.path(), &variables, &["migrate"]).output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let store = PostgresStore::connect(Settings::new(&services.database_url, namespace)).await.unwrap();
        for process in &processes {
            process.lock().await.start();
        }
        let namespace = namespace.to_owned();
        let binary = binary.to_owned();
        Self { namespace, artifacts, services, servers, processes, links, store, binary, variables, project, folder }
    }

    /// The job file of a run, whose corpus and collection no other run has.
    pub fn write_job(&self, name: &str) {
        let job = format!(
            "name = \"{name}\"\n[corpus]\nname = \"{name}\"\nsource = \"corpus\"\nlayout = \"yfcc\"\n\
             [model]\npath = \"model\"\nbatch = 8\n[articles]\nfile = \"articles.csv\"\n[retrieval]\ncandidates = 5\n\
             [[rerank]]\ntype = \"identity\"\n[[rerank]]\ntype = \"aesthetics\"\nweight = 0.5\nhead = \"head.pth\"\n\
             [output]\ndirectory = \"out-{name}\"\n"
        );
        fs::write(self.project.job_file(), job).unwrap();
    }

    /// A command of the fleet, as an operator gives it, to its end: what it printed, or how it failed.
    pub async fn command(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = command(&self.binary, self.project.path(), &self.variables, arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let Output { status, stdout, stderr } = output;
        let said = String::from_utf8_lossy(&stderr);
        let printed = String::from_utf8_lossy(&stdout).into_owned();
        match status.code() {
            Some(0) => Ok(printed),
            code => Err(format!("imagefleet {}: exit code {code:?}: {said}{printed}", arguments.join(" "))),
        }
    }

    pub async fn json(&self, arguments: &[&str]) -> Result<Value, String> {
        let printed = self.command(&[arguments, &["--output", "json"]].concat()).await?;
        serde_json::from_str(&printed).map_err(|error| format!("{error}: {printed}"))
    }

    /// The names of a stage's queues on the server.
    pub fn queues(&self, stage: Stage) -> Vec<String> {
        let revision = imagefleet_models::revision(&tiny_model()).unwrap();
        let of_stage = Kind::ALL.into_iter().filter(|kind| kind.stage() == stage);
        of_stage.map(|kind| format!("{}.{}", self.namespace, kind.queue(queue_name(&revision)))).collect()
    }

    /// The shards' files.
    pub fn shards(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.project.corpus().join("images")).unwrap();
        let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort_unstable();
        files
    }
}

struct Shared {
    namespace: String,
    artifacts: Artifacts,
    services: Arc<Services>,
    folder: PathBuf,
}

impl Shared {
    /// The settings of whoever finds the services at these addresses.
    fn variables(&self, [store, broker, index, objects]: Addresses) -> Vec<(String, String)> {
        let bucket =
            |below: &str| format!("s3://fleet/{below}?endpoint=http://{objects}&path_style=true&region=us-east-1");
        let artifacts = match self.artifacts {
            Artifacts::Bucket => bucket("artifacts"),
            Artifacts::Folder => self.folder.join("artifacts").to_str().unwrap().to_owned(),
        };
        let at = |url: &str, place: SocketAddr| url.replace(&address(url).to_string(), &place.to_string());
        let variables = [
            ("IMAGEFLEET_DATABASE_URL", at(&self.services.database_url, store)),
            // A silent server is noticed after two seconds.
            ("IMAGEFLEET_BROKER_URL", format!("{}?heartbeat=1", at(&self.services.broker_url, broker))),
            ("IMAGEFLEET_INDEX_URL", format!("http://{index}")),
            ("IMAGEFLEET_SOURCES", bucket("sources")),
            ("IMAGEFLEET_ARTIFACTS", artifacts),
            ("IMAGEFLEET_NAMESPACE", self.namespace.clone()),
            ("IMAGEFLEET_LEASE", LEASE.as_secs().to_string()),
            ("IMAGEFLEET_INDEX_TIMEOUT", INDEX_TIMEOUT.to_owned()),
            ("IMAGEFLEET_GRACE", GRACE.as_secs().to_string()),
            ("IMAGEFLEET_LOG", "info".to_owned()),
            ("AWS_ACCESS_KEY_ID", s3::KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", s3::SECRET.to_owned()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

fn command(binary: &Path, folder: &Path, variables: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).current_dir(folder);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("IMAGEFLEET_")) {
        command.env_remove(name);
    }
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

/// Host and port of a URL, which are numbers here.
fn address(url: &str) -> SocketAddr {
    let rest = url.split_once("://").unwrap().1;
    let authority = rest.split('/').next().unwrap();
    authority.rsplit('@').next().unwrap().parse().unwrap()
}

/// Makes the library that lets a process's wall clock jump and its disk be full.
fn library(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chaos/machine.c");
    let library = folder.join("machine.so");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source).status();
    assert!(made.unwrap().success(), "cc cannot make machine.so");
    library
}
