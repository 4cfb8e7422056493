//! `imagefleet verify`: every picture is accounted for, proved from the index and the artifacts, not from counts alone.

use crate::{
    args::{Global, Output, RunArgs},
    data_dir::DataDir,
    exit::Exit,
    logging::{print, say},
    results::lost,
    run::{self, blocking},
    signals::stop_on_signals,
    site::Site,
    submission::{Opened, for_fleet},
    watch::{GOES_ON, watch},
    world::World,
};
use imagefleet_common::{
    Error, Result,
    ids::JobId,
    job::file::{self, Place},
    ledger::{Counts, Reason},
    ports::{
        catalog::ChunkLedger,
        index::{PointHead, Scope},
        jobs::JobView,
        objects::read_latest,
    },
    task::State,
    work::{ChunkRef, Kind},
};
use imagefleet_coordinator::submit::{Submission, new_job};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verified {
    pub chunks: usize,
    pub counts: Counts,
    /// Chunks whose task is dead or cancelled, and shards whose listing is.
    pub unprocessed: usize,
    /// What is not as the ledger says, a line each.
    pub wrong: Vec<String>,
    /// The finished chunks in which something is wrong.
    pub chunks_wrong: Vec<ChunkRef>,
}

pub(crate) async fn command(global: &Global, file: &Path, repair: bool) -> Result<Exit> {
    let site = Site::of(global)?;
    let (job, found) = verify_file(&site, global, file, repair).await?;
    if found.wrong.is_empty() || !repair {
        return Ok(show(global, job, &found, None));
    }
    say(format_args!(
        "{} of {} chunks are embedded again, and what comes after is done anew",
        found.chunks_wrong.len(),
        found.chunks
    ));
    // As JSON only the last word on it is printed: a run's own summary or a watcher's lines are not.
    let exit = match &site {
        Site::Here(_) => {
            let run = RunArgs { file: file.to_owned(), accept_dead: false, retry_dead: false, allow_delete: false };
            match global.output {
                Output::Table => run::command(global, run).await?,
                Output::Json => run::run_file(global, run).await?.0,
            }
        }
        Site::Fleet(_) => watch(site.jobs().await?.as_ref(), job, Output::Table, &stop_on_signals(GOES_ON)?).await?,
    };
    if exit != Exit::Done {
        if global.output == Output::Json {
            show(global, job, &found, None);
        }
        return Ok(exit);
    }
    let (_, verified) = verify_file(&site, global, file, false).await?;
    Ok(show(global, job, &verified, Some(&found)))
}

/// Where something is wrong, `repair` says so and leaves the job ready to be run again.
async fn verify_file(site: &Site, global: &Global, file: &Path, repair: bool) -> Result<(JobId, Verified)> {
    let (submission, data) = read(site, global, file).await?;
    let submitted = new_job(&submission);
    // Whoever writes has the data directory for itself.
    let (_lock, world) = match &data {
        Some(data) if repair => (Some(data.lock()?), World::take_over(data).await?),
        Some(data) => (None, World::open(data).await?),
        None => (None, site.look().await?),
    };
    let jobs = world.jobs.jobs().await?;
    let job = jobs.into_iter().rfind(|job| job.collection == submitted.collection.id && job.name == submitted.name);
    let job = job.ok_or_else(|| Error::permanent(format!("verify {}: this job has never run", file.display())))?;
    if repair && job.spec != submitted.spec {
        return Err(Error::permanent(format!(
            "repair {}: it has changed since the job ran; run it first",
            file.display()
        )));
    }
    if repair {
        // An index that lost the collection as a whole has it again, empty.
        let collection = world.catalog.collection(&job.collection).await?;
        let missing = || Error::permanent(format!("repair {}: its collection is not on record", file.display()));
        world.index.ensure(&collection.ok_or_else(missing)?).await?;
    }
    let verified = verify(&world, &job).await?;
    if repair && !verified.wrong.is_empty() {
        let repaired = world.jobs.repair(job.id, &verified.chunks_wrong).await;
        if repaired.is_err() || global.output == Output::Table {
            show(global, job.id, &verified, None);
        }
        repaired?;
    }
    Ok((job.id, verified))
}

/// What the file asks for, and the data directory in which it has run, where that is no fleet.
async fn read(site: &Site, global: &Global, file: &Path) -> Result<(Submission, Option<DataDir>)> {
    if let Site::Fleet(_) = site {
        let file = file::read(file, Place::Fleet)?;
        return Ok((blocking(move || for_fleet(&file)).await?, None));
    }
    let opened = Opened::read(global, file)?;
    let data = opened.data.clone();
    if !data.is_there()? {
        let path = data.path().display();
        return Err(Error::permanent(format!("verify {}: nothing has run in {path}", file.display())));
    }
    Ok((blocking(move || opened.submission()).await?, Some(data)))
}

/// Compares ledger, artifacts and index, chunk by chunk and key by key, and looks for what the job has made of them.
pub async fn verify(world: &World, job: &JobView) -> Result<Verified> {
    let mut verified = Verified::default();
    let ledger = world.catalog.ledger(job.id).await?;
    verified.chunks = ledger.len();
    for chunk in &ledger {
        match (chunk.state, &chunk.counts, &chunk.artifact) {
            (State::Succeeded, Some(counts), Some(artifact)) => {
                verified.counts.add(counts);
                let wrong = check_chunk(world, job, chunk, counts, artifact).await?;
                if !wrong.is_empty() {
                    verified.chunks_wrong.push(chunk.at);
                }
                verified
                    .wrong
                    .extend(wrong.into_iter().map(|wrong| format!("{} ({}): {wrong}", chunk.at, chunk.shard)));
            }
            (State::Succeeded, ..) => {
                verified.chunks_wrong.push(chunk.at);
                verified.wrong.push(format!("{} ({}): succeeded without a ledger row", chunk.at, chunk.shard));
            }
            (State::Dead | State::Cancelled, ..) => verified.unprocessed += 1,
            (state, ..) => {
                verified.wrong.push(format!("{} ({}): not finished, its task is {state}", chunk.at, chunk.shard))
            }
        }
    }
    let tasks = world.jobs.tasks(job.id).await?;
    verified.wrong.extend(lost(world, &tasks).await?);
    for task in tasks.iter().filter(|task| task.work.kind() == Kind::List) {
        match task.state {
            State::Succeeded => {}
            State::Dead | State::Cancelled => verified.unprocessed += 1,
            state => verified.wrong.push(format!("{}: not finished, its task is {state}", task.work.key())),
        }
    }
    let shards = world.catalog.job_shards(job.id).await?.iter().map(|shard| shard.number).collect();
    let known: BTreeSet<_> =
        ledger.iter().filter(|chunk| chunk.state == State::Succeeded).map(|chunk| chunk.at).collect();
    for (at, count) in world.index.counts(&job.collection, &Scope::Shards(shards)).await? {
        if !known.contains(&at) {
            verified.wrong.push(format!("{at}: {count} points in the index that no ledger row names"));
        }
    }
    Ok(verified)
}

async fn check_chunk(
    world: &World,
    job: &JobView,
    chunk: &ChunkLedger,
    counts: &Counts,
    artifact: &str,
) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let rejected = world.catalog.rejected(&job.collection, chunk.at).await?;
    let mut by_reason = BTreeMap::new();
    for row in &rejected {
        *by_reason.entry(row.reason).or_insert(0) += 1;
    }
    if !counts.adds_up() || by_reason != counts.rejected {
        wrong.push(format!(
            "seen {}, embedded {}, rejected {}, rows of rejected pictures {}",
            counts.seen,
            counts.embedded,
            counts.rejected_total(),
            rejected.len()
        ));
    }
    let Some(named) = read_latest(world.artifacts.as_ref(), artifact).await? else {
        wrong.push(format!("artifact {artifact} is gone"));
        return Ok(wrong);
    };
    let mut named: BTreeSet<String> = String::from_utf8_lossy(&named).lines().map(String::from).collect();
    // The artifact is the winner's; a takedown came after it.
    for row in rejected.iter().filter(|row| row.reason == Reason::Takedown) {
        named.remove(&row.key);
    }
    if named.len() as u64 != counts.embedded {
        wrong.push(format!("the artifact names {} pictures, the ledger counts {}", named.len(), counts.embedded));
    }
    let stored = world.index.chunk(&job.collection, chunk.at.shard, chunk.at.chunk).await?;
    let held: BTreeSet<String> = stored.iter().filter(|head| is_of(head, chunk)).map(|head| head.key.clone()).collect();
    wrong.extend(named.difference(&held).map(|key| format!("{key} is embedded and not in the index")));
    let strangers = stored.iter().filter(|head| !is_of(head, chunk) || !named.contains(&head.key));
    wrong.extend(
        strangers.map(|head| format!("{} is in the index under epoch {} and not in the ledger", head.key, head.epoch)),
    );
    let keys: Vec<String> = held.into_iter().collect();
    for (key, vector) in keys.iter().zip(world.index.vectors(&job.collection, &keys).await?) {
        let length = vector.map(|vector| vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt());
        if length.is_none_or(|length| (length - 1.0).abs() > 1e-3) {
            wrong.push(format!("{key} has no vector of unit length"));
        }
    }
    Ok(wrong)
}

fn is_of(head: &PointHead, chunk: &ChunkLedger) -> bool {
    head.at == chunk.at && head.epoch == chunk.epoch
}

/// `repaired`: what was wrong before a repair.
fn show(global: &Global, job: JobId, verified: &Verified, repaired: Option<&Verified>) -> Exit {
    let Verified { chunks, counts, unprocessed, wrong, .. } = verified;
    let exit = if wrong.is_empty() { Exit::Done } else { Exit::Failed };
    if global.output == Output::Json {
        let repaired = repaired.map(|found| json!({"chunks": found.chunks_wrong.len(), "wrong": found.wrong}));
        let report = json!({"job": job, "chunks": chunks, "counts": counts, "unprocessed_chunks": unprocessed,
            "wrong": wrong, "repaired": repaired});
        print(format_args!("{report:#}"));
        return exit;
    }
    for wrong in wrong {
        print(format_args!("{wrong}"));
    }
    print(format_args!(
        "{chunks} chunks, {unprocessed} chunks or shards unprocessed: {} pictures seen, {} embedded, {} rejected",
        counts.seen,
        counts.embedded,
        counts.rejected_total()
    ));
    print(format_args!(
        "{}",
        if wrong.is_empty() { "every picture is accounted for" } else { "not every picture is accounted for" }
    ));
    exit
}
