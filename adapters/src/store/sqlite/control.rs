//! What people do to jobs.

use super::{
    Conn, Done, Fault,
    rows::{self, TaskRow, select_task, wanted},
};
use imagefleet_common::{
    Error,
    ids::JobId,
    ports::jobs::{Control, JobState},
    task::{Event, RetryRules},
    work::{ChunkRef, Stage},
};
use sqlx::{Row, sqlite::SqliteRow};

/// Rows that one transaction cancels: well below a second's work.
const BATCH: i64 = 1000;

pub(super) fn state(row: &SqliteRow) -> Done<JobState> {
    let name: &str = row.try_get("state")?;
    JobState::from_name(name).ok_or_else(|| Fault::unreadable("job state", name))
}

pub(super) fn stage(row: &SqliteRow) -> Done<Stage> {
    let name: &str = row.try_get("stage")?;
    Stage::from_name(name).ok_or_else(|| Fault::unreadable("stage", name))
}

async fn find(conn: &mut Conn, job: JobId) -> Done<(JobState, Stage)> {
    let row = sqlx::query("SELECT state, stage FROM job WHERE id = ?")
        .bind(job.to_string())
        .fetch_optional(conn)
        .await?
        .ok_or_else(|| Error::permanent("no such job"))?;
    Ok((state(&row)?, stage(&row)?))
}

/// Does nothing to a job that has ended.
pub(super) async fn control(conn: &mut Conn, job: JobId, control: Control, rules: &RetryRules) -> Done<()> {
    let (state, stage) = find(conn, job).await?;
    if !matches!(state, JobState::Submitted | JobState::Running | JobState::Blocked) {
        return Ok(());
    }
    match control {
        Control::Cancel => set_state(conn, job, JobState::Cancelling).await,
        Control::Pause => set_paused(conn, job, true).await,
        Control::Resume => set_paused(conn, job, false).await,
        Control::AcceptDead => {
            sqlx::query("UPDATE job SET accept_dead = 1 WHERE id = ?")
                .bind(job.to_string())
                .execute(&mut *conn)
                .await?;
            if state == JobState::Blocked { set_state(conn, job, JobState::Running).await } else { Ok(()) }
        }
        Control::RetryDead => retry_dead(conn, job, state, stage, rules).await,
    }
}

pub(super) async fn set_state(conn: &mut Conn, job: JobId, state: JobState) -> Done<()> {
    sqlx::query("UPDATE job SET state = ? WHERE id = ?").bind(state.name()).bind(job.to_string()).execute(conn).await?;
    Ok(())
}

async fn set_paused(conn: &mut Conn, job: JobId, paused: bool) -> Done<()> {
    sqlx::query("UPDATE job SET paused = ? WHERE id = ?").bind(paused).bind(job.to_string()).execute(conn).await?;
    Ok(())
}

/// Revives the dead tasks of the earliest stage that has any and takes the job back to that stage; what it did itself
/// after that stage is to be done again.
async fn retry_dead(conn: &mut Conn, job: JobId, state: JobState, stage: Stage, rules: &RetryRules) -> Done<()> {
    let now = rows::now(conn).await?;
    let found = sqlx::query(select_task!("JOIN job_task n ON n.task = t.id WHERE n.job = ? AND t.state = 'dead'"))
        .bind(job.to_string())
        .fetch_all(&mut *conn)
        .await?;
    let dead = TaskRow::read_all(&found)?;
    let earliest = dead.iter().map(|row| row.work.kind().stage()).min();
    let back_to = earliest.map_or(stage, |earliest| earliest.min(stage));
    let revived = dead.into_iter().filter(|row| row.work.kind().stage() <= back_to).collect();
    rows::apply_all(conn, revived, &Event::Reopened { now }, rules).await?;
    let later = own_tasks(conn, job).await?.into_iter().filter(|row| row.work.kind().stage() > back_to).collect();
    if earliest.is_some() {
        rows::apply_all(conn, later, &Event::Rewound, rules).await?;
    }
    sqlx::query(
        "UPDATE task SET again = NULL WHERE again IS NOT NULL AND id IN (SELECT task FROM job_task WHERE job = ?)",
    )
    .bind(job.to_string())
    .execute(&mut *conn)
    .await?;
    sqlx::query("UPDATE job SET stage = ? WHERE id = ?")
        .bind(back_to.name())
        .bind(job.to_string())
        .execute(&mut *conn)
        .await?;
    if state == JobState::Blocked { set_state(conn, job, JobState::Running).await } else { Ok(()) }
}

/// The chunks' tasks are open again, and the job is back in its first stage without a note of what it had found there: so
/// it does all that comes after anew.
pub(super) async fn repair(conn: &mut Conn, job: JobId, chunks: &[ChunkRef], rules: &RetryRules) -> Done<()> {
    let (state, _) = find(conn, job).await?;
    if matches!(state, JobState::Submitted | JobState::Cancelling | JobState::Cancelled) {
        return Err(Error::permanent(format!("it is {state}: run its file first")).into());
    }
    let now = rows::now(conn).await?;
    for &chunk in chunks {
        if let Some(row) = rows::embed_task(conn, job, chunk).await?.filter(|row| !row.task.state.is_open()) {
            let id = row.id;
            rows::apply_all(conn, vec![row], &Event::Reopened { now }, rules).await?;
            rows::need(conn, job, id).await?;
        }
    }
    sqlx::query("UPDATE job SET state = ?, stage = ?, ended = NULL, fingerprint = NULL WHERE id = ?")
        .bind(JobState::Running.name())
        .bind(Stage::Embed.name())
        .bind(job.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The job's own tasks, whatever their state.
pub(super) async fn own_tasks(conn: &mut Conn, job: JobId) -> Done<Vec<TaskRow>> {
    let found = sqlx::query(select_task!("WHERE t.job = ?")).bind(job.to_string()).fetch_all(conn).await?;
    TaskRow::read_all(&found)
}

/// The own tasks of one stage.
pub(super) async fn own_tasks_of(conn: &mut Conn, job: JobId, stage: Stage) -> Done<Vec<TaskRow>> {
    let all = own_tasks(conn, job).await?;
    Ok(all.into_iter().filter(|row| row.work.kind().stage() == stage).collect())
}

/// Cancels some tasks that have not begun and that no job wants but this one, which is being cancelled. `false` when
/// there were no more.
pub(super) async fn cancel_some(conn: &mut Conn, job: JobId, rules: &RetryRules) -> Done<bool> {
    let found = sqlx::query(select_task!(
        "INDEXED BY task_open CROSS JOIN job_task n ON n.task = t.id AND n.job = ?
         WHERE t.state IN ('pending', 'ready', 'running') AND t.state <> 'running' AND NOT ",
        wanted!(),
        " LIMIT ?"
    ))
    .bind(job.to_string())
    .bind(BATCH)
    .fetch_all(&mut *conn)
    .await?;
    let some = !found.is_empty();
    rows::apply_all(conn, TaskRow::read_all(&found)?, &Event::Unneeded, rules).await?;
    Ok(some)
}

/// Does an attempt run that only jobs under cancellation need?
pub(super) async fn runs_unwanted(conn: &mut Conn, job: JobId) -> Done<bool> {
    let found = sqlx::query(concat!(
        "SELECT 1 FROM task t INDEXED BY task_running CROSS JOIN job_task n ON n.task = t.id AND n.job = ?
         WHERE t.state = 'running' AND NOT ",
        wanted!(),
        " LIMIT 1"
    ))
    .bind(job.to_string())
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}
