//! A job's way from stage to stage. Each step is one transaction that looks and changes, so that of two coordinators
//! only one makes it.

use super::{
    Conn, Done,
    control::{self, own_tasks, own_tasks_of},
    rows,
};
use imagefleet_common::{
    ids::{JobId, content_hash},
    ports::jobs::{JobState, Step},
    task::{Event, RetryRules, State},
    work::Stage,
};
use sqlx::Row;
use std::fmt::Write;

/// Jobs that may have a step before them.
pub(super) async fn candidates(conn: &mut Conn) -> Done<Vec<(JobId, JobState)>> {
    let running = sqlx::query("SELECT id, state, stage FROM job WHERE state IN ('running', 'cancelling') ORDER BY id")
        .fetch_all(&mut *conn)
        .await?;
    let mut jobs = Vec::new();
    for row in &running {
        let (job, state) = (rows::parsed(row, "id")?, control::state(row)?);
        if state == JobState::Cancelling || !any_open(conn, job, control::stage(row)?).await? {
            jobs.push((job, state));
        }
    }
    Ok(jobs)
}

/// The next step of a running job, if its stage has ended.
pub(super) async fn step(conn: &mut Conn, job: JobId, rules: &RetryRules) -> Done<Option<Step>> {
    let row = sqlx::query("SELECT state, stage, accept_dead, fingerprint FROM job WHERE id = ?")
        .bind(job.to_string())
        .fetch_one(&mut *conn)
        .await?;
    let stage = control::stage(&row)?;
    if control::state(&row)? != JobState::Running || any_open(conn, job, stage).await? {
        return Ok(None);
    }
    // Without chunks a job can go on; without a step of its own it has no results.
    let accepted = if row.try_get::<bool, _>("accept_dead")? { "embed" } else { "" };
    let dead = count_dead(conn, job, stage, accepted).await?;
    if dead > 0 {
        control::set_state(conn, job, JobState::Blocked).await?;
        return Ok(Some(Step::Blocked(stage, dead)));
    }
    let Some(next) = stage.next() else { return succeed(conn, job).await };
    if stage == Stage::Embed {
        let fingerprint = fingerprint(conn, job).await?;
        let own = own_tasks(conn, job).await?;
        let same = row.try_get::<Option<&str>, _>("fingerprint")? == Some(&fingerprint);
        if same && own.iter().all(|row| row.task.state == State::Succeeded) {
            return succeed(conn, job).await;
        }
        sqlx::query("UPDATE job SET fingerprint = ? WHERE id = ?")
            .bind(fingerprint)
            .bind(job.to_string())
            .execute(&mut *conn)
            .await?;
        rows::apply_all(conn, own, &Event::Rewound, rules).await?;
    }
    sqlx::query("UPDATE job SET stage = ? WHERE id = ?")
        .bind(next.name())
        .bind(job.to_string())
        .execute(&mut *conn)
        .await?;
    let begun = own_tasks_of(conn, job, next).await?;
    rows::apply_all(conn, begun, &Event::StageBegun, rules).await?;
    Ok(Some(Step::Began(next)))
}

/// The end of a cancelled job, once nothing runs for it alone.
pub(super) async fn finish_cancelling(conn: &mut Conn, job: JobId) -> Done<Option<Step>> {
    let row = sqlx::query("SELECT state FROM job WHERE id = ?").bind(job.to_string()).fetch_one(&mut *conn).await?;
    if control::state(&row)? != JobState::Cancelling || control::runs_unwanted(conn, job).await? {
        return Ok(None);
    }
    end(conn, job, JobState::Cancelled).await?;
    Ok(Some(Step::Cancelled))
}

/// A job whose corpus has not changed comes here from its first stage: its last one is still done.
async fn succeed(conn: &mut Conn, job: JobId) -> Done<Option<Step>> {
    sqlx::query("UPDATE job SET stage = ? WHERE id = ?")
        .bind(Stage::Finalize.name())
        .bind(job.to_string())
        .execute(&mut *conn)
        .await?;
    end(conn, job, JobState::Succeeded).await?;
    Ok(Some(Step::Succeeded))
}

async fn end(conn: &mut Conn, job: JobId, state: JobState) -> Done<()> {
    let now = rows::now(conn).await?;
    sqlx::query("UPDATE job SET state = ?, ended = ? WHERE id = ?")
        .bind(state.name())
        .bind(now)
        .bind(job.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Is a task open that the job needs in this stage, or in one that can add to it? Listing and embedding, which add to
/// each other, are one stage; a seal may have a chunk embedded again.
async fn any_open(conn: &mut Conn, job: JobId, stage: Stage) -> Done<bool> {
    let row = sqlx::query(
        "SELECT 1 FROM task t INDEXED BY task_open CROSS JOIN job_task n ON n.task = t.id AND n.job = ?
         WHERE t.stage IN (?, 'embed') AND t.state IN ('pending', 'ready', 'running') LIMIT 1",
    )
    .bind(job.to_string())
    .bind(stage.name())
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

async fn count_dead(conn: &mut Conn, job: JobId, stage: Stage, accepted: &str) -> Done<usize> {
    let row = sqlx::query(
        "SELECT count(*) FROM task t INDEXED BY task_dead CROSS JOIN job_task n ON n.task = t.id AND n.job = ?
         WHERE t.stage IN (?, 'embed') AND t.stage <> ? AND t.state = 'dead'",
    )
    .bind(job.to_string())
    .bind(stage.name())
    .bind(accepted)
    .fetch_one(conn)
    .await?;
    Ok(usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
}

/// Names everything that the job's results are made from, so that a job whose corpus has not changed is done: its
/// shards, which of the corpus are gone, the winning attempt of each chunk, and what is dead.
async fn fingerprint(conn: &mut Conn, job: JobId) -> Done<String> {
    let mut text = String::new();
    for query in [
        "SELECT 'shard ' || s.shard FROM job_shard s WHERE s.job = ?1 ORDER BY s.shard",
        "SELECT 'removed ' || s.number FROM job j JOIN shard s ON s.corpus = j.corpus
         WHERE j.id = ?1 AND s.removed ORDER BY s.number",
        "SELECT 'kept ' || kept_shards FROM job WHERE id = ?1",
        "SELECT 'chunk ' || l.shard || ' ' || l.version || ' ' || l.chunk || ' ' || l.epoch
         FROM job j JOIN job_shard s ON s.job = j.id
         JOIN ledger_chunk l ON l.collection = j.collection AND l.shard = s.shard
         WHERE j.id = ?1 ORDER BY l.shard, l.chunk",
        "SELECT 'dead ' || t.id FROM task t INDEXED BY task_dead CROSS JOIN job_task n ON n.task = t.id AND n.job = ?1
         WHERE t.state = 'dead' AND t.stage = 'embed' ORDER BY t.id",
    ] {
        for row in sqlx::query(query).bind(job.to_string()).fetch_all(&mut *conn).await? {
            let _ = writeln!(text, "{}", row.try_get::<&str, _>(0)?);
        }
    }
    Ok(content_hash(text.as_bytes()))
}
