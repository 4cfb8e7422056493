//! Tasks: marked by publishers, claimed and ended by workers, under a session's lease.
//!
//! Implementations read the row, ask [`Task::after`](crate::task::Task::after) and write its answer in one transaction.
//! All times are the store's own clock. Every method may be called again with the same arguments after an
//! error: it then returns what the first call would have returned, or says that the holder is stale.

use super::broker::Message;
use crate::{
    error::Result,
    ids::{Epoch, Millis, Queue, SessionId},
    ledger::{Counts, EmbeddedRow, RejectedRow, Spent},
    task::{Holder, Refusal, State},
    work::{ChunkRef, Kind, Work},
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// A queue's load, as the publisher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueLoad {
    pub queue: Queue,
    /// Ready rows that may run now and are neither marked nor published, or were so too long ago; counted up to what
    /// was asked for.
    pub unpublished: usize,
}

/// A worker process that begins to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Drawn by the worker, so that opening twice opens one.
    pub id: SessionId,
    /// Host and process, for people.
    pub worker: String,
    /// Tasks that it runs at a time: the window is made for them.
    pub slots: u32,
    pub lease: Duration,
    /// The reaped session of the same, living process: its tasks did not crash, and their counts are taken back.
    pub replaces: Option<SessionId>,
}

/// A session that has not ended, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    pub id: SessionId,
    pub worker: String,
    pub slots: u32,
    /// When its lease runs out unless it beats, by the store's clock.
    pub expires: Millis,
    /// Tasks that it runs.
    pub running: u64,
    /// Somebody asked it to drain.
    pub drains: bool,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// `false`: the session was reaped and never revives.
    pub alive: bool,
    /// What the session runs though no active, unpaused job needs it any more: to be handed back.
    pub unneeded: Vec<Holding>,
    /// Somebody asked the session to drain: to take nothing new, and to end.
    pub drain: bool,
}

/// A task that a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holding {
    pub task: crate::ids::TaskId,
    pub holder: Holder,
}

/// A claim that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub holding: Holding,
    pub work: Work,
    /// Attempts of this task that died with their process.
    pub crashes: u32,
    /// Ordinals of the pictures at which its process died twice: they are not to be looked at again.
    pub poison: Vec<u64>,
    /// Drawn at this claim; fences writes to the index.
    pub epoch: Epoch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Granted(Claimed),
    /// Acknowledge the message. A refusal "not now" has already put the row's `run_after` at least 1 s on.
    Refused(Refusal),
    /// The session itself is no longer alive: nothing can be claimed in its name.
    SessionGone,
}

/// Did a write reach the row, or had its holder lost it?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Written {
    Done,
    /// Another attempt or session has the task: what was done for it does not count.
    Stale,
}

/// A chunk as a listing cuts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkCut {
    pub chunk: i64,
    /// First entry (ordinal in the shard's directory).
    pub first: u64,
    /// One past the last entry; `None` where the end is only known by reading (tar).
    pub end: Option<u64>,
    /// Byte offset to start reading from, where the format is read in order (tar); else 0.
    pub offset: u64,
    /// Seen pictures, where the listing knows.
    pub pictures: Option<u64>,
    /// Hash of names, sizes and tags of the chunk's objects (folder buckets); empty for archives.
    pub listing: String,
}

/// What a list task found. A shard whose `listing` is known keeps its chunks and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Names the shard's content: its ETag and its metadata's, or a hash over all buckets.
    pub listing: String,
    /// Chunks stand under a number for good (folder buckets): one whose own `listing` is known keeps its version.
    pub keeps_equal_chunks: bool,
    /// The reader saw that `listing` is what was on record, and did not look for the chunks. Where that is no longer on record,
    /// or does not hold, the shard is listed again in full.
    pub is_unchanged: bool,
    pub chunks: Vec<ChunkCut>,
    /// Metadata rows of photos that have no entry.
    pub missing: u64,
}

/// What an embed task did with its chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// Artifact that names every embedded key, a line each.
    pub artifact: String,
    pub counts: Counts,
    pub rejected: Vec<RejectedRow>,
    /// Every embedded picture: what of them is taken down meanwhile is counted as rejected for that.
    pub pictures: Arc<[EmbeddedRow]>,
    /// The last takedown that the attempt heeded; 0 before the first.
    pub takedowns: i64,
    /// For people: nothing depends on it.
    pub spent: Spent,
    /// Where the attempt stopped at its time limit: the chunk ends at `at`, the rest becomes a chunk of its own.
    pub rest: Option<Rest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// Ordinal of the first entry that was not looked at.
    pub at: u64,
    /// Its byte offset, where that matters.
    pub offset: u64,
}

/// How an attempt ended well. Written in one transaction with all that follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Listed(Listing),
    Embedded(Embedded),
    /// The chunk's object changed: the task is superseded and its shard listed again, in one transaction.
    Superseded {
        detail: String,
    },
    /// A job's own task; `artifact` names what it wrote, where it wrote something.
    Finished {
        artifact: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub permanent: bool,
    pub retry_after: Option<Duration>,
    pub message: String,
}

#[async_trait]
pub trait Tasks: Send + Sync {
    /// Queues with ready rows. `republish_after` as for [`mark`](Self::mark); rows that wait to be
    /// published are counted up to `count_to`.
    async fn queues(&self, republish_after: Duration, count_to: u32) -> Result<Vec<QueueLoad>>;

    /// Rows that sessions hold, by queue.
    async fn running(&self) -> Result<Vec<(Queue, u64)>>;

    /// Marks up to `limit` rows of `queue` with `token`, in order of priority, `run_after`, age, and returns
    /// their messages. Rows marked or published more than `republish_after`, doubled with each publication, ago
    /// are marked again. Called again with the same token it returns the same rows.
    async fn mark(&self, queue: &Queue, limit: usize, token: Uuid, republish_after: Duration) -> Result<Vec<Message>>;

    /// The rows that still carry `token` are published.
    async fn published(&self, token: Uuid) -> Result<()>;

    async fn open_session(&self, session: &NewSession) -> Result<()>;

    /// Extends the lease, unless the session was reaped.
    async fn beat(&self, session: SessionId) -> Result<Beat>;

    /// Ends a session in good order: what it still holds is handed back.
    async fn close_session(&self, session: SessionId) -> Result<()>;

    /// Ends sessions whose lease ran out; their tasks become ready, a crash counted for each.
    async fn reap(&self) -> Result<Vec<SessionId>>;

    /// The compare-and-set that makes a message's reader the task's holder. `claim` is drawn anew for every
    /// delivery and repeated when the answer to a call was lost.
    async fn claim(&self, message: &Message, session: SessionId, claim: Uuid) -> Result<Claim>;

    /// The attempt reached this far; proves that it makes progress.
    async fn progress(&self, holding: Holding, done: u64) -> Result<Written>;

    /// The attempt, which runs alone, is about to decode this picture, or none any more. If its process dies there twice,
    /// the picture is poison.
    async fn stands_at(&self, holding: Holding, ordinal: Option<u64>) -> Result<Written>;

    async fn succeed(&self, holding: Holding, outcome: &Outcome) -> Result<Written>;

    async fn fail(&self, holding: Holding, failure: &Failure) -> Result<Written>;

    /// Not a failure: drained, unneeded, or to be looked at again after `delay`; for people, `why` that is.
    async fn hand_back(&self, holding: Holding, delay: Duration, why: Option<&str>) -> Result<Written>;

    /// Opens the succeeded embed task of a chunk once more, because the index holds fewer of its points than the
    /// ledger names. `false` when that was done before since a person last retried it.
    async fn embed_again(&self, seal: Holding, chunk: ChunkRef) -> Result<bool>;

    /// Open and dead tasks, by kind and state; states without a task are left out. Tasks that ended well or were
    /// cancelled are not counted: there may be millions of them.
    async fn counts(&self) -> Result<Vec<(Kind, State, u64)>>;

    /// Sessions that have not ended, by worker and id.
    async fn sessions(&self) -> Result<Vec<SessionView>>;

    /// Asks these sessions to drain: their next beats say so, and so do those of sessions that replace them. Returns how
    /// many of them have not ended.
    async fn drain(&self, sessions: &[SessionId]) -> Result<u64>;

    /// The store's clock.
    async fn now(&self) -> Result<Millis>;
}
