//! The task's row: read, changed by the state machine, written.

use super::{
    Done, Fault,
    query::{Conn, Row, query},
};
use imagefleet_common::{
    ids::{Epoch, JobId, Millis, TaskId},
    task::{Event, Refusal, RetryRules, State, Task},
    work::{ChunkRef, Work},
};
use std::collections::HashMap;
use uuid::Uuid;

/// A condition on the task `t`: a running, unpaused job needs it.
macro_rules! may_run {
    () => {
        "EXISTS (SELECT 1 FROM job_task n JOIN job j ON j.id = n.job
                 WHERE n.task = t.id AND j.state = 'running' AND NOT j.paused)"
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
            "SELECT ", $crate::store::sql::rows::task_columns!(), " FROM task t ",
            $($rest),+
        )
    };
}

/// What [`TaskRow::read`] reads, from the task `t`.
macro_rules! task_columns {
    () => {
        "t.id, t.work, t.state, t.attempt, t.failures, t.crashes, t.run_after, t.session, t.claim, t.epoch, t.again"
    };
}

/// A statement over tasks `t` that the job `$1` needs, found through an index of the few that are in certain states.
/// SQLite keeps no statistics and has to be told the way.
macro_rules! needed_through {
    ($conn:expr, $index:literal, $select:expr, $($rest:expr),+) => {
        $conn.pick(
            concat!(
                $select, " FROM task t INDEXED BY ", $index, " CROSS JOIN job_task n ON n.task = t.id AND n.job = $1 ",
                $($rest),+
            ),
            concat!($select, " FROM task t JOIN job_task n ON n.task = t.id AND n.job = $1 ", $($rest),+),
        )
    };
}

/// A statement that finds rows by a short list, bound as `$1`, through an index. In Postgres a subquery would have the
/// whole table read and hashed.
macro_rules! by_list {
    ($conn:expr, $before:expr, $after:expr) => {
        $conn.pick(
            concat!($before, " IN (SELECT value FROM json_each($1)) ", $after),
            concat!($before, " = ANY($1) ", $after),
        )
    };
}

pub(super) use {by_list, may_run, needed_through, select_task, task_columns, wanted};

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
    pub(super) fn read(row: &Row) -> Done<Self> {
        Ok(Self {
            id: row.get("id")?,
            work: row.json("work")?,
            task: Task {
                state: state(row)?,
                attempt: row.get("attempt")?,
                failures: row.get("failures")?,
                crashes: row.get("crashes")?,
                run_after: row.get("run_after")?,
                session: row.get("session")?,
                claim: row.get("claim")?,
            },
            epoch: row.get("epoch")?,
            again: row.get("again")?,
        })
    }

    pub(super) fn read_all(rows: &[Row]) -> Done<Vec<Self>> {
        rows.iter().map(Self::read).collect()
    }
}

pub(super) fn state(row: &Row) -> Done<State> {
    let name: String = row.get("state")?;
    State::from_name(&name).ok_or_else(|| Fault::unreadable("state", &name))
}

/// The row, locked.
pub(super) async fn task(conn: &mut Conn, id: TaskId) -> Done<Option<TaskRow>> {
    let row = query(select_task!("WHERE t.id = $1")).bind(id).locked(conn).fetch_optional(conn).await?;
    row.as_ref().map(TaskRow::read).transpose()
}

/// A task's row that this transaction has locked.
pub(super) struct Locked {
    pub(super) row: TaskRow,
    /// Does a running, unpaused job need it?
    pub(super) may_run: bool,
}

/// These tasks' rows, locked one after the other in the order of their ids, so that two transactions never wait for
/// each other.
pub(super) async fn locked(conn: &mut Conn, ids: Vec<Uuid>) -> Done<HashMap<TaskId, Locked>> {
    let sql = by_list!(
        conn,
        // Not EXISTS, for which Postgres may read and hash what all jobs need.
        concat!(
            "SELECT ",
            task_columns!(),
            ", (SELECT 1 FROM job_task n JOIN job j ON j.id = n.job
                WHERE n.task = t.id AND j.state = 'running' AND NOT j.paused LIMIT 1) IS NOT NULL AS may_run
             FROM task t WHERE t.id"
        ),
        "ORDER BY t.id"
    );
    let found = query(sql).bind(ids).locked(conn).fetch_all(conn).await?;
    let locked = |row: &Row| Ok(Locked { row: TaskRow::read(row)?, may_run: row.get("may_run")? });
    found.iter().map(|row| locked(row).map(|task| (task.row.id, task))).collect()
}

/// What is written with a change of state.
pub(super) enum Also<'a> {
    Nothing,
    /// An attempt begins.
    Begins {
        epoch: Epoch,
        now: Millis,
    },
    /// An attempt has succeeded.
    Ends {
        artifact: Option<&'a str>,
        now: Millis,
    },
}

/// Rows as they are to be written: together, where the database can.
#[derive(Default)]
pub(super) struct Changes<'a>(Vec<(TaskId, Task, Also<'a>)>);

impl<'a> Changes<'a> {
    /// Changes a row as the state machine says, or says why nothing changes. A row that changed is marked for nobody.
    pub(super) fn apply(
        &mut self,
        row: &mut TaskRow,
        event: &Event,
        rules: &RetryRules,
        also: Also<'a>,
    ) -> Result<(), Refusal> {
        let after = row.task.after(event, rules)?;
        row.task = after.clone();
        self.0.push((row.id, after, also));
        Ok(())
    }

    pub(super) async fn write(self, conn: &mut Conn) -> Done<()> {
        if self.0.len() > 1 && conn.pick(false, true) {
            return self.write_together(conn).await;
        }
        for (id, after, also) in self.0 {
            write(conn, id, &after, also).await?;
        }
        Ok(())
    }

    async fn write_together(self, conn: &mut Conn) -> Done<()> {
        let rows = &self.0;
        let ints = |of: fn(&Task, &Also<'_>) -> Option<i64>| -> Vec<Option<i64>> {
            rows.iter().map(|(_, task, also)| of(task, also)).collect()
        };
        query(
            "UPDATE task t SET state = u.state, attempt = u.attempt, failures = u.failures, crashes = u.crashes,
                 run_after = u.run_after, session = u.session, claim = u.claim,
                 token = NULL, marked = NULL, published = NULL, publications = 0,
                 artifact = CASE WHEN u.state = 'succeeded' THEN coalesce(u.artifact, CASE WHEN u.ended IS NULL THEN t.artifact END) END,
                 epoch = coalesce(u.epoch, t.epoch), done = CASE WHEN u.began IS NULL THEN t.done ELSE 0 END,
                 claimed = coalesce(u.began, t.claimed),
                 worker = CASE WHEN u.began IS NULL THEN t.worker ELSE (SELECT worker FROM session WHERE id = u.session) END,
                 finished = coalesce(u.ended, t.finished), error = CASE WHEN u.ended IS NULL THEN t.error END
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                 AS u (id, state, attempt, failures, crashes, run_after, session, claim, epoch, began, artifact, ended)
             WHERE t.id = u.id",
        )
        .bind(rows.iter().map(|(id, ..)| id.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, task, _)| task.state.name().to_owned()).collect::<Vec<_>>())
        .bind(ints(|task, _| Some(task.attempt.into())))
        .bind(ints(|task, _| Some(task.failures.into())))
        .bind(ints(|task, _| Some(task.crashes.into())))
        .bind(ints(|task, _| Some(task.run_after)))
        .bind(rows.iter().map(|(_, task, _)| task.session.map(|session| session.0)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, task, _)| task.claim).collect::<Vec<_>>())
        .bind(ints(|_, also| if let Also::Begins { epoch, .. } = also { Some(*epoch) } else { None }))
        .bind(ints(|_, also| if let Also::Begins { now, .. } = also { Some(*now) } else { None }))
        .bind(
            rows.iter()
                .map(|(_, _, also)| if let Also::Ends { artifact, .. } = also { artifact.map(str::to_owned) } else { None })
                .collect::<Vec<_>>(),
        )
        .bind(ints(|_, also| if let Also::Ends { now, .. } = also { Some(*now) } else { None }))
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// Changes one row as the state machine says, or says why nothing changes.
pub(super) async fn apply(
    conn: &mut Conn,
    row: &mut TaskRow,
    event: &Event,
    rules: &RetryRules,
) -> Done<Result<(), Refusal>> {
    let mut changes = Changes::default();
    let applied = changes.apply(row, event, rules, Also::Nothing);
    changes.write(conn).await?;
    Ok(applied)
}

async fn write(conn: &mut Conn, id: TaskId, after: &Task, also: Also<'_>) -> Done<()> {
    macro_rules! update {
        ($set:literal) => {
            query(concat!(
                "UPDATE task SET state = $2, attempt = $3, failures = $4, crashes = $5, run_after = $6, session = $7,
                    claim = $8, token = NULL, marked = NULL, published = NULL, publications = 0, ",
                $set,
                " WHERE id = $1"
            ))
            .bind(id)
            .bind(after.state.name())
            .bind(after.attempt)
            .bind(after.failures)
            .bind(after.crashes)
            .bind(after.run_after)
            .bind(after.session)
            .bind(after.claim)
        };
    }
    let update = match also {
        Also::Nothing => update!("artifact = CASE WHEN $2 = 'succeeded' THEN artifact END"),
        Also::Begins { epoch, now } => update!(
            "artifact = NULL, epoch = $9, done = 0, claimed = $10, worker = (SELECT worker FROM session WHERE id = $7)"
        )
        .bind(epoch)
        .bind(now),
        Also::Ends { artifact, now } => update!("artifact = $9, finished = $10, error = NULL").bind(artifact).bind(now),
    };
    update.execute(conn).await?;
    Ok(())
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
    let wanted = query(concat!("SELECT 1 FROM task t WHERE t.id = $1 AND ", wanted!()))
        .bind(row.id)
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
    query(
        "INSERT INTO task (id, kind, stage, work, queue, corpus, collection, shard, version, chunk, job,
                           state, attempt, failures, crashes, run_after)
         VALUES ($1, $2, $3, $4, $5, coalesce($6, (SELECT corpus FROM collection WHERE id = $7)), $7, $8, $9, $10, $11,
                 $12, 0, 0, 0, $13)",
    )
    .bind(row.id)
    .bind(work.kind().name())
    .bind(work.kind().stage().name())
    .bind(serde_json::to_string(work)?)
    .bind(work.kind().queue(model).0)
    .bind(corpus.map(|id| id.0.as_str()))
    .bind(collection.map(|id| id.0.as_str()))
    .bind(shard)
    .bind(chunk.map(|chunk| chunk.version))
    .bind(chunk.map(|chunk| chunk.chunk))
    .bind(work.job())
    .bind(state.name())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(row)
}

/// The job needs the task from now on. `true` when it did not before.
pub(super) async fn need(conn: &mut Conn, job: JobId, task: TaskId) -> Done<bool> {
    let changed = query("INSERT INTO job_task (job, task) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(job)
        .bind(task)
        .execute(conn)
        .await?;
    Ok(changed == 1)
}

/// Is this chunk, at this version, part of its shard?
pub(super) async fn is_current(conn: &mut Conn, corpus: &str, chunk: ChunkRef) -> Done<bool> {
    let row = query("SELECT 1 FROM chunk WHERE corpus = $1 AND shard = $2 AND chunk = $3 AND version = $4")
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
    let found = query(select_task!(
        "JOIN job j ON j.collection = t.collection
         WHERE j.id = $1 AND t.kind = 'embed' AND t.shard = $2 AND t.chunk = $3 AND t.version = $4"
    ))
    .bind(job)
    .bind(chunk.shard)
    .bind(chunk.chunk)
    .bind(chunk.version)
    .fetch_optional(conn)
    .await?;
    found.as_ref().map(TaskRow::read).transpose()
}
