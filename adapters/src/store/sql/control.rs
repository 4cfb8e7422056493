//! What people do to jobs.

use super::{
    Done, Fault,
    query::{Conn, Row, query},
    rows::{self, TaskRow, needed_through, select_task, task_columns, wanted},
};
use imagefleet_common::{
    Error,
    ids::JobId,
    ports::jobs::{Control, JobState},
    task::{Event, RetryRules},
    work::{ChunkRef, Stage},
};

/// Rows that one transaction cancels: well below a second's work.
const BATCH: i64 = 1000;

pub(super) fn state(row: &Row) -> Done<JobState> {
    let name: String = row.get("state")?;
    JobState::from_name(&name).ok_or_else(|| Fault::unreadable("job state", &name))
}

pub(super) fn stage(row: &Row) -> Done<Stage> {
    let name: String = row.get("stage")?;
    Stage::from_name(&name).ok_or_else(|| Fault::unreadable("stage", &name))
}

async fn find(conn: &mut Conn, job: JobId) -> Done<(JobState, Stage)> {
    let row = query("SELECT state, stage FROM job WHERE id = $1")
        .bind(job)
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
            query("UPDATE job SET accept_dead = TRUE WHERE id = $1").bind(job).execute(&mut *conn).await?;
            if state == JobState::Blocked { set_state(conn, job, JobState::Running).await } else { Ok(()) }
        }
        Control::RetryDead => retry_dead(conn, job, state, stage, rules).await,
    }
}

pub(super) async fn set_state(conn: &mut Conn, job: JobId, state: JobState) -> Done<()> {
    query("UPDATE job SET state = $1 WHERE id = $2").bind(state.name()).bind(job).execute(conn).await?;
    Ok(())
}

async fn set_paused(conn: &mut Conn, job: JobId, paused: bool) -> Done<()> {
    query("UPDATE job SET paused = $1 WHERE id = $2").bind(paused).bind(job).execute(conn).await?;
    Ok(())
}

/// Revives the dead tasks of the earliest stage that has any and takes the job back to that stage; what it did itself
/// after that stage is to be done again.
async fn retry_dead(conn: &mut Conn, job: JobId, state: JobState, stage: Stage, rules: &RetryRules) -> Done<()> {
    let now = conn.now().await?;
    let found = query(select_task!("JOIN job_task n ON n.task = t.id WHERE n.job = $1 AND t.state = 'dead'"))
        .bind(job)
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
    for sql in [
        "UPDATE task SET again = NULL WHERE again IS NOT NULL AND id IN (SELECT task FROM job_task WHERE job = $1)",
        // What was unstable may have come to rest.
        "UPDATE task SET supersessions = 0 WHERE supersessions > 0 AND kind = 'list'
             AND corpus = (SELECT corpus FROM job WHERE id = $1)",
    ] {
        query(sql).bind(job).execute(&mut *conn).await?;
    }
    query("UPDATE job SET stage = $1 WHERE id = $2").bind(back_to.name()).bind(job).execute(&mut *conn).await?;
    if state == JobState::Blocked { set_state(conn, job, JobState::Running).await } else { Ok(()) }
}

/// The chunks' tasks are open again, and the job is back in its first stage without a note of what it had found there: so
/// it does all that comes after anew.
pub(super) async fn repair(conn: &mut Conn, job: JobId, chunks: &[ChunkRef], rules: &RetryRules) -> Done<()> {
    let (state, _) = find(conn, job).await?;
    if matches!(state, JobState::Submitted | JobState::Cancelling | JobState::Cancelled) {
        return Err(Error::permanent(format!("it is {state}: run its file first")).into());
    }
    let now = conn.now().await?;
    for &chunk in chunks {
        if let Some(row) = rows::embed_task(conn, job, chunk).await?.filter(|row| !row.task.state.is_open()) {
            let id = row.id;
            rows::apply_all(conn, vec![row], &Event::Reopened { now }, rules).await?;
            rows::need(conn, job, id).await?;
        }
    }
    query("UPDATE job SET state = $1, stage = $2, ended = NULL, fingerprint = NULL WHERE id = $3")
        .bind(JobState::Running.name())
        .bind(Stage::Embed.name())
        .bind(job)
        .execute(conn)
        .await?;
    Ok(())
}

/// The job's own tasks, whatever their state.
pub(super) async fn own_tasks(conn: &mut Conn, job: JobId) -> Done<Vec<TaskRow>> {
    let found = query(select_task!("WHERE t.job = $1")).bind(job).fetch_all(conn).await?;
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
    let open = needed_through!(
        conn,
        "task_open",
        concat!("SELECT ", task_columns!()),
        "WHERE t.state IN ('pending', 'ready', 'running') AND t.state <> 'running' AND NOT ",
        wanted!(),
        " LIMIT $2"
    );
    let found = query(open).bind(job).bind(BATCH).fetch_all(conn).await?;
    let some = !found.is_empty();
    rows::apply_all(conn, TaskRow::read_all(&found)?, &Event::Unneeded, rules).await?;
    Ok(some)
}

/// Does an attempt run that only jobs under cancellation need?
pub(super) async fn runs_unwanted(conn: &mut Conn, job: JobId) -> Done<bool> {
    let running =
        needed_through!(conn, "task_running", "SELECT 1", "WHERE t.state = 'running' AND NOT ", wanted!(), " LIMIT 1");
    let found = query(running).bind(job).fetch_optional(conn).await?;
    Ok(found.is_some())
}
