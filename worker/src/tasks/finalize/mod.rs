//! Finalize: payloads by id, fused orders, and the result files, as artifacts of this attempt.
//!
//! Everything comes from stored lists and from the ledger; what people see is copied from the winner's artifacts later.
//! Files that tell of times and machines (`run.json`, the report, `mlruns/`) are beside the results and never part of
//! their equality.

mod ledger;
mod orders;
mod record;
mod report;

use crate::{
    Worker,
    attempt::{Attempt, Done},
};
use bytes::Bytes;
use imagefleet_common::{
    Result,
    ids::{JobId, content_hash},
    job::spec::{CollectionSpec, RerankSection, ResolvedJob},
    ports::{
        catalog::{ChunkLedger, Shard},
        jobs::{JobView, TaskView},
        tasks::Outcome,
    },
    task::State,
};
use imagefleet_retrieval::{
    articles::Article,
    results::{INFERENCE_RESULTS, LEDGER, Manifest, MlflowRun, Pictures, RUN, SUMMARY, Summary, mlflow_files},
};
use orders::Ordered;
use std::collections::{BTreeMap, HashMap};

pub(super) async fn run(worker: &Worker, attempt: &Attempt, job: JobId) -> Result<Done> {
    let (view, resolved) = worker.job(job).await?;
    let collection = worker.collection(&view.collection).await?;
    let articles = worker.articles(&resolved).await?.into_iter().map(|article| (article.id.clone(), article)).collect();
    let mut finalize = Finalize {
        ledger: worker.ports.catalog.ledger(job).await?,
        shards: worker.ports.catalog.job_shards(job).await?,
        tasks: worker.ports.jobs.tasks(job).await?,
        worker,
        attempt,
        view,
        resolved,
        collection,
        articles,
        manifest: Manifest::default(),
        hashes: BTreeMap::new(),
    };
    finalize.write_all().await?;
    let artifact = attempt.artifact("manifest.json");
    worker.ports.artifacts.put(&artifact, finalize.manifest.to_bytes().into()).await?;
    Ok(Done::Ended(Outcome::Finished { artifact: Some(artifact) }))
}

struct Finalize<'a> {
    worker: &'a Worker,
    attempt: &'a Attempt,
    view: JobView,
    resolved: ResolvedJob,
    collection: CollectionSpec,
    ledger: Vec<ChunkLedger>,
    shards: Vec<Shard>,
    /// Every task that the job needs.
    tasks: Vec<TaskView>,
    /// The queries, by id.
    articles: HashMap<String, Article>,
    manifest: Manifest,
    /// SHA-256 of the files that tell of no time and no machine.
    hashes: BTreeMap<String, String>,
}

impl Finalize<'_> {
    async fn write_all(&mut self) -> Result<()> {
        let rerankers = self.resolved.spec.rerankers();
        let pictures = self.pictures();
        let mut all = Vec::with_capacity(rerankers.len());
        for (number, reranker) in rerankers.iter().enumerate() {
            let mut ordered = self.order(number as u32, reranker).await?;
            let mut files = std::mem::take(&mut ordered.files);
            files.push((SUMMARY.to_owned(), self.summary(reranker, &pictures, ordered.changed).to_bytes()));
            // The primary reranker's files stand at the top; several rerankers each have a folder of their own.
            let folder = (rerankers.len() > 1).then(|| format!("{}/", reranker.name()));
            for folder in folder.into_iter().chain((number == 0).then(String::new)) {
                for (name, bytes) in &files {
                    self.put_result(format!("{folder}{name}"), bytes.clone()).await?;
                }
            }
            all.push(ordered);
        }
        let (rows, rejected) = (self.shard_rows(), self.rejected().await?);
        let wants_report = self.resolved.spec.report.pictures > 0;
        let examples = if wants_report { self.examples(&rejected).await? } else { Vec::new() };
        self.put_result(LEDGER.to_owned(), ledger::lines(rows.clone(), rejected)?).await?;

        let now = self.worker.ports.tasks.now().await?;
        for (name, bytes) in self.mlflow(&rerankers, &all, now) {
            self.put(name, bytes.into()).await?;
        }
        let timings = self.timings(now);
        let record = self.record(timings.clone(), self.hashes.clone()).await?;
        self.put(RUN.to_owned(), record.to_bytes().into()).await?;
        if wants_report {
            let report = self.report_of(&rerankers, &all, &timings, rows, examples);
            let shown = all.swap_remove(0).shown;
            self.write_report(report, shown).await?;
        }
        Ok(())
    }

    /// Tasks that a person accepted as dead.
    fn dead(&self) -> u64 {
        self.tasks.iter().filter(|task| task.state == State::Dead).count() as u64
    }

    async fn put_result(&mut self, name: String, bytes: Vec<u8>) -> Result<()> {
        self.hashes.insert(name.clone(), content_hash(&bytes));
        self.put(name, bytes.into()).await
    }

    async fn put(&mut self, name: String, bytes: Bytes) -> Result<()> {
        self.worker.ports.artifacts.put(&self.attempt.artifact(&name), bytes).await?;
        self.manifest.files.push(name);
        Ok(())
    }

    fn summary(&self, reranker: &RerankSection, pictures: &Pictures, changed: u64) -> Summary {
        let spec = &self.resolved.spec;
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
            accepted_dead: self.dead(),
        }
    }

    /// A run for each reranker that was evaluated, for trackers that read MLflow's files.
    fn mlflow(&self, rerankers: &[RerankSection], all: &[Ordered], now: i64) -> Vec<(String, Vec<u8>)> {
        let spec = &self.resolved.spec;
        let evaluated =
            rerankers.iter().zip(all).filter_map(|(reranker, made)| Some((reranker, made.evaluated.as_ref()?)));
        let runs: Vec<MlflowRun<'_>> = evaluated
            .map(|(reranker, report)| MlflowRun {
                key: format!("{}/{}", self.view.id, reranker.name()),
                name: format!("{}-{}", spec.name, reranker.name()),
                started: self.view.created,
                ended: now,
                params: vec![
                    ("model", spec.model.files.name().to_owned()),
                    ("revision", self.collection.revision.clone()),
                    ("collection", self.collection.id.0.clone()),
                    ("candidates", spec.retrieval.candidates.to_string()),
                    ("reranker", reranker.name().to_owned()),
                    ("weight", reranker.weight().to_string()),
                ],
                report,
            })
            .collect();
        if runs.is_empty() { Vec::new() } else { mlflow_files(&spec.name, self.view.created, &runs) }
    }
}
