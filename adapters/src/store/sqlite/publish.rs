//! The publisher's choice: which ready rows go to the broker next.
//!
//! A job's `max_tasks` bounds the rows that are marked or running on its account. A shared row is on the account of
//! that running, unpaused job, among those that need it, whose bound is the loosest (of equals the oldest): so a
//! bound never holds up a job that has a looser one.

use super::{
    Conn, Done,
    rows::{self, may_run, parsed},
};
use imagefleet_common::{
    ids::{Millis, Queue, TaskId},
    ports::{broker::Message, tasks::QueueLoad},
};
use sqlx::{Row, sqlite::SqliteRow};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// Unpublished rows are counted up to this: no window is larger.
const COUNTED: u32 = 4096;

/// A condition on the ready task `t`: neither marked nor published, or so too long ago. ?1 = now, ?2 = after how many
/// milliseconds, doubled with each publication but the first.
macro_rules! unpublished {
    () => {
        "t.run_after <= ?1 AND (t.token IS NULL
            OR coalesce(t.published, t.marked) + (?2 << min(max(t.publications - 1, 0), 20)) <= ?1)"
    };
}

/// The job on whose account the task `t` runs.
macro_rules! account {
    () => {
        "(SELECT j.id FROM job_task n JOIN job j ON j.id = n.job
          WHERE n.task = t.id AND j.state = 'running' AND j.paused = 0
          ORDER BY j.max_tasks = 0 DESC, j.max_tasks DESC, j.id LIMIT 1)"
    };
}

pub(super) async fn queues(conn: &mut Conn, republish_after: Duration) -> Done<Vec<QueueLoad>> {
    let now = rows::now(conn).await?;
    let mut loads = BTreeMap::<String, QueueLoad>::new();
    let mut load = |name: &str, unpublished: i64, running: i64| {
        let load = loads.entry(name.to_owned()).or_insert_with(|| QueueLoad {
            queue: Queue(name.to_owned()),
            unpublished: 0,
            running: 0,
        });
        load.unpublished += usize::try_from(unpublished).unwrap_or_default();
        load.running += usize::try_from(running).unwrap_or_default();
    };
    // Steps from queue to queue through the index on ready rows.
    let ready = sqlx::query(concat!(
        "WITH RECURSIVE queue (name) AS (
             SELECT min(queue) FROM task WHERE state = 'ready'
             UNION ALL
             SELECT (SELECT min(t.queue) FROM task t WHERE t.state = 'ready' AND t.queue > q.name)
             FROM queue q WHERE q.name IS NOT NULL
         )
         SELECT q.name, (SELECT count(*) FROM (SELECT 1 FROM task t
                         WHERE t.state = 'ready' AND t.queue = q.name AND ",
        unpublished!(),
        " AND ",
        may_run!(),
        " LIMIT ?3)) AS unpublished
         FROM queue q WHERE q.name IS NOT NULL"
    ))
    .bind(now)
    .bind(millis(republish_after))
    .bind(COUNTED)
    .fetch_all(&mut *conn)
    .await?;
    for row in &ready {
        load(row.try_get("name")?, row.try_get("unpublished")?, 0);
    }
    let running = sqlx::query("SELECT queue, count(*) AS running FROM task WHERE state = 'running' GROUP BY queue")
        .fetch_all(conn)
        .await?;
    for row in &running {
        load(row.try_get("queue")?, 0, row.try_get("running")?);
    }
    Ok(loads.into_values().collect())
}

pub(super) async fn mark(
    conn: &mut Conn,
    queue: &Queue,
    limit: usize,
    token: Uuid,
    republish_after: Duration,
) -> Done<Vec<Message>> {
    let marked = carrying(conn, token).await?;
    if !marked.is_empty() {
        return Ok(marked);
    }
    let now = rows::now(conn).await?;
    let mut room = room(conn).await?;
    let mut wanted = limit;
    for priority in priorities(conn).await? {
        loop {
            // Rows of full accounts stay out, but for those that are on them already.
            let full: Vec<&String> = room.iter().filter(|(_, room)| **room <= 0).map(|(job, _)| job).collect();
            let full = serde_json::to_string(&full)?;
            let candidates = sqlx::query(concat!(
                "SELECT t.id, t.token IS NOT NULL AS counted, ",
                account!(),
                " AS account FROM task t
                 WHERE t.state = 'ready' AND t.queue = ?3 AND t.token IS NOT ?7 AND ",
                unpublished!(),
                " AND EXISTS (SELECT 1 FROM job_task n JOIN job j ON j.id = n.job
                              WHERE n.task = t.id AND j.priority = ?4 AND j.state = 'running' AND j.paused = 0)
                  AND (t.token IS NOT NULL OR account NOT IN (SELECT value FROM json_each(?5)))
                 ORDER BY t.run_after, t.age LIMIT ?6"
            ))
            .bind(now)
            .bind(millis(republish_after))
            .bind(&queue.0)
            .bind(priority)
            .bind(full)
            .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
            .bind(token.to_string())
            .fetch_all(&mut *conn)
            .await?;
            let taken = take(conn, &candidates, &mut room, now, token).await?;
            wanted -= taken;
            // Short of what was there only where an account filled up: look past its rows.
            if wanted == 0 || taken == candidates.len() {
                break;
            }
        }
    }
    carrying(conn, token).await
}

/// Marks the candidates that their accounts have room for.
async fn take(
    conn: &mut Conn,
    candidates: &[SqliteRow],
    room: &mut BTreeMap<String, i64>,
    now: Millis,
    token: Uuid,
) -> Done<usize> {
    let mut taken = 0;
    for row in candidates {
        let counted: bool = row.try_get("counted")?;
        if let (false, Some(left)) = (counted, room.get_mut(row.try_get::<&str, _>("account")?)) {
            if *left <= 0 {
                continue;
            }
            *left -= 1;
        }
        sqlx::query("UPDATE task SET token = ?, marked = ?, published = NULL WHERE id = ?")
            .bind(token.to_string())
            .bind(now)
            .bind(row.try_get::<&str, _>("id")?)
            .execute(&mut *conn)
            .await?;
        taken += 1;
    }
    Ok(taken)
}

/// The rows that carry the token, in the order in which they are to run.
async fn carrying(conn: &mut Conn, token: Uuid) -> Done<Vec<Message>> {
    let found = sqlx::query(
        "SELECT t.id, t.attempt,
                (SELECT max(j.priority) FROM job_task n JOIN job j ON j.id = n.job
                 WHERE n.task = t.id AND j.state = 'running' AND j.paused = 0) AS priority
         FROM task t WHERE t.token = ? ORDER BY priority DESC, t.run_after, t.age",
    )
    .bind(token.to_string())
    .fetch_all(conn)
    .await?;
    found
        .iter()
        .map(|row| Ok(Message { task: parsed::<TaskId>(row, "id")?, attempt: row.try_get("attempt")? }))
        .collect()
}

/// The priorities of jobs that run, highest first.
async fn priorities(conn: &mut Conn) -> Done<Vec<i32>> {
    let found =
        sqlx::query("SELECT DISTINCT priority FROM job WHERE state = 'running' AND paused = 0 ORDER BY priority DESC")
            .fetch_all(conn)
            .await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// How many more tasks may be marked on the account of each job that has a bound.
async fn room(conn: &mut Conn) -> Done<BTreeMap<String, i64>> {
    let found = sqlx::query("SELECT id, max_tasks FROM job WHERE state = 'running' AND paused = 0 AND max_tasks > 0")
        .fetch_all(&mut *conn)
        .await?;
    let mut room = BTreeMap::new();
    for row in &found {
        room.insert(row.try_get::<String, _>("id")?, row.try_get::<i64, _>("max_tasks")?);
    }
    if room.is_empty() {
        return Ok(room);
    }
    let in_flight = sqlx::query(concat!(
        "SELECT account, count(*) AS tasks FROM (
             SELECT ",
        account!(),
        " AS account FROM task t WHERE t.state = 'running'
             UNION ALL
             SELECT ",
        account!(),
        " AS account FROM task t WHERE t.token IS NOT NULL
         ) GROUP BY account"
    ))
    .fetch_all(conn)
    .await?;
    for row in &in_flight {
        let account: Option<&str> = row.try_get("account")?;
        if let Some(room) = account.and_then(|account| room.get_mut(account)) {
            *room -= row.try_get::<i64, _>("tasks")?;
        }
    }
    Ok(room)
}

pub(super) async fn published(conn: &mut Conn, token: Uuid) -> Done<()> {
    let now = rows::now(conn).await?;
    sqlx::query("UPDATE task SET published = ?, publications = publications + 1 WHERE token = ? AND published IS NULL")
        .bind(now)
        .bind(token.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX >> 24)
}
