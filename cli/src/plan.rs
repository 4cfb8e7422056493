//! `imagefleet plan`: what a run would do, and what is done already. Changes nothing.

use crate::{
    args::{Global, Output},
    embedded::World,
    exit::Exit,
    logging::print,
    run::blocking,
    submission::Opened,
    table::table,
};
use imagefleet_adapters::objects::fs::FsObjects;
use imagefleet_common::{
    Result,
    ids::CorpusId,
    job::spec::{CorpusSpec, Layout},
    ports::{
        catalog::{ChunkLedger, Shard},
        jobs::NewJob,
        objects::Objects,
    },
    task::State,
};
use imagefleet_coordinator::{plan::shards_of, submit::new_job};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A shard that was never listed: bytes that a picture is taken to have.
const PICTURE: u64 = 100 << 10;
const CHUNK: u64 = 1024;

/// What is to be done for one shard.
struct Row {
    path: String,
    /// 0: never listed.
    version: i64,
    chunks: u64,
    done: u64,
    is_estimated: bool,
}

pub(crate) async fn command(global: &Global, file: &Path) -> Result<Exit> {
    let opened = Opened::read(global, file)?;
    let data = opened.data.clone();
    let submission = blocking(move || opened.submission()).await?;
    let job = new_job(&submission);
    let sources = FsObjects::new(PathBuf::from("/"));
    let paths = shards_of(&job.corpus, &sources).await?;
    let (shards, ledger) = match data.is_there() {
        true => known(&World::open(&data).await?, &job).await?,
        false => (Vec::new(), Vec::new()),
    };
    let mut rows = Vec::new();
    for path in paths {
        rows.push(row(&job.corpus, &sources, path, &shards, &ledger).await?);
    }
    let gone: Vec<&str> = shards
        .iter()
        .filter(|shard| !shard.removed && rows.iter().all(|row| row.path != shard.path))
        .map(|shard| shard.path.as_str())
        .collect();
    show(global, &job, &rows, &gone);
    Ok(Exit::Done)
}

/// What the catalog knows of the corpus, and the newest ledger over the job's collection.
async fn known(world: &World, job: &NewJob) -> Result<(Vec<Shard>, Vec<ChunkLedger>)> {
    let corpus: &CorpusId = &job.corpus.id;
    let shards = world.catalog.shards(corpus).await?;
    let mut ledger = Vec::new();
    if let Some(older) = world.jobs.jobs().await?.into_iter().rfind(|older| older.collection == job.collection.id) {
        ledger = world.catalog.ledger(older.id).await?;
    }
    Ok((shards, ledger))
}

async fn row(
    corpus: &CorpusSpec,
    sources: &dyn Objects,
    path: String,
    shards: &[Shard],
    ledger: &[ChunkLedger],
) -> Result<Row> {
    if let Some(shard) = shards.iter().find(|shard| shard.path == path && shard.version > 0) {
        let chunks: Vec<&ChunkLedger> = ledger.iter().filter(|chunk| chunk.at.shard == shard.number).collect();
        let done = chunks.iter().filter(|chunk| chunk.state == State::Succeeded).count() as u64;
        return Ok(Row {
            version: shard.version,
            chunks: chunks.len() as u64,
            done,
            is_estimated: chunks.is_empty(),
            path,
        });
    }
    let chunks = match corpus.layout {
        Layout::Tar => 1,
        Layout::Yfcc | Layout::Zip | Layout::Folder => {
            let size = sources.head(&corpus.object(&path)).await?.map_or(0, |meta| meta.size);
            size.div_ceil(PICTURE * CHUNK).max(1)
        }
    };
    Ok(Row { path, version: 0, chunks, done: 0, is_estimated: true })
}

/// Tasks of each stage: all of them, and those that are done.
fn stages(job: &NewJob, rows: &[Row]) -> BTreeMap<u8, (&'static str, u64, u64)> {
    let chunks = rows.iter().map(|row| row.chunks).sum();
    let done = rows.iter().map(|row| row.done).sum();
    let blocks = u64::from(job.blocks);
    let stages = [
        ("list", rows.len() as u64, 0),
        ("embed", chunks, done),
        ("seal", 1, 0),
        ("retrieve", blocks, 0),
        ("rerank", blocks * u64::from(job.rerankers), 0),
        ("finalize", 1, 0),
    ];
    (0..).zip(stages).collect()
}

fn show(global: &Global, job: &NewJob, rows: &[Row], gone: &[&str]) {
    let is_estimated = rows.iter().any(|row| row.is_estimated);
    let stages = stages(job, rows);
    if global.output == Output::Json {
        let shards: Vec<_> = rows
            .iter()
            .map(|row| json!({"shard": row.path, "version": row.version, "chunks": row.chunks, "done": row.done, "estimated": row.is_estimated}))
            .collect();
        let stages: Vec<_> =
            stages.values().map(|(stage, tasks, done)| json!({"stage": stage, "tasks": tasks, "done": done})).collect();
        let plan = json!({"job": job.name, "corpus": job.corpus.id, "collection": job.collection.id,
            "stages": stages, "shards": shards, "gone": gone});
        print(format_args!("{plan:#}"));
        return;
    }
    print(format_args!("job {}, collection {}", job.name, job.collection.id));
    let estimated = |is_estimated: bool| if is_estimated { "estimated" } else { "" };
    let rows_of_stages: Vec<Vec<String>> = stages
        .values()
        .map(|(stage, tasks, done)| {
            let note = estimated(is_estimated && *stage == "embed");
            vec![(*stage).to_owned(), tasks.to_string(), done.to_string(), note.to_owned()]
        })
        .collect();
    print(format_args!("{}", table(&["STAGE", "TASKS", "DONE", ""], &rows_of_stages)));
    let rows_of_shards: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let version = if row.version == 0 { "new".to_owned() } else { row.version.to_string() };
            let path = if row.path.is_empty() { ".".to_owned() } else { row.path.clone() };
            vec![path, version, row.chunks.to_string(), row.done.to_string(), estimated(row.is_estimated).to_owned()]
        })
        .collect();
    print(format_args!("{}", table(&["SHARD", "VERSION", "CHUNKS", "DONE", ""], &rows_of_shards)));
    for shard in gone {
        print(format_args!("gone from the corpus: {shard}"));
    }
}
