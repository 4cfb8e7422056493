//! What can go wrong inside a transaction: the database, or a rule of ours.

use imagefleet_common::Error;

#[derive(Debug)]
pub(in crate::store) enum Fault {
    Database(sqlx::Error),
    Rule(Error),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Rule(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Rule(Error::permanent("read a JSON column").because(error))
    }
}

impl Fault {
    /// A row holds what no version of ours writes.
    pub(in crate::store) fn unreadable(what: &str, text: &str) -> Self {
        Self::Rule(Error::permanent(format!("the database holds the unknown {what} {text:?}")))
    }

    pub(in crate::store) fn doing(self, doing: impl Into<String>) -> Error {
        match self {
            Self::Rule(error) => error.while_doing(doing.into()),
            Self::Database(error) if may_pass(&error) => Error::transient(doing).because(error),
            Self::Database(error) => Error::permanent(doing).because(error),
        }
    }
}

/// Does the trouble lie with the database or the way to it, and may it be otherwise later?
fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| match code.len() {
            5 => may_pass_in_postgres(&code),
            _ => may_pass_in_sqlite(&code),
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        _ => false,
    }
}

/// Locked by someone else, the disk full, or failing.
fn may_pass_in_sqlite(code: &str) -> bool {
    // https://www.sqlite.org/rescode.html: the low byte of an extended code is its primary code.
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const NO_MEMORY: i32 = 7;
    const IO: i32 = 10;
    const FULL: i32 = 13;
    let code = code.parse::<i32>().map(|code| code & 0xff);
    matches!(code, Ok(BUSY | LOCKED | NO_MEMORY | IO | FULL))
}

/// https://www.postgresql.org/docs/current/errcodes-appendix.html
fn may_pass_in_postgres(code: &str) -> bool {
    // Connections, resources, an operator at work, the system below; and a server that was demoted to a standby.
    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        // Serialisation failure, deadlock, lock not available, read-only transaction, a transaction that idled too long.
        || matches!(code, "40001" | "40P01" | "55P03" | "25006" | "25P03" | "25P04")
}
