//! A listing's effect on the catalog: the shard's version, its chunks, and their embed tasks.
//!
//! A chunk stands in the catalog at one version. When it is cut anew, everything about its old version goes in the
//! same transaction: its ledger rows, what jobs need of it, and its tasks that have not begun.

use super::{
    Done,
    ledger::{self, integer},
    query::{Conn, query},
    rows::{self, TaskRow, select_task},
};
use imagefleet_common::{
    Error,
    ids::{CollectionId, CorpusId, JobId},
    ports::tasks::{ChunkCut, Listing},
    task::{Event, RetryRules, State},
    work::{ChunkRef, Work},
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn listed(
    conn: &mut Conn,
    row: &mut TaskRow,
    corpus: &CorpusId,
    shard: i64,
    found: &Listing,
    rules: &RetryRules,
) -> Done<()> {
    let known = query("SELECT version, listing FROM shard WHERE corpus = $1 AND number = $2")
        .bind(&corpus.0)
        .bind(shard)
        .fetch_one(conn)
        .await?;
    let changed = superseded(conn, corpus, shard).await?;
    let is_new = known.get::<String>("listing")? != found.listing || !changed.is_empty();
    if is_new && found.is_unchanged {
        // It compared with what was on record when it began: without chunks of its own it says nothing of what is now.
        query("UPDATE shard SET listing = '' WHERE corpus = $1 AND number = $2")
            .bind(&corpus.0)
            .bind(shard)
            .execute(conn)
            .await?;
        let now = conn.now().await?;
        let _ = rows::apply(conn, row, &Event::Reopened { now }, rules).await?;
        return rows::cancel_unless_wanted(conn, row, rules).await;
    }
    if is_new {
        let version = known.get::<i64>("version")? + 1;
        replace(conn, corpus, shard, version, found, &changed).await?;
        drop_outdated(conn, corpus, shard, rules).await?;
        query("UPDATE shard SET version = $1, listing = $2 WHERE corpus = $3 AND number = $4")
            .bind(version)
            .bind(&found.listing)
            .bind(&corpus.0)
            .bind(shard)
            .execute(conn)
            .await?;
    }
    query("UPDATE shard SET missing = $1 WHERE corpus = $2 AND number = $3")
        .bind(integer(found.missing)?)
        .bind(&corpus.0)
        .bind(shard)
        .execute(conn)
        .await?;
    spawn(conn, row, corpus, shard, rules).await
}

/// Chunks in whose place a reader found something else. They cannot be opened again as they are, so they are cut
/// anew even where the listing is back at what it was.
async fn superseded(conn: &mut Conn, corpus: &CorpusId, shard: i64) -> Done<BTreeSet<i64>> {
    let found = query(
        "SELECT c.chunk FROM chunk c
         JOIN task t ON t.corpus = c.corpus AND t.shard = c.shard AND t.chunk = c.chunk AND t.version = c.version
         WHERE c.corpus = $1 AND c.shard = $2 AND t.kind = 'embed' AND t.state = 'superseded'",
    )
    .bind(&corpus.0)
    .bind(shard)
    .fetch_all(conn)
    .await?;
    found.iter().map(|row| row.get("chunk")).collect()
}

/// Puts the new cuts in place of the old chunks, all but those that may stay.
async fn replace(
    conn: &mut Conn,
    corpus: &CorpusId,
    shard: i64,
    version: i64,
    found: &Listing,
    changed: &BTreeSet<i64>,
) -> Done<()> {
    let cuts: BTreeMap<i64, &ChunkCut> = found.chunks.iter().map(|cut| (cut.chunk, cut)).collect();
    if cuts.len() != found.chunks.len() {
        return Err(Error::permanent(format!("the listing of shard {shard} gives a chunk's number twice")).into());
    }
    let kept =
        if found.keeps_equal_chunks { kept(conn, corpus, shard, &cuts, changed).await? } else { BTreeSet::new() };
    for &chunk in numbers(conn, corpus, shard).await?.difference(&kept) {
        query(
            "DELETE FROM ledger_chunk WHERE shard = $1 AND chunk = $2
             AND collection IN (SELECT id FROM collection WHERE corpus = $3)",
        )
        .bind(shard)
        .bind(chunk)
        .bind(&corpus.0)
        .execute(conn)
        .await?;
        query("DELETE FROM chunk WHERE corpus = $1 AND shard = $2 AND chunk = $3")
            .bind(&corpus.0)
            .bind(shard)
            .bind(chunk)
            .execute(conn)
            .await?;
    }
    for cut in cuts.values().filter(|cut| !kept.contains(&cut.chunk)) {
        query(
            "INSERT INTO chunk (corpus, shard, chunk, version, first, stop, \"offset\", pictures, listing)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&corpus.0)
        .bind(shard)
        .bind(cut.chunk)
        .bind(version)
        .bind(integer(cut.first)?)
        .bind(cut.end.map(integer).transpose()?)
        .bind(integer(cut.offset)?)
        .bind(cut.pictures.map(integer).transpose()?)
        .bind(&cut.listing)
        .execute(conn)
        .await?;
    }
    Ok(())
}

async fn numbers(conn: &mut Conn, corpus: &CorpusId, shard: i64) -> Done<BTreeSet<i64>> {
    let found = query("SELECT chunk FROM chunk WHERE corpus = $1 AND shard = $2")
        .bind(&corpus.0)
        .bind(shard)
        .fetch_all(conn)
        .await?;
    found.iter().map(|row| row.get("chunk")).collect()
}

/// The chunks that stay: cut by an earlier listing under the same number with the same content, together with what
/// collections split off them. All parts of a content stay, or none: one whose part was superseded goes, and so does
/// one whose part stands in the way of a number that the new listing uses.
async fn kept(
    conn: &mut Conn,
    corpus: &CorpusId,
    shard: i64,
    cuts: &BTreeMap<i64, &ChunkCut>,
    changed: &BTreeSet<i64>,
) -> Done<BTreeSet<i64>> {
    let found =
        query("SELECT chunk, collection, listing FROM chunk WHERE corpus = $1 AND shard = $2 AND listing <> ''")
            .bind(&corpus.0)
            .bind(shard)
            .fetch_all(conn)
            .await?;
    let mut parts = BTreeMap::<String, (bool, Vec<i64>)>::new();
    for row in &found {
        let (chunk, listing): (i64, String) = (row.get("chunk")?, row.get("listing")?);
        let cut = cuts.get(&chunk);
        let is_whole = row.get::<String>("collection")?.is_empty();
        let fits = match is_whole {
            true => cut.is_some_and(|cut| cut.listing == listing),
            false => cut.is_none(),
        };
        let (all_fit, chunks) = parts.entry(listing).or_insert((true, Vec::new()));
        *all_fit &= fits && !changed.contains(&chunk);
        chunks.push(chunk);
    }
    Ok(parts.into_values().filter(|(all_fit, _)| *all_fit).flat_map(|(_, chunks)| chunks).collect())
}

/// Nobody needs the embed tasks of chunks that are no longer there; those that have not begun are cancelled.
async fn drop_outdated(conn: &mut Conn, corpus: &CorpusId, shard: i64, rules: &RetryRules) -> Done<()> {
    let outdated = query(select_task!(
        "WHERE t.corpus = $1 AND t.shard = $2 AND t.kind = 'embed' AND NOT EXISTS (
             SELECT 1 FROM chunk c WHERE c.corpus = t.corpus AND c.shard = t.shard AND c.chunk = t.chunk
             AND c.version = t.version)"
    ))
    .bind(&corpus.0)
    .bind(shard)
    .fetch_all(conn)
    .await?;
    for row in TaskRow::read_all(&outdated)? {
        query("DELETE FROM job_task WHERE task = $1").bind(row.id).execute(conn).await?;
        rows::apply_all(conn, vec![row], &Event::Unneeded, rules).await?;
    }
    Ok(())
}

/// Every job that wants this listing needs the embed task of each chunk, in the job's own collection.
async fn spawn(conn: &mut Conn, list: &TaskRow, corpus: &CorpusId, shard: i64, rules: &RetryRules) -> Done<()> {
    let jobs = query(
        "SELECT j.id, j.collection FROM job_task n JOIN job j ON j.id = n.job
         WHERE n.task = $1 AND j.state IN ('running', 'blocked') ORDER BY j.id",
    )
    .bind(list.id)
    .fetch_all(conn)
    .await?;
    let mut by_collection = BTreeMap::<CollectionId, Vec<JobId>>::new();
    for row in &jobs {
        by_collection.entry(CollectionId(row.get("collection")?)).or_default().push(row.get("id")?);
    }
    for (collection, jobs) in by_collection {
        let model = ledger::collection(conn, &collection).await?;
        let chunks = query(
            "SELECT version, chunk FROM chunk WHERE corpus = $1 AND shard = $2 AND collection IN ('', $3) ORDER BY chunk",
        )
        .bind(&corpus.0)
        .bind(shard)
        .bind(&collection.0)
        .fetch_all(conn)
        .await?;
        for row in &chunks {
            let chunk = ChunkRef { shard, version: row.get("version")?, chunk: row.get("chunk")? };
            let work = Work::Embed { collection: collection.clone(), chunk };
            need_embedded(conn, &work, model.model(), &jobs, rules).await?;
        }
    }
    Ok(())
}

async fn need_embedded(conn: &mut Conn, work: &Work, model: &str, jobs: &[JobId], rules: &RetryRules) -> Done<()> {
    let now = conn.now().await?;
    let mut row = match rows::task(conn, work.id()).await? {
        Some(row) => row,
        None => rows::insert(conn, work, model, State::Ready, now).await?,
    };
    let mut newly_needed = false;
    for job in jobs {
        newly_needed |= rows::need(conn, *job, row.id).await?;
    }
    // What a person has not retried stays dead for the jobs that know of it; a new job tries for itself.
    let reopen = match row.task.state {
        State::Cancelled => true,
        State::Dead => newly_needed,
        _ => false,
    };
    if reopen {
        let _ = rows::apply(conn, &mut row, &Event::Reopened { now }, rules).await?;
    }
    Ok(())
}
