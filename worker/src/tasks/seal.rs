//! Seal: the index holds what the ledger says, no point more and none less, and is ready to be searched.
//!
//! Too many points in a chunk: what the ledger does not name is deleted. Too few: that chunk is embedded once more, and if
//! that does not help the seal fails with both figures. It waits by looking again later, never in its slot. An index that
//! is still building is waited for too, but not for ever: its answers are right before it has ended.

use crate::{
    Worker,
    attempt::{Attempt, Done},
};
use imagefleet_common::{
    Error, Result,
    ids::{Epoch, JobId},
    job::spec::CollectionSpec,
    ledger::Reason,
    ports::{
        catalog::{ChunkLedger, Shard},
        index::{Doomed, Scope, Sealed},
        jobs::JobView,
        tasks::Outcome,
    },
    task::State,
    work::{ChunkRef, Kind, Stage},
};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

/// When a seal that must wait looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(worker: &Worker, attempt: &Attempt, job: JobId) -> Result<Done> {
    let (view, _) = worker.job(job).await?;
    let collection = worker.collection(&view.collection).await?;
    worker.ports.index.ensure(&collection).await?;
    // Whoever begins to write from here on has a newer epoch, and is none of this seal's business.
    let up_to = worker.ports.catalog.last_epoch().await?;
    if let Some((wait, why)) = must_wait(worker, job).await? {
        return Ok(not_yet(wait, why));
    }
    let ledger = worker.ports.catalog.ledger(job).await?;
    let shards = worker.ports.catalog.job_shards(job).await?;
    sweep_removed(worker, attempt, &collection, up_to).await?;
    let numbers: Vec<i64> = shards.iter().map(|shard| shard.number).collect();
    if reconcile(worker, attempt, &collection, &ledger, &numbers, up_to).await? == Reconciled::EmbeddingAgain {
        return Ok(not_yet(LOOK_AGAIN, "chunks are embedded again of which the index does not hold all".to_owned()));
    }
    attempt.lease.check()?;
    if let Sealed::Building(state) = worker.ports.index.seal(&collection.id, &numbers).await? {
        let waited = waited(worker, &view).await?;
        if waited < worker.settings.building_limit {
            return Ok(not_yet(worker.settings.building_look, format!("the index says {state}")));
        }
        let collection = &collection.id;
        tracing::warn!(%collection, state, ?waited, "the index is not ready; the job goes on with it as it is");
    }
    Ok(Done::Ended(Outcome::Finished { artifact: None }))
}

fn not_yet(wait: Duration, why: String) -> Done {
    Done::NotYet(wait, Some(format!("waits: {why}")))
}

/// Time since the last of the job's chunks was embedded, or since the job began where it had none to embed. Read from the
/// store: attempts of a seal share nothing else.
async fn waited(worker: &Worker, job: &JobView) -> Result<Duration> {
    let tasks = worker.ports.jobs.tasks(job.id).await?;
    let embedded = tasks.iter().filter(|task| task.work.kind() == Kind::Embed).filter_map(|task| task.finished);
    let since = embedded.chain([job.created]).max().unwrap_or(job.created);
    let waited = worker.ports.tasks.now().await? - since;
    Ok(Duration::from_millis(u64::try_from(waited).unwrap_or(0)))
}

/// Attempts may still write, also into chunks that were cut anew since; those of a lost session may for a lease and an
/// upsert's time. And a chunk may be embedding or its shard listing again.
async fn must_wait(worker: &Worker, job: JobId) -> Result<Option<(Duration, String)>> {
    let writers = worker.ports.catalog.writers(job).await?;
    let progress = worker.ports.jobs.progress(job).await?;
    let mut adding = progress.tasks.iter().filter(|(kind, state, _)| kind.stage() == Stage::Embed && state.is_open());
    if writers.running > 0 || adding.next().is_some() {
        return Ok(Some((LOOK_AGAIN, "of its shards something is listed or embedded still".to_owned())));
    }
    let Some(lost_at) = writers.lost_at else { return Ok(None) };
    let settings = &worker.settings;
    let quiet_at = lost_at + (settings.lease + settings.upsert_timeout).as_millis() as i64;
    let left = quiet_at - worker.ports.tasks.now().await?;
    let why = || "a worker was lost, and what it wrote last may still arrive in the index".to_owned();
    Ok((left > 0).then(|| (Duration::from_millis(left as u64), why())))
}

/// Shards that are gone from the corpus leave the index; searches have left them out since they were removed.
async fn sweep_removed(worker: &Worker, attempt: &Attempt, collection: &CollectionSpec, up_to: Epoch) -> Result<()> {
    let shards: Vec<Shard> = worker.ports.catalog.shards(&collection.corpus).await?;
    let removed: Vec<i64> = shards.iter().filter(|shard| shard.removed).map(|shard| shard.number).collect();
    let scope = Scope::Shards(removed.clone());
    let held: HashSet<i64> =
        worker.ports.index.counts(&collection.id, &scope).await?.iter().map(|(at, _)| at.shard).collect();
    for shard in removed {
        if held.contains(&shard) {
            attempt.lease.check()?;
            worker.ports.index.delete(&collection.id, &Doomed::Shard { shard, up_to }).await?;
            tracing::info!(shard, "swept a removed shard from the index");
        }
        worker.ports.catalog.swept(&collection.corpus, shard).await?;
    }
    Ok(())
}

#[derive(PartialEq)]
enum Reconciled {
    Agrees,
    EmbeddingAgain,
}

async fn reconcile(
    worker: &Worker,
    attempt: &Attempt,
    collection: &CollectionSpec,
    ledger: &[ChunkLedger],
    shards: &[i64],
    up_to: Epoch,
) -> Result<Reconciled> {
    let (index, scope) = (worker.ports.index.as_ref(), Scope::Shards(shards.to_vec()));
    let named: BTreeMap<ChunkRef, &ChunkLedger> =
        ledger.iter().filter(|chunk| chunk.state == State::Succeeded).map(|chunk| (chunk.at, chunk)).collect();
    let expected =
        |at: &ChunkRef| named.get(at).and_then(|chunk| chunk.counts.as_ref()).map_or(0, |counts| counts.embedded);
    let mut held: BTreeMap<ChunkRef, u64> = index.counts(&collection.id, &scope).await?.into_iter().collect();
    for (&at, &count) in &held {
        if count > expected(&at) {
            attempt.lease.check()?;
            delete_unnamed(worker, collection, at, named.get(&at).copied(), up_to).await?;
        }
    }
    held = index.counts(&collection.id, &scope).await?.into_iter().collect();
    let mut reconciled = Reconciled::Agrees;
    for &at in named.keys() {
        let (have, want) = (held.get(&at).copied().unwrap_or(0), expected(&at));
        if have >= want {
            continue;
        }
        if !worker.ports.tasks.embed_again(attempt.holding(), at).await? {
            return Err(Error::permanent(format!(
                "seal collection {}: {at} holds {have} points and the ledger names {want}, though it was embedded again",
                collection.id
            )));
        }
        tracing::warn!(%at, have, want, "the index lost points of a chunk; it is embedded again");
        reconciled = Reconciled::EmbeddingAgain;
    }
    Ok(reconciled)
}

/// Deletes the points of a chunk that its winning attempt does not name; all of them where it has no winner.
async fn delete_unnamed(
    worker: &Worker,
    collection: &CollectionSpec,
    at: ChunkRef,
    winner: Option<&ChunkLedger>,
    up_to: Epoch,
) -> Result<()> {
    let index = worker.ports.index.as_ref();
    let Some(ChunkLedger { artifact: Some(artifact), epoch, .. }) = winner else {
        return index.delete(&collection.id, &Doomed::Chunk { at, up_to }).await;
    };
    let names = worker.read_artifact(artifact).await?;
    let mut names: HashSet<&[u8]> = names.split(|byte| *byte == b'\n').collect();
    let rejected = worker.ports.catalog.rejected(&collection.id, at).await?;
    for row in rejected.iter().filter(|row| row.reason == Reason::Takedown) {
        names.remove(row.key.as_bytes());
    }
    let stored = index.chunk(&collection.id, at.shard, at.chunk).await?;
    let keys = stored
        .into_iter()
        .filter(|head| head.at == at && !names.contains(head.key.as_bytes()))
        .map(|head| head.key)
        .collect();
    index.delete(&collection.id, &Doomed::Keys { keys, up_to: *epoch }).await
}
