//! One error type, named by what its caller does next.
//!
//! Messages are lower case, without a full stop, and say what was being done to which object
//! ("read shard images/abc.zip"). An error is logged once, where it is handled.

use std::{error::Error as StdError, fmt, time::Duration};

pub type Result<T, E = Error> = std::result::Result<T, E>;
type Cause = Box<dyn StdError + Send + Sync>;

/// What the caller of a failed operation does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Trying again cannot help: the input, the configuration or the caller must change.
    GiveUp,
    /// Trying again may help, not before `after` where the other side named a time.
    Retry { after: Option<Duration> },
    /// The object is no longer the one that was asked for (its ETag differs): list it again.
    Relist,
}

#[derive(Debug)]
pub struct Error {
    next: Next,
    doing: String,
    cause: Option<Cause>,
}

impl Error {
    /// An error that no retry mends.
    pub fn permanent(doing: impl Into<String>) -> Self {
        Self::new(Next::GiveUp, doing)
    }

    /// An error that a retry may mend.
    pub fn transient(doing: impl Into<String>) -> Self {
        Self::new(Next::Retry { after: None }, doing)
    }

    /// An object changed between listing and reading it.
    pub fn changed(doing: impl Into<String>) -> Self {
        Self::new(Next::Relist, doing)
    }

    fn new(next: Next, doing: impl Into<String>) -> Self {
        Self { next, doing: doing.into(), cause: None }
    }

    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.next = Next::Retry { after: Some(after) };
        self
    }

    /// The same error seen from one level up: what that level was doing comes first.
    #[must_use]
    pub fn while_doing(mut self, doing: impl fmt::Display) -> Self {
        self.doing = format!("{doing}: {}", self.doing);
        self
    }

    pub fn next(&self) -> Next {
        self.next
    }

    pub fn is_permanent(&self) -> bool {
        self.next == Next::GiveUp
    }

    pub fn is_transient(&self) -> bool {
        matches!(self.next, Next::Retry { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)?;
        let mut cause = self.cause.as_deref().map(|cause| cause as &dyn StdError);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

// The whole chain is in `Display`, so `source` stays empty: a reporter that walks it would print the causes twice.
impl StdError for Error {}

/// Adds "what was being done" to a foreign error, and says what its caller does next.
pub trait Context<T> {
    fn permanent(self, doing: impl FnOnce() -> String) -> Result<T>;
    fn transient(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Cause>> Context<T> for std::result::Result<T, E> {
    fn permanent(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::permanent(doing()).because(cause))
    }

    fn transient(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::transient(doing()).because(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_from_the_outermost_action_to_the_first_cause() {
        let io = std::io::Error::other("disk on fire");
        let error = Error::transient("read images/abc.zip").because(io).while_doing("list shard abc");
        assert_eq!(error.to_string(), "list shard abc: read images/abc.zip: disk on fire");
        assert!(error.is_transient());
    }
}
