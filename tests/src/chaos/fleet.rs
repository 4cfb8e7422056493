//! Two coordinators and two workers over services of our own: everything that a campaign breaks.

use super::{
    fault::Artifacts,
    process::{Links, Process},
    services::Services,
    site::Site,
};
use crate::project::tiny_model;
use imagefleet_adapters::store::postgres::{PostgresStore, Settings};
use imagefleet_common::{job::spec::queue_name, work::Kind, work::Stage};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tokio::sync::Mutex;

pub const COORDINATORS: usize = 2;
pub const WORKERS: usize = 2;

pub struct Fleet {
    pub site: Site,
    /// Coordinators, then workers.
    pub processes: Vec<Mutex<Process>>,
    /// Of each process.
    pub links: Vec<Links>,
    /// A look into the database that no proxy disturbs.
    pub store: PostgresStore,
    pub binary: PathBuf,
}

impl Fleet {
    /// Starts all of it.
    pub async fn start(binary: &Path, services: Arc<Services>, artifacts: Artifacts, seed: u64) -> Self {
        let site = Site::new(services, artifacts, seed).await;
        let folder = site.folder.path();
        let library = library(folder);
        let (mut processes, mut links) = (Vec::new(), Vec::new());
        for number in 0..COORDINATORS + WORKERS {
            let model = tiny_model();
            let (name, arguments) = match number.checked_sub(COORDINATORS) {
                None => (format!("coordinator-{number}"), ["coordinator", "--listen", "127.0.0.1:0"]),
                Some(worker) => (format!("worker-{worker}"), ["worker", "--models", model.to_str().unwrap()]),
            };
            let link = Links::new(site.addresses()).await;
            // The plain program is attacked, too: one of each kind.
            let library = (number % 2 == 0).then_some(library.as_path());
            let (arguments, variables) = (arguments.map(str::to_owned).into(), site.variables(link.addresses()));
            processes.push(Mutex::new(Process::new(name, binary, arguments, variables, folder, library)));
            links.push(link);
        }
        site.command(binary, &["migrate"]).await.unwrap();
        let settings = Settings::new(&site.services.database_url, &site.namespace);
        let store = PostgresStore::connect(settings).await.unwrap();
        for process in &processes {
            process.lock().await.start();
        }
        Self { site, processes, links, store, binary: binary.to_owned() }
    }

    /// A command of the fleet, as an operator gives it, to its end: what it printed, or how it failed.
    pub async fn command(&self, arguments: &[&str]) -> Result<String, String> {
        self.site.command(&self.binary, arguments).await
    }

    pub async fn json(&self, arguments: &[&str]) -> Result<Value, String> {
        self.site.json(&self.binary, arguments).await
    }

    /// The names of a stage's queues on the server.
    pub fn queues(&self, stage: Stage) -> Vec<String> {
        let revision = imagefleet_models::revision(&tiny_model()).unwrap();
        let of_stage = Kind::ALL.into_iter().filter(|kind| kind.stage() == stage);
        of_stage.map(|kind| format!("{}.{}", self.site.namespace, kind.queue(queue_name(&revision)))).collect()
    }
}

/// Makes the library that lets a process's wall clock jump and its disk be full.
fn library(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chaos/machine.c");
    let library = folder.join("machine.so");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source).status();
    assert!(made.unwrap().success(), "cc cannot make machine.so");
    library
}
