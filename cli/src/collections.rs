//! `imagefleet collections`

use crate::{
    args::{CollectionsCommand, Global, Output},
    exit::Exit,
    jobs::delete_artifacts,
    logging::{print, say},
    run::counted,
    site::Site,
    table::table,
    world::World,
};
use imagefleet_common::{
    Error, Result,
    ids::{CollectionId, CorpusId},
    job::spec::CollectionSpec,
    ports::catalog::{named_collection, whole_scope},
};
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) async fn command(global: &Global, command: CollectionsCommand) -> Result<Exit> {
    let site = Site::of(global)?;
    match command {
        CollectionsCommand::Ls => ls(global, &site.look().await?).await,
        CollectionsCommand::Show { collection } => show(global, &site.look().await?, &collection).await,
        CollectionsCommand::Rm { collection } => remove(global, &site, &CollectionId(collection)).await,
    }
}

async fn corpus_name(world: &World, id: &CorpusId) -> Result<String> {
    Ok(world.catalog.corpus(id).await?.map_or_else(|| id.to_string(), |corpus| corpus.name))
}

async fn ls(global: &Global, world: &World) -> Result<Exit> {
    let all = world.catalog.collections().await?;
    if global.output == Output::Json {
        print(format_args!("{:#}", Value::Array(all.iter().map(as_json).collect())));
        return Ok(Exit::Done);
    }
    let mut rows = Vec::new();
    for spec in all {
        let corpus = corpus_name(world, &spec.corpus).await?;
        let (model, index) = (spec.model().to_owned(), named(&spec.storage.kind));
        rows.push(vec![spec.id.0, corpus, model, spec.dims.to_string(), index]);
    }
    print(format_args!("{}", table(&["ID", "CORPUS", "MODEL", "DIMS", "INDEX"], &rows)));
    Ok(Exit::Done)
}

/// The name that job files have for it.
fn named(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn as_json(spec: &CollectionSpec) -> Value {
    let CollectionSpec { id, corpus, model_path, revision, precision, decoding, dims, storage, .. } = spec;
    json!({"id": id, "corpus": corpus, "model_path": model_path, "revision": revision, "precision": precision,
        "decoding": decoding, "dims": dims, "index": storage})
}

async fn show(global: &Global, world: &World, wanted: &str) -> Result<Exit> {
    let spec = named_collection(world.catalog.as_ref(), Some(wanted)).await?;
    let corpus = corpus_name(world, &spec.corpus).await?;
    let shards = world.catalog.shards(&spec.corpus).await?.iter().filter(|shard| !shard.removed).count();
    let scope = whole_scope(world.catalog.as_ref(), &spec.corpus).await?;
    // Nothing may have been embedded yet, and then the index does not know it.
    let chunks = world.index.counts(&spec.id, &scope).await.unwrap_or_default();
    let points: u64 = chunks.iter().map(|(_, count)| count).sum();
    let jobs: Vec<_> = world.jobs.jobs().await?.into_iter().filter(|job| job.collection == spec.id).collect();
    if global.output == Output::Json {
        let mut shown = as_json(&spec);
        shown["corpus_name"] = json!(corpus);
        shown["shards"] = json!(shards);
        shown["chunks"] = json!(chunks.len());
        shown["points"] = json!(points);
        shown["jobs"] = jobs.iter().map(|job| json!({"id": job.id, "name": job.name, "state": job.state})).collect();
        print(format_args!("{shown:#}"));
        return Ok(Exit::Done);
    }
    let line = |name: &str, text: &str| print(format_args!("{name:<12}{text}"));
    print(format_args!("{}", spec.id));
    line("corpus", &format!("{corpus} ({}), {}", spec.corpus, counted(shards, "shard")));
    line("model", &format!("{}, revision {}", spec.model_path, spec.revision));
    line("vectors", &format!("{points} of {} numbers, {}", spec.dims, named(&spec.precision)));
    line("index", &spec.storage.to_string());
    let jobs: Vec<String> = jobs.iter().map(|job| format!("{} {} ({})", job.name, job.id, job.state)).collect();
    line("jobs", &if jobs.is_empty() { "none".to_owned() } else { jobs.join(", ") });
    Ok(Exit::Done)
}

/// The catalog first: nobody can need it any more while its vectors go. What an interrupted removal left in the index goes
/// when the command is given again.
async fn remove(global: &Global, site: &Site, id: &CollectionId) -> Result<Exit> {
    let (_lock, world) = site.take().await?;
    let doing = |error: Error| error.while_doing(format!("remove collection {id}"));
    let was_known = world.catalog.collection(id).await?.is_some();
    // Which artifacts are its own nobody knows once the catalog has forgotten it: they must be in reach before.
    world.artifacts.list("tasks/", None).await.map_err(doing)?;
    let tasks = world.catalog.forget(id).await?;
    world.index.remove(id).await.map_err(doing)?;
    let objects = delete_artifacts(world.artifacts.as_ref(), tasks.into_iter()).await.map_err(doing)?;
    if !was_known {
        return Err(Error::permanent(format!(
            "remove collection {id}: none of this id is on record; see `imagefleet collections ls`"
        )));
    }
    match global.output {
        Output::Json => print(format_args!("{:#}", json!({"id": id, "artifacts": objects}))),
        Output::Table => say(format_args!("collection {id} is removed, with {}", counted(objects, "artifact"))),
    }
    Ok(Exit::Done)
}
