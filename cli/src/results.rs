//! What people see: a job's result files, copied from the artifacts of the attempt that won.
//!
//! Each file is replaced as a whole. The old summary goes first and the new one comes last, so that a folder with a
//! summary is a complete one. Files that already say the same are left alone.

use bytes::Bytes;
use imagefleet_common::{
    Error, Result,
    ids::JobId,
    ports::objects::{Objects, read_latest},
    task::State,
    work::Work,
};
use imagefleet_retrieval::results::{Manifest, SUMMARY};

use crate::embedded::World;

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
    for (_, path, bytes) in stale.iter().filter(|(name, ..)| *name != SUMMARY) {
        world.files.put(path, bytes.clone()).await?;
    }
    if summary {
        let bytes = read(world.artifacts.as_ref(), &format!("{folder}/{SUMMARY}")).await?;
        world.files.put(&format!("{directory}/{SUMMARY}"), bytes).await?;
    }
    Ok(stale.len())
}

/// What a succeeded job wrote, and the artifact that says so.
async fn manifest(world: &World, job: JobId) -> Result<(Manifest, String)> {
    let id = Work::Finalize { job }.id();
    let tasks = world.jobs.tasks(job).await?;
    let artifact =
        tasks.into_iter().find(|task| task.id == id && task.state == State::Succeeded).and_then(|task| task.artifact);
    let artifact = artifact.ok_or_else(|| Error::permanent(format!("find the results of job {job}: it has none")))?;
    let bytes = read(world.artifacts.as_ref(), &artifact).await?;
    Ok((Manifest::from_bytes(&bytes, &artifact)?, artifact))
}

async fn read(objects: &dyn Objects, path: &str) -> Result<Bytes> {
    let found = read_latest(objects, path).await?;
    found.ok_or_else(|| Error::permanent(format!("read artifact {path}: it is gone; run with --retry-dead")))
}

/// A file that was delivered.
pub(crate) async fn read_delivered(world: &World, path: &str) -> Result<Bytes> {
    let found = read_latest(world.files.as_ref(), path).await?;
    found.ok_or_else(|| Error::permanent(format!("read /{path}: it is gone")))
}
