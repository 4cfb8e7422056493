//! Collections as people name them, and what of them is to be seen.

mod command;

pub(crate) use command::command;

use imagefleet_common::{
    Error, Result,
    ids::CorpusId,
    job::spec::CollectionSpec,
    ports::{catalog::Catalog, index::Scope},
};

/// The collection of this id, or the only one over a corpus of this name; without a name the only one there is.
pub(crate) async fn find(catalog: &dyn Catalog, name: Option<&str>) -> Result<CollectionSpec> {
    let mut all = catalog.collections().await?;
    if let Some(at) = all.iter().position(|spec| Some(spec.id.0.as_str()) == name) {
        return Ok(all.swap_remove(at));
    }
    let mut of_corpus = Vec::new();
    for spec in &all {
        let is_it = match name {
            None => true,
            Some(name) => catalog.corpus(&spec.corpus).await?.is_some_and(|corpus| corpus.name == name),
        };
        if is_it {
            of_corpus.push(spec.clone());
        }
    }
    let doing = name.map_or_else(|| "find the collection".to_owned(), |name| format!("find collection {name}"));
    let ids = |specs: &[CollectionSpec]| specs.iter().map(|spec| spec.id.0.as_str()).collect::<Vec<_>>().join(", ");
    match of_corpus.len() {
        1 => Ok(of_corpus.remove(0)),
        0 if all.is_empty() => Err(Error::permanent(format!("{doing}: there is none in this data directory"))),
        0 => Err(Error::permanent(format!("{doing}: there are {}", ids(&all)))),
        _ => Err(Error::permanent(format!("{doing}: say which of {}", ids(&of_corpus)))),
    }
}

/// All that is there: points of shards that are gone stay until a seal sweeps them. A collection that was imported has no
/// shards.
pub(crate) async fn scope(catalog: &dyn Catalog, corpus: &CorpusId) -> Result<Scope> {
    let shards = catalog.shards(corpus).await?;
    Ok(match shards.iter().all(|shard| !shard.removed) {
        true => Scope::All,
        false => Scope::Shards(shards.iter().filter(|shard| !shard.removed).map(|shard| shard.number).collect()),
    })
}
