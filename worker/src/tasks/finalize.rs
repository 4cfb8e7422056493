//! Finalize: payloads by id, fused orders, and the result files, as artifacts of this attempt.
//!
//! Everything comes from stored lists and from the ledger; what people see is copied from the winner's artifacts later.

use crate::{
    Worker,
    attempt::{Attempt, Done},
};
use bytes::Bytes;
use imagefleet_common::{
    Context, Error, Result,
    ids::JobId,
    job::spec::{CollectionSpec, RerankSection, ResolvedJob},
    ledger::RejectedRow,
    ports::{
        catalog::{ChunkLedger, Shard},
        index::Hit,
        jobs::{JobView, TaskView},
        tasks::Outcome,
    },
    task::State,
    work::Work,
};
use imagefleet_retrieval::{
    candidates::{QueryCandidates, QueryScores, blocks, from_lines},
    fusion,
    results::{
        INFERENCE_RESULTS, InferenceResults, LEDGER, Manifest, Pictures, RankedPicture, ResultRow, SUMMARY, ShardRow,
        Summary, Unprocessed, picture_path, write_ledger,
    },
};
use std::collections::BTreeMap;

pub(super) async fn run(worker: &Worker, attempt: &Attempt, job: JobId) -> Result<Done> {
    let (view, resolved) = worker.job(job).await?;
    let collection = worker.collection(&view.collection).await?;
    let ledger = worker.ports.catalog.ledger(job).await?;
    let shards = worker.ports.catalog.job_shards(job).await?;
    let tasks = worker.ports.jobs.tasks(job).await?;
    let writing = Writing { worker, attempt, view: &view, resolved: &resolved, collection: &collection, tasks: &tasks };

    let mut manifest = Manifest::default();
    let rerankers = resolved.spec.rerankers();
    let pictures = pictures(&ledger, &shards);
    for (number, reranker) in rerankers.iter().enumerate() {
        let (results, changed) = writing.results(number as u32, reranker).await?;
        let summary = writing.summary(reranker, &pictures, changed);
        // The primary reranker's files stand at the top; several rerankers each have a folder of their own.
        let folder = (rerankers.len() > 1).then(|| format!("{}/", reranker.name()));
        for folder in folder.into_iter().chain((number == 0).then(String::new)) {
            writing.put(&mut manifest, format!("{folder}{INFERENCE_RESULTS}"), results.clone()).await?;
            writing.put(&mut manifest, format!("{folder}{SUMMARY}"), summary.to_bytes().into()).await?;
        }
    }
    let lines = writing.ledger(&ledger, &shards).await?;
    writing.put(&mut manifest, LEDGER.to_owned(), lines.into()).await?;

    let artifact = attempt.artifact("manifest.json");
    worker.ports.artifacts.put(&artifact, manifest.to_bytes().into()).await?;
    Ok(Done::Ended(Outcome::Finished { artifact: Some(artifact) }))
}

struct Writing<'a> {
    worker: &'a Worker,
    attempt: &'a Attempt,
    view: &'a JobView,
    resolved: &'a ResolvedJob,
    collection: &'a CollectionSpec,
    tasks: &'a [TaskView],
}

impl Writing<'_> {
    async fn put(&self, manifest: &mut Manifest, name: String, bytes: Bytes) -> Result<()> {
        self.worker.ports.artifacts.put(&self.attempt.artifact(&name), bytes).await?;
        manifest.files.push(name);
        Ok(())
    }

    /// `inference_results.json` in a reranker's order, and how many of its pictures have changed since retrieval.
    async fn results(&self, number: u32, reranker: &RerankSection) -> Result<(Bytes, u64)> {
        let job = self.view.id;
        let doing = || format!("write {INFERENCE_RESULTS}");
        let mut results = InferenceResults::new(Vec::new());
        let mut changed = 0;
        for block in 0..blocks(self.resolved.titles as usize) as u32 {
            let retrieve = Work::Retrieve { job, block };
            let rerank = Work::Rerank { job, reranker: number, block };
            let candidates: Vec<QueryCandidates> =
                from_lines(&self.worker.artifact_of(self.tasks, &retrieve).await?, &retrieve.key())?;
            let scores: Vec<QueryScores> =
                from_lines(&self.worker.artifact_of(self.tasks, &rerank).await?, &rerank.key())?;
            if candidates.len() != scores.len() {
                let (lists, scored) = (candidates.len(), scores.len());
                return Err(Error::permanent(format!("fuse {}: {lists} lists and {scored} scored", rerank.key())));
            }
            for (query, scores) in candidates.into_iter().zip(scores) {
                let row = self.row(query, scores, reranker).await?;
                changed += row.pictures.iter().filter(|picture| picture.changed).count() as u64;
                results.row(&row).permanent(doing)?;
            }
        }
        Ok((results.finish().permanent(doing)?.into(), changed))
    }

    async fn row(&self, query: QueryCandidates, scores: QueryScores, reranker: &RerankSection) -> Result<ResultRow> {
        fusion::pair(&query, &scores)?;
        let QueryCandidates { article_id, title, hits } = query;
        let hits = match reranker {
            RerankSection::Identity => fusion::identity(hits),
        };
        let keys: Vec<String> = hits.iter().map(|hit| hit.key.clone()).collect();
        let stored = self.worker.ports.index.payloads(&self.collection.id, &keys).await?;
        let pictures = hits
            .into_iter()
            .zip(stored)
            .map(|(Hit { key, score, epoch }, stored)| match stored {
                Some(stored) => RankedPicture {
                    path: picture_path(&stored.payload.shard_path, &stored.payload.entry),
                    changed: stored.head.epoch != epoch,
                    key,
                    score,
                },
                // It keeps its place; where it stood is not known any more.
                None => RankedPicture { path: key.clone(), key, score, changed: true },
            })
            .collect();
        Ok(ResultRow { article_id, query: title, pictures })
    }

    fn summary(&self, reranker: &RerankSection, pictures: &Pictures, changed: u64) -> Summary {
        let spec = &self.resolved.spec;
        let dead = self.tasks.iter().filter(|task| task.state == State::Dead).count();
        Summary {
            experiment_id: spec.name.clone(),
            model_family: "clip".to_owned(),
            model_id: spec.model.files.name().to_owned(),
            num_queries: u64::from(self.resolved.titles),
            num_candidates: spec.retrieval.candidates as u64,
            reranking_algorithm: reranker.name().to_owned(),
            index_size: pictures.embedded,
            output_file: INFERENCE_RESULTS.to_owned(),
            revision: self.collection.revision.clone(),
            precision: "f32".to_owned(),
            pictures: pictures.clone(),
            changed,
            accepted_dead: dead as u64,
        }
    }

    async fn ledger(&self, ledger: &[ChunkLedger], shards: &[Shard]) -> Result<Vec<u8>> {
        let mut rows: BTreeMap<i64, ShardRow> = shards.iter().map(|shard| (shard.number, shard_row(shard))).collect();
        let mut rejected: Vec<RejectedRow> = Vec::new();
        for chunk in ledger {
            let Some(row) = rows.get_mut(&chunk.at.shard) else { continue };
            add(row, chunk);
            if chunk.counts.as_ref().is_some_and(|counts| !counts.rejected.is_empty()) {
                rejected.extend(self.worker.ports.catalog.rejected(&self.collection.id, chunk.at).await?);
            }
        }
        let mut bytes = Vec::new();
        write_ledger(&mut bytes, rows.into_values().collect(), rejected).permanent(|| format!("write {LEDGER}"))?;
        Ok(bytes)
    }
}

fn shard_row(shard: &Shard) -> ShardRow {
    ShardRow { shard: shard.path.clone(), version: shard.version, missing: shard.missing, ..ShardRow::default() }
}

fn add(row: &mut ShardRow, chunk: &ChunkLedger) {
    match (unprocessed(chunk), &chunk.counts) {
        (None, Some(counts)) => {
            row.seen += counts.seen;
            row.embedded += counts.embedded;
            for (reason, count) in &counts.rejected {
                *row.rejected.entry(*reason).or_default() += count;
            }
        }
        (why, _) => {
            let pictures = chunk.pictures.unwrap_or(0);
            row.seen += pictures;
            if pictures > 0 {
                *row.unprocessed.entry(why.unwrap_or(Unprocessed::Dead)).or_default() += pictures;
            }
        }
    }
}

fn unprocessed(chunk: &ChunkLedger) -> Option<Unprocessed> {
    match chunk.state {
        State::Succeeded => None,
        State::Cancelled => Some(Unprocessed::Cancelled),
        _ => Some(Unprocessed::Dead),
    }
}

/// The same sums over all shards.
fn pictures(ledger: &[ChunkLedger], shards: &[Shard]) -> Pictures {
    let mut pictures = Pictures { missing: shards.iter().map(|shard| shard.missing).sum(), ..Pictures::default() };
    for chunk in ledger {
        match (unprocessed(chunk), &chunk.counts) {
            (None, Some(counts)) => pictures.add(counts),
            (why, _) => pictures.add_unprocessed(why.unwrap_or(Unprocessed::Dead), chunk.pictures.unwrap_or(0)),
        }
    }
    pictures
}
