//! `imagefleet plan`: what a run would do, and what is done already. Changes nothing.

use crate::{
    args::{Global, Output},
    exit::Exit,
    logging::print,
    run::blocking,
    site::Site,
    submission::{Opened, for_fleet},
    table::table,
    world::World,
};
use imagefleet_adapters::objects::fs::FsObjects;
use imagefleet_common::{
    Result,
    job::{
        file::{self, Place},
        spec::{CorpusSpec, Layout},
    },
    ports::{
        catalog::{ChunkLedger, Shard},
        jobs::{JobState, NewJob},
        objects::{Objects, list_all},
    },
    task::State,
};
use imagefleet_coordinator::{plan::shards_of, submit::new_job};
use imagefleet_worker::shards::named;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
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
    let (job, sources, world): (_, Arc<dyn Objects>, _) = match Site::of(global)? {
        Site::Here(_) => {
            let opened = Opened::read(global, file)?;
            let data = opened.data.clone();
            let job = new_job(&blocking(move || opened.submission()).await?);
            let world = if data.is_there()? { Some(World::open(&data).await?) } else { None };
            (job, Arc::new(FsObjects::new(PathBuf::from("/"))), world)
        }
        site @ Site::Fleet(_) => {
            let file = file::read(file, Place::Fleet)?;
            let job = new_job(&blocking(move || for_fleet(&file)).await?);
            let world = site.look().await?;
            (job, Arc::clone(&world.sources), Some(world))
        }
    };
    let paths = shards_of(&job.corpus, sources.as_ref()).await?;
    let known = match &world {
        Some(world) => Known::read(world, &job).await?,
        None => Known::default(),
    };
    let mut rows = Vec::new();
    for path in paths {
        rows.push(row(&job.corpus, sources.as_ref(), path, &known).await?);
    }
    let shards = known.shards;
    let gone: Vec<&str> = shards
        .iter()
        .filter(|shard| !shard.removed && rows.iter().all(|row| row.path != shard.path))
        .map(|shard| shard.path.as_str())
        .collect();
    let is_done = known.has_succeeded && gone.is_empty() && rows.iter().all(Row::is_done);
    show(global, &job, &rows, &gone, is_done);
    Ok(Exit::Done)
}

/// What earlier runs left.
#[derive(Default)]
struct Known {
    shards: Vec<Shard>,
    /// The newest over the job's collection.
    ledger: Vec<ChunkLedger>,
    /// Has this very job succeeded?
    has_succeeded: bool,
}

impl Known {
    async fn read(world: &World, job: &NewJob) -> Result<Self> {
        let shards = world.catalog.shards(&job.corpus.id).await?;
        let jobs = world.jobs.jobs().await?;
        let Some(newest) = jobs.iter().rfind(|older| older.collection == job.collection.id) else {
            return Ok(Self { shards, ..Self::default() });
        };
        let ledger = world.catalog.ledger(newest.id).await?;
        let has_succeeded = jobs.iter().any(|older| older.spec == job.spec && older.state == JobState::Succeeded);
        Ok(Self { shards, ledger, has_succeeded })
    }
}

impl Row {
    fn is_done(&self) -> bool {
        !self.is_estimated && self.done == self.chunks
    }
}

async fn row(corpus: &CorpusSpec, sources: &dyn Objects, path: String, known: &Known) -> Result<Row> {
    if let Some(shard) = known.shards.iter().find(|shard| shard.path == path && shard.version > 0) {
        let chunks: Vec<&ChunkLedger> = known.ledger.iter().filter(|chunk| chunk.at.shard == shard.number).collect();
        let has_changed = named(sources, corpus, shard).await?.is_some_and(|named| named != shard.listing);
        let done = chunks.iter().filter(|chunk| chunk.state == State::Succeeded && !has_changed).count() as u64;
        let is_estimated = has_changed || chunks.is_empty();
        return Ok(Row { version: shard.version, chunks: chunks.len() as u64, done, is_estimated, path });
    }
    let archive = match corpus.layout {
        Layout::Folder => None,
        Layout::Yfcc | Layout::Zip | Layout::Tar => sources.head(&corpus.object(&path)).await?,
    };
    let size = match archive {
        Some(archive) => archive.size,
        None => {
            let prefix = format!("{}/", corpus.object(&path));
            list_all(sources, prefix.trim_start_matches('/')).await?.iter().map(|object| object.size).sum()
        }
    };
    let chunks = if corpus.layout == Layout::Tar { 1 } else { size.div_ceil(PICTURE * CHUNK).max(1) };
    Ok(Row { path, version: 0, chunks, done: 0, is_estimated: true })
}

/// Tasks of each stage: all of them, and those that are done.
fn stages(job: &NewJob, rows: &[Row], is_done: bool) -> [(&'static str, u64, u64); 6] {
    let chunks = rows.iter().map(|row| row.chunks).sum();
    let done = rows.iter().map(|row| row.done).sum();
    let blocks = u64::from(job.blocks);
    let own = |stage, tasks| (stage, tasks, if is_done { tasks } else { 0 });
    [
        // Every run lists again: that is how it finds out what changed.
        ("list", rows.len() as u64, 0),
        ("embed", chunks, done),
        own("seal", 1),
        own("retrieve", blocks),
        own("rerank", blocks * u64::from(job.rerankers)),
        own("finalize", 1),
    ]
}

fn show(global: &Global, job: &NewJob, rows: &[Row], gone: &[&str], is_done: bool) {
    let is_estimated = rows.iter().any(|row| row.is_estimated);
    let stages = stages(job, rows, is_done);
    if global.output == Output::Json {
        let shards: Vec<_> = rows
            .iter()
            .map(|row| json!({"shard": row.path, "version": row.version, "chunks": row.chunks, "done": row.done, "estimated": row.is_estimated}))
            .collect();
        let stages: Vec<_> =
            stages.iter().map(|(stage, tasks, done)| json!({"stage": stage, "tasks": tasks, "done": done})).collect();
        let plan = json!({"job": job.name, "corpus": job.corpus.id, "collection": job.collection.id,
            "stages": stages, "shards": shards, "gone": gone});
        print(format_args!("{plan:#}"));
        return;
    }
    print(format_args!("job {}, collection {}", job.name, job.collection.id));
    let estimated = |is_estimated: bool| if is_estimated { "estimated" } else { "" };
    let rows_of_stages: Vec<Vec<String>> = stages
        .iter()
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
