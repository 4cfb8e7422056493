//! `imagefleet worker`

use super::{
    Fleet,
    coordinator::{http_ended, listen},
};
use crate::{
    args::{Global, WorkerArgs},
    config::{self, Flag, FleetConfig, Key, WorkerConfig},
    exit::Exit,
    logging::say,
    models::folder_of,
    run::{binary, blocking, worker_ended},
    signals::stop_on_signals,
    world::World,
};
use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use imagefleet_common::{Context, Error, Result, exposition, work::Kind};
use imagefleet_coordinator::api::serve;
use imagefleet_models::Device;
use imagefleet_worker::{
    Settings, Worker,
    engine::Engines,
    pull,
    stop::{self, Stop},
};
use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// Beats within a lease: five may be lost.
const BEATS: u32 = 6;
/// What the end of a session may take beyond the grace.
const CLOSING: Duration = Duration::from_secs(10);

pub(crate) async fn command(global: &Global, args: WorkerArgs) -> Result<Exit> {
    let stop = stop_on_signals("what runs ends within the grace or is handed back")?;
    let config = config::load(global, flags(args))?;
    let fleet = config.clone().into_fleet()?;
    let config = config.worker;
    let listener = match config.listen {
        Some(address) => Some(listen(Key::WorkerListen, address).await?),
        None => None,
    };
    // A worker that cannot do what it is there for says so before it takes anything.
    let (device, serves) = (config.device, config.clone());
    let folders = blocking(move || {
        serves.device.check()?;
        folders(&serves)
    })
    .await?;
    let settings = settings(&config, &fleet, &folders);
    let Some(fleet) = Fleet::connect_patiently(&fleet, &stop).await? else { return Ok(Exit::Done) };
    let ended = work(&fleet.world, settings, folders, device, listener, stop).await;
    fleet.close().await;
    ended.map(|()| Exit::Done)
}

fn flags(args: WorkerArgs) -> Vec<Flag> {
    let WorkerArgs { queues, models, device, slots, grace, listen } = args;
    let given = [
        (Key::Queues, "--queues", queues),
        (Key::Models, "--models", models),
        (Key::Device, "--device", device),
        (Key::Slots, "--slots", slots),
        (Key::Grace, "--grace", grace),
        (Key::WorkerListen, "--listen", listen),
    ];
    given.into_iter().filter_map(|(key, name, value)| Some(Flag { key, name, value: value? })).collect()
}

/// The folder of each model that the worker serves, by revision; none where no kind of its work needs a model. Hashes
/// the models: a second or so for each gigabyte.
fn folders(config: &WorkerConfig) -> Result<HashMap<String, PathBuf>> {
    if !config.kinds.iter().any(|kind| kind.needs_model()) {
        return Ok(HashMap::new());
    }
    if config.models.is_empty() {
        let needy: Vec<&str> = config.kinds.iter().filter(|kind| kind.needs_model()).map(|kind| kind.name()).collect();
        return Err(Error::permanent(format!(
            "{} is not set, and {} needs a model: name those that this worker serves with --models, or the kinds of work that it takes with --queues",
            Key::Models,
            needy.join(" or ")
        )));
    }
    let mut folders = HashMap::new();
    for model in &config.models {
        let folder = folder_of(model)?;
        let folder = std::path::absolute(&folder).permanent(|| format!("find {}", folder.display()))?;
        folders.insert(imagefleet_models::revision(&folder)?, folder);
    }
    Ok(folders)
}

fn settings(config: &WorkerConfig, fleet: &FleetConfig, folders: &HashMap<String, PathBuf>) -> Settings {
    let models = folders.keys().map(|revision| imagefleet_common::job::spec::queue_name(revision).to_owned()).collect();
    Settings {
        slots: config.slots,
        lease: fleet.lease,
        beat: fleet.lease / BEATS,
        upsert_timeout: fleet.index_timeout,
        grace: config.grace,
        kinds: config.kinds.clone(),
        binary: binary(),
        ..Settings::new(name(), models)
    }
}

/// Host and process.
fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}", std::process::id())
}

/// Works until `shutdown`, or until `imagefleet workers drain` asks for it, then drains. Fails where the drain outlasts the grace: the process must end then, and its
/// lease runs out.
pub async fn work(
    world: &World,
    settings: Settings,
    folders: HashMap<String, PathBuf>,
    device: Device,
    listener: Option<TcpListener>,
    shutdown: Stop,
) -> Result<()> {
    let load = move |path: &std::path::Path| imagefleet_models::load(path, device);
    let engines = Engines::new(Arc::new(load), settings.decoders).with_folders(folders);
    let (grace, name, kinds) = (settings.grace, settings.name.clone(), settings.kinds.clone());
    let worker = Arc::new(Worker::new(world.worker(), settings, engines));
    // Not the shutdown itself: what ends before this is given has ended by itself.
    let (stopper, stop) = stop::channel();
    let mut serving = tokio::spawn(serve_if_asked(listener, Arc::clone(&worker), device, stop.clone()));
    let mut working = tokio::spawn(pull::run(worker, stop));
    let kinds: Vec<&str> = kinds.into_iter().map(Kind::name).collect();
    say(format_args!("worker {name} on {device} takes {}", kinds.join(", ")));
    tokio::select! {
        () = shutdown.stopped() => {}
        ended = &mut working => {
            return match ended {
                Ok(Ok(())) => {
                    say(format_args!("worker {name} has drained, as it was asked to"));
                    Ok(())
                }
                ended => Err(worker_ended(ended)),
            };
        }
        ended = &mut serving => return Err(http_ended(ended)),
    }
    stopper.stop();
    match tokio::time::timeout(grace + CLOSING, working).await {
        Ok(ended) => ended.permanent(|| "run the worker".to_owned())?,
        Err(_) => Err(Error::permanent(format!(
            "drain: what runs did not stop within {grace:?}; the process ends, and its tasks go on elsewhere after a lease"
        ))),
    }
}

/// Health and metrics. Without a listener it waits for the shutdown.
async fn serve_if_asked(
    listener: Option<TcpListener>,
    worker: Arc<Worker>,
    device: Device,
    shutdown: Stop,
) -> Result<()> {
    let stopped = async move { shutdown.stopped().await };
    let Some(listener) = listener else {
        stopped.await;
        return Ok(());
    };
    let device = device.to_string();
    let metrics = async move || ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], worker.metrics(&device));
    let router = Router::new().route("/healthz", get(async || "ok\n")).route("/metrics", get(metrics));
    serve(listener, router, stopped).await
}
