//! The points, in SQLite: one row a point, one writer, every commit durable.
//!
//! The epoch condition is one `ON CONFLICT … WHERE`, as a server does it. Every change of a shard's points raises
//! the shard's count of changes in the same transaction; a segment is named by the count it was read at, so a
//! count never stands for two contents. No transaction takes long: large calls are cut into parts, each of which
//! may be done again.

mod removal;

use super::super::check::no_collection;
use imagefleet_common::{
    attribution::Attribution,
    error::{Error, Result},
    filter::Filter,
    ids::{CollectionId, Epoch},
    job::spec::{CollectionSpec, IndexSection, Quantization, VectorType},
    ports::index::{Doomed, Point, PointHead, Scope, Stored},
    work::ChunkRef,
};
use serde::de::DeserializeOwned;
use sqlx::{
    AssertSqlSafe, Row, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Points a transaction puts: some 40 ms.
const PUT_PART: usize = 1_000;
/// Points a transaction deletes.
const DELETE_PART: i64 = 2_000;
/// Keys a question names.
const KEYS_PART: usize = 500;
/// Raised with the schema below.
const SCHEMA_VERSION: i64 = 1;

/// `point_place` covers what chunks are counted and read back by, so that neither touches a vector.
const SCHEMA: &str = "
CREATE TABLE collection (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    dims INTEGER NOT NULL,
    storage TEXT NOT NULL
);
CREATE TABLE alias (name TEXT PRIMARY KEY, collection TEXT NOT NULL);
CREATE TABLE point (
    collection INTEGER NOT NULL REFERENCES collection (id),
    key TEXT NOT NULL,
    shard INTEGER NOT NULL,
    version INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    payload TEXT NOT NULL,
    vector BLOB NOT NULL
);
CREATE UNIQUE INDEX point_key ON point (collection, key);
CREATE INDEX point_place ON point (collection, shard, chunk, version, epoch, key);
CREATE TABLE shard (
    collection INTEGER NOT NULL REFERENCES collection (id),
    shard INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    sealed INTEGER,
    rows INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (collection, shard)
) WITHOUT ROWID;
CREATE TABLE graph (
    collection INTEGER NOT NULL REFERENCES collection (id),
    name TEXT NOT NULL,
    parts TEXT NOT NULL,
    PRIMARY KEY (collection, name)
) WITHOUT ROWID;
CREATE TRIGGER point_moved AFTER UPDATE OF shard ON point WHEN old.shard <> new.shard
BEGIN
    UPDATE shard SET changes = changes + 1 WHERE collection = old.collection AND shard = old.shard;
END;
";

/// A collection as the database knows it; none of it ever changes.
#[derive(Debug, Clone)]
pub(super) struct Collection {
    pub(super) id: i64,
    pub(super) dims: usize,
    pub(super) storage: IndexSection,
}

/// A shard's sealed state, or one it could be sealed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sealed {
    pub(super) shard: i64,
    pub(super) changes: i64,
    pub(super) rows: u64,
}

/// A row of a segment.
pub(super) struct SegmentRow {
    pub(super) key: String,
    pub(super) epoch: Epoch,
    /// Little-endian f32, `dims` of them.
    pub(super) vector: Vec<u8>,
}

pub(super) struct Database {
    writer: SqlitePool,
    readers: SqlitePool,
    known: Mutex<HashMap<CollectionId, Arc<Collection>>>,
}

impl Database {
    pub(super) async fn open(file: &Path) -> Result<Self> {
        let doing = || format!("open index {}", file.display());
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .page_size(16_384)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // In KiB: the system's cache holds the rest.
            .pragma("cache_size", "-256")
            .busy_timeout(Duration::from_secs(10));
        let pool =
            |connections| SqlitePoolOptions::new().max_connections(connections).idle_timeout(None).max_lifetime(None);
        let writer = pool(1).connect_lazy_with(options.clone());
        let database = Self { writer, readers: pool(4).connect_lazy_with(options), known: Mutex::default() };
        database.migrate().await.map_err(|error| error.while_doing(doing()))?;
        Ok(database)
    }

    /// Readers find the schema in place and take no lock.
    async fn migrate(&self) -> Result<()> {
        const DOING: &str = "read the schema's version";
        let version = || sqlx::query_scalar::<_, i64>("PRAGMA user_version");
        let found = version().fetch_one(&self.readers).await.map_err(failed(DOING))?;
        if found == SCHEMA_VERSION {
            return Ok(());
        }
        let mut write = self.write().await?;
        let found = version().fetch_one(&mut *write).await.map_err(failed(DOING))?;
        match found {
            SCHEMA_VERSION => return Ok(()),
            0 => {}
            other => {
                return Err(Error::permanent(format!(
                    "its schema is version {other}, this imagefleet knows {SCHEMA_VERSION}: install the one that wrote it, or \
                     remove the index and embed again with `imagefleet verify FILE --repair`"
                )));
            }
        }
        let schema = format!("{SCHEMA} PRAGMA user_version = {SCHEMA_VERSION};");
        sqlx::raw_sql(AssertSqlSafe(schema)).execute(&mut *write).await.map_err(failed("create the schema"))?;
        write.commit().await.map_err(failed("create the schema"))
    }

    async fn write(&self) -> Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin to write to the index"))
    }

    pub(super) async fn ensure(&self, wanted: &CollectionSpec) -> Result<()> {
        if wanted.dims == 0 {
            return Err(Error::permanent(format!("make collection {}: vectors need a dimension", wanted.id)));
        }
        let storage = wanted.storage.effective();
        if (storage.vectors, storage.quantization) != (VectorType::F32, Quantization::None) {
            return Err(Error::permanent(format!(
                "make collection {}: this index keeps f32 vectors as they are and cannot store {storage}; leave \
                 index.vectors and index.quantization out of the job file",
                wanted.id
            )));
        }
        let mut write = self.write().await?;
        sqlx::query("INSERT INTO collection (name, dims, storage) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
            .bind(&wanted.id.0)
            .bind(wanted.dims as i64)
            .bind(serde_json::to_string(&storage).expect("settings have string keys"))
            .execute(&mut *write)
            .await
            .map_err(failed("make a collection"))?;
        write.commit().await.map_err(failed("make a collection"))?;
        let found = self.collection(&wanted.id).await?;
        let settings = |dims: usize, storage: &IndexSection| format!("{dims} dimensions, {storage}");
        if (found.dims, &found.storage) != (wanted.dims, &storage) {
            let (found, wanted_settings) = (settings(found.dims, &found.storage), settings(wanted.dims, &storage));
            return Err(Error::permanent(format!(
                "collection {} was made with {found}; the job file asks for {wanted_settings}",
                wanted.id
            )));
        }
        Ok(())
    }

    pub(super) async fn collection(&self, id: &CollectionId) -> Result<Arc<Collection>> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(id) {
            return Ok(Arc::clone(found));
        }
        let row = sqlx::query("SELECT id, dims, storage FROM collection WHERE name = $1")
            .bind(&id.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("read a collection"))?
            .ok_or_else(|| no_collection(id))?;
        let storage = serde_json::from_str(row.get("storage"))
            .map_err(|error| Error::permanent(format!("read the settings of collection {id}")).because(error))?;
        let found = Arc::new(Collection { id: row.get("id"), dims: row.get::<i64, _>("dims") as usize, storage });
        known().insert(id.clone(), Arc::clone(&found));
        Ok(found)
    }

    pub(super) async fn put(
        &self,
        collection: &Collection,
        at: ChunkRef,
        epoch: Epoch,
        points: &[Point],
    ) -> Result<()> {
        for part in points.chunks(PUT_PART) {
            let mut write = self.write().await?;
            let mut written = 0;
            for point in part {
                let payload = serde_json::to_string(&point.payload).expect("a payload has string keys");
                written += sqlx::query(
                    "INSERT INTO point (collection, key, shard, version, chunk, epoch, payload, vector)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                     ON CONFLICT (collection, key) DO UPDATE SET
                        shard = excluded.shard, version = excluded.version, chunk = excluded.chunk,
                        epoch = excluded.epoch, payload = excluded.payload, vector = excluded.vector
                     WHERE point.epoch <= excluded.epoch",
                )
                .bind(collection.id)
                .bind(&point.key)
                .bind(at.shard)
                .bind(at.version)
                .bind(at.chunk)
                .bind(epoch)
                .bind(payload)
                .bind(bytes_of(&point.vector))
                .execute(&mut *write)
                .await
                .map_err(failed("put points"))?
                .rows_affected();
            }
            if written > 0 {
                raise(&mut write, collection, at.shard).await?;
            }
            write.commit().await.map_err(failed("put points"))?;
        }
        Ok(())
    }

    pub(super) async fn delete(&self, collection: &Collection, doomed: &Doomed) -> Result<()> {
        match doomed {
            Doomed::OlderInChunk { shard, chunk, before } => {
                self.delete_where(collection, "shard = $2 AND chunk = $3 AND epoch < $4", &[*shard, *chunk, *before])
                    .await
            }
            Doomed::Chunk { at, up_to } => {
                let place = [at.shard, at.chunk, at.version, *up_to];
                self.delete_where(collection, "shard = $2 AND chunk = $3 AND version = $4 AND epoch <= $5", &place)
                    .await
            }
            Doomed::Shard { shard, up_to } => {
                self.delete_where(collection, "shard = $2 AND epoch <= $3", &[*shard, *up_to]).await
            }
            Doomed::Keys { keys, up_to } => {
                for part in keys.chunks(KEYS_PART) {
                    let mut write = self.write().await?;
                    let shards = sqlx::query_scalar(
                        "DELETE FROM point WHERE collection = $1 AND epoch <= $2
                            AND key IN (SELECT value FROM json_each($3)) RETURNING shard",
                    )
                    .bind(collection.id)
                    .bind(up_to)
                    .bind(json_of(part))
                    .fetch_all(&mut *write)
                    .await
                    .map_err(failed("delete points by key"))?;
                    for shard in BTreeSet::from_iter(shards) {
                        raise(&mut write, collection, shard).await?;
                    }
                    write.commit().await.map_err(failed("delete points by key"))?;
                }
                Ok(())
            }
        }
    }

    /// Deletes where `condition` holds, whose `$2` is the shard.
    async fn delete_where(&self, collection: &Collection, condition: &str, values: &[i64]) -> Result<()> {
        let delete = format!(
            "DELETE FROM point WHERE rowid IN (
                SELECT rowid FROM point WHERE collection = $1 AND {condition} LIMIT {DELETE_PART})"
        );
        loop {
            let mut write = self.write().await?;
            let mut query = sqlx::query(AssertSqlSafe(delete.clone())).bind(collection.id);
            for value in values {
                query = query.bind(value);
            }
            let deleted = query.execute(&mut *write).await.map_err(failed("delete points"))?.rows_affected();
            if deleted == 0 {
                return Ok(());
            }
            raise(&mut write, collection, values[0]).await?;
            write.commit().await.map_err(failed("delete points"))?;
        }
    }

    pub(super) async fn chunk(&self, collection: &Collection, shard: i64, chunk: i64) -> Result<Vec<PointHead>> {
        let rows = sqlx::query(
            "SELECT key, shard, version, chunk, epoch FROM point
             WHERE collection = $1 AND shard = $2 AND chunk = $3 ORDER BY key",
        )
        .bind(collection.id)
        .bind(shard)
        .bind(chunk)
        .fetch_all(&self.readers)
        .await
        .map_err(failed("read a chunk back"))?;
        Ok(rows.iter().map(head_of).collect())
    }

    pub(super) async fn counts(&self, collection: &Collection, scope: &Scope) -> Result<Vec<(ChunkRef, u64)>> {
        let shards = match scope {
            Scope::All => None,
            Scope::Shards(shards) => Some(json_of(shards)),
        };
        let rows = sqlx::query(
            "SELECT shard, version, chunk, count(*) AS points FROM point
             WHERE collection = $1 AND ($2 IS NULL OR shard IN (SELECT value FROM json_each($2)))
             GROUP BY shard, version, chunk ORDER BY shard, version, chunk",
        )
        .bind(collection.id)
        .bind(shards)
        .fetch_all(&self.readers)
        .await
        .map_err(failed("count points"))?;
        let count = |row: &SqliteRow| {
            let at = ChunkRef { shard: row.get("shard"), version: row.get("version"), chunk: row.get("chunk") };
            (at, row.get::<i64, _>("points") as u64)
        };
        Ok(rows.iter().map(count).collect())
    }

    pub(super) async fn payloads(&self, collection: &Collection, keys: &[String]) -> Result<Vec<Option<Stored>>> {
        let read = |row: &SqliteRow| Ok(Stored { head: head_of(row), payload: payload_of(row)? });
        self.by_key(collection, keys, "shard, version, chunk, epoch, payload", read).await
    }

    /// Which of these points are there and let through by `filter`, in the order of `keys`.
    pub(super) async fn lets_through(
        &self,
        collection: &Collection,
        keys: &[String],
        filter: &Filter,
    ) -> Result<Vec<bool>> {
        // Only the part of a payload that filters look at is read.
        let read = |row: &SqliteRow| Ok(filter.lets_through(&payload_of::<Attribution>(row)?));
        let found = self.by_key(collection, keys, "payload", read).await?;
        Ok(found.into_iter().map(|found| found.unwrap_or(false)).collect())
    }

    pub(super) async fn vectors(&self, collection: &Collection, keys: &[String]) -> Result<Vec<Option<Vec<f32>>>> {
        self.by_key(collection, keys, "vector", |row| Ok(floats_of(row.get("vector")))).await
    }

    async fn by_key<T: Clone>(
        &self,
        collection: &Collection,
        keys: &[String],
        columns: &str,
        read: impl Fn(&SqliteRow) -> Result<T>,
    ) -> Result<Vec<Option<T>>> {
        let select = format!(
            "SELECT key, {columns} FROM point WHERE collection = $1 AND key IN (SELECT value FROM json_each($2))"
        );
        let mut answers = Vec::with_capacity(keys.len());
        for part in keys.chunks(KEYS_PART) {
            let rows = sqlx::query(AssertSqlSafe(select.clone()))
                .bind(collection.id)
                .bind(json_of(part))
                .fetch_all(&self.readers)
                .await
                .map_err(failed("read points by key"))?;
            let mut found = HashMap::with_capacity(rows.len());
            for row in &rows {
                found.insert(row.get::<String, _>("key"), read(row)?);
            }
            answers.extend(part.iter().map(|key| found.get(key).cloned()));
        }
        Ok(answers)
    }

    /// Those of `shards` whose points changed since they were sealed.
    pub(super) async fn unsealed(&self, collection: &Collection, shards: &[i64]) -> Result<Vec<i64>> {
        sqlx::query_scalar(
            "SELECT shard FROM shard WHERE collection = $1 AND sealed IS NOT changes
                AND shard IN (SELECT value FROM json_each($2)) ORDER BY shard",
        )
        .bind(collection.id)
        .bind(json_of(shards))
        .fetch_all(&self.readers)
        .await
        .map_err(failed("look for shards to seal"))
    }

    /// All sealed shards, ascending.
    pub(super) async fn sealed(&self, collection: &Collection) -> Result<Vec<Sealed>> {
        let rows = sqlx::query(
            "SELECT shard, sealed, rows FROM shard
             WHERE collection = $1 AND sealed IS NOT NULL ORDER BY shard",
        )
        .bind(collection.id)
        .fetch_all(&self.readers)
        .await
        .map_err(failed("look for sealed shards"))?;
        let sealed = |row: &SqliteRow| Sealed {
            shard: row.get("shard"),
            changes: row.get("sealed"),
            rows: row.get::<i64, _>("rows") as u64,
        };
        Ok(rows.iter().map(sealed).collect())
    }

    /// One moment's view of a shard: its count of changes, then its points as [`ShardView::part`] reads them.
    pub(super) async fn view(&self, collection: &Collection, shard: i64) -> Result<ShardView> {
        let mut read = self.readers.begin().await.map_err(failed("begin to read a shard"))?;
        let changes = sqlx::query_scalar("SELECT changes FROM shard WHERE collection = $1 AND shard = $2")
            .bind(collection.id)
            .bind(shard)
            .fetch_one(&mut *read)
            .await
            .map_err(failed("read a shard's count of changes"))?;
        Ok(ShardView { read, collection: collection.id, shard, changes, last: None })
    }

    /// The segment of `sealed` is in its place: searches use it from now on.
    pub(super) async fn mark_sealed(&self, collection: &Collection, sealed: Sealed) -> Result<()> {
        sqlx::query("UPDATE shard SET sealed = $3, rows = $4 WHERE collection = $1 AND shard = $2")
            .bind(collection.id)
            .bind(sealed.shard)
            .bind(sealed.changes)
            .bind(sealed.rows as i64)
            .execute(&self.writer)
            .await
            .map_err(failed("mark a shard as sealed"))?;
        Ok(())
    }

    /// Graphs of the collection: their names and, as text, the segments each was built over.
    pub(super) async fn graphs(&self, collection: &Collection) -> Result<Vec<(String, String)>> {
        sqlx::query_as("SELECT name, parts FROM graph WHERE collection = $1 ORDER BY name")
            .bind(collection.id)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("look for graphs"))
    }

    pub(super) async fn add_graph(&self, collection: &Collection, name: &str, parts: &str) -> Result<()> {
        sqlx::query("INSERT INTO graph (collection, name, parts) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(collection.id)
            .bind(name)
            .bind(parts)
            .execute(&self.writer)
            .await
            .map_err(failed("record a graph"))?;
        Ok(())
    }

    pub(super) async fn drop_graph(&self, collection: &Collection, name: &str) -> Result<()> {
        sqlx::query("DELETE FROM graph WHERE collection = $1 AND name = $2")
            .bind(collection.id)
            .bind(name)
            .execute(&self.writer)
            .await
            .map_err(failed("drop a graph"))?;
        Ok(())
    }

    pub(super) async fn alias(&self, name: &str, collection: &CollectionId) -> Result<()> {
        self.collection(collection).await?;
        sqlx::query(
            "INSERT INTO alias (name, collection) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET collection = excluded.collection",
        )
        .bind(name)
        .bind(&collection.0)
        .execute(&self.writer)
        .await
        .map_err(failed("switch an alias"))?;
        Ok(())
    }

    pub(super) async fn resolve(&self, name: &str) -> Result<Option<CollectionId>> {
        sqlx::query_scalar("SELECT collection FROM alias WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.readers)
            .await
            .map(|found| found.map(CollectionId))
            .map_err(failed("resolve an alias"))
    }
}

/// A shard as it was when the view was taken, whatever is written since.
pub(super) struct ShardView {
    read: Transaction<'static, Sqlite>,
    collection: i64,
    shard: i64,
    pub(super) changes: i64,
    /// Chunk and key of the last row that was read.
    last: Option<(i64, String)>,
}

impl ShardView {
    /// The next `limit` points by chunk and key; fewer at the end.
    pub(super) async fn part(&mut self, limit: i64) -> Result<Vec<SegmentRow>> {
        let (chunk, key) = self.last.clone().unwrap_or((i64::MIN, String::new()));
        let rows = sqlx::query(
            "SELECT chunk, key, epoch, vector FROM point
             WHERE collection = $1 AND shard = $2 AND (chunk, key) > ($3, $4) ORDER BY chunk, key LIMIT $5",
        )
        .bind(self.collection)
        .bind(self.shard)
        .bind(chunk)
        .bind(key)
        .bind(limit)
        .fetch_all(&mut *self.read)
        .await
        .map_err(failed("read a shard's points"))?;
        self.last = rows.last().map(|row| (row.get("chunk"), row.get("key"))).or_else(|| self.last.take());
        let row =
            |row: &SqliteRow| SegmentRow { key: row.get("key"), epoch: row.get("epoch"), vector: row.get("vector") };
        Ok(rows.iter().map(row).collect())
    }
}

/// The shard's points are no longer those of its last segment.
async fn raise(write: &mut Transaction<'static, Sqlite>, collection: &Collection, shard: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO shard (collection, shard, changes) VALUES ($1, $2, 1)
         ON CONFLICT (collection, shard) DO UPDATE SET changes = changes + 1",
    )
    .bind(collection.id)
    .bind(shard)
    .execute(&mut **write)
    .await
    .map_err(failed("raise a shard's count of changes"))?;
    Ok(())
}

fn head_of(row: &SqliteRow) -> PointHead {
    let at = ChunkRef { shard: row.get("shard"), version: row.get("version"), chunk: row.get("chunk") };
    PointHead { key: row.get("key"), at, epoch: row.get("epoch") }
}

fn payload_of<T: DeserializeOwned>(row: &SqliteRow) -> Result<T> {
    serde_json::from_str(row.get("payload"))
        .map_err(|error| Error::permanent(format!("read the payload of {}", row.get::<&str, _>("key"))).because(error))
}

fn bytes_of(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats_of(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks();
    values.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

fn json_of<T: serde::Serialize + ?Sized>(values: &T) -> String {
    serde_json::to_string(values).expect("lists of numbers and strings serialise")
}

/// What SQLite says of itself rarely lasts (busy, a full disk, too many open files); a broken file does.
fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| {
        let code = error.as_database_error().and_then(|error| error.code());
        // SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_CONSTRAINT, by their primary code.
        let permanent =
            code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| matches!(code & 0xff, 11 | 26 | 19));
        match permanent {
            true => Error::permanent(doing).because(error),
            false => Error::transient(doing).because(error),
        }
    }
}
