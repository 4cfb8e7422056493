//! Searches as every run makes them: near ties at the end of a list do not decide what is kept by chance.

use imagefleet_common::{
    Result,
    ids::CollectionId,
    ports::index::{Hit, Index, Queries, Scope, SearchFilter},
};
use imagefleet_retrieval::candidates::{Cut, cut, first_ask};

/// For each query the `k` best, by score and then by key. Asks for more, up to 4`k`, until near ties at the end of every
/// list are known.
pub async fn search(
    index: &dyn Index,
    collection: &CollectionId,
    queries: &Queries,
    k: usize,
    scope: &Scope,
    filter: &SearchFilter,
) -> Result<Vec<Vec<Hit>>> {
    let mut ask = first_ask(k);
    loop {
        let lists = index.search(collection, queries, ask, scope, filter).await?;
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
