//! Takedowns: pictures that are to have no vector any more, and how the ledger comes to say so.
//!
//! A takedown is alone with everything, a chunk's end is not alone with takedowns: so each end sees every takedown that was
//! written before it, and each takedown finds in the ledger every end that did not see it.

use super::{
    Done,
    ledger::{At, insert_rejected},
    query::{Conn, Row, query},
};
use imagefleet_common::{
    Error,
    ids::CollectionId,
    ledger::{Reason, RejectedRow, Rejection, Takedown},
    ports::{index::Stored, tasks::Embedded},
    work::ChunkRef,
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

fn read(row: &Row) -> Done<Takedown> {
    Ok(Takedown { number: row.get("number")?, key: row.get("key")?, at: row.get("at")?, why: row.get("why")? })
}

pub(super) async fn take_down(conn: &mut Conn, key: &str, why: &str) -> Done<Takedown> {
    let now = conn.now().await?;
    query("INSERT INTO takedown (key, at, why) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING")
        .bind(key)
        .bind(now)
        .bind(why)
        .execute(conn)
        .await?;
    let found = find(conn, key).await?;
    found.ok_or_else(|| Error::permanent("it was written and is not there").into())
}

async fn find(conn: &mut Conn, key: &str) -> Done<Option<Takedown>> {
    let row = query("SELECT number, key, at, why FROM takedown WHERE key = $1").bind(key).fetch_optional(conn).await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn since(conn: &mut Conn, after: i64) -> Done<Vec<Takedown>> {
    let found = query("SELECT number, key, at, why FROM takedown WHERE number > $1 ORDER BY number")
        .bind(after)
        .fetch_all(conn)
        .await?;
    found.iter().map(read).collect()
}

/// What an attempt may say of a chunk in the light of takedowns that it did not heed.
pub(super) async fn heed<'a>(conn: &mut Conn, at: &At<'_>, embedded: &'a Embedded) -> Done<Cow<'a, Embedded>> {
    let newer: HashMap<String, Takedown> =
        since(conn, embedded.takedowns).await?.into_iter().map(|takedown| (takedown.key.clone(), takedown)).collect();
    if newer.is_empty() {
        return Ok(Cow::Borrowed(embedded));
    }
    let taken: Vec<_> =
        embedded.pictures.iter().filter_map(|picture| Some((picture, newer.get(&picture.key)?))).collect();
    if taken.is_empty() {
        return Ok(Cow::Borrowed(embedded));
    }
    let shard: String = query("SELECT path FROM shard WHERE corpus = $1 AND number = $2")
        .bind(at.corpus)
        .bind(at.chunk.shard)
        .fetch_one(conn)
        .await?
        .get("path")?;
    let mut heeded = embedded.clone();
    for (picture, takedown) in taken {
        let Rejection { reason, detail } = takedown.rejection();
        heeded.counts.embedded -= 1;
        heeded.counts.unattributed -= u64::from(picture.unattributed);
        *heeded.counts.rejected.entry(reason).or_default() += 1;
        let (key, entry) = (picture.key.clone(), picture.entry.clone());
        heeded.rejected.push(RejectedRow { key, shard: shard.clone(), entry, reason, detail });
    }
    Ok(Cow::Owned(heeded))
}

pub(super) async fn take_out(conn: &mut Conn, collection: &CollectionId, point: &Stored) -> Done<bool> {
    let (at, key) = (point.head.at, &point.head.key);
    let takedown = find(conn, key).await?.ok_or_else(|| Error::permanent(format!("{key} was not taken down")))?;
    let counted = query(
        "SELECT unattributed, rejected FROM ledger_chunk
         WHERE collection = $1 AND shard = $2 AND chunk = $3 AND version = $4 AND epoch = $5",
    )
    .bind(&collection.0)
    .bind(at.shard)
    .bind(at.chunk)
    .bind(at.version)
    .bind(point.head.epoch)
    .fetch_optional(conn)
    .await?;
    let Some(counted) = counted else { return Ok(false) };
    if taken_from(conn, key).await?.contains(&(collection.clone(), at)) {
        return Ok(false);
    }
    let mut rejected: BTreeMap<Reason, u64> = counted.json("rejected")?;
    *rejected.entry(Reason::Takedown).or_default() += 1;
    let unattributed = i64::from(point.payload.attribution == Default::default()).min(counted.get("unattributed")?);
    query(
        "UPDATE ledger_chunk SET embedded = embedded - 1, unattributed = unattributed - $4, rejected = $5
         WHERE collection = $1 AND shard = $2 AND chunk = $3",
    )
    .bind(&collection.0)
    .bind(at.shard)
    .bind(at.chunk)
    .bind(unattributed)
    .bind(serde_json::to_string(&rejected)?)
    .execute(conn)
    .await?;
    let Rejection { reason, detail } = takedown.rejection();
    let (shard, entry) = (point.payload.shard_path.clone(), point.payload.entry.clone());
    insert_rejected(conn, collection, at, &RejectedRow { key: key.clone(), shard, entry, reason, detail }).await?;
    Ok(true)
}

pub(super) async fn taken_from(conn: &mut Conn, key: &str) -> Done<Vec<(CollectionId, ChunkRef)>> {
    let found = query(
        "SELECT DISTINCT l.collection, l.shard, l.version, l.chunk FROM ledger_rejected r
         JOIN ledger_chunk l ON l.collection = r.collection AND l.shard = r.shard AND l.chunk = r.chunk
         WHERE r.key = $1 AND r.reason = 'takedown' ORDER BY l.collection, l.shard, l.chunk",
    )
    .bind(key)
    .fetch_all(conn)
    .await?;
    let read = |row: &Row| {
        let at = ChunkRef { shard: row.get("shard")?, version: row.get("version")?, chunk: row.get("chunk")? };
        Ok((CollectionId(row.get("collection")?), at))
    };
    found.iter().map(read).collect()
}
