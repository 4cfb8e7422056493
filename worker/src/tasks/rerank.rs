//! Rerank: one reranker's scores of a block's candidates, in the order of the stored lists.

use crate::{
    Worker,
    attempt::{Attempt, Done},
};
use imagefleet_common::{Error, Result, ids::JobId, job::spec::RerankSection, ports::tasks::Outcome, work::Work};
use imagefleet_retrieval::candidates::{QueryCandidates, QueryScores, from_lines, to_lines};

pub(super) async fn run(worker: &Worker, attempt: &Attempt, job: JobId, reranker: u32, block: u32) -> Result<Done> {
    let (_, resolved) = worker.job(job).await?;
    let rerankers = resolved.spec.rerankers();
    let section = rerankers.get(reranker as usize).ok_or_else(|| {
        Error::permanent(format!("find reranker {reranker} of job {job}: its spec has {}", rerankers.len()))
    })?;
    let tasks = worker.ports.jobs.tasks(job).await?;
    let retrieve = Work::Retrieve { job, block };
    let candidates: Vec<QueryCandidates> = from_lines(&worker.artifact_of(&tasks, &retrieve).await?, &retrieve.key())?;
    let scores: Vec<QueryScores> = candidates
        .into_iter()
        .map(|query| QueryScores {
            scores: match section {
                RerankSection::Identity => query.hits.iter().map(|hit| hit.score).collect(),
            },
            article_id: query.article_id,
        })
        .collect();
    let artifact = attempt.artifact("scores.jsonl");
    worker.ports.artifacts.put(&artifact, to_lines(&scores).into()).await?;
    Ok(Done::Ended(Outcome::Finished { artifact: Some(artifact) }))
}
