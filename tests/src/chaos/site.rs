//! What stands around a fleet of processes: services, a project, and the settings by which they are found.

use super::{fault::Artifacts, process::Addresses, servers::Servers, services::Services};
use crate::{
    corpus::{Photo, jpeg, write_yfcc_shard},
    project::{Project, tiny_model},
};
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
use uuid::Uuid;

pub const LEASE: Duration = Duration::from_secs(2);
pub const GRACE: Duration = Duration::from_secs(4);
/// Of a call of the index.
const INDEX_TIMEOUT: &str = "3";

pub struct Site {
    pub namespace: String,
    pub artifacts: Artifacts,
    pub services: Arc<Services>,
    pub servers: Servers,
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

impl Site {
    pub async fn new(services: Arc<Services>, artifacts: Artifacts, seed: u64) -> Self {
        let namespace = format!("chaos_{}", &Uuid::now_v7().simple().to_string()[8..]);
        let folder = tempfile::tempdir().unwrap();
        let project = project();
        let bucket = folder.path().join("s3/fleet");
        fs::create_dir_all(bucket.join("sources")).unwrap();
        fs::create_dir_all(folder.path().join("artifacts")).unwrap();
        symlink(project.corpus(), bucket.join("sources/corpus")).unwrap();
        let servers = Servers::start(folder.path().join("s3"), seed).await;
        Self { namespace, artifacts, services, servers, project, folder }
    }

    /// Where the services are.
    pub fn addresses(&self) -> Addresses {
        let Self { services, servers, .. } = self;
        [address(&services.database_url), address(&services.broker_url), servers.index, servers.objects]
    }

    /// The settings of whoever finds the services at these addresses.
    pub fn variables(&self, [store, broker, index, objects]: Addresses) -> Vec<(String, String)> {
        let bucket =
            |below: &str| format!("s3://fleet/{below}?endpoint=http://{objects}&path_style=true&region=us-east-1");
        let artifacts = match self.artifacts {
            Artifacts::Bucket => bucket("artifacts"),
            Artifacts::Folder => self.folder.path().join("artifacts").to_str().unwrap().to_owned(),
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
    pub async fn command(&self, binary: &Path, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(binary);
        command.args(arguments).current_dir(self.project.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("IMAGEFLEET_")) {
            command.env_remove(name);
        }
        command.envs(self.variables(self.addresses()));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let Output { status, stdout, stderr } = output;
        let said = String::from_utf8_lossy(&stderr);
        let printed = String::from_utf8_lossy(&stdout).into_owned();
        match status.code() {
            Some(0) => Ok(printed),
            code => Err(format!("imagefleet {}: exit code {code:?}: {said}{printed}", arguments.join(" "))),
        }
    }

    pub async fn json(&self, binary: &Path, arguments: &[&str]) -> Result<Value, String> {
        let printed = self.command(binary, &[arguments, &["--output", "json"]].concat()).await?;
        serde_json::from_str(&printed).map_err(|error| format!("{error}: {printed}"))
    }

    /// The shards' files.
    pub fn shards(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.project.corpus().join("images")).unwrap();
        let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort_unstable();
        files
    }
}

/// Host and port of a URL, which are numbers here.
fn address(url: &str) -> SocketAddr {
    let rest = url.split_once("://").unwrap().1;
    let authority = rest.split('/').next().unwrap();
    authority.rsplit('@').next().unwrap().parse().unwrap()
}
