//! List: read a shard's directory and cut it into chunks. What embeds them follows in the transaction of its success.

use crate::{Worker, attempt::Done, shards};
use imagefleet_common::{Error, Result, ids::CorpusId, ports::tasks::Outcome};

pub(super) async fn run(worker: &Worker, corpus: &CorpusId, number: i64) -> Result<Done> {
    let corpus = worker.corpus(corpus).await?;
    let shard = worker.ports.catalog.shard(&corpus.id, number).await?;
    let shard = shard.ok_or_else(|| Error::permanent(format!("find shard {number} of corpus {}", corpus.id)))?;
    let listing = shards::list(worker, &corpus, &shard)
        .await
        .map_err(|error| error.while_doing(format_args!("list shard {:?} of corpus {}", shard.path, corpus.name)))?;
    Ok(Done::Ended(Outcome::Listed(listing)))
}
