//! Exit codes, stable: scripts depend on them.

use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It failed, or what was to be proved is not so.
    Failed = 1,
    // 2 is the command line's, by clap.
    /// The job is blocked: only dead tasks are left, and a person decides.
    Blocked = 3,
    /// The job was cancelled.
    Cancelled = 4,
    /// Stopped by SIGINT or SIGTERM, drained; running again goes on.
    Stopped = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
