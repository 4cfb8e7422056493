//! Retrieve: a block of titles, encoded and searched once. Rerankers and results use only the list stored here.

use crate::{
    Worker,
    attempt::{Attempt, Done},
    search::search,
};
use imagefleet_common::{
    Result,
    ids::JobId,
    job::spec::{JobSpec, Searched},
    ports::{
        index::{Queries, Scope, SearchFilter},
        jobs::JobView,
        tasks::Outcome,
    },
};
use imagefleet_retrieval::{
    articles::Article,
    candidates::{QueryCandidates, block as titles_of, to_lines},
    evaluation::metrics::ImageIds,
};
use std::collections::BTreeSet;

pub(super) async fn run(worker: &Worker, attempt: &Attempt, job: JobId, block: u32) -> Result<Done> {
    let (view, resolved) = worker.job(job).await?;
    let collection = worker.collection(&view.collection).await?;
    let articles = worker.articles(&resolved).await?;
    let filter = filter(worker, &view, &resolved.spec, &articles).await?;
    let articles: Vec<Article> = articles[titles_of(block as usize, articles.len())].to_vec();
    let pipeline = worker.engines.pipeline(&collection).await?;
    let titles = articles.iter().map(|article| article.title.clone()).collect();
    let vectors = pipeline.encode_texts(titles).await?;
    let queries = Queries { dims: vectors.dims, values: vectors.values };
    let (index, k) = (worker.ports.index.as_ref(), resolved.spec.retrieval.candidates);
    let searched = scope(worker, &view).await?;
    let mut lists = search(index, &view.collection, &queries, k, &searched, &filter).await?;
    // Another job may have brought shards of its own into the collection meanwhile.
    let now = scope(worker, &view).await?;
    if now != searched {
        lists = search(index, &view.collection, &queries, k, &now, &filter).await?;
    }
    let candidates: Vec<QueryCandidates> = articles
        .into_iter()
        .zip(lists)
        .map(|(article, hits)| QueryCandidates { article_id: article.id, title: article.title, hits })
        .collect();
    let artifact = attempt.artifact("candidates.jsonl");
    worker.ports.artifacts.put(&artifact, to_lines(&candidates).into()).await?;
    Ok(Done::Ended(Outcome::Finished { artifact: Some(artifact) }))
}

/// The job's shards; all of them need no filter.
async fn scope(worker: &Worker, job: &JobView) -> Result<Scope> {
    let shards: BTreeSet<i64> =
        worker.ports.catalog.job_shards(job.id).await?.iter().map(|shard| shard.number).collect();
    let all = worker.ports.catalog.shards(&job.corpus).await?;
    let is_everything = all.iter().all(|shard| shards.contains(&shard.number));
    Ok(if is_everything { Scope::All } else { Scope::Shards(shards.into_iter().collect()) })
}

/// Pictures that may be found: those that the job's filter lets through, and for an evaluation within its split those
/// of the split's own articles.
async fn filter(worker: &Worker, job: &JobView, spec: &JobSpec, queries: &[Article]) -> Result<SearchFilter> {
    let is_split = spec.evaluation.as_ref().is_some_and(|section| section.index == Searched::Split);
    let keys = match is_split {
        true => Some(own_pictures(worker, job, queries).await?),
        false => None,
    };
    Ok(SearchFilter { filter: spec.retrieval.filter.clone(), keys })
}

/// Keys of the pictures that `queries` were published with, as far as they are embedded.
async fn own_pictures(worker: &Worker, job: &JobView, queries: &[Article]) -> Result<BTreeSet<String>> {
    let ids = ImageIds::new(queries.iter().map(|article| article.image_id.as_str()));
    let mut keys = BTreeSet::new();
    for artifact in worker.ports.catalog.ledger(job.id).await?.iter().filter_map(|chunk| chunk.artifact.as_ref()) {
        let names = worker.read_artifact(artifact).await?;
        let names = String::from_utf8_lossy(&names);
        keys.extend(names.lines().filter(|key| ids.name(key)).map(str::to_owned));
    }
    Ok(keys)
}
