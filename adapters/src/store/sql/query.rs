//! One way to ask either database: SQL with `$1` placeholders, and values and rows whose types are ours.
//!
//! Where the dialects differ, [`Conn::pick`] takes the text of each.

use super::{Done, Fault};
use imagefleet_common::ids::{JobId, Millis, SessionId, TaskId};
use serde::de::DeserializeOwned;
#[cfg(feature = "fleet")]
use sqlx::postgres::{PgRow, Postgres};
#[cfg(feature = "embedded")]
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, SqlStr, Transaction};
#[cfg(feature = "fleet")]
use std::convert::identity;
use uuid::Uuid;

/// A transaction, or a snapshot to read from.
pub(in crate::store) struct Conn {
    pub(in crate::store) db: Db,
    /// The database's clock, once it was asked: a transaction happens at one time.
    pub(in crate::store) now: Option<Millis>,
}

pub(in crate::store) enum Db {
    #[cfg(feature = "embedded")]
    Sqlite(Transaction<'static, Sqlite>),
    #[cfg(feature = "fleet")]
    Postgres(Transaction<'static, Postgres>),
}

impl Conn {
    pub(in crate::store) fn new(db: Db) -> Self {
        Self { db, now: None }
    }

    /// The database's clock.
    pub(super) async fn now(&mut self) -> Done<Millis> {
        if let Some(now) = self.now {
            return Ok(now);
        }
        let sql = self.pick(
            "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now",
            "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now",
        );
        let now = query(sql).fetch_one(self).await?.get("now")?;
        self.now = Some(now);
        Ok(now)
    }

    /// The one of two texts that this database understands.
    #[cfg_attr(not(all(feature = "embedded", feature = "fleet")), expect(unused_variables, reason = "one is left"))]
    pub(super) fn pick<T>(&self, sqlite: T, postgres: T) -> T {
        match self.db {
            #[cfg(feature = "embedded")]
            Db::Sqlite(_) => sqlite,
            #[cfg(feature = "fleet")]
            Db::Postgres(_) => postgres,
        }
    }

    pub(in crate::store) async fn commit(self) -> Done<()> {
        match self.db {
            #[cfg(feature = "embedded")]
            Db::Sqlite(tx) => tx.commit().await?,
            #[cfg(feature = "fleet")]
            Db::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// What a placeholder stands for.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    /// SQLite keeps ids as text.
    Id(Option<Uuid>),
    Bool(bool),
    Texts(Vec<Option<String>>),
    Ids(Vec<Option<Uuid>>),
    Ints(Vec<Option<i64>>),
}

macro_rules! values {
    ($($type:ty: $from:expr;)*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                $from(value)
            }
        })*
    };
}

values! {
    i64: |value| Value::Int(Some(value));
    i32: |value| Value::Int(Some(i64::from(value)));
    u32: |value| Value::Int(Some(i64::from(value)));
    Option<i64>: Value::Int;
    bool: Value::Bool;
    String: |value| Value::Text(Some(value));
    &String: |value: &String| Value::Text(Some(value.clone()));
    &str: |value: &str| Value::Text(Some(value.to_owned()));
    Option<&str>: |value: Option<&str>| Value::Text(value.map(str::to_owned));
    Option<String>: Value::Text;
    Uuid: |value| Value::Id(Some(value));
    Option<Uuid>: Value::Id;
    JobId: |value: JobId| Value::Id(Some(value.0));
    TaskId: |value: TaskId| Value::Id(Some(value.0));
    SessionId: |value: SessionId| Value::Id(Some(value.0));
    Option<SessionId>: |value: Option<SessionId>| Value::Id(value.map(|id| id.0));
    Option<JobId>: |value: Option<JobId>| Value::Id(value.map(|id| id.0));
    Vec<String>: |values: Vec<String>| Value::Texts(values.into_iter().map(Some).collect());
    Vec<Option<String>>: Value::Texts;
    Vec<Uuid>: |values: Vec<Uuid>| Value::Ids(values.into_iter().map(Some).collect());
    Vec<Option<Uuid>>: Value::Ids;
    Vec<Option<i64>>: Value::Ints;
}

/// A statement and its values.
pub(super) struct Query {
    sql: SqlStr,
    values: Vec<Value>,
}

pub(super) fn query(sql: &'static str) -> Query {
    Query { sql: sqlx::SqlSafeStr::into_sql_str(sql), values: Vec::new() }
}

/// Binds every value, each in the type that this database has for it.
macro_rules! bound {
    ($query:expr, $id:expr, $list:expr, $ids:expr, $ints:expr) => {{
        let mut query = sqlx::query($query.sql);
        for value in $query.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Id(value) => query.bind(value.map($id)),
                Value::Bool(value) => query.bind(value),
                Value::Texts(values) => query.bind($list(values)),
                Value::Ids(values) => query.bind($ids(values)),
                Value::Ints(values) => query.bind($ints(values)),
            };
        }
        query
    }};
}

/// Runs one of sqlx's fetching methods on either database.
macro_rules! run {
    ($self:expr, $conn:expr, $method:ident, $found:ident, $row:ident => $done:expr) => {
        match &mut $conn.db {
            #[cfg(feature = "embedded")]
            Db::Sqlite(tx) => {
                // SQLite has no lists: one is a JSON text, which `json_each` takes apart.
                let texts = |list: Vec<Option<String>>| serde_json::json!(list).to_string();
                let ids = |list: Vec<Option<Uuid>>| texts(list.iter().map(|id| id.map(|id| id.to_string())).collect());
                let ints = |list: Vec<Option<i64>>| serde_json::json!(list).to_string();
                let $found = bound!($self, |id: Uuid| id.to_string(), texts, ids, ints).$method(&mut **tx).await?;
                #[allow(unused, reason = "not every method has rows")]
                let $row = Row::Sqlite;
                $done
            }
            #[cfg(feature = "fleet")]
            Db::Postgres(tx) => {
                let $found = bound!($self, identity, identity, identity, identity).$method(&mut **tx).await?;
                #[allow(unused, reason = "not every method has rows")]
                let $row = Row::Postgres;
                $done
            }
        }
    };
}

impl Query {
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Locks the rows of the table `t` that it finds until the transaction ends. In SQLite a transaction that writes is
    /// alone anyway.
    pub(super) fn locked(self, conn: &Conn) -> Self {
        self.and(conn.pick("", " FOR UPDATE OF t"))
    }

    /// The same, but passes over rows that another transaction has.
    pub(super) fn locked_but_for_busy(self, conn: &Conn) -> Self {
        self.and(conn.pick("", " FOR UPDATE OF t SKIP LOCKED"))
    }

    fn and(mut self, rest: &'static str) -> Self {
        if !rest.is_empty() {
            // Both parts are literals of this program.
            self.sql = sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(format!("{}{rest}", self.sql.as_str())));
        }
        self
    }

    /// The number of rows that it changed.
    pub(super) async fn execute(self, conn: &mut Conn) -> Done<u64> {
        run!(self, conn, execute, done, _row => Ok(done.rows_affected()))
    }

    pub(super) async fn fetch_all(self, conn: &mut Conn) -> Done<Vec<Row>> {
        run!(self, conn, fetch_all, found, row => Ok(found.into_iter().map(row).collect()))
    }

    pub(super) async fn fetch_optional(self, conn: &mut Conn) -> Done<Option<Row>> {
        run!(self, conn, fetch_optional, found, row => Ok(found.map(row)))
    }

    pub(super) async fn fetch_one(self, conn: &mut Conn) -> Done<Row> {
        run!(self, conn, fetch_one, found, row => Ok(row(found)))
    }
}

pub(super) enum Row {
    #[cfg(feature = "embedded")]
    Sqlite(SqliteRow),
    #[cfg(feature = "fleet")]
    Postgres(PgRow),
}

impl Row {
    pub(super) fn get<T: Cell>(&self, column: &str) -> Done<T> {
        T::read(self, column)
    }

    /// A column that holds JSON.
    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Done<T> {
        Ok(serde_json::from_str(&self.get::<String>(column)?)?)
    }
}

/// What a column holds.
pub(super) trait Cell: Sized {
    fn read(row: &Row, column: &str) -> Done<Self>;
}

/// Types that both databases have.
macro_rules! plain_cells {
    ($($type:ty),*) => {
        $(impl Cell for $type {
            fn read(row: &Row, column: &str) -> Done<Self> {
                match row {
                    #[cfg(feature = "embedded")]
                    Row::Sqlite(row) => Ok(row.try_get(column)?),
                    #[cfg(feature = "fleet")]
                    Row::Postgres(row) => Ok(row.try_get(column)?),
                }
            }
        })*
    };
}

plain_cells!(i64, Option<i64>, bool, String, Option<String>);

impl Cell for Option<Uuid> {
    fn read(row: &Row, column: &str) -> Done<Self> {
        match row {
            #[cfg(feature = "embedded")]
            Row::Sqlite(row) => {
                let text: Option<&str> = row.try_get(column)?;
                text.map(|text| text.parse().map_err(|_| Fault::unreadable(column, text))).transpose()
            }
            #[cfg(feature = "fleet")]
            Row::Postgres(row) => Ok(row.try_get(column)?),
        }
    }
}

/// A cell that is read as another one.
macro_rules! derived_cells {
    ($($type:ty = $from:ty: $read:expr;)*) => {
        $(impl Cell for $type {
            fn read(row: &Row, column: &str) -> Done<Self> {
                let value: $from = row.get(column)?;
                let read: Option<Self> = $read(value);
                read.ok_or_else(|| Fault::unreadable(column, &format!("{value:?}")))
            }
        })*
    };
}

derived_cells! {
    i32 = i64: |value: i64| i32::try_from(value).ok();
    u32 = i64: |value: i64| u32::try_from(value).ok();
    u64 = i64: |value: i64| u64::try_from(value).ok();
    usize = i64: |value: i64| usize::try_from(value).ok();
    Option<u64> = Option<i64>: |value: Option<i64>| value.map(|value| u64::try_from(value).ok()).map_or(Some(None), |it| it.map(Some));
    Uuid = Option<Uuid>: |value: Option<Uuid>| value;
    JobId = Option<Uuid>: |value: Option<Uuid>| value.map(JobId);
    TaskId = Option<Uuid>: |value: Option<Uuid>| value.map(TaskId);
    SessionId = Option<Uuid>: |value: Option<Uuid>| value.map(SessionId);
    Option<SessionId> = Option<Uuid>: |value: Option<Uuid>| Some(value.map(SessionId));
}
