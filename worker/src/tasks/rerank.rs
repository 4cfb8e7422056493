//! Rerank: one reranker's scores of a block's candidates, in the order of the stored lists.

use crate::{
    Worker,
    attempt::{Attempt, Done},
};
use imagefleet_common::{
    Error, Result,
    ids::{CollectionId, JobId},
    job::spec::RerankSection,
    ports::tasks::Outcome,
    work::Work,
};
use imagefleet_models::head::LinearHead;
use imagefleet_retrieval::candidates::{QueryCandidates, QueryScores, to_lines};
use std::collections::{BTreeSet, HashMap};

/// Vectors that are read at a time: 6 MiB of 768 values.
const VECTORS: usize = 2048;

pub(super) async fn run(worker: &Worker, attempt: &Attempt, job: JobId, reranker: u32, block: u32) -> Result<Done> {
    let (view, resolved) = worker.job(job).await?;
    let rerankers = resolved.spec.rerankers();
    let section = rerankers.get(reranker as usize).ok_or_else(|| {
        Error::permanent(format!("find reranker {reranker} of job {job}: its spec has {}", rerankers.len()))
    })?;
    let tasks = worker.ports.jobs.tasks(job).await?;
    let retrieve = Work::Retrieve { job, block };
    let candidates: Vec<QueryCandidates> = worker.lines_of(&tasks, &retrieve).await?;
    let scores = match section {
        RerankSection::Identity => {
            let of_query = |query: QueryCandidates| QueryScores {
                scores: query.hits.iter().map(|hit| hit.score).collect(),
                article_id: query.article_id,
            };
            candidates.into_iter().map(of_query).collect()
        }
        RerankSection::Aesthetics { .. } => {
            let hash = resolved.heads.get(reranker as usize).and_then(Option::as_ref);
            let hash =
                hash.ok_or_else(|| Error::permanent(format!("find the head of reranker {reranker}: it has none")))?;
            let head = LinearHead::read(&worker.read_input(hash).await?)?;
            head.must_fit(worker.collection(&view.collection).await?.dims)?;
            aesthetics(worker, &view.collection, &head, candidates).await?
        }
    };
    let artifact = attempt.artifact("scores.jsonl");
    worker.ports.artifacts.put(&artifact, to_lines(&scores).into()).await?;
    Ok(Done::Ended(Outcome::Finished { artifact: Some(artifact) }))
}

/// The head's score of each candidate's own vector, which the index has. A picture that is gone scores NaN, which
/// counts as the lowest score of its query.
async fn aesthetics(
    worker: &Worker,
    collection: &CollectionId,
    head: &LinearHead,
    candidates: Vec<QueryCandidates>,
) -> Result<Vec<QueryScores>> {
    let hits = candidates.iter().flat_map(|query| &query.hits);
    let keys: BTreeSet<&str> = hits.map(|hit| hit.key.as_str()).collect();
    let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    let mut scores: HashMap<&str, f32> = HashMap::with_capacity(keys.len());
    for part in keys.chunks(VECTORS) {
        let vectors = worker.ports.index.vectors(collection, part).await?;
        let found = part.iter().zip(vectors).filter_map(|(key, vector)| Some((key.as_str(), head.score(&vector?))));
        scores.extend(found);
    }
    let of_query = |query: QueryCandidates| QueryScores {
        scores: query.hits.iter().map(|hit| scores.get(hit.key.as_str()).copied().unwrap_or(f32::NAN)).collect(),
        article_id: query.article_id,
    };
    Ok(candidates.into_iter().map(of_query).collect())
}
