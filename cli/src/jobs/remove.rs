//! `imagefleet jobs rm`

use super::find;
use crate::{
    args::{Global, Output},
    exit::Exit,
    logging::{print, say},
    run::counted,
    site::Site,
};
use imagefleet_common::{
    Error, Result,
    ids::TaskId,
    ports::{
        jobs::JobState,
        objects::{Objects, list_all},
    },
};
use serde_json::json;

/// Artifacts go first: if that is cut off, the job is still there to be removed again.
pub(super) async fn remove(global: &Global, site: &Site, wanted: &str) -> Result<Exit> {
    let (_lock, world) = site.take().await?;
    let job = find(world.jobs.as_ref(), wanted).await?;
    let doing = || format!("remove job {} {}", job.name, job.id);
    if job.state == JobState::Cancelling {
        return Err(Error::permanent(format!("{}: it is being cancelled; wait until it is", doing())));
    }
    if !matches!(job.state, JobState::Succeeded | JobState::Cancelled) {
        return Err(Error::permanent(format!(
            "{}: it is {}; cancel it first (imagefleet jobs cancel {}), and wait until it is cancelled",
            doing(),
            job.state,
            job.id
        )));
    }
    let tasks = world.jobs.tasks(job.id).await?;
    let own = tasks.iter().filter(|task| task.work.job() == Some(job.id)).map(|task| task.id);
    let objects = delete_artifacts(world.artifacts.as_ref(), own).await.map_err(|error| error.while_doing(doing()))?;
    world.jobs.remove(job.id).await?;
    match global.output {
        Output::Json => {
            print(format_args!("{:#}", json!({"id": job.id, "name": job.name, "artifacts": objects})));
        }
        Output::Table => {
            say(format_args!("job {} {} is removed, with {}", job.name, job.id, counted(objects, "artifact")));
            say(format_args!("its vectors stay in collection {}", job.collection));
        }
    }
    Ok(Exit::Done)
}

/// Whatever attempts of these tasks have left; says how many objects that were.
pub(crate) async fn delete_artifacts(objects: &dyn Objects, tasks: impl Iterator<Item = TaskId>) -> Result<usize> {
    let mut deleted = 0;
    for task in tasks {
        for object in list_all(objects, &format!("tasks/{task}/")).await? {
            objects.delete(&object.path).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
