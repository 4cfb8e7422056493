//! Submission: a job file that was read becomes a job.

use imagefleet_common::{
    Result,
    ids::{JobId, content_hash},
    job::spec::{CollectionSpec, CorpusSpec, JobSpec, ModelIdentity, ResolvedJob, input_path},
    ports::{
        jobs::{Jobs, NewJob, Submitted},
        objects::Objects,
    },
};
use imagefleet_retrieval::candidates::BLOCK;

/// A job file with all that it names found and read.
#[derive(Debug, Clone)]
pub struct Submission {
    pub spec: JobSpec,
    /// Names the corpus for good; see [`CorpusSpec::new`].
    pub source_identity: String,
    /// Path of the corpus below the object root.
    pub source: String,
    pub model: ModelIdentity,
    pub articles: Vec<u8>,
    /// For each reranker the bytes of its head, where it has one.
    pub heads: Vec<Option<Vec<u8>>>,
    /// Articles that are queries.
    pub titles: u32,
    /// Higher runs first.
    pub priority: i32,
    /// The most tasks of the job that are handed out or run at a time; 0 = no limit.
    pub max_tasks: u32,
    pub allow_delete: bool,
    pub replaces_same_name: bool,
}

/// Stores the inputs by hash, then the job. Idempotent: the same submission is the same job.
pub async fn submit(jobs: &dyn Jobs, artifacts: &dyn Objects, submission: Submission) -> Result<Submitted> {
    let job = new_job(&submission);
    for input in submission.heads.into_iter().flatten().chain([submission.articles]) {
        let path = input_path(&content_hash(&input));
        if artifacts.head(&path).await?.is_none() {
            artifacts.put(&path, input.into()).await?;
        }
    }
    jobs.submit(&job).await
}

/// The job that a submission asks for.
pub fn new_job(submission: &Submission) -> NewJob {
    let spec = &submission.spec;
    let corpus = CorpusSpec::new(&spec.corpus, &submission.source_identity, &submission.source);
    let collection = CollectionSpec::new(spec, &corpus, submission.model.clone());
    let resolved = ResolvedJob {
        spec: spec.clone(),
        articles: content_hash(&submission.articles),
        titles: submission.titles,
        heads: submission.heads.iter().map(|head| head.as_deref().map(content_hash)).collect(),
        model_files: submission.model.files.clone(),
    };
    let text = resolved.to_text();
    // The same words over another model or folder are another job.
    let hash = content_hash(format!("{text}\n{}\n{}", corpus.id, collection.id).as_bytes());
    NewJob {
        id: JobId::random(),
        name: spec.name.clone(),
        spec: text,
        hash,
        corpus,
        collection,
        priority: submission.priority,
        max_tasks: submission.max_tasks,
        blocks: submission.titles.div_ceil(BLOCK as u32),
        rerankers: spec.rerankers().len() as u32,
        allow_delete: submission.allow_delete,
        replaces_same_name: submission.replaces_same_name,
    }
}
