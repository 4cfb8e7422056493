//! Tasks, jobs and the catalog in one SQLite file, for one process.
//!
//! One writer connection, every write in one `BEGIN IMMEDIATE` transaction. Work that grows with the corpus (cancelling)
//! is cut into several transactions. Readers see one snapshot each (WAL) and never wait for the writer.

mod migrations;
#[cfg(test)]
mod tests;

use super::sql::{
    Database, Done, Lock, Store,
    fault::Fault,
    query::{Conn, Db},
    sessions,
};
use async_trait::async_trait;
use imagefleet_common::{error::Result, task::RetryRules};
use sqlx::{
    ConnectOptions, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{path::Path, time::Duration};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    pub retry: RetryRules,
}

/// Implements `Tasks`, `Jobs` and `Catalog`.
pub type SqliteStore = Store<Sqlite>;

pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    changes: watch::Sender<u64>,
}

/// What a connection keeps of its database, in SQLite's notation for KiB: the system's cache holds the rest.
const CACHE: &str = "-256";

impl SqliteStore {
    /// Opens or creates the database file and brings its tables up to date. Permanent error where a newer
    /// version wrote it.
    pub async fn open(path: &Path, settings: Settings) -> Result<Self> {
        let doing = || format!("open the database {}", path.display());
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("cache_size", CACHE)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        let pool = |size: u32| {
            SqlitePoolOptions::new()
                .max_connections(size)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                .acquire_timeout(Duration::from_secs(60))
        };
        let writer = pool(1).connect_with(options.clone()).await.map_err(|e| Fault::from(e).doing(doing()))?;
        let readers = pool(4).connect_lazy_with(options.pragma("query_only", "on"));
        migrations::run(&writer).await.map_err(|e| e.doing(doing()))?;
        Ok(Self::new(Sqlite { writer, readers, changes: watch::Sender::new(0) }, settings.retry))
    }

    /// Counts the commits after which there may be something to publish, to advance or to show. Beats, marks and
    /// progress are none of them.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.database.changes.subscribe()
    }

    /// For the holder of the data directory's lock: the processes of all earlier sessions are dead, so their tasks
    /// are ready again, a crash counted for each, and no seal needs to wait for their writes; and the broker that
    /// held the published messages is gone.
    pub async fn take_over(&self) -> Result<()> {
        let done = async {
            let mut conn = self.database.begin(Lock::Structure).await?;
            sessions::take_over(&mut conn, &self.retry).await?;
            conn.commit().await?;
            self.database.tell();
            Ok(())
        };
        done.await.map_err(|e: Fault| e.doing("take over the sessions of earlier processes"))
    }

    /// Closes all connections and writes the log back into the database file.
    pub async fn close(&self) {
        self.database.readers.close().await;
        self.database.writer.close().await;
    }
}

#[async_trait]
impl Database for Sqlite {
    /// Alone with everything, whatever the lock.
    async fn begin(&self, _: Lock) -> Done<Conn> {
        Ok(Conn::new(Db::Sqlite(self.writer.begin_with("BEGIN IMMEDIATE").await?)))
    }

    async fn snapshot(&self) -> Done<Conn> {
        Ok(Conn::new(Db::Sqlite(self.readers.begin().await?)))
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// It is in this process: there is nobody to lose.
    fn limit(&self) -> Duration {
        Duration::MAX
    }
}
