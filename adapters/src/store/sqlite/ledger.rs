//! The ledger's rows of one chunk, and chunks that an attempt had to end early.

use super::{
    Conn, Done,
    rows::{self, TaskRow},
};
use imagefleet_common::{
    Error,
    ids::CollectionId,
    job::spec::CollectionSpec,
    ledger::Reason,
    ports::tasks::{Embedded, Rest},
    task::State,
    work::{ChunkRef, Work},
};
use sqlx::Row;
use std::collections::BTreeMap;

/// Which chunk, of which collection, of which corpus.
pub(super) struct At<'a> {
    pub(super) corpus: &'a str,
    pub(super) collection: &'a CollectionId,
    pub(super) chunk: ChunkRef,
}

/// Writes what became of the chunk's pictures, in place of what an earlier attempt or version said.
pub(super) async fn record(conn: &mut Conn, row: &TaskRow, at: &At<'_>, embedded: &Embedded) -> Done<()> {
    let counts = &embedded.counts;
    let mut rejected = BTreeMap::<Reason, u64>::new();
    for row in &embedded.rejected {
        *rejected.entry(row.reason).or_default() += 1;
    }
    if !counts.adds_up() || rejected != counts.rejected {
        return Err(Error::permanent(format!(
            "the ledger of {} does not add up: {} seen, {} embedded, {} rejected, {} rejected rows",
            at.chunk,
            counts.seen,
            counts.embedded,
            counts.rejected_total(),
            embedded.rejected.len()
        ))
        .into());
    }
    let ChunkRef { shard, version, chunk } = at.chunk;
    sqlx::query("DELETE FROM ledger_chunk WHERE collection = ? AND shard = ? AND chunk = ?")
        .bind(&at.collection.0)
        .bind(shard)
        .bind(chunk)
        .execute(&mut *conn)
        .await?;
    sqlx::query("INSERT INTO ledger_chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(&at.collection.0)
        .bind(shard)
        .bind(chunk)
        .bind(version)
        .bind(row.id.to_string())
        .bind(row.task.attempt)
        .bind(row.epoch)
        .bind(integer(counts.seen)?)
        .bind(integer(counts.embedded)?)
        .bind(integer(counts.unattributed)?)
        .bind(serde_json::to_string(&counts.rejected)?)
        .bind(&embedded.artifact)
        .bind(serde_json::to_string(&embedded.spent)?)
        .execute(&mut *conn)
        .await?;
    for row in &embedded.rejected {
        sqlx::query("INSERT INTO ledger_rejected VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(&at.collection.0)
            .bind(shard)
            .bind(chunk)
            .bind(&row.key)
            .bind(&row.shard)
            .bind(&row.entry)
            .bind(row.reason.to_string())
            .bind(&row.detail)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// The chunk ends at `rest.at` for this collection; what follows is a chunk of its own, needed by the same jobs.
pub(super) async fn split(conn: &mut Conn, row: &TaskRow, at: &At<'_>, seen: u64, rest: Rest) -> Done<()> {
    let ChunkRef { shard, version, chunk } = at.chunk;
    let whole = sqlx::query(
        "SELECT c.first, coalesce(s.stop, c.stop) AS stop, c.listing,
                CASE WHEN s.stop IS NULL THEN c.pictures ELSE s.pictures END AS pictures
         FROM chunk c LEFT JOIN chunk_cut s ON s.collection = ? AND s.shard = c.shard AND s.chunk = c.chunk
         WHERE c.corpus = ? AND c.shard = ? AND c.chunk = ?",
    )
    .bind(&at.collection.0)
    .bind(at.corpus)
    .bind(shard)
    .bind(chunk)
    .fetch_one(&mut *conn)
    .await?;
    let (first, stop): (i64, Option<i64>) = (whole.try_get("first")?, whole.try_get("stop")?);
    let (cut, seen) = (integer(rest.at)?, integer(seen)?);
    if cut <= first || stop.is_some_and(|stop| cut >= stop) {
        return Err(Error::permanent(format!("{} cannot be split at entry {cut}", at.chunk)).into());
    }
    let pictures: Option<i64> = whole.try_get("pictures")?;
    sqlx::query(
        "INSERT INTO chunk_cut (collection, corpus, shard, chunk, stop, pictures) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (collection, shard, chunk) DO UPDATE SET stop = excluded.stop, pictures = excluded.pictures",
    )
    .bind(&at.collection.0)
    .bind(at.corpus)
    .bind(shard)
    .bind(chunk)
    .bind(cut)
    .bind(pictures.map(|_| seen))
    .execute(&mut *conn)
    .await?;
    let number: i64 = sqlx::query(
        "INSERT INTO chunk (corpus, shard, chunk, collection, version, first, stop, offset, pictures, listing)
         VALUES (?1, ?2, (SELECT max(chunk) + 1 FROM chunk WHERE corpus = ?1 AND shard = ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9)
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
    .bind(whole.try_get::<&str, _>("listing")?)
    .fetch_one(&mut *conn)
    .await?
    .try_get(0)?;
    spawn_rest(conn, row, at, ChunkRef { chunk: number, ..at.chunk }).await
}

/// A success that no job wants spawns nothing: whoever lists the shard next finds the chunk.
async fn spawn_rest(conn: &mut Conn, row: &TaskRow, at: &At<'_>, chunk: ChunkRef) -> Done<()> {
    let jobs = sqlx::query(
        "SELECT n.job AS id FROM job_task n JOIN job j ON j.id = n.job
         WHERE n.task = ? AND j.state IN ('submitted', 'running', 'blocked')",
    )
    .bind(row.id.to_string())
    .fetch_all(&mut *conn)
    .await?;
    if jobs.is_empty() {
        return Ok(());
    }
    let work = Work::Embed { collection: at.collection.clone(), chunk };
    let model = collection(conn, at.collection).await?;
    let now = rows::now(conn).await?;
    let rest = rows::insert(conn, &work, model.model(), State::Ready, now).await?;
    for job in &jobs {
        rows::need(conn, rows::parsed(job, "id")?, rest.id).await?;
    }
    Ok(())
}

pub(super) async fn collection(conn: &mut Conn, id: &CollectionId) -> Done<CollectionSpec> {
    let row = sqlx::query("SELECT spec FROM collection WHERE id = ?").bind(&id.0).fetch_one(conn).await?;
    Ok(serde_json::from_str(row.try_get("spec")?)?)
}

/// SQLite's integers are signed.
pub(super) fn integer(value: u64) -> Done<i64> {
    i64::try_from(value).map_err(|_| Error::permanent(format!("{value} does not fit a column")).into())
}
