//! The task's row: read, changed by the state machine, written.

use super::{Conn, Done, Fault};
use imagefleet_common::{
    ids::{JobId, Millis, SessionId, TaskId},
    task::{Event, Refusal, RetryRules, State, Task},
    work::{ChunkRef, Work},
};
use sqlx::{Row, sqlite::SqliteRow};
use std::str::FromStr;
use uuid::Uuid;

/// A condition on the task `t`: a running, unpaused job needs it.
macro_rules! may_run {
    () => {
        "EXISTS (SELECT 1 FROM job_task n JOIN job j ON j.id = n.job
                 WHERE n.task = t.id AND j.state = 'running' AND j.paused = 0)"
    };
}

/// A condition on the task `t`: a job that has not ended and is not being cancelled needs it.
macro_rules! wanted {
    () => {
        "EXISTS (SELECT 1 FROM job_task n JOIN job j ON j.id = n.job
                 WHERE n.task = t.id AND j.state IN ('submitted', 'running', 'blocked'))"
    };
}

/// `SELECT` of what [`TaskRow::read`] reads, from the task `t`; the argument is what follows `FROM task t`.
macro_rules! select_task {
    ($($rest:expr),+) => {
        concat!(
            "SELECT t.id, t.work, t.state, t.attempt, t.failures, t.crashes, t.run_after, t.session, t.claim,
                    t.epoch, t.again FROM task t ",
            $($rest),+
        )
    };
}

pub(super) use {may_run, select_task, wanted};

#[derive(Debug, Clone)]
pub(super) struct TaskRow {
    pub(super) id: TaskId,
    pub(super) work: Work,
    pub(super) task: Task,
    pub(super) epoch: i64,
    /// The seal, and its attempt, that had it embedded again.
    pub(super) again: Option<String>,
}

impl TaskRow {
    pub(super) fn read(row: &SqliteRow) -> Done<Self> {
        Ok(Self {
            id: parsed(row, "id")?,
            work: serde_json::from_str(row.try_get("work")?)?,
            task: Task {
                state: state(row)?,
                attempt: row.try_get("attempt")?,
                failures: row.try_get("failures")?,
                crashes: row.try_get("crashes")?,
                run_after: row.try_get("run_after")?,
                session: parsed_option::<SessionId>(row, "session")?,
                claim: parsed_option::<Uuid>(row, "claim")?,
            },
            epoch: row.try_get("epoch")?,
            again: row.try_get("again")?,
        })
    }

    pub(super) fn read_all(rows: &[SqliteRow]) -> Done<Vec<Self>> {
        rows.iter().map(Self::read).collect()
    }
}

pub(super) fn state(row: &SqliteRow) -> Done<State> {
    let name: &str = row.try_get("state")?;
    State::from_name(name).ok_or_else(|| Fault::unreadable("state", name))
}

/// A column that holds an id.
pub(super) fn parsed<T: FromStr>(row: &SqliteRow, column: &str) -> Done<T> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|_| Fault::unreadable(column, text))
}

fn parsed_option<T: FromStr>(row: &SqliteRow, column: &str) -> Done<Option<T>> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|_| Fault::unreadable(column, text))).transpose()
}

/// The database's clock.
pub(super) async fn now(conn: &mut Conn) -> Done<Millis> {
    let row = sqlx::query("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)").fetch_one(conn).await?;
    Ok(row.try_get(0)?)
}

pub(super) async fn task(conn: &mut Conn, id: TaskId) -> Done<Option<TaskRow>> {
    let row = sqlx::query(select_task!("WHERE t.id = ?")).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(TaskRow::read).transpose()
}

/// Changes a row as the state machine says, or says why nothing changes. A row that changed is marked for nobody.
pub(super) async fn apply(
    conn: &mut Conn,
    row: &mut TaskRow,
    event: &Event,
    rules: &RetryRules,
) -> Done<Result<(), Refusal>> {
    let after = match row.task.after(event, rules) {
        Ok(after) => after,
        Err(refusal) => return Ok(Err(refusal)),
    };
    sqlx::query(
        "UPDATE task SET state = ?1, attempt = ?2, failures = ?3, crashes = ?4, run_after = ?5, session = ?6, claim = ?7,
                         artifact = CASE WHEN ?1 = 'succeeded' THEN artifact END,
                         token = NULL, marked = NULL, published = NULL, publications = 0
         WHERE id = ?8",
    )
    .bind(after.state.name())
    .bind(after.attempt)
    .bind(after.failures)
    .bind(after.crashes)
    .bind(after.run_after)
    .bind(after.session.map(|session| session.to_string()))
    .bind(after.claim.map(|claim| claim.to_string()))
    .bind(row.id.to_string())
    .execute(conn)
    .await?;
    row.task = after;
    Ok(Ok(()))
}

/// Applies `event` to every row that accepts it.
pub(super) async fn apply_all(conn: &mut Conn, rows: Vec<TaskRow>, event: &Event, rules: &RetryRules) -> Done<()> {
    for mut row in rows {
        // A row that refuses the event is left as it is: that is what "every row that accepts it" means.
        let _ = apply(conn, &mut row, event, rules).await?;
    }
    Ok(())
}

/// A ready or pending row that no job wants is cancelled.
pub(super) async fn cancel_unless_wanted(conn: &mut Conn, row: &mut TaskRow, rules: &RetryRules) -> Done<()> {
    let wanted = sqlx::query(concat!("SELECT 1 FROM task t WHERE t.id = ? AND ", wanted!()))
        .bind(row.id.to_string())
        .fetch_optional(&mut *conn)
        .await?;
    if wanted.is_none() {
        let _ = apply(conn, row, &Event::Unneeded, rules).await?;
    }
    Ok(())
}

/// A row for `work`, in the given state. The caller knows that there is none.
pub(super) async fn insert(conn: &mut Conn, work: &Work, model: &str, state: State, now: Millis) -> Done<TaskRow> {
    let row = TaskRow { id: work.id(), work: work.clone(), task: Task::new(state, now), epoch: 0, again: None };
    let (collection, chunk) = match work {
        Work::Embed { collection, chunk } => (Some(collection), Some(*chunk)),
        _ => (None, None),
    };
    let (corpus, shard) = match work {
        Work::List { corpus, shard } => (Some(corpus), Some(*shard)),
        _ => (None, chunk.map(|chunk| chunk.shard)),
    };
    sqlx::query(
        "INSERT INTO task (id, kind, stage, work, queue, corpus, collection, shard, version, chunk, job,
                           state, attempt, failures, crashes, run_after)
         VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, (SELECT corpus FROM collection WHERE id = ?7)), ?7, ?8, ?9, ?10, ?11,
                 ?12, 0, 0, 0, ?13)",
    )
    .bind(row.id.to_string())
    .bind(work.kind().name())
    .bind(work.kind().stage().name())
    .bind(serde_json::to_string(work)?)
    .bind(work.kind().queue(model).0)
    .bind(corpus.map(|id| id.0.as_str()))
    .bind(collection.map(|id| id.0.as_str()))
    .bind(shard)
    .bind(chunk.map(|chunk| chunk.version))
    .bind(chunk.map(|chunk| chunk.chunk))
    .bind(work.job().map(|job| job.to_string()))
    .bind(state.name())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(row)
}

/// The job needs the task from now on. `true` when it did not before.
pub(super) async fn need(conn: &mut Conn, job: JobId, task: TaskId) -> Done<bool> {
    let done = sqlx::query("INSERT INTO job_task (job, task) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(job.to_string())
        .bind(task.to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Is this chunk, at this version, part of its shard?
pub(super) async fn is_current(conn: &mut Conn, corpus: &str, chunk: ChunkRef) -> Done<bool> {
    let row = sqlx::query("SELECT 1 FROM chunk WHERE corpus = ? AND shard = ? AND chunk = ? AND version = ?")
        .bind(corpus)
        .bind(chunk.shard)
        .bind(chunk.chunk)
        .bind(chunk.version)
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// The embed task of a chunk in a job's collection.
pub(super) async fn embed_task(conn: &mut Conn, job: JobId, chunk: ChunkRef) -> Done<Option<TaskRow>> {
    let found = sqlx::query(select_task!(
        "JOIN job j ON j.collection = t.collection
         WHERE j.id = ? AND t.kind = 'embed' AND t.shard = ? AND t.chunk = ? AND t.version = ?"
    ))
    .bind(job.to_string())
    .bind(chunk.shard)
    .bind(chunk.chunk)
    .bind(chunk.version)
    .fetch_optional(conn)
    .await?;
    found.as_ref().map(TaskRow::read).transpose()
}
