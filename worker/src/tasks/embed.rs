//! Embed: a chunk's pictures become points of the index, every one of them accounted for.
//!
//! Done means durable and read back: the upserts are confirmed, then keys and epochs of the chunk are read from the
//! index, and only then is what earlier attempts left deleted and the success written.

use crate::{
    Worker,
    attempt::{Attempt, Done},
    pipeline::{Alone, Answer, Answers, Candidate, Fate, Found},
    shards::{self, Reading, rejected_row},
};
use futures::FutureExt;
use imagefleet_common::{
    Error, Result,
    ids::CollectionId,
    job::spec::CollectionSpec,
    ledger::{Counts, EmbeddedRow, Reason, RejectedRow, Spent},
    ports::{
        catalog::Shard,
        index::{Doomed, Payload, Point},
        tasks::{Embedded, Holding, Outcome, Tasks, Written},
    },
    task::ALONE_AFTER,
    work::{ChunkRef, Work},
};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Points a put.
const PUT: usize = 256;
/// How often an attempt tells that it makes progress.
const TELL: Duration = Duration::from_secs(5);

pub(super) async fn run(worker: &Worker, attempt: &Attempt, collection: &CollectionId, at: ChunkRef) -> Result<Done> {
    let collection = worker.collection(collection).await?;
    let corpus = worker.corpus(&collection.corpus).await?;
    let catalog = &worker.ports.catalog;
    let shard = catalog.shard(&corpus.id, at.shard).await?;
    let chunks = catalog.chunks(&collection.id, at.shard).await?;
    let (Some(shard), Some(chunk)) = (shard, chunks.into_iter().find(|chunk| chunk.at == at)) else {
        return Err(Error::changed(format!("embed {at}: the catalog has other chunks now")));
    };
    let pipeline = worker.engines.pipeline(&collection).await?;
    worker.ports.index.ensure(&collection).await?;
    let is_alone = attempt.claimed.crashes >= ALONE_AFTER;
    let (feed, Answers { receiver, account }) = match is_alone {
        true => pipeline.feed_alone(collection.limits, alone(worker, attempt)),
        false => pipeline.feed(collection.limits),
    };
    let takedowns = catalog.takedowns(0).await?;
    let last_takedown = takedowns.last().map_or(0, |takedown| takedown.number);
    let taken_down = takedowns.into_iter().map(|takedown| (takedown.key.clone(), takedown)).collect();
    let until = Instant::now() + worker.settings.attempt_limit;
    let (corpus, chunk_ref) = (&corpus, &chunk);
    let reading = Reading {
        worker,
        corpus,
        shard: &shard,
        chunk: chunk_ref,
        feed,
        filter: &collection.filter,
        taken_down: &taken_down,
        until,
        seen: 0,
        rejected: Vec::new(),
    };
    let mut points = Points {
        worker,
        attempt,
        collection: &collection,
        shard: &shard,
        at,
        group: Vec::new(),
        has_metadata: corpus.metadata.is_some(),
        put: Vec::new(),
        rejected: Vec::new(),
        upserting: Duration::ZERO,
    };
    let (read, ()) = tokio::try_join!(shards::feed(reading), points.collect(receiver))?;
    let damaged = points.rejected.iter().filter(|(_, row)| is_damage(row.reason)).map(|(ordinal, _)| *ordinal);
    shards::confirm(worker, corpus, &shard, &damaged.collect(), &collection.limits).await?;
    if is_alone {
        stand_at(worker.ports.tasks.as_ref(), attempt.holding(), None).await?;
    }
    let spent = Spent { upsert: points.upserting.as_micros() as u64, ..account.spent() };

    // What was read beyond the cut belongs to the rest: it overwrites these points under its own epoch.
    let end = read.rest.map_or(u64::MAX, |rest| rest.at);
    let pictures: Arc<[EmbeddedRow]> =
        points.put.into_iter().filter(|(ordinal, _)| *ordinal < end).map(|(_, row)| row).collect();
    let embedded: Vec<&str> = pictures.iter().map(|picture| picture.key.as_str()).collect();
    let decoded = points.rejected.into_iter().filter(|(ordinal, _)| *ordinal < end).map(|(_, row)| row);
    let rejected: Vec<RejectedRow> = read.rejected.into_iter().chain(decoded).collect();
    let counts = counts(read.seen, &pictures, &rejected);
    if counts.seen != counts.embedded + counts.rejected_total() {
        // A thread of the pipeline has panicked: what it had in hand has no answer.
        let answered = counts.embedded + counts.rejected_total();
        return Err(Error::transient(format!("embed {at}: {answered} of {} pictures got an answer", counts.seen)));
    }

    read_back(worker, &collection, attempt, at, &embedded).await?;
    if read.rest.is_none() {
        attempt.lease.check()?;
        let doomed = Doomed::OlderInChunk { shard: at.shard, chunk: at.chunk, before: attempt.epoch() };
        worker.ports.index.delete(&collection.id, &doomed).await?;
    }
    let artifact = attempt.artifact("embedded.txt");
    let mut names = embedded.clone();
    names.sort_unstable();
    let lines: String = names.iter().flat_map(|name| [name, "\n"]).collect();
    worker.ports.artifacts.put(&artifact, lines.into()).await?;
    let takedowns = last_takedown;
    let rest = read.rest;
    Ok(Done::Ended(Outcome::Embedded(Embedded { artifact, counts, rejected, pictures, takedowns, spent, rest })))
}

/// What was taken down while the attempt ran is counted as rejected by its end; its points leave the index here. If that
/// fails, the next seal does it: the ledger no longer names them.
pub(crate) async fn delete_taken_down(worker: &Worker, attempt: &Attempt, ended: &Embedded) -> Result<()> {
    let Work::Embed { collection, .. } = attempt.work() else { return Ok(()) };
    let newer = worker.ports.catalog.takedowns(ended.takedowns).await?;
    let newer: HashSet<&str> = newer.iter().map(|takedown| takedown.key.as_str()).collect();
    let keys: Vec<String> =
        ended.pictures.iter().map(|picture| &picture.key).filter(|key| newer.contains(key.as_str())).cloned().collect();
    if keys.is_empty() {
        return Ok(());
    }
    attempt.lease.check()?;
    worker.ports.index.delete(collection, &Doomed::Keys { keys, up_to: attempt.epoch() }).await
}

/// What an archive's own checks refuse.
fn is_damage(reason: Reason) -> bool {
    matches!(reason, Reason::WrongChecksum | Reason::BadEntry)
}

/// Each picture's ordinal is written down before it is decoded: if the process dies, that is what it died at.
fn alone(worker: &Worker, attempt: &Attempt) -> Alone {
    let (tasks, holding) = (Arc::clone(&worker.ports.tasks), attempt.holding());
    Alone {
        poison: attempt.claimed.poison.iter().copied().collect(),
        before: Box::new(move |ordinal| {
            let tasks = Arc::clone(&tasks);
            async move { stand_at(tasks.as_ref(), holding, Some(ordinal)).await }.boxed()
        }),
    }
}

async fn stand_at(tasks: &dyn Tasks, holding: Holding, ordinal: Option<u64>) -> Result<()> {
    match tasks.stands_at(holding, ordinal).await? {
        Written::Done => Ok(()),
        Written::Stale => Err(Error::transient(format!("run task {}: another attempt has it", holding.task))),
    }
}

fn counts(seen: u64, pictures: &[EmbeddedRow], rejected: &[RejectedRow]) -> Counts {
    let unattributed = pictures.iter().filter(|picture| picture.unattributed).count() as u64;
    let mut counts = Counts { seen, embedded: pictures.len() as u64, unattributed, ..Counts::default() };
    for row in rejected {
        *counts.rejected.entry(row.reason).or_default() += 1;
    }
    counts
}

/// Every key must stand in the index under this attempt's epoch.
async fn read_back(
    worker: &Worker,
    collection: &CollectionSpec,
    attempt: &Attempt,
    at: ChunkRef,
    embedded: &[&str],
) -> Result<()> {
    let stored = worker.ports.index.chunk(&collection.id, at.shard, at.chunk).await?;
    let mine: HashSet<&str> = stored
        .iter()
        .filter(|head| head.at == at && head.epoch == attempt.epoch())
        .map(|head| head.key.as_str())
        .collect();
    let lost: Vec<&&str> = embedded.iter().filter(|key| !mine.contains(**key)).collect();
    match lost.first() {
        None => Ok(()),
        Some(first) => Err(Error::transient(format!(
            "read {at} back: the index lost {} of {} confirmed points, {first} among them",
            lost.len(),
            embedded.len()
        ))),
    }
}

/// Collects a chunk's answers and puts its points, group by group.
struct Points<'a> {
    worker: &'a Worker,
    attempt: &'a Attempt,
    collection: &'a CollectionSpec,
    shard: &'a Shard,
    at: ChunkRef,
    group: Vec<Point>,
    /// Has the layout metadata?
    has_metadata: bool,
    /// Every point, with its ordinal.
    put: Vec<(u64, EmbeddedRow)>,
    rejected: Vec<(u64, RejectedRow)>,
    upserting: Duration,
}

impl Points<'_> {
    async fn collect(&mut self, mut answers: mpsc::UnboundedReceiver<Answer>) -> Result<()> {
        let mut told = Instant::now();
        loop {
            let patience = self.worker.settings.no_progress;
            let answer = tokio::time::timeout(patience, answers.recv()).await;
            let Ok(answer) = answer else {
                return Err(Error::transient(format!("embed {}: no progress for {patience:?}", self.at)));
            };
            let Some(Answer { candidate, fate, slot }) = answer else { break };
            match fate {
                Fate::Embedded { found, vector } => self.point(candidate, found, vector),
                Fate::Rejected(rejection) => {
                    self.rejected.push((candidate.ordinal, rejected_row(&self.shard.path, candidate, rejection)));
                }
                Fate::Failed(error) => return Err(error),
            }
            drop(slot);
            if self.group.len() >= PUT {
                self.flush().await?;
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                self.tell().await?;
            }
        }
        self.flush().await
    }

    fn point(&mut self, candidate: Candidate, found: Found, vector: Vec<f32>) {
        let Candidate { ordinal, key, entry, object, attribution } = candidate;
        let unattributed = self.has_metadata && attribution.is_none();
        self.put.push((ordinal, EmbeddedRow { key: key.clone(), entry: entry.clone(), unattributed }));
        let payload = Payload {
            shard_path: self.shard.path.clone(),
            entry,
            object,
            offset: found.offset,
            length: found.length,
            crc32: found.crc32,
            width: found.width,
            height: found.height,
            attribution: attribution.unwrap_or_default(),
        };
        self.group.push(Point { key, vector, payload });
    }

    async fn flush(&mut self) -> Result<()> {
        if self.group.is_empty() {
            return Ok(());
        }
        self.attempt.lease.check()?;
        let start = Instant::now();
        let epoch = self.attempt.epoch();
        self.worker.ports.index.put(&self.collection.id, self.at, epoch, &self.group).await?;
        let time = start.elapsed();
        self.upserting += time;
        self.worker.engines.stats().upsert.add(time, self.group.len() as u64);
        self.group.clear();
        Ok(())
    }

    async fn tell(&self) -> Result<()> {
        let done = (self.put.len() + self.rejected.len()) as u64;
        match self.worker.ports.tasks.progress(self.attempt.holding(), done).await {
            Ok(Written::Stale) => Err(Error::transient(format!("embed {}: another attempt has the task", self.at))),
            Ok(Written::Done) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "progress was not written");
                Ok(())
            }
        }
    }
}
