//! The ledger's rows of one chunk, and chunks that an attempt had to end early.

use super::{
    Done,
    query::{Conn, query},
    rows::{self, TaskRow},
    takedown,
};
use imagefleet_common::{
    Error,
    ids::CollectionId,
    job::spec::CollectionSpec,
    ledger::{Reason, RejectedRow},
    ports::tasks::{Embedded, Rest},
    task::State,
    work::{ChunkRef, Work},
};
use std::collections::BTreeMap;

/// Which chunk, of which collection, of which corpus.
pub(super) struct At<'a> {
    pub(super) corpus: &'a str,
    pub(super) collection: &'a CollectionId,
    pub(super) chunk: ChunkRef,
}

/// Writes what became of the chunk's pictures, in place of what an earlier attempt or version said.
pub(super) async fn record(conn: &mut Conn, row: &TaskRow, at: &At<'_>, embedded: &Embedded) -> Done<()> {
    must_add_up(at, embedded)?;
    let embedded = takedown::heed(conn, at, embedded).await?;
    let counts = &embedded.counts;
    let ChunkRef { shard, version, chunk } = at.chunk;
    query("DELETE FROM ledger_chunk WHERE collection = $1 AND shard = $2 AND chunk = $3")
        .bind(&at.collection.0)
        .bind(shard)
        .bind(chunk)
        .execute(conn)
        .await?;
    query("INSERT INTO ledger_chunk (collection, shard, chunk, version, task, attempt, epoch, seen, embedded, unattributed,
                                   rejected, artifact, spent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
        .bind(&at.collection.0)
        .bind(shard)
        .bind(chunk)
        .bind(version)
        .bind(row.id)
        .bind(row.task.attempt)
        .bind(row.epoch)
        .bind(integer(counts.seen)?)
        .bind(integer(counts.embedded)?)
        .bind(integer(counts.unattributed)?)
        .bind(serde_json::to_string(&counts.rejected)?)
        .bind(&embedded.artifact)
        .bind(serde_json::to_string(&embedded.spent)?)
        .execute(conn)
        .await?;
    for row in &embedded.rejected {
        insert_rejected(conn, at.collection, at.chunk, row).await?;
    }
    Ok(())
}

fn must_add_up(at: &At<'_>, embedded: &Embedded) -> Done<()> {
    let counts = &embedded.counts;
    let mut rejected = BTreeMap::<Reason, u64>::new();
    for row in &embedded.rejected {
        *rejected.entry(row.reason).or_default() += 1;
    }
    let unattributed = embedded.pictures.iter().filter(|picture| picture.unattributed).count() as u64;
    let named = (embedded.pictures.len() as u64, unattributed);
    if counts.adds_up() && rejected == counts.rejected && named == (counts.embedded, counts.unattributed) {
        return Ok(());
    }
    Err(Error::permanent(format!(
        "the ledger of {} does not add up: {} seen, {} embedded, {} rejected, {} pictures, {} rejected rows",
        at.chunk,
        counts.seen,
        counts.embedded,
        counts.rejected_total(),
        embedded.pictures.len(),
        embedded.rejected.len()
    ))
    .into())
}

pub(super) async fn insert_rejected(
    conn: &mut Conn,
    collection: &CollectionId,
    at: ChunkRef,
    row: &RejectedRow,
) -> Done<()> {
    query(
        "INSERT INTO ledger_rejected (collection, shard, chunk, key, path, entry, reason, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&collection.0)
    .bind(at.shard)
    .bind(at.chunk)
    .bind(&row.key)
    .bind(&row.shard)
    .bind(&row.entry)
    .bind(row.reason.to_string())
    .bind(&row.detail)
    .execute(conn)
    .await?;
    Ok(())
}

/// The chunk ends at `rest.at` for this collection; what follows is a chunk of its own, needed by the same jobs.
pub(super) async fn split(conn: &mut Conn, row: &TaskRow, at: &At<'_>, seen: u64, rest: Rest) -> Done<()> {
    let ChunkRef { shard, version, chunk } = at.chunk;
    let whole = query(
        "SELECT c.first, coalesce(s.stop, c.stop) AS stop, c.listing,
                CASE WHEN s.stop IS NULL THEN c.pictures ELSE s.pictures END AS pictures
         FROM chunk c LEFT JOIN chunk_cut s ON s.collection = $1 AND s.shard = c.shard AND s.chunk = c.chunk
         WHERE c.corpus = $2 AND c.shard = $3 AND c.chunk = $4",
    )
    .bind(&at.collection.0)
    .bind(at.corpus)
    .bind(shard)
    .bind(chunk)
    .fetch_one(conn)
    .await?;
    let (first, stop): (i64, Option<i64>) = (whole.get("first")?, whole.get("stop")?);
    let (cut, seen) = (integer(rest.at)?, integer(seen)?);
    if cut <= first || stop.is_some_and(|stop| cut >= stop) {
        return Err(Error::permanent(format!("{} cannot be split at entry {cut}", at.chunk)).into());
    }
    let pictures: Option<i64> = whole.get("pictures")?;
    query(
        "INSERT INTO chunk_cut (collection, corpus, shard, chunk, stop, pictures) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (collection, shard, chunk) DO UPDATE SET stop = excluded.stop, pictures = excluded.pictures",
    )
    .bind(&at.collection.0)
    .bind(at.corpus)
    .bind(shard)
    .bind(chunk)
    .bind(cut)
    .bind(pictures.map(|_| seen))
    .execute(conn)
    .await?;
    let number: i64 = query(
        "INSERT INTO chunk (corpus, shard, chunk, collection, version, first, stop, \"offset\", pictures, listing)
         VALUES ($1, $2, (SELECT max(chunk) + 1 FROM chunk WHERE corpus = $1 AND shard = $2), $3, $4, $5, $6, $7, $8, $9)
         RETURNING chunk",
    )
    .bind(at.corpus)
    .bind(shard)
    .bind(&at.collection.0)
    .bind(version)
    .bind(cut)
    .bind(stop)
    .bind(integer(rest.offset)?)
    .bind(pictures.map(|pictures| (pictures - seen).max(0)))
    .bind(whole.get::<String>("listing")?)
    .fetch_one(conn)
    .await?
    .get("chunk")?;
    spawn_rest(conn, row, at, ChunkRef { chunk: number, ..at.chunk }).await
}

/// A success that no job wants spawns nothing: whoever lists the shard next finds the chunk.
async fn spawn_rest(conn: &mut Conn, row: &TaskRow, at: &At<'_>, chunk: ChunkRef) -> Done<()> {
    let jobs = query(
        "SELECT n.job AS id FROM job_task n JOIN job j ON j.id = n.job
         WHERE n.task = $1 AND j.state IN ('submitted', 'running', 'blocked')",
    )
    .bind(row.id)
    .fetch_all(conn)
    .await?;
    if jobs.is_empty() {
        return Ok(());
    }
    let work = Work::Embed { collection: at.collection.clone(), chunk };
    let model = collection(conn, at.collection).await?;
    let now = conn.now().await?;
    let rest = rows::insert(conn, &work, model.model(), State::Ready, now).await?;
    for job in &jobs {
        rows::need(conn, job.get("id")?, rest.id).await?;
    }
    Ok(())
}

pub(super) async fn collection(conn: &mut Conn, id: &CollectionId) -> Done<CollectionSpec> {
    query("SELECT spec FROM collection WHERE id = $1").bind(&id.0).fetch_one(conn).await?.json("spec")
}

/// SQLite's integers are signed.
pub(super) fn integer(value: u64) -> Done<i64> {
    i64::try_from(value).map_err(|_| Error::permanent(format!("{value} does not fit a column")).into())
}
