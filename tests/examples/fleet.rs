//! How a fleet scales where the encoder is the wall: what `bench/fleet` runs.
//!
//!     fleet corpus FOLDER PICTURES    zip shards of 128 small pictures
//!     fleet worker                    a worker whose encoder sleeps for half a second a batch of 32, until SIGTERM
//!     fleet run NAME                  embeds the corpus below the sources and prints the pictures/s
//!
//! Everything else is real: pictures are read and decoded, 512 numbers each are put into the index, confirmed and read
//! back, and the ledger is written. The fleet's settings are taken from the environment, as by `imagefleet`.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a benchmark")]

use imagefleet::{
    args::{Global, Output},
    config,
    fleet::Fleet,
};
use imagefleet_common::{
    Result,
    job::file::{self, Place},
    job::spec::ModelIdentity,
    ports::jobs::{Control, JobState},
    task::State,
    work::{Kind, Stage},
};
use imagefleet_coordinator::submit::{Submission, submit};
use imagefleet_models::{Encoder, PictureBatch, Vectors};
use imagefleet_pictures::processor::Processor;
use imagefleet_tests::{
    corpus::jpeg_of,
    project::tiny_model,
    zip_writer::{Twist, Zip},
};
use imagefleet_worker::{Settings, Worker, engine::Engines, pull, stop};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

const SHARD: u32 = 128;
const DIMS: usize = 512;
const REVISION: &str = "a-model-that-sleeps";

/// Takes its time, and gives vectors that are different enough.
struct Sleeper(Box<dyn Encoder>);

impl Encoder for Sleeper {
    fn dims(&self) -> usize {
        DIMS
    }

    fn picture_side(&self) -> usize {
        self.0.picture_side()
    }

    fn encode_pictures(&mut self, batch: &PictureBatch) -> Result<Vectors> {
        std::thread::sleep(Duration::from_millis(500) * batch.count as u32 / 32);
        let side = batch.pixels.len() / batch.count;
        let values = batch.pixels.chunks_exact(side).flat_map(|pixels| unit(&pixels[..DIMS])).collect();
        Ok(Vectors { dims: DIMS, values })
    }

    fn encode_texts(&mut self, texts: &[String]) -> Result<Vectors> {
        let values = texts.iter().flat_map(|_| unit(&[1.0; DIMS])).collect();
        Ok(Vectors { dims: DIMS, values })
    }
}

fn unit(values: &[f32]) -> Vec<f32> {
    // Never without a length.
    let values: Vec<f64> = values.iter().map(|value| f64::from(*value) + 3.0).collect();
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    values.iter().map(|value| (value / length) as f32).collect()
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["corpus", folder, pictures] => corpus(Path::new(folder), pictures.parse().unwrap()),
        ["worker"] => worker().await,
        ["run", name] => run(name).await,
        _ => {
            eprintln!("fleet corpus FOLDER PICTURES | fleet worker | fleet run NAME");
            std::process::exit(2);
        }
    }
}

fn corpus(folder: &Path, pictures: u32) {
    fs::create_dir_all(folder).unwrap();
    let drawn: Vec<Vec<u8>> = (0..64).map(|seed| jpeg_of(seed, 64, 48)).collect();
    for first in (0..pictures).step_by(SHARD as usize) {
        let mut zip = Zip::default();
        for number in first..(first + SHARD).min(pictures) {
            zip.add(&format!("{number:08}.jpg"), &drawn[number as usize % drawn.len()], Twist::default());
        }
        fs::write(folder.join(format!("{first:08}.zip")), zip.finish(false)).unwrap();
    }
}

async fn connect() -> Fleet {
    let global = Global {
        data: None,
        object_root: None,
        config: None,
        set: Vec::new(),
        log: "warn".into(),
        output: Output::Table,
    };
    let config = config::load(&global, Vec::new()).and_then(config::Config::into_fleet).unwrap();
    Fleet::connect(&config).await.unwrap()
}

async fn worker() {
    let fleet = connect().await;
    let models = vec![imagefleet_common::job::spec::queue_name(REVISION).to_owned()];
    let settings = Settings { decoders: 1, ..Settings::new(format!("sleeper-{}", std::process::id()), models) };
    let load = |path: &Path| Ok(Box::new(Sleeper(imagefleet::run::load(path)?)) as Box<dyn Encoder>);
    let engines = Engines::new(Arc::new(load), settings.decoders);
    let worker = Arc::new(Worker::new(fleet.world.worker(), settings, engines));
    let (stopper, stop) = stop::channel();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    tokio::spawn(async move {
        terminate.recv().await;
        stopper.stop();
    });
    pull::run(worker, stop).await.unwrap();
    fleet.close().await;
}

/// Submits a job over `source = NAME` and waits until its pictures are embedded.
async fn run(name: &str) {
    let fleet = connect().await;
    let world = &fleet.world;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name = {name:?}\n[corpus]\nname = {name:?}\nsource = {name:?}\nlayout = \"zip\"\n[model]\npath = \"model\"\n\
         [articles]\nfile = \"articles.csv\"\n[output]\ndirectory = \"out\"\n"
    );
    fs::write(folder.path().join("job.toml"), text).unwrap();
    let articles = b"1,,A red boat at sunset,,,\n".to_vec();
    fs::write(folder.path().join("articles.csv"), &articles).unwrap();
    let spec = file::read(&folder.path().join("job.toml"), Place::Fleet).unwrap().spec;
    let model = tiny_model().canonicalize().unwrap();
    let identity = Processor::read(&model).unwrap().identity();
    let submission = Submission {
        spec,
        source_identity: name.to_owned(),
        source: name.to_owned(),
        model: ModelIdentity {
            path: model.to_str().unwrap().to_owned(),
            revision: REVISION.to_owned(),
            files: BTreeMap::new(),
            preprocessing: identity,
            dims: DIMS,
        },
        articles,
        heads: vec![None],
        titles: 1,
        priority: 0,
        max_tasks: 0,
        allow_delete: false,
        replaces_same_name: false,
    };
    let job = submit(world.jobs.as_ref(), world.artifacts.as_ref(), submission).await.unwrap().job;
    loop {
        let view = world.jobs.job(job).await.unwrap().unwrap();
        if view.stage != Stage::Embed || view.state == JobState::Blocked {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let tasks = world.jobs.tasks(job).await.unwrap();
    let embeds: Vec<_> = tasks.iter().filter(|task| task.work.kind() == Kind::Embed).collect();
    assert!(embeds.iter().all(|task| task.state == State::Succeeded), "not everything was embedded");
    let begun = embeds.iter().filter_map(|task| task.claimed).min().unwrap();
    let ended = embeds.iter().filter_map(|task| task.finished).max().unwrap();
    let workers: std::collections::BTreeSet<_> = embeds.iter().filter_map(|task| task.worker.as_ref()).collect();
    let pictures = world.jobs.progress(job).await.unwrap().counts.embedded;
    let seconds = (ended - begun) as f64 / 1000.0;
    println!(
        "{{\"workers\": {}, \"pictures\": {pictures}, \"seconds\": {seconds:.1}, \"pictures_per_second\": {:.1}}}",
        workers.len(),
        pictures as f64 / seconds
    );
    world.jobs.control(job, Control::Cancel).await.unwrap();
    fleet.close().await;
}
