//! What is looked at on this machine: the data directory, the disk, the models.

use super::{Findings, bytes};
use crate::{
    config::WorkerConfig,
    data_dir::DataDir,
    models::folder_of,
    run::{blocking, counted},
    site::folder_of_revision,
    takedown::is_empty_yet,
    world::World,
};
use imagefleet_common::{
    Result,
    job::spec::CollectionSpec,
    ports::{catalog::whole_scope, jobs::JobState},
};
use imagefleet_models::{
    checkpoint::open_checkpoint,
    hub::{HubConfig, list},
};
use imagefleet_worker::machine::free_bytes;
use std::path::Path;

/// Less than this and a run of any size will fill the disk.
const LITTLE: u64 = 1 << 30;
/// Less than this and not even a small one ends.
const NOTHING: u64 = 100 << 20;

pub(super) async fn data_directory(findings: &mut Findings, data: &DataDir, models: &[String]) {
    let path = data.path();
    disk(findings, path);
    let remedy = "let this user read and write there, or name another directory with --data";
    let Some(is_there) = findings.must("data directory", remedy, data.is_there()) else { return };
    if !is_there {
        let found = format!("{}: nothing has run there yet", path.display());
        return findings.warn("data directory", found, "run a job file, or name the directory with --data");
    }
    match data.lock() {
        Ok(lock) => {
            findings.ok("data directory", format_args!("{}, free to be worked in", path.display()));
            drop(lock);
        }
        Err(error) if data.is_in_use() => {
            findings.warn("data directory", error, "reading works; what writes waits for that process")
        }
        Err(error) => return findings.fail("data directory", error, remedy),
    }
    let remedy = "was it written by a newer imagefleet, or is the disk failing? restore it, or begin anew with --data";
    let Some(world) = findings.must("store and index", remedy, World::open(data).await) else { return };
    if let Err(error) = collections(findings, &world, models).await {
        return findings.fail("store and index", error, remedy);
    }
    match jobs(findings, &world).await {
        Ok(jobs) => findings.ok("store and index", format_args!("open, {}", counted(jobs, "job"))),
        Err(error) => findings.fail("store and index", error, remedy),
    }
}

/// Has the index what was embedded, and is the model there that searches and further runs need?
async fn collections(findings: &mut Findings, world: &World, models: &[String]) -> Result<()> {
    for CollectionSpec { id, corpus, model_path, revision, .. } in world.catalog.collections().await? {
        if !is_empty_yet(world, &id).await? {
            let scope = whole_scope(world.catalog.as_ref(), &corpus).await?;
            let held = world.index.counts(&id, &scope).await;
            findings.must("collection", "was the index removed or replaced? put it back, or repair it", held);
        }
        let models = models.to_vec();
        let model = blocking(move || match open_checkpoint(Path::new(&model_path)) {
            Err(_) if folder_of_revision(&models, &revision)?.is_some() => Ok(()),
            opened => opened.map(drop),
        });
        if let Err(error) = model.await {
            findings.warn(
                "collection",
                error.while_doing(format!("find the model of {id}")),
                "put it back, or name this machine's copy of it with IMAGEFLEET_MODELS",
            );
        }
    }
    Ok(())
}

/// Jobs that wait for a person.
pub(super) async fn jobs(findings: &mut Findings, world: &World) -> Result<usize> {
    let jobs = world.jobs.jobs().await?;
    for job in jobs.iter().filter(|job| job.state == JobState::Blocked) {
        findings.warn(
            "job",
            format_args!("{} {} is blocked by dead tasks", job.name, job.id),
            format_args!("see `imagefleet dead ls`, mend the cause, then `imagefleet jobs retry {}`", job.id),
        );
    }
    Ok(jobs.len())
}

/// The disk that holds this folder, or its nearest parent that is there.
pub(super) fn disk(findings: &mut Findings, folder: &Path) {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(there) = absolute.ancestors().find(|folder| folder.is_dir()) else { return };
    let remedy = "make room, or move the folder to a larger disk";
    let Some(free) = findings.must("disk", remedy, free_bytes(there)) else { return };
    let found = format!("{} free at {}", bytes(free), there.display());
    match free {
        ..NOTHING => findings.fail("disk", found, remedy),
        NOTHING..LITTLE => findings.warn("disk", found, remedy),
        _ => findings.ok("disk", found),
    }
}

pub(super) async fn models(findings: &mut Findings, config: &WorkerConfig) {
    let device = config.device;
    if findings.must("device", "use --device cpu, or see to the driver", device.check()).is_some() {
        findings.ok("device", device);
    }
    for model in config.models.clone() {
        let checked = blocking(move || {
            let folder = folder_of(&model)?;
            open_checkpoint(&folder)?;
            Ok(folder)
        });
        let remedy = "fetch it with `imagefleet models pull`, or name a folder that has it";
        if let Some(folder) = findings.must("model", remedy, checked.await) {
            findings.ok("model", format_args!("{}; `imagefleet models check` reads all of it", folder.display()));
        }
    }
    let cached = blocking(|| list(&HubConfig::from_env()?)).await;
    let Some(cached) = findings.must("model cache", "see to HF_HOME and HF_HUB_CACHE", cached) else { return };
    for model in cached.iter().filter(|model| !model.complete) {
        let name = &model.name;
        findings.warn(
            "model cache",
            format_args!("{name} is incomplete"),
            format_args!("imagefleet models pull {name}"),
        );
    }
    findings.ok("model cache", counted(cached.len(), "model"));
}
