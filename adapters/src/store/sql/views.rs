//! What people see of jobs.

use super::{
    Done, Fault, attempts,
    control::{stage, state as job_state},
    query::{Conn, Row, query},
    rows,
};
use imagefleet_common::{
    ids::{CollectionId, CorpusId, JobId, TaskId},
    ledger::{Counts, Reason},
    ports::jobs::{JobView, Progress, TaskDetail, TaskView},
    task::State,
    work::Kind,
};
use std::collections::BTreeMap;

macro_rules! select_job {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, state, paused, stage, spec, corpus, collection, accept_dead, allow_delete, created, ended,
                    kept_shards, error, priority, max_tasks FROM job ",
            $rest
        )
    };
}

fn job_view(row: &Row) -> Done<JobView> {
    Ok(JobView {
        id: row.get("id")?,
        name: row.get("name")?,
        state: job_state(row)?,
        paused: row.get("paused")?,
        stage: stage(row)?,
        spec: row.get("spec")?,
        corpus: CorpusId(row.get("corpus")?),
        collection: CollectionId(row.get("collection")?),
        accept_dead: row.get("accept_dead")?,
        allow_delete: row.get("allow_delete")?,
        created: row.get("created")?,
        ended: row.get("ended")?,
        kept_shards: row.json("kept_shards")?,
        error: row.get("error")?,
        priority: row.get("priority")?,
        max_tasks: row.get("max_tasks")?,
    })
}

pub(super) async fn job(conn: &mut Conn, job: JobId) -> Done<Option<JobView>> {
    let row = query(select_job!("WHERE id = $1")).bind(job).fetch_optional(conn).await?;
    row.as_ref().map(job_view).transpose()
}

pub(super) async fn jobs(conn: &mut Conn) -> Done<Vec<JobView>> {
    let found = query(select_job!("WHERE NOT search ORDER BY created, id")).fetch_all(conn).await?;
    found.iter().map(job_view).collect()
}

pub(super) async fn submitted(conn: &mut Conn) -> Done<Vec<JobView>> {
    let found = query(select_job!("WHERE state = 'submitted' ORDER BY created, id")).fetch_all(conn).await?;
    found.iter().map(job_view).collect()
}

pub(super) async fn progress(conn: &mut Conn, job: JobId) -> Done<Progress> {
    let mut progress = Progress::default();
    let tasks = query(
        "SELECT t.kind, t.state, count(*) AS tasks FROM job_task n JOIN task t ON t.id = n.task
         WHERE n.job = $1 GROUP BY t.kind, t.state",
    )
    .bind(job)
    .fetch_all(conn)
    .await?;
    for row in &tasks {
        let (kind, state, count) = (kind(row)?, rows::state(row)?, row.get::<u64>("tasks")?);
        if (kind, state) == (Kind::List, State::Succeeded) {
            progress.shards_listed = count;
        }
        progress.tasks.push((kind, state, count));
    }
    let order = |state: State| State::ALL.iter().position(|other| *other == state);
    progress.tasks.sort_by_key(|(kind, state, _)| (*kind, order(*state)));
    let totals = query(
        "SELECT (SELECT count(*) FROM job_shard WHERE job = j.id) AS shards,
                (SELECT CAST(coalesce(sum(CASE WHEN c.stop IS NULL THEN k.pictures ELSE c.pictures END), 0) AS BIGINT)
                 FROM job_shard s JOIN chunk k ON k.corpus = s.corpus AND k.shard = s.shard
                 LEFT JOIN chunk_cut c ON c.collection = j.collection AND c.shard = k.shard AND c.chunk = k.chunk
                 WHERE s.job = j.id AND k.collection IN ('', j.collection)) AS pictures
         FROM job j WHERE j.id = $1",
    )
    .bind(job)
    .fetch_optional(conn)
    .await?;
    if let Some(row) = totals {
        progress.shards = row.get::<u64>("shards")?;
        progress.pictures = row.get::<u64>("pictures")?;
    }
    progress.counts = ledger_sum(conn, job).await?;
    Ok(progress)
}

/// Most chunks reject nothing or the same, so the sum goes over few different texts.
async fn ledger_sum(conn: &mut Conn, job: JobId) -> Done<Counts> {
    let found = query(
        "SELECT l.rejected, count(*) AS chunks, CAST(sum(l.seen) AS BIGINT) AS seen,
                CAST(sum(l.embedded) AS BIGINT) AS embedded, CAST(sum(l.unattributed) AS BIGINT) AS unattributed
         FROM job j JOIN job_shard s ON s.job = j.id
         JOIN ledger_chunk l ON l.collection = j.collection AND l.shard = s.shard
         WHERE j.id = $1 GROUP BY l.rejected",
    )
    .bind(job)
    .fetch_all(conn)
    .await?;
    let mut sum = Counts::default();
    for row in &found {
        let chunks = row.get::<u64>("chunks")?;
        let mut rejected: BTreeMap<Reason, u64> = row.json("rejected")?;
        rejected.values_mut().for_each(|count| *count *= chunks);
        sum.add(&Counts {
            seen: row.get::<u64>("seen")?,
            embedded: row.get::<u64>("embedded")?,
            rejected,
            unattributed: row.get::<u64>("unattributed")?,
        });
    }
    Ok(sum)
}

/// Through the indexes on open and on dead rows.
pub(super) async fn counts(conn: &mut Conn) -> Done<Vec<(Kind, State, u64)>> {
    let found = query(
        "SELECT kind, state, count(*) AS tasks FROM task WHERE state IN ('pending', 'ready', 'running')
         GROUP BY kind, state
         UNION ALL
         SELECT kind, state, count(*) AS tasks FROM task WHERE state = 'dead' GROUP BY kind, state",
    )
    .fetch_all(conn)
    .await?;
    found.iter().map(|row| Ok((kind(row)?, rows::state(row)?, row.get("tasks")?))).collect()
}

/// What [`task_view`] reads, from the task `t`.
macro_rules! seen_columns {
    () => {
        "t.id, t.work, t.state, t.attempt, t.failures, t.crashes, t.error, t.artifact, t.claimed, t.worker, t.finished"
    };
}

pub(super) async fn task(conn: &mut Conn, task: TaskId) -> Done<Option<TaskDetail>> {
    let row = query(concat!("SELECT ", seen_columns!(), ", t.run_after, t.done FROM task t WHERE t.id = $1"))
        .bind(task)
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let jobs = query("SELECT job FROM job_task WHERE task = $1 ORDER BY job").bind(task).fetch_all(conn).await?;
    Ok(Some(TaskDetail {
        task: task_view(&row)?,
        run_after: row.get("run_after")?,
        done: row.get("done")?,
        jobs: jobs.iter().map(|row| row.get("job")).collect::<Done<_>>()?,
        attempts: attempts::of_task(conn, task).await?,
    }))
}

/// Through the index on dead rows.
pub(super) async fn dead(conn: &mut Conn) -> Done<Vec<(TaskView, Vec<JobId>)>> {
    let found = query(concat!(
        "SELECT ",
        seen_columns!(),
        ", n.job FROM task t JOIN job_task n ON n.task = t.id WHERE t.state = 'dead'
         ORDER BY t.shard, t.version, t.chunk, t.age, n.job"
    ))
    .fetch_all(conn)
    .await?;
    let mut dead: Vec<(TaskView, Vec<JobId>)> = Vec::new();
    for row in &found {
        let (task, job) = (task_view(row)?, row.get("job")?);
        match dead.last_mut().filter(|(last, _)| last.id == task.id) {
            Some((_, jobs)) => jobs.push(job),
            None => dead.push((task, vec![job])),
        }
    }
    dead.sort_by_key(|(task, _)| task.work.kind());
    Ok(dead)
}

pub(super) async fn tasks(conn: &mut Conn, job: JobId) -> Done<Vec<TaskView>> {
    let found = query(concat!(
        "SELECT ",
        seen_columns!(),
        " FROM job_task n JOIN task t ON t.id = n.task WHERE n.job = $1 ORDER BY t.shard, t.version, t.chunk, t.age"
    ))
    .bind(job)
    .fetch_all(conn)
    .await?;
    let mut tasks = found.iter().map(task_view).collect::<Done<Vec<_>>>()?;
    tasks.sort_by_key(|task| task.work.kind());
    Ok(tasks)
}

fn task_view(row: &Row) -> Done<TaskView> {
    Ok(TaskView {
        id: row.get::<TaskId>("id")?,
        work: row.json("work")?,
        state: rows::state(row)?,
        attempt: row.get("attempt")?,
        failures: row.get("failures")?,
        crashes: row.get("crashes")?,
        error: row.get("error")?,
        artifact: row.get("artifact")?,
        claimed: row.get("claimed")?,
        worker: row.get("worker")?,
        finished: row.get("finished")?,
    })
}

fn kind(row: &Row) -> Done<Kind> {
    let name: String = row.get("kind")?;
    Kind::from_name(&name).ok_or_else(|| Fault::unreadable("kind of work", &name))
}
