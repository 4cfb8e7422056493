//! What each kind of task does: one file a kind.

pub(crate) mod embed;
mod finalize;
mod list;
mod rerank;
mod retrieve;
mod seal;
mod search;

use crate::{
    Worker,
    attempt::{Attempt, Done},
};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use imagefleet_common::{
    Context, Error, Result,
    ids::{CollectionId, CorpusId, JobId, content_hash},
    job::spec::{CollectionSpec, CorpusSpec, ResolvedJob, input_path},
    ports::{
        jobs::{JobView, TaskView},
        objects::read_latest,
    },
    task::State,
    work::Work,
};
use imagefleet_retrieval::{
    articles::{Article, read_articles},
    candidates::from_lines,
    evaluation::queries,
};
use serde::de::DeserializeOwned;

/// Does the attempt's work.
pub fn execute<'a>(worker: &'a Worker, attempt: &'a Attempt) -> BoxFuture<'a, Result<Done>> {
    match attempt.work() {
        Work::List { corpus, shard } => list::run(worker, corpus, *shard).boxed(),
        Work::Embed { collection, chunk } => embed::run(worker, attempt, collection, *chunk).boxed(),
        Work::Seal { job } => seal::run(worker, attempt, *job).boxed(),
        Work::Retrieve { job, block } => retrieve::run(worker, attempt, *job, *block).boxed(),
        Work::Rerank { job, reranker, block } => rerank::run(worker, attempt, *job, *reranker, *block).boxed(),
        Work::Finalize { job } => finalize::run(worker, attempt, *job).boxed(),
        Work::Search { job } => search::run(worker, attempt, *job).boxed(),
    }
}

impl Worker {
    async fn corpus(&self, id: &CorpusId) -> Result<CorpusSpec> {
        let found = self.ports.catalog.corpus(id).await?;
        found.ok_or_else(|| Error::permanent(format!("find corpus {id}: the catalog has none of this id")))
    }

    async fn collection(&self, id: &CollectionId) -> Result<CollectionSpec> {
        let found = self.ports.catalog.collection(id).await?;
        found.ok_or_else(|| Error::permanent(format!("find collection {id}: the catalog has none of this id")))
    }

    async fn view(&self, id: JobId) -> Result<JobView> {
        let found = self.ports.jobs.job(id).await?;
        found.ok_or_else(|| Error::permanent(format!("find job {id}: there is none of this id")))
    }

    async fn job(&self, id: JobId) -> Result<(JobView, ResolvedJob)> {
        let job = self.view(id).await?;
        let resolved = ResolvedJob::from_text(&job.spec)?;
        Ok((job, resolved))
    }

    /// The job's queries.
    async fn articles(&self, job: &ResolvedJob) -> Result<Vec<Article>> {
        let bytes = self.read_input(&job.articles).await?;
        let (name, spec) = (job.spec.articles.file.clone(), job.spec.clone());
        let read = tokio::task::spawn_blocking(move || queries(&spec, read_articles(&bytes, &name)?)).await;
        read.permanent(|| format!("read articles {}", job.spec.articles.file))?
    }

    /// Bytes of an artifact that a row names.
    async fn read_artifact(&self, path: &str) -> Result<Bytes> {
        let found = read_latest(self.ports.artifacts.as_ref(), path).await?;
        found.ok_or_else(|| {
            Error::permanent(format!(
                "read artifact {path}: it is gone; `imagefleet verify FILE --repair` makes it again"
            ))
        })
    }

    /// Bytes of an input that was stored when the job was submitted: those that were, since its name is their hash.
    async fn read_input(&self, hash: &str) -> Result<Bytes> {
        let path = input_path(hash);
        let found = read_latest(self.ports.artifacts.as_ref(), &path).await?;
        let gone = || {
            Error::permanent(format!(
                "read artifact {path}: it is gone; submit the job's file again, which stores it anew"
            ))
        };
        let bytes = found.ok_or_else(gone)?;
        match content_hash(&bytes) == hash {
            true => Ok(bytes),
            false => Err(Error::transient(format!("read artifact {path}: its bytes are not those that were stored"))),
        }
    }

    /// Lines that the winning attempt wrote of the job's task that does `work`. They are ours: what cannot be read was
    /// damaged, and perhaps only on its way.
    async fn lines_of<T: DeserializeOwned>(&self, tasks: &[TaskView], work: &Work) -> Result<Vec<T>> {
        let bytes = self.artifact_of(tasks, work).await?;
        from_lines(&bytes, &work.key()).map_err(|error| Error::transient(error.to_string()))
    }

    /// What the winning attempt wrote of the job's task that does `work`.
    async fn artifact_of(&self, tasks: &[TaskView], work: &Work) -> Result<Bytes> {
        let id = work.id();
        let succeeded = tasks.iter().find(|task| task.id == id && task.state == State::Succeeded);
        let artifact = succeeded.and_then(|task| task.artifact.as_deref());
        let Some(artifact) = artifact else {
            return Err(Error::transient(format!("read what {} wrote: it has not succeeded", work.key())));
        };
        self.read_artifact(artifact).await
    }
}
