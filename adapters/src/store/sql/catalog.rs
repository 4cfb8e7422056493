//! What the catalog and the ledger say.

use super::{
    Done, Fault,
    query::{Conn, Row, query},
    rows, submit,
};
use imagefleet_common::{
    Error,
    ids::{CollectionId, CorpusId, Epoch, JobId},
    job::spec::{CollectionSpec, CorpusSpec},
    ledger::{Counts, RejectedRow},
    ports::{
        catalog::{Chunk, ChunkLedger, Shard, Writers},
        tasks::ChunkCut,
    },
    work::ChunkRef,
};

pub(super) async fn corpus(conn: &mut Conn, id: &CorpusId) -> Done<Option<CorpusSpec>> {
    let row = query("SELECT spec FROM corpus WHERE id = $1").bind(&id.0).fetch_optional(conn).await?;
    row.map(|row| row.json("spec")).transpose()
}

pub(super) async fn collection(conn: &mut Conn, id: &CollectionId) -> Done<Option<CollectionSpec>> {
    let row = query("SELECT spec FROM collection WHERE id = $1").bind(&id.0).fetch_optional(conn).await?;
    row.map(|row| row.json("spec")).transpose()
}

pub(super) async fn collections(conn: &mut Conn) -> Done<Vec<CollectionSpec>> {
    let rows = query("SELECT spec FROM collection ORDER BY id").fetch_all(conn).await?;
    rows.iter().map(|row| row.json("spec")).collect()
}

/// The same collection again is the same call, whose answer was lost.
pub(super) async fn adopt(conn: &mut Conn, corpus: &CorpusSpec, spec: &CollectionSpec) -> Done<()> {
    match collection(conn, &spec.id).await? {
        Some(known) if known == *spec => Ok(()),
        Some(_) => Err(Error::permanent("there is a collection of this name").into()),
        None => {
            submit::put_corpus(conn, corpus).await?;
            submit::put_collection(conn, spec).await
        }
    }
}

macro_rules! select_shard {
    ($rest:literal) => {
        concat!("SELECT s.number, s.path, s.version, s.listing, s.missing, s.removed FROM shard s ", $rest)
    };
}

fn read_shard(row: &Row) -> Done<Shard> {
    Ok(Shard {
        number: row.get("number")?,
        path: row.get("path")?,
        version: row.get("version")?,
        listing: row.get("listing")?,
        missing: row.get::<u64>("missing")?,
        removed: row.get("removed")?,
    })
}

pub(super) async fn shards(conn: &mut Conn, corpus: &CorpusId) -> Done<Vec<Shard>> {
    let found = query(select_shard!("WHERE s.corpus = $1 ORDER BY s.number")).bind(&corpus.0).fetch_all(conn).await?;
    found.iter().map(read_shard).collect()
}

pub(super) async fn shard(conn: &mut Conn, corpus: &CorpusId, number: i64) -> Done<Option<Shard>> {
    let row = query(select_shard!("WHERE s.corpus = $1 AND s.number = $2"))
        .bind(&corpus.0)
        .bind(number)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(read_shard).transpose()
}

pub(super) async fn job_shards(conn: &mut Conn, job: JobId) -> Done<Vec<Shard>> {
    let found = query(select_shard!(
        "JOIN job_shard n ON n.corpus = s.corpus AND n.shard = s.number WHERE n.job = $1 ORDER BY s.number"
    ))
    .bind(job)
    .fetch_all(conn)
    .await?;
    found.iter().map(read_shard).collect()
}

fn read_ref(row: &Row) -> Done<ChunkRef> {
    Ok(ChunkRef { shard: row.get("shard")?, version: row.get("version")?, chunk: row.get("chunk")? })
}

pub(super) async fn chunks(conn: &mut Conn, collection: &CollectionId, shard: i64) -> Done<Vec<Chunk>> {
    let found = query(
        "SELECT k.shard, k.version, k.chunk, k.first, coalesce(c.stop, k.stop) AS stop, k.offset, k.listing,
                CASE WHEN c.stop IS NULL THEN k.pictures ELSE c.pictures END AS pictures
         FROM collection o JOIN chunk k ON k.corpus = o.corpus
         LEFT JOIN chunk_cut c ON c.collection = o.id AND c.shard = k.shard AND c.chunk = k.chunk
         WHERE o.id = $1 AND k.shard = $2 AND k.collection IN ('', o.id) ORDER BY k.chunk",
    )
    .bind(&collection.0)
    .bind(shard)
    .fetch_all(conn)
    .await?;
    found
        .iter()
        .map(|row| {
            let at = read_ref(row)?;
            let cut = ChunkCut {
                chunk: at.chunk,
                first: row.get::<u64>("first")?,
                end: row.get("stop")?,
                offset: row.get::<u64>("offset")?,
                pictures: row.get("pictures")?,
                listing: row.get("listing")?,
            };
            Ok(Chunk { at, cut })
        })
        .collect()
}

pub(super) async fn ledger(conn: &mut Conn, job: JobId) -> Done<Vec<ChunkLedger>> {
    let found = query(
        "SELECT k.shard, k.version, k.chunk, s.path, t.id, t.state, t.epoch, t.error,
                CASE WHEN c.stop IS NULL THEN k.pictures ELSE c.pictures END AS pictures,
                l.seen, l.embedded, l.unattributed, l.rejected, l.artifact, l.spent
         FROM job j JOIN job_shard n ON n.job = j.id
         JOIN shard s ON s.corpus = n.corpus AND s.number = n.shard
         JOIN chunk k ON k.corpus = n.corpus AND k.shard = n.shard AND k.collection IN ('', j.collection)
         JOIN task t ON t.kind = 'embed' AND t.collection = j.collection AND t.shard = k.shard AND t.chunk = k.chunk
                     AND t.version = k.version
         LEFT JOIN chunk_cut c ON c.collection = j.collection AND c.shard = k.shard AND c.chunk = k.chunk
         LEFT JOIN ledger_chunk l ON l.collection = j.collection AND l.shard = k.shard AND l.chunk = k.chunk
         WHERE j.id = $1 ORDER BY k.shard, k.chunk",
    )
    .bind(job)
    .fetch_all(conn)
    .await?;
    found.iter().map(read_ledger).collect()
}

fn read_ledger(row: &Row) -> Done<ChunkLedger> {
    let rejected: Option<String> = row.get("rejected")?;
    let counts = match rejected {
        None => None,
        Some(rejected) => Some(Counts {
            seen: row.get::<u64>("seen")?,
            embedded: row.get::<u64>("embedded")?,
            rejected: serde_json::from_str(&rejected)?,
            unattributed: row.get::<u64>("unattributed")?,
        }),
    };
    let spent: Option<String> = row.get("spent")?;
    Ok(ChunkLedger {
        at: read_ref(row)?,
        shard: row.get("path")?,
        task: row.get("id")?,
        state: rows::state(row)?,
        epoch: row.get("epoch")?,
        pictures: row.get("pictures")?,
        counts,
        artifact: row.get("artifact")?,
        spent: spent.as_deref().map(serde_json::from_str).transpose()?,
        error: row.get("error")?,
    })
}

pub(super) async fn rejected(conn: &mut Conn, collection: &CollectionId, chunk: ChunkRef) -> Done<Vec<RejectedRow>> {
    let found = query(
        "SELECT r.key, r.path, r.entry, r.reason, r.detail FROM ledger_chunk l
         JOIN ledger_rejected r ON r.collection = l.collection AND r.shard = l.shard AND r.chunk = l.chunk
         WHERE l.collection = $1 AND l.shard = $2 AND l.chunk = $3 AND l.version = $4
         ORDER BY r.key, r.entry, r.reason, r.detail",
    )
    .bind(&collection.0)
    .bind(chunk.shard)
    .bind(chunk.chunk)
    .bind(chunk.version)
    .fetch_all(conn)
    .await?;
    found.iter().map(read_rejected).collect()
}

fn read_rejected(row: &Row) -> Done<RejectedRow> {
    let reason: String = row.get("reason")?;
    Ok(RejectedRow {
        key: row.get("key")?,
        shard: row.get("path")?,
        entry: row.get("entry")?,
        reason: serde_json::from_value(reason.as_str().into()).map_err(|_| Fault::unreadable("reason", &reason))?,
        detail: row.get("detail")?,
    })
}

pub(super) async fn writers(conn: &mut Conn, job: JobId) -> Done<Writers> {
    let row = query(
        "SELECT count(*) FILTER (WHERE t.state = 'running') AS running, max(t.lost) AS lost
         FROM job j JOIN task t ON t.kind = 'embed' AND t.collection = j.collection
                                AND (t.state = 'running' OR t.lost IS NOT NULL)
         JOIN shard s ON s.corpus = j.corpus AND s.number = t.shard
         WHERE j.id = $1 AND (s.removed OR s.number IN (SELECT shard FROM job_shard WHERE job = $1))",
    )
    .bind(job)
    .fetch_one(conn)
    .await?;
    Ok(Writers { running: row.get("running")?, lost_at: row.get("lost")? })
}

pub(super) async fn last_epoch(conn: &mut Conn) -> Done<Epoch> {
    let sql =
        conn.pick("SELECT last AS epoch FROM sequence WHERE name = 'epoch'", "SELECT last_value AS epoch FROM epoch");
    query(sql).fetch_one(conn).await?.get("epoch")
}

/// Does nothing to a shard that is there, which it may be again by now.
pub(super) async fn swept(conn: &mut Conn, corpus: &CorpusId, shard: i64) -> Done<()> {
    for sql in [
        "DELETE FROM ledger_chunk WHERE collection IN (SELECT id FROM collection WHERE corpus = $1) AND shard IN
             (SELECT number FROM shard WHERE corpus = $1 AND number = $2 AND removed)",
        "DELETE FROM chunk WHERE corpus = $1 AND shard IN
             (SELECT number FROM shard WHERE corpus = $1 AND number = $2 AND removed)",
    ] {
        query(sql).bind(&corpus.0).bind(shard).execute(conn).await?;
    }
    Ok(())
}
