//! Search: one text that somebody waits for, encoded and looked up. Its answer is a JSON list, best first.

use crate::{
    Worker,
    attempt::{Attempt, Done},
    search::{look_up, shown},
};
use imagefleet_common::{
    Context, Result,
    ids::JobId,
    job::search::Search,
    ports::{index::Queries, tasks::Outcome},
};

pub(super) async fn run(worker: &Worker, attempt: &Attempt, job: JobId) -> Result<Done> {
    let view = worker.view(job).await?;
    let Search { text, top, filter } = serde_json::from_str(&view.spec).permanent(|| format!("read search {job}"))?;
    let (corpus, collection) = (worker.corpus(&view.corpus).await?, worker.collection(&view.collection).await?);
    let vectors = worker.engines.pipeline(&collection).await?.encode_texts(vec![text]).await?;
    let query = Queries { dims: vectors.dims, values: vectors.values };
    let (index, catalog) = (worker.ports.index.as_ref(), worker.ports.catalog.as_ref());
    let found = look_up(index, catalog, &corpus, &collection, &query, filter, top.into()).await?;
    let answer = serde_json::to_vec(&shown(&found)).permanent(|| format!("write the answer of search {job}"))?;
    let artifact = attempt.artifact("found.json");
    worker.ports.artifacts.put(&artifact, answer.into()).await?;
    Ok(Done::Ended(Outcome::Finished { artifact: Some(artifact) }))
}
