//! A job's way from stage to stage. Each step is one transaction that looks and changes, so that of two coordinators
//! only one makes it.

use super::{
    Done,
    control::{self, own_tasks, own_tasks_of},
    query::{Conn, query},
    rows::{self, needed_through},
};
use imagefleet_common::{
    ids::{JobId, content_hash},
    ports::jobs::{JobState, Step},
    task::{Event, RetryRules, State},
    work::Stage,
};
use std::fmt::Write;

/// Jobs that may have a step before them.
pub(super) async fn candidates(conn: &mut Conn) -> Done<Vec<(JobId, JobState)>> {
    let running = query("SELECT id, state, stage FROM job WHERE state IN ('running', 'cancelling') ORDER BY id")
        .fetch_all(&mut *conn)
        .await?;
    let mut jobs = Vec::new();
    for row in &running {
        let (job, state) = (row.get("id")?, control::state(row)?);
        if state == JobState::Cancelling || !any_open(conn, job, control::stage(row)?).await? {
            jobs.push((job, state));
        }
    }
    Ok(jobs)
}

/// The next step of a running job, if its stage has ended.
pub(super) async fn step(conn: &mut Conn, job: JobId, rules: &RetryRules) -> Done<Option<Step>> {
    let row = query("SELECT state, stage, accept_dead, fingerprint FROM job WHERE id = $1")
        .bind(job)
        .fetch_one(&mut *conn)
        .await?;
    let stage = control::stage(&row)?;
    if control::state(&row)? != JobState::Running || any_open(conn, job, stage).await? {
        return Ok(None);
    }
    // Without chunks a job can go on; without a step of its own it has no results.
    let accepted = if row.get::<bool>("accept_dead")? { "embed" } else { "" };
    let dead = count_dead(conn, job, stage, accepted).await?;
    if dead > 0 {
        control::set_state(conn, job, JobState::Blocked).await?;
        return Ok(Some(Step::Blocked(stage, dead)));
    }
    let Some(next) = stage.next() else { return succeed(conn, job).await };
    if stage == Stage::Embed {
        let fingerprint = fingerprint(conn, job).await?;
        let own = own_tasks(conn, job).await?;
        let same = row.get::<Option<String>>("fingerprint")?.as_ref() == Some(&fingerprint);
        if same && own.iter().all(|row| row.task.state == State::Succeeded) {
            return succeed(conn, job).await;
        }
        query("UPDATE job SET fingerprint = $1 WHERE id = $2").bind(fingerprint).bind(job).execute(&mut *conn).await?;
        rows::apply_all(conn, own, &Event::Rewound, rules).await?;
    }
    query("UPDATE job SET stage = $1 WHERE id = $2").bind(next.name()).bind(job).execute(&mut *conn).await?;
    let begun = own_tasks_of(conn, job, next).await?;
    rows::apply_all(conn, begun, &Event::StageBegun, rules).await?;
    Ok(Some(Step::Began(next)))
}

/// The end of a cancelled job, once nothing runs for it alone.
pub(super) async fn finish_cancelling(conn: &mut Conn, job: JobId) -> Done<Option<Step>> {
    let row = query("SELECT state FROM job WHERE id = $1").bind(job).fetch_one(&mut *conn).await?;
    if control::state(&row)? != JobState::Cancelling || control::runs_unwanted(conn, job).await? {
        return Ok(None);
    }
    end(conn, job, JobState::Cancelled).await?;
    Ok(Some(Step::Cancelled))
}

/// A job whose corpus has not changed comes here from its first stage: its last one is still done.
async fn succeed(conn: &mut Conn, job: JobId) -> Done<Option<Step>> {
    query("UPDATE job SET stage = $1 WHERE id = $2").bind(Stage::Finalize.name()).bind(job).execute(&mut *conn).await?;
    end(conn, job, JobState::Succeeded).await?;
    Ok(Some(Step::Succeeded))
}

async fn end(conn: &mut Conn, job: JobId, state: JobState) -> Done<()> {
    let now = conn.now().await?;
    query("UPDATE job SET state = $1, ended = $2 WHERE id = $3")
        .bind(state.name())
        .bind(now)
        .bind(job)
        .execute(conn)
        .await?;
    Ok(())
}

/// Is a task open that the job needs in this stage, or in one that can add to it? Listing and embedding, which add to
/// each other, are one stage; a seal may have a chunk embedded again.
async fn any_open(conn: &mut Conn, job: JobId, stage: Stage) -> Done<bool> {
    let open = needed_through!(
        conn,
        "task_open",
        "SELECT 1",
        "WHERE t.stage IN ($2, 'embed') AND t.state IN ('pending', 'ready', 'running') LIMIT 1"
    );
    let row = query(open).bind(job).bind(stage.name()).fetch_optional(conn).await?;
    Ok(row.is_some())
}

async fn count_dead(conn: &mut Conn, job: JobId, stage: Stage, accepted: &str) -> Done<usize> {
    let dead = needed_through!(
        conn,
        "task_dead",
        "SELECT count(*) AS dead",
        "WHERE t.stage IN ($2, 'embed') AND t.stage <> $3 AND t.state = 'dead'"
    );
    query(dead).bind(job).bind(stage.name()).bind(accepted).fetch_one(conn).await?.get("dead")
}

/// Names everything that the job's results are made from, so that a job whose corpus has not changed is done: its
/// shards, which of the corpus are gone, the winning attempt of each chunk, what was taken down, and what is dead.
async fn fingerprint(conn: &mut Conn, job: JobId) -> Done<String> {
    let mut text = String::new();
    for sql in [
        "SELECT 'shard ' || s.shard AS line FROM job_shard s WHERE s.job = $1 ORDER BY s.shard",
        "SELECT 'removed ' || s.number AS line FROM job j JOIN shard s ON s.corpus = j.corpus
         WHERE j.id = $1 AND s.removed ORDER BY s.number",
        "SELECT 'kept ' || kept_shards AS line FROM job WHERE id = $1",
        "SELECT 'chunk ' || l.shard || ' ' || l.version || ' ' || l.chunk || ' ' || l.epoch AS line
         FROM job j JOIN job_shard s ON s.job = j.id
         JOIN ledger_chunk l ON l.collection = j.collection AND l.shard = s.shard
         WHERE j.id = $1 ORDER BY l.shard, l.chunk",
        // A takedown leaves the winner as it is.
        "SELECT 'taken ' || l.shard || ' ' || l.chunk || ' ' || l.embedded AS line
         FROM job j JOIN job_shard s ON s.job = j.id
         JOIN ledger_chunk l ON l.collection = j.collection AND l.shard = s.shard
         WHERE j.id = $1 AND l.rejected LIKE '%\"takedown\"%' ORDER BY l.shard, l.chunk",
        needed_through!(
            conn,
            "task_dead",
            "SELECT 'dead ' || t.id AS line",
            "WHERE t.state = 'dead' AND t.stage = 'embed' ORDER BY t.id"
        ),
    ] {
        for row in query(sql).bind(job).fetch_all(conn).await? {
            let _ = writeln!(text, "{}", row.get::<String>("line")?);
        }
    }
    Ok(content_hash(text.as_bytes()))
}
