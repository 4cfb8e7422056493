//! What people see of jobs.

use super::{
    Conn, Done, Fault,
    control::{stage, state as job_state},
    rows,
};
use imagefleet_common::{
    ids::{CollectionId, CorpusId, JobId, TaskId},
    ledger::{Counts, Reason},
    ports::jobs::{JobView, Progress, TaskView},
    task::State,
    work::Kind,
};
use sqlx::{Row, sqlite::SqliteRow};
use std::collections::BTreeMap;

macro_rules! select_job {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, state, paused, stage, spec, corpus, collection, accept_dead, allow_delete, created, ended,
                    kept_shards FROM job ",
            $rest
        )
    };
}

fn job_view(row: &SqliteRow) -> Done<JobView> {
    Ok(JobView {
        id: rows::parsed(row, "id")?,
        name: row.try_get("name")?,
        state: job_state(row)?,
        paused: row.try_get("paused")?,
        stage: stage(row)?,
        spec: row.try_get("spec")?,
        corpus: CorpusId(row.try_get("corpus")?),
        collection: CollectionId(row.try_get("collection")?),
        accept_dead: row.try_get("accept_dead")?,
        allow_delete: row.try_get("allow_delete")?,
        created: row.try_get("created")?,
        ended: row.try_get("ended")?,
        kept_shards: serde_json::from_str(row.try_get("kept_shards")?)?,
    })
}

pub(super) async fn job(conn: &mut Conn, job: JobId) -> Done<Option<JobView>> {
    let row = sqlx::query(select_job!("WHERE id = ?")).bind(job.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(job_view).transpose()
}

pub(super) async fn jobs(conn: &mut Conn) -> Done<Vec<JobView>> {
    let found = sqlx::query(select_job!("ORDER BY created, id")).fetch_all(conn).await?;
    found.iter().map(job_view).collect()
}

pub(super) async fn progress(conn: &mut Conn, job: JobId) -> Done<Progress> {
    let mut progress = Progress::default();
    let tasks = sqlx::query(
        "SELECT t.kind, t.state, count(*) AS tasks FROM job_task n JOIN task t ON t.id = n.task
         WHERE n.job = ? GROUP BY t.kind, t.state",
    )
    .bind(job.to_string())
    .fetch_all(&mut *conn)
    .await?;
    for row in &tasks {
        let (kind, state, count) = (kind(row)?, rows::state(row)?, unsigned(row, "tasks")?);
        if (kind, state) == (Kind::List, State::Succeeded) {
            progress.shards_listed = count;
        }
        progress.tasks.push((kind, state, count));
    }
    let order = |state: State| State::ALL.iter().position(|other| *other == state);
    progress.tasks.sort_by_key(|(kind, state, _)| (*kind, order(*state)));
    let totals = sqlx::query(
        "SELECT (SELECT count(*) FROM job_shard WHERE job = j.id) AS shards,
                (SELECT coalesce(sum(CASE WHEN c.stop IS NULL THEN k.pictures ELSE c.pictures END), 0)
                 FROM job_shard s JOIN chunk k ON k.corpus = s.corpus AND k.shard = s.shard
                 LEFT JOIN chunk_cut c ON c.collection = j.collection AND c.shard = k.shard AND c.chunk = k.chunk
                 WHERE s.job = j.id AND k.collection IN ('', j.collection)) AS pictures
         FROM job j WHERE j.id = ?",
    )
    .bind(job.to_string())
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(row) = totals {
        progress.shards = unsigned(&row, "shards")?;
        progress.pictures = unsigned(&row, "pictures")?;
    }
    progress.counts = ledger_sum(conn, job).await?;
    Ok(progress)
}

/// Most chunks reject nothing or the same, so the sum goes over few different texts.
async fn ledger_sum(conn: &mut Conn, job: JobId) -> Done<Counts> {
    let found = sqlx::query(
        "SELECT l.rejected, count(*) AS chunks, sum(l.seen) AS seen, sum(l.embedded) AS embedded,
                sum(l.unattributed) AS unattributed
         FROM job j JOIN job_shard s ON s.job = j.id
         JOIN ledger_chunk l ON l.collection = j.collection AND l.shard = s.shard
         WHERE j.id = ? GROUP BY l.rejected",
    )
    .bind(job.to_string())
    .fetch_all(conn)
    .await?;
    let mut sum = Counts::default();
    for row in &found {
        let chunks = unsigned(row, "chunks")?;
        let mut rejected: BTreeMap<Reason, u64> = serde_json::from_str(row.try_get("rejected")?)?;
        rejected.values_mut().for_each(|count| *count *= chunks);
        sum.add(&Counts {
            seen: unsigned(row, "seen")?,
            embedded: unsigned(row, "embedded")?,
            rejected,
            unattributed: unsigned(row, "unattributed")?,
        });
    }
    Ok(sum)
}

pub(super) async fn tasks(conn: &mut Conn, job: JobId) -> Done<Vec<TaskView>> {
    let found = sqlx::query(
        "SELECT t.id, t.work, t.state, t.attempt, t.failures, t.crashes, t.error, t.artifact,
                t.claimed, t.worker, t.finished
         FROM job_task n JOIN task t ON t.id = n.task WHERE n.job = ?
         ORDER BY t.shard, t.version, t.chunk, t.age",
    )
    .bind(job.to_string())
    .fetch_all(conn)
    .await?;
    let mut tasks = found.iter().map(task_view).collect::<Done<Vec<_>>>()?;
    tasks.sort_by_key(|task| task.work.kind());
    Ok(tasks)
}

fn task_view(row: &SqliteRow) -> Done<TaskView> {
    Ok(TaskView {
        id: rows::parsed::<TaskId>(row, "id")?,
        work: serde_json::from_str(row.try_get("work")?)?,
        state: rows::state(row)?,
        attempt: row.try_get("attempt")?,
        failures: row.try_get("failures")?,
        crashes: row.try_get("crashes")?,
        error: row.try_get("error")?,
        artifact: row.try_get("artifact")?,
        claimed: row.try_get("claimed")?,
        worker: row.try_get("worker")?,
        finished: row.try_get("finished")?,
    })
}

fn kind(row: &SqliteRow) -> Done<Kind> {
    let name: &str = row.try_get("kind")?;
    Kind::from_name(name).ok_or_else(|| Fault::unreadable("kind of work", name))
}

/// A column that never holds a negative number.
pub(super) fn unsigned(row: &SqliteRow, column: &str) -> Done<u64> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| Fault::unreadable(column, &value.to_string()))
}
