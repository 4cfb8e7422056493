//! What can go wrong inside a transaction: the database, or a rule of ours.

use imagefleet_common::Error;

#[derive(Debug)]
pub(super) enum Fault {
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
    pub(super) fn unreadable(what: &str, text: &str) -> Self {
        Self::Rule(Error::permanent(format!("the database holds the unknown {what} {text:?}")))
    }

    pub(super) fn doing(self, doing: impl Into<String>) -> Error {
        match self {
            Self::Rule(error) => error.while_doing(doing.into()),
            Self::Database(error) if may_pass(&error) => Error::transient(doing).because(error),
            Self::Database(error) => Error::permanent(doing).because(error),
        }
    }
}

/// Locked by someone else, the disk full, or failing: it may be otherwise later.
fn may_pass(error: &sqlx::Error) -> bool {
    // https://www.sqlite.org/rescode.html: the low byte of an extended code is its primary code.
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const NO_MEMORY: i32 = 7;
    const IO: i32 = 10;
    const FULL: i32 = 13;
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff);
            matches!(code, Some(BUSY | LOCKED | NO_MEMORY | IO | FULL))
        }
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}
