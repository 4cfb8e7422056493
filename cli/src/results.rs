//! What people see: a job's result files, copied from the artifacts of the attempt that won.
//!
//! Each file is replaced as a whole. The old summary goes first and the new one comes last, so that a folder with a
//! summary is a complete one. Files that already say the same are left alone.

use crate::{
    args::{Global, Output},
    exit::Exit,
    jobs,
    logging::{print, say},
    run::counted,
    site::Site,
    submission::object_path,
    world::World,
};
use bytes::Bytes;
use imagefleet_common::{
    Context, Error, Result,
    ids::JobId,
    job::spec::{RerankSection, ResolvedJob},
    ports::{
        jobs::TaskView,
        objects::{Objects, list_all, read_latest},
    },
    task::State,
    work::{Kind, Work},
};
use imagefleet_retrieval::{
    report::FOLDER,
    results::{Manifest, RESULT_FILES, SUMMARY},
};
use serde_json::json;
use std::path::PathBuf;

/// `imagefleet results get`
pub(crate) async fn get(global: &Global, wanted: &str, folder: Option<PathBuf>) -> Result<Exit> {
    let world = Site::of(global)?.look().await?;
    let job = jobs::find(world.jobs.as_ref(), wanted).await?;
    let folder = match folder {
        Some(folder) => folder,
        None => PathBuf::from(ResolvedJob::from_text(&job.spec)?.spec.output.directory),
    };
    let folder = std::path::absolute(&folder).permanent(|| format!("find {}", folder.display()))?;
    let written = deliver(&world, job.id, &object_path(&folder)?).await?;
    match global.output {
        Output::Json => print(format_args!("{:#}", json!({"folder": folder.to_string_lossy(), "written": written}))),
        Output::Table => {
            say(format_args!("{} written", counted(written, "result file")));
            print(format_args!("{}", folder.display()));
        }
    }
    Ok(Exit::Done)
}

/// Copies a succeeded job's files below `directory` (a path of `world.files`); returns how many had to be written.
pub async fn deliver(world: &World, job: JobId, directory: &str) -> Result<usize> {
    let (manifest, artifact) = manifest(world, job).await?;
    let folder = artifact.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (mut stale, mut differs) = (Vec::new(), false);
    for name in &manifest.files {
        let bytes = read(world.artifacts.as_ref(), &format!("{folder}/{name}")).await?;
        let path = format!("{directory}/{name}");
        match read_latest(world.files.as_ref(), &path).await? {
            Some(there) if there == bytes => {}
            there => {
                differs |= there.is_some();
                stale.push((name, path, bytes));
            }
        }
    }
    if stale.is_empty() {
        return Ok(0);
    }
    // A summary that already says the same belongs to files that are merely gone: putting those back completes it.
    let summary = differs || stale.iter().any(|(name, ..)| *name == SUMMARY);
    if summary {
        world.files.delete(&format!("{directory}/{SUMMARY}")).await?;
    }
    // A reranker's own summary, too, stands beside nothing that it does not speak of.
    let is_summary = |name: &str| name.rsplit('/').next() == Some(SUMMARY);
    for (_, path, _) in stale.iter().filter(|(name, ..)| is_summary(name)) {
        world.files.delete(path).await?;
    }
    for (_, path, bytes) in stale.iter().filter(|(name, ..)| !is_summary(name)) {
        world.files.put(path, bytes.clone()).await?;
    }
    for (_, path, bytes) in stale.iter().filter(|(name, ..)| is_summary(name) && *name != SUMMARY) {
        world.files.put(path, bytes.clone()).await?;
    }
    sweep_others(world.files.as_ref(), directory, &manifest).await?;
    sweep_report(world.files.as_ref(), directory, &manifest).await?;
    if summary {
        let bytes = read(world.artifacts.as_ref(), &format!("{folder}/{SUMMARY}")).await?;
        world.files.put(&format!("{directory}/{SUMMARY}"), bytes).await?;
    }
    Ok(stale.len())
}

/// Files that an earlier or another job left here and this one does not write: they would be read as its own.
async fn sweep_others(files: &dyn Objects, directory: &str, manifest: &Manifest) -> Result<()> {
    for folder in std::iter::once(String::new()).chain(RerankSection::NAMES.map(|name| format!("{name}/"))) {
        for file in RESULT_FILES {
            let name = format!("{folder}{file}");
            let path = format!("{directory}/{name}");
            if !manifest.files.contains(&name) && files.head(&path).await?.is_some() {
                files.delete(&path).await?;
            }
        }
    }
    Ok(())
}

/// A report that has become smaller leaves no parts of the larger one beside it.
async fn sweep_report(files: &dyn Objects, directory: &str, manifest: &Manifest) -> Result<()> {
    let folder = format!("{directory}/{FOLDER}/");
    for object in list_all(files, &folder).await? {
        let name = object.path.strip_prefix(&folder).unwrap_or_default();
        let is_part = name
            .strip_suffix(".js")
            .is_some_and(|number| number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit()));
        if is_part && !manifest.files.iter().any(|file| *file == format!("{FOLDER}/{name}")) {
            files.delete(&object.path).await?;
        }
    }
    Ok(())
}

/// What a succeeded job wrote, and the artifact that says so.
async fn manifest(world: &World, job: JobId) -> Result<(Manifest, String)> {
    let task = world.jobs.task(Work::Finalize { job }.id()).await?.map(|found| found.task);
    let artifact = task.filter(|task| task.state == State::Succeeded).and_then(|task| task.artifact);
    let artifact = artifact.ok_or_else(|| Error::permanent(format!("find the results of job {job}: it has none")))?;
    let bytes = read(world.artifacts.as_ref(), &artifact).await?;
    Ok((Manifest::from_bytes(&bytes, &artifact)?, artifact))
}

/// Of what the job's own tasks have made, what is gone.
pub(crate) async fn lost(world: &World, tasks: &[TaskView]) -> Result<Vec<String>> {
    let mut lost = Vec::new();
    for task in tasks.iter().filter(|task| task.work.job().is_some() && task.state == State::Succeeded) {
        let Some(artifact) = &task.artifact else { continue };
        let kind = task.work.kind();
        let mut paths = vec![artifact.clone()];
        if kind == Kind::Finalize
            && let Some(bytes) = read_latest(world.artifacts.as_ref(), artifact).await?
        {
            let folder = artifact.rsplit_once('/').map_or("", |(folder, _)| folder);
            match Manifest::from_bytes(&bytes, artifact) {
                Ok(manifest) => paths.extend(manifest.files.iter().map(|file| format!("{folder}/{file}"))),
                Err(error) => lost.push(format!("{kind}: {error}")),
            }
        }
        for path in paths {
            if world.artifacts.head(&path).await?.is_none() {
                lost.push(format!("{kind}: artifact {path} is gone"));
            }
        }
    }
    Ok(lost)
}

async fn read(objects: &dyn Objects, path: &str) -> Result<Bytes> {
    let found = read_latest(objects, path).await?;
    found.ok_or_else(|| {
        Error::permanent(format!("read artifact {path}: it is gone; `imagefleet verify FILE --repair` makes it again"))
    })
}

/// A file that was delivered.
pub(crate) async fn read_delivered(world: &World, path: &str) -> Result<Bytes> {
    let found = read_latest(world.files.as_ref(), path).await?;
    found.ok_or_else(|| Error::permanent(format!("read /{path}: it is gone")))
}
