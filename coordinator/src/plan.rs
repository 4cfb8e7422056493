//! Planning: one complete listing of a corpus says which shards there are.

use crate::Ports;
use futures::{StreamExt, stream};
use imagefleet_common::{
    Error, Result,
    job::{
        pattern,
        spec::{CorpusSpec, Layout},
    },
    ports::{
        jobs::{JobView, Plan},
        objects::{Objects, list_all},
    },
};
use std::collections::BTreeSet;

/// Jobs that are planned at once: one whose listing is long holds up few others.
const ABREAST: usize = 4;

/// Plans every submitted job. One that cannot be planned says why, and is tried again.
pub async fn plan_submitted(ports: &Ports) -> Result<()> {
    let jobs = ports.jobs.submitted().await?;
    let planned = stream::iter(jobs).map(|job| async move {
        let Err(error) = plan(ports, &job).await else { return Ok(()) };
        tracing::warn!(job = %job.id, %error, "a job could not be planned, trying again");
        ports.jobs.not_planned(job.id, &error.to_string()).await?;
        Err(error)
    });
    let planned: Vec<Result<()>> = planned.buffer_unordered(ABREAST).collect().await;
    planned.into_iter().collect()
}

async fn plan(ports: &Ports, job: &JobView) -> Result<()> {
    let name = &job.name;
    let missing = || Error::permanent(format!("find corpus {} of job {}", job.corpus, job.id));
    let corpus = ports.catalog.corpus(&job.corpus).await?.ok_or_else(missing)?;
    let shards = shards_of(&corpus, ports.sources.as_ref()).await?;
    if shards.is_empty() {
        tracing::warn!(job = name, source = corpus.source, "the corpus has no shard");
    }
    let planned = ports.jobs.plan(job.id, &Plan { shards }).await?;
    for shard in planned.removed {
        tracing::info!(job = name, shard, "a shard is gone from the corpus and is removed");
    }
    for shard in planned.kept {
        tracing::warn!(
            job = name,
            shard,
            "a shard is gone from the corpus; its pictures stay until a run with --allow-delete"
        );
    }
    Ok(())
}

/// Paths of a corpus's shards below its source, ascending.
pub async fn shards_of(corpus: &CorpusSpec, sources: &dyn Objects) -> Result<Vec<String>> {
    let root = match corpus.source.as_str() {
        "" => String::new(),
        source => format!("{source}/"),
    };
    let prefix = corpus.object(pattern::fixed_prefix(&corpus.shards));
    let prefix = if prefix.is_empty() || prefix.ends_with('/') { prefix } else { prefix + "/" };
    let objects = list_all(sources, &prefix).await?;
    let paths = objects.iter().filter_map(|object| object.path.strip_prefix(&root));
    let shards: BTreeSet<String> = match corpus.layout {
        Layout::Folder => paths
            .filter(|path| corpus.pictures.iter().any(|pictures| pattern::matches(pictures, path)))
            .map(|path| path.split_once('/').map_or("", |(folder, _)| folder).to_owned())
            .collect(),
        Layout::Yfcc | Layout::Zip | Layout::Tar => {
            paths.filter(|path| pattern::matches(&corpus.shards, path)).map(String::from).collect()
        }
    };
    Ok(shards.into_iter().collect())
}
