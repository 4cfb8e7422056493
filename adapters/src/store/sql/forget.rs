//! Jobs that have ended and collections that no job needs are forgotten when a person says so.

use super::{
    Done, control,
    query::{Conn, query},
    rows::by_list,
};
use imagefleet_common::{
    Error,
    ids::{CollectionId, JobId, TaskId},
    ports::jobs::JobState,
};
use uuid::Uuid;

/// Shared tasks that one transaction lets go of.
const BATCH: i64 = 1000;

/// Has the job ended? `None`: there is none.
async fn has_ended(conn: &mut Conn, job: JobId) -> Done<Option<()>> {
    let row = query("SELECT state FROM job WHERE id = $1").bind(job).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(None) };
    match control::state(&row)? {
        JobState::Succeeded | JobState::Cancelled => Ok(Some(())),
        state => {
            Err(Error::permanent(format!("it is {state}: cancel it first, and wait until it is cancelled")).into())
        }
    }
}

/// Lets go of some shared tasks that the job needs. Those that nobody else needs go, but for those that the ledger names or
/// whose writes may be under way. `false` when there were no more.
pub(super) async fn let_go(conn: &mut Conn, job: JobId) -> Done<bool> {
    if has_ended(conn, job).await?.is_none() {
        return Ok(false);
    }
    let found =
        query("SELECT t.id FROM job_task n JOIN task t ON t.id = n.task WHERE n.job = $1 AND t.job IS NULL LIMIT $2")
            .bind(job)
            .bind(BATCH)
            .fetch_all(conn)
            .await?;
    let ids = found.iter().map(|row| row.get("id")).collect::<Done<Vec<Uuid>>>()?;
    let needs = by_list!(conn, "DELETE FROM job_task WHERE task", "AND job = $2");
    query(needs).bind(ids.clone()).bind(job).execute(conn).await?;
    let orphans = by_list!(
        conn,
        "DELETE FROM task WHERE id",
        "AND state <> 'running' AND lost IS NULL AND lost_in IS NULL
         AND NOT EXISTS (SELECT 1 FROM job_task n WHERE n.task = task.id)
         AND NOT EXISTS (SELECT 1 FROM ledger_chunk l WHERE l.task = task.id)"
    );
    query(orphans).bind(ids).execute(conn).await?;
    Ok(!found.is_empty())
}

/// What is left of the job once it has let go of shared tasks.
pub(super) async fn job(conn: &mut Conn, job: JobId) -> Done<()> {
    if has_ended(conn, job).await?.is_none() {
        return Ok(());
    }
    for sql in [
        "DELETE FROM job_task WHERE job = $1",
        "DELETE FROM job_shard WHERE job = $1",
        "DELETE FROM task WHERE job = $1",
        "DELETE FROM job WHERE id = $1",
    ] {
        query(sql).bind(job).execute(conn).await?;
    }
    Ok(())
}

pub(super) async fn collection(conn: &mut Conn, id: &CollectionId) -> Done<Vec<TaskId>> {
    let row = query("SELECT corpus FROM collection WHERE id = $1").bind(&id.0).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(Vec::new()) };
    let corpus: String = row.get("corpus")?;
    must_be_unneeded(conn, id).await?;
    let found =
        query("SELECT id FROM task WHERE kind = 'embed' AND collection = $1").bind(&id.0).fetch_all(conn).await?;
    let tasks = found.iter().map(|row| row.get("id")).collect::<Done<Vec<TaskId>>>()?;
    for sql in [
        "DELETE FROM ledger_chunk WHERE collection = $1",
        "DELETE FROM chunk_cut WHERE collection = $1",
        "DELETE FROM chunk WHERE corpus = (SELECT corpus FROM collection WHERE id = $1) AND collection = $1",
        "DELETE FROM task WHERE kind = 'embed' AND collection = $1",
        "DELETE FROM collection WHERE id = $1",
    ] {
        query(sql).bind(&id.0).execute(conn).await?;
    }
    let others = query("SELECT 1 FROM collection WHERE corpus = $1 LIMIT 1").bind(&corpus).fetch_optional(conn).await?;
    if others.is_none() {
        for sql in [
            "DELETE FROM task WHERE corpus = $1",
            "DELETE FROM chunk WHERE corpus = $1",
            "DELETE FROM shard WHERE corpus = $1",
            "DELETE FROM corpus WHERE id = $1",
        ] {
            query(sql).bind(&corpus).execute(conn).await?;
        }
    }
    Ok(tasks)
}

async fn must_be_unneeded(conn: &mut Conn, id: &CollectionId) -> Done<()> {
    let jobs = query("SELECT name FROM job WHERE collection = $1 AND NOT search ORDER BY created, id")
        .bind(&id.0)
        .fetch_all(conn)
        .await?;
    let names = jobs.iter().map(|row| row.get("name")).collect::<Done<Vec<String>>>()?;
    if !names.is_empty() {
        let names = names.join(", ");
        return Err(
            Error::permanent(format!("jobs need it: {names}; remove them first with `imagefleet jobs rm`")).into()
        );
    }
    // Their answers go with them, which a coordinator sees to.
    let searches = query("SELECT 1 FROM job WHERE collection = $1 AND search LIMIT 1").bind(&id.0);
    if searches.fetch_optional(conn).await?.is_some() {
        return Err(Error::transient("it was searched a moment ago; try again in a few minutes").into());
    }
    let running = query("SELECT 1 FROM task WHERE kind = 'embed' AND collection = $1 AND state = 'running' LIMIT 1")
        .bind(&id.0)
        .fetch_optional(conn)
        .await?;
    match running {
        Some(_) => Err(Error::transient("an attempt for it still runs; try again in a moment").into()),
        None => Ok(()),
    }
}
