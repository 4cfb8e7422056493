//! `imagefleet takedown`: one picture out of every collection, for good.
//!
//! Catalog first: from then on no attempt counts the picture as embedded, and one that has put its point deletes it at its
//! end. Then what stands in ledgers and indexes already is taken out. Each step may be done again, so that a takedown that
//! was cut off is made whole by the same command.

use crate::{
    args::{Global, Output, TakedownArgs},
    exit::Exit,
    logging::{print, say},
    run::counted,
    site::Site,
    table::table,
    world::World,
};
use imagefleet_common::{
    Error, Result,
    ids::{CollectionId, Epoch},
    job::spec::CollectionSpec,
    ledger::Takedown,
    ports::index::{Doomed, Scope},
};
use serde_json::json;
use std::collections::BTreeSet;

/// What became of the picture in one collection.
#[derive(Debug, PartialEq, Eq)]
pub struct TakenOut {
    pub collection: CollectionId,
    /// Did the index hold it until now?
    pub was_held: bool,
    /// Does the ledger count it as taken down?
    pub is_counted: bool,
}

/// What no key is: the name of a file, say, that was pasted with what stood around it.
fn must_be_a_key(key: &str) -> Result<()> {
    if key.is_empty() || key.trim() != key || key.chars().any(char::is_control) {
        return Err(Error::permanent(format!(
            "take down {key:?}: this is no key of a picture; keys are those that results and search print"
        )));
    }
    Ok(())
}

pub(crate) async fn command(global: &Global, args: TakedownArgs) -> Result<Exit> {
    must_be_a_key(&args.key)?;
    let (_lock, world) = Site::of(global)?.take().await?;
    let (takedown, collections) = take_down(&world, &args.key, &args.why).await?;
    let is_known = collections.iter().any(|taken| taken.was_held || taken.is_counted);
    if global.output == Output::Json {
        let collections: Vec<_> = collections
            .iter()
            .map(
                |taken| json!({"collection": taken.collection, "removed": taken.was_held, "counted": taken.is_counted}),
            )
            .collect();
        print(format_args!(
            "{:#}",
            json!({"key": takedown.key, "at": takedown.at, "why": takedown.why, "collections": collections})
        ));
        return Ok(Exit::Done);
    }
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let rows: Vec<Vec<String>> = collections
        .into_iter()
        .map(|taken| vec![taken.collection.0, yes(taken.was_held), yes(taken.is_counted)])
        .collect();
    print(format_args!("{}", table(&["COLLECTION", "REMOVED", "COUNTED"], &rows)));
    match is_known {
        true => say(format_args!(
            "{} is taken down; results that name it keep it until their job is run or submitted again",
            takedown.key
        )),
        false => say(format_args!(
            "warning: no collection holds {}: is it spelled as results and search print it? No collection will take in what has this key",
            takedown.key
        )),
    }
    Ok(Exit::Done)
}

/// Jobs of the collection are on record, and none has embedded anything into it: the index need not know it.
pub(crate) async fn is_empty_yet(world: &World, collection: &CollectionId) -> Result<bool> {
    let mut has_jobs = false;
    for job in world.jobs.jobs().await?.iter().filter(|job| job.collection == *collection) {
        has_jobs = true;
        if world.jobs.progress(job.id).await?.counts.embedded > 0 {
            return Ok(false);
        }
    }
    Ok(has_jobs)
}

/// Says what it did, collection by collection. One that fails holds up no other; the error names each.
pub async fn take_down(world: &World, key: &str, why: &str) -> Result<(Takedown, Vec<TakenOut>)> {
    let takedown = world.catalog.take_down(key, why).await?;
    let (mut taken, mut failed) = (Vec::new(), Vec::new());
    for collection in world.catalog.collections().await? {
        match take_out(world, &collection, key).await {
            Ok(out) => taken.push(out),
            Err(error) => failed.push(format!("collection {}: {error}", collection.id)),
        }
    }
    match failed.is_empty() {
        true => Ok((takedown, taken)),
        false => Err(Error::permanent(format!(
            "take down {key}: {} of {} done; give the command again once the others are mended:\n{}",
            taken.len(),
            counted(taken.len() + failed.len(), "collection"),
            failed.join("\n")
        ))),
    }
}

/// Out of one collection: its ledger, its index, what it is searched by.
pub(crate) async fn take_out(world: &World, collection: &CollectionSpec, key: &str) -> Result<TakenOut> {
    let (index, catalog) = (world.index.as_ref(), world.catalog.as_ref());
    // What was lost must not come back empty, as if nothing were missing.
    if is_empty_yet(world, &collection.id).await? {
        index.ensure(collection).await?;
    }
    let held = index.payloads(&collection.id, &[key.to_owned()]).await?.pop().flatten();
    // A ledger that named a point which is gone would have it embedded again: the ledger first.
    if let Some(point) = &held {
        catalog.take_out(&collection.id, point).await?;
        let doomed = Doomed::Keys { keys: vec![key.to_owned()], up_to: Epoch::MAX };
        index.delete(&collection.id, &doomed).await?;
    }
    let counted: Vec<_> =
        catalog.taken_from(key).await?.into_iter().filter(|(id, _)| *id == collection.id).map(|(_, at)| at).collect();
    let mut shards: BTreeSet<i64> = counted.iter().map(|at| at.shard).collect();
    shards.extend(held.as_ref().map(|point| point.head.at.shard));
    if catalog.shards(&collection.corpus).await?.is_empty() {
        // Imported: no ledger tells its shards.
        shards.extend(index.counts(&collection.id, &Scope::All).await?.into_iter().map(|(at, _)| at.shard));
    }
    if !shards.is_empty() {
        // What was sealed is searched as it was sealed. A server that is still building already answers without the point.
        index.seal(&collection.id, &Vec::from_iter(shards)).await?;
    }
    Ok(TakenOut { collection: collection.id.clone(), was_held: held.is_some(), is_counted: !counted.is_empty() })
}
