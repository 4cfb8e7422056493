//! Retrieve: a block of titles, encoded and searched once. Rerankers and results use only the list stored here.

use crate::{
    Worker,
    attempt::{Attempt, Done},
};
use imagefleet_common::{
    Result,
    ids::JobId,
    job::spec::RetrievalSection,
    ports::{
        index::{Hit, Queries, Scope, SearchFilter},
        jobs::JobView,
        tasks::Outcome,
    },
};
use std::collections::BTreeSet;

use imagefleet_retrieval::{
    articles::Article,
    candidates::{Cut, QueryCandidates, block as titles_of, cut, first_ask, to_lines},
};

pub(super) async fn run(worker: &Worker, attempt: &Attempt, job: JobId, block: u32) -> Result<Done> {
    let (view, resolved) = worker.job(job).await?;
    let collection = worker.collection(&view.collection).await?;
    let articles = worker.articles(&resolved).await?;
    let articles: Vec<Article> = articles[titles_of(block as usize, articles.len())].to_vec();
    let pipeline = worker.engines.pipeline(&collection).await?;
    let titles = articles.iter().map(|article| article.title.clone()).collect();
    let vectors = pipeline.encode_texts(titles).await?;
    let queries = Queries { dims: vectors.dims, values: vectors.values };
    let scope = scope(worker, &view).await?;
    let lists = search(worker, &view, &queries, &resolved.spec.retrieval, &scope).await?;
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

/// Asks for more than the `k` candidates, up to 4`k`, until near ties at the end of every list are known, then orders
/// and cuts. A list is shorter where the filter lets fewer through.
async fn search(
    worker: &Worker,
    job: &JobView,
    queries: &Queries,
    retrieval: &RetrievalSection,
    scope: &Scope,
) -> Result<Vec<Vec<Hit>>> {
    let k = retrieval.candidates;
    let filter = SearchFilter { filter: retrieval.filter.clone(), keys: None };
    let mut ask = first_ask(k);
    loop {
        let lists = worker.ports.index.search(&job.collection, queries, ask, scope, &filter).await?;
        let mut cuts = Vec::with_capacity(lists.len());
        let mut more = None;
        for list in lists {
            match cut(list, k, ask) {
                Cut::Enough(hits) => cuts.push(hits),
                Cut::AskMore(count) => more = more.max(Some(count)),
            }
        }
        match more {
            None => return Ok(cuts),
            Some(count) => ask = count,
        }
    }
}
