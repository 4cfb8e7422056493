//! Tasks, jobs and the catalog in one SQLite file, for one process.
//!
//! - One writer connection, every write in one `BEGIN IMMEDIATE` transaction, so that what a transaction reads is what
//!   it changes. Work that grows with the corpus (cancelling) is cut into several transactions.
//! - A task's state changes only by `rows::apply`, which asks [`Task::after`](imagefleet_common::task::Task::after).
//! - Readers see one snapshot each (WAL) and never wait for the writer.
//! - The clock is the database's, read inside the transaction.
//!
//! A task may *run* while a running, unpaused job needs it; it is *wanted* while a job needs it that is submitted,
//! running (paused or not) or blocked. Wanted tasks stay ready, others are cancelled.

mod advance;
mod catalog;
mod claim;
mod control;
mod ends;
mod fault;
mod ledger;
mod listing;
mod migrations;
mod plan;
mod ports;
mod publish;
mod rows;
mod sessions;
mod submit;
mod supersede;
#[cfg(test)]
mod tests;
mod views;

use fault::Fault;
use imagefleet_common::{error::Result, task::RetryRules};
use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool, Transaction,
    sqlite::{Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{path::Path, time::Duration};
use tokio::sync::watch;

type Conn = SqliteConnection;
type Done<T> = std::result::Result<T, Fault>;

#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    pub retry: RetryRules,
}

/// Implements `Tasks`, `Jobs` and `Catalog`.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    settings: Settings,
    changes: watch::Sender<u64>,
}

/// What a connection keeps of its database, in SQLite's notation for KiB: the system's cache holds the rest.
const CACHE: &str = "-256";

/// Does a commit concern whoever waits for [`SqliteStore::changed`]?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tell {
    Everyone,
    Nobody,
}

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
        let store = Self { writer, readers, settings, changes: watch::Sender::new(0) };
        let mut tx = store.begin().await.map_err(|e| e.doing(doing()))?;
        migrations::run(&mut tx).await.map_err(|e| e.doing(doing()))?;
        store.commit(tx, Tell::Nobody).await.map_err(|e| e.doing(doing()))?;
        Ok(store)
    }

    /// Counts the commits after which there may be something to publish, to advance or to show. Beats, marks and
    /// progress are none of them.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// For the holder of the data directory's lock: the processes of all earlier sessions are dead, so their tasks
    /// are ready again, a crash counted for each, and no seal needs to wait for their writes; and the broker that
    /// held the published messages is gone.
    pub async fn take_over(&self) -> Result<()> {
        let done = async {
            let mut tx = self.begin().await?;
            sessions::take_over(&mut tx, &self.settings.retry).await?;
            self.commit(tx, Tell::Everyone).await
        };
        done.await.map_err(|e: Fault| e.doing("take over the sessions of earlier processes"))
    }

    /// Closes all connections and writes the log back into the database file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn begin(&self) -> Done<Transaction<'static, Sqlite>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    async fn commit(&self, tx: Transaction<'static, Sqlite>, tell: Tell) -> Done<()> {
        tx.commit().await?;
        if tell == Tell::Everyone {
            self.changes.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// One snapshot for several queries.
    async fn snapshot(&self) -> Done<Transaction<'static, Sqlite>> {
        Ok(self.readers.begin().await?)
    }
}
