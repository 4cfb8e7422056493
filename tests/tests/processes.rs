//! The processes of a fleet, over ports that are in this process: what they do apart from any service.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use imagefleet::{
    args::Output,
    exit::Exit,
    fleet::{coordinator::coordinate, worker::work},
    results::deliver,
    submission::{for_fleet, object_path},
    watch::watch,
    world::World,
};
use imagefleet_adapters::objects::fs::FsObjects;
use imagefleet_common::{
    job::file::{self, Place},
    ports::jobs::JobState,
    work::Kind,
};
use imagefleet_coordinator::submit::submit;
use imagefleet_models::Device;
use imagefleet_tests::{
    around::around,
    compare::differences,
    corpus::{photos, write_yfcc_shard},
    hooks::{Hooks, Then},
    project::{Project, tiny_model},
    running::PATIENCE,
};
use imagefleet_worker::{
    Settings,
    stop::{self, Stopper},
};
use std::{collections::HashMap, fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

const REVISION: usize = 12;

fn shards(project: &Project) {
    for shard in ["0a1", "0a2"] {
        write_yfcc_shard(&project.corpus(), shard, &photos(shard, 20));
    }
}

/// A project whose job file names its model below itself, as a fleet needs it.
fn project() -> Project {
    let project = Project::new("yfcc", 12);
    shards(&project);
    let model = tiny_model();
    let text = fs::read_to_string(project.job_file()).unwrap();
    fs::write(project.job_file(), text.replace(&format!("{model:?}"), "\"model\"")).unwrap();
    fs::create_dir(project.path().join("model")).unwrap();
    copy_model(&project.path().join("model"));
    project
}

fn copy_model(to: &std::path::Path) {
    for entry in fs::read_dir(tiny_model()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Ports as a fleet has them: corpora below an object root that no job file knows.
async fn world(project: &Project) -> World {
    let (lock, world) = project.take_over().await.unwrap();
    // The directory is this test's alone.
    drop(lock);
    World { sources: Arc::new(FsObjects::new(project.path().to_owned())), ..world }
}

/// A process of the fleet that runs here, and its address.
struct Process {
    running: JoinHandle<imagefleet_common::Result<()>>,
    stopper: Stopper,
    address: SocketAddr,
}

impl Process {
    async fn ask(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn end(self) {
        self.stopper.stop();
        timeout(PATIENCE, self.running).await.expect("it drains").unwrap().unwrap();
    }
}

async fn coordinator(world: &World) -> Process {
    let (listener, (stopper, stop), world) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), stop::channel(), world.clone());
    let address = listener.local_addr().unwrap();
    let running = tokio::spawn(async move {
        coordinate(&world, imagefleet_coordinator::Settings::default(), listener, None, stop).await
    });
    Process { running, stopper, address }
}

async fn worker(world: &World, name: &str, kinds: Vec<Kind>, folders: HashMap<String, PathBuf>) -> Process {
    let (listener, (stopper, stop), world) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), stop::channel(), world.clone());
    let address = listener.local_addr().unwrap();
    let models = folders.keys().map(|revision| revision[..REVISION].to_owned()).collect();
    let settings = Settings { kinds, grace: Duration::from_secs(5), ..Settings::new(name.to_owned(), models) };
    let running = tokio::spawn(async move { work(&world, settings, folders, Device::Cpu, Some(listener), stop).await });
    Process { running, stopper, address }
}

/// The model at a path of the worker's own.
fn model_elsewhere() -> (tempfile::TempDir, HashMap<String, PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    copy_model(folder.path());
    let revision = imagefleet_models::revision(folder.path()).unwrap();
    let folders = HashMap::from([(revision, folder.path().to_owned())]);
    (folder, folders)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_gives_the_answer_of_one_process() {
    let alone = project();
    alone.run().await.unwrap();

    let project = project();
    let world = world(&project).await.retrying();
    let file = file::read(&project.job_file(), Place::Fleet).unwrap();
    let submission = for_fleet(&file).unwrap();
    let submitted = submit(world.jobs.as_ref(), world.artifacts.as_ref(), submission).await.unwrap();
    // The submitter's copy of the model is not the workers'.
    fs::remove_dir_all(project.path().join("model")).unwrap();

    let (_model, folders) = model_elsewhere();
    let coordinators = [coordinator(&world).await, coordinator(&world).await];
    let encoding = worker(&world, "encoding", vec![Kind::Embed, Kind::Retrieve], folders).await;
    let others = vec![Kind::List, Kind::Seal, Kind::Rerank, Kind::Finalize];
    let light = worker(&world, "light", others, HashMap::new()).await;

    let (_stopper, never) = stop::channel();
    let exit =
        timeout(PATIENCE, watch(world.jobs.as_ref(), submitted.job, Output::Table, &never)).await.unwrap().unwrap();
    assert_eq!(exit, Exit::Done);
    assert_eq!(deliver(&world, submitted.job, &object_path(&project.out()).unwrap()).await.unwrap(), 6);
    assert_eq!(differences(&alone.out(), &project.out()), Vec::<String>::new());
    let ids = |project: &Project| {
        let run: serde_json::Value =
            serde_json::from_slice(&fs::read(project.out().join("run.json")).unwrap()).unwrap();
        (run["collection"].clone(), run["corpus"]["id"].clone(), run["results"].clone(), run["workers"].clone())
    };
    let (here, there) = (ids(&alone), ids(&project));
    assert_eq!((here.0, here.1, here.2), (there.0, there.1, there.2), "the same corpus and collection");
    assert_eq!(there.3, serde_json::json!(["encoding", "light"]));

    let metrics = encoding.ask("/metrics").await;
    for line in [
        "imagefleet_worker_pictures_total{stage=\"read\"} 40",
        "imagefleet_worker_pictures_total{stage=\"upsert\"} 40",
        "imagefleet_worker_attempts_total{kind=\"embed\",end=\"succeeded\"} 2",
        "imagefleet_worker_attempts_total{kind=\"retrieve\",end=\"succeeded\"} 1",
        "imagefleet_worker_batch_pictures{device=\"cpu\"} 8",
    ] {
        assert!(metrics.lines().any(|there| there == line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("kind=\"list\"") && light.ask("/healthz").await.contains("200 OK"));
    let workers = coordinators[0].ask("/v1/workers").await;
    assert!(workers.contains("encoding") && workers.contains("light"), "{workers}");
    let published = |text: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with("imagefleet_published_messages_total ")).unwrap();
        line.split(' ').next_back().unwrap().parse().unwrap()
    };
    let (one, other) = (coordinators[0].ask("/metrics").await, coordinators[1].ask("/metrics").await);
    // Two lists, two chunks, a seal, a block, its ranking, the end.
    assert!(published(&one) + published(&other) >= 8, "{one}{other}");
    assert!(one.contains("imagefleet_jobs{state=\"succeeded\"} 1") && one.contains("imagefleet_sessions 2"), "{one}");

    light.end().await;
    encoding.end().await;
    assert_eq!(world.tasks.sessions().await.unwrap(), []);
    for coordinator in coordinators {
        coordinator.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_waits_for_a_store_that_is_away() {
    let project = project();
    let hooks = Hooks::default().before(|call| async move {
        // It is away for three looks, whatever else goes on.
        let is_away = call.is("jobs", "job") && (2..=4).contains(&call.number);
        if is_away { Then::Fail } else { Then::Go }
    });
    let world = around(world(&project).await, &hooks);
    let submission = for_fleet(&file::read(&project.job_file(), Place::Fleet).unwrap()).unwrap();
    let job = submit(world.jobs.as_ref(), world.artifacts.as_ref(), submission).await.unwrap().job;
    let (stopper, stop) = stop::channel();
    let watching = tokio::spawn({
        let (jobs, hooks) = (Arc::clone(&world.jobs), hooks.clone());
        async move {
            let exit = watch(jobs.as_ref(), job, Output::Table, &stop).await;
            (exit, hooks.calls("jobs", "job"))
        }
    });
    let seen = async {
        while hooks.calls("jobs", "job") < 5 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, seen).await.expect("it looks again");
    world.jobs.control(job, imagefleet_common::ports::jobs::Control::Cancel).await.unwrap();
    world.jobs.advance().await.unwrap();
    let (exit, _) = timeout(PATIENCE, watching).await.unwrap().unwrap();
    assert_eq!(exit.unwrap(), Exit::Cancelled);
    assert_eq!(world.jobs.job(job).await.unwrap().unwrap().state, JobState::Cancelled);
    drop(stopper);
}
