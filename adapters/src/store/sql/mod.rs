//! What both databases do alike: the ports, each method a transaction, over SQL that both understand.
//!
//! - A task's state changes only by `rows::apply`, which asks [`Task::after`](imagefleet_common::task::Task::after).
//! - Every transaction that writes says what it needs to be alone with ([`Lock`]). In SQLite there is one writer and so
//!   each is alone with everything. In Postgres what changes which tasks there are, or which may run, is alone
//!   ([`Lock::Structure`]); claims and ends of tasks go on side by side ([`Lock::Rows`]), each with its task's row
//!   locked. So a transaction reads what it changes, in either.
//! - Readers see one snapshot each and wait for nobody.
//! - The clock is the database's, read inside the transaction once its lock is held.
//!
//! A task may *run* while a running, unpaused job needs it; it is *wanted* while a job needs it that is submitted,
//! running (paused or not) or blocked. Wanted tasks stay ready, others are cancelled.

mod advance;
mod attempts;
mod batch;
mod catalog;
mod claim;
mod control;
mod ends;
pub(super) mod fault;
mod forget;
mod ledger;
mod listing;
mod pace;
mod plan;
mod poison;
mod ports;
mod publish;
pub(super) mod query;
mod rows;
mod search;
pub(super) mod sessions;
mod submit;
mod supersede;
mod takedown;
mod views;

use async_trait::async_trait;
use batch::Batches;
use claim::Ask;
use ends::Ending;
use fault::Fault;
use imagefleet_common::{
    ports::tasks::{Claim, Written},
    task::RetryRules,
};
use query::Conn;
use std::time::Duration;

pub(super) type Done<T> = std::result::Result<T, Fault>;

/// What a transaction that writes is alone with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// One statement that compares and sets needs nothing but the row it sets.
    Nothing,
    /// A session's beat: as [`Nothing`](Self::Nothing), and never behind other work in the queue for a connection.
    Beat,
    /// Rows of tasks, each locked when it is read; which tasks there are and which may run stands still.
    Rows,
    /// As [`Rows`](Self::Rows), and no other publisher chooses meanwhile.
    Publishing,
    /// Everything.
    Structure,
}

/// Does a commit concern whoever waits for a change?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    Everyone,
    Nobody,
}

/// A database that keeps the store.
#[async_trait]
pub(super) trait Database: Send + Sync + 'static {
    /// A transaction that holds `lock`.
    async fn begin(&self, lock: Lock) -> Done<Conn>;

    /// One snapshot for several queries.
    async fn snapshot(&self) -> Done<Conn>;

    /// Wakes whoever waits for a change.
    fn tell(&self);

    /// How long a transaction may take.
    fn limit(&self) -> Duration;
}

/// Tasks, jobs and the catalog in one database.
pub struct Store<D> {
    pub(super) database: D,
    pub(super) retry: RetryRules,
    claims: Batches<Ask, Claim>,
    ends: Batches<Ending, Written>,
}

#[expect(private_bounds, reason = "a store is made by the modules of its databases alone")]
impl<D: Database> Store<D> {
    pub(super) fn new(database: D, retry: RetryRules) -> Self {
        Self { database, retry, claims: Batches::default(), ends: Batches::default() }
    }

    async fn commit(&self, conn: Conn, tell: Tell) -> Done<()> {
        conn.commit().await?;
        if tell == Tell::Everyone {
            self.database.tell();
        }
        Ok(())
    }
}
