//! The publisher's choice: which ready rows go to the broker next.
//!
//! A job's `max_tasks` bounds the rows that are marked or running on its account. A shared row is on the account of
//! that running, unpaused job, among those that need it, whose bound is the loosest (of equals the oldest): so a
//! bound never holds up a job that has a looser one.

use super::{
    Done,
    query::{Conn, Row, query},
    rows::{by_list, may_run},
};
use imagefleet_common::{
    ids::{JobId, Queue},
    ports::{broker::Message, tasks::QueueLoad},
};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// A condition on the ready task `t`: neither marked nor published, or so too long ago. $1 = now, $2 = after how many
/// milliseconds, doubled with each publication but the first, up to sixteenfold: who waits for a worker for days still
/// waits for a broker that lost its messages for minutes.
macro_rules! unpublished {
    () => {
        "t.run_after <= $1 AND (t.token IS NULL OR coalesce(t.published, t.marked) + ($2 << CAST(
             CASE WHEN t.publications > 5 THEN 4 WHEN t.publications > 1 THEN t.publications - 1 ELSE 0 END
         AS INTEGER)) <= $1)"
    };
}

/// The job on whose account the task `t` runs.
macro_rules! account {
    () => {
        "(SELECT j.id FROM job_task n JOIN job j ON j.id = n.job
          WHERE n.task = t.id AND j.state = 'running' AND NOT j.paused
          ORDER BY j.max_tasks = 0 DESC, j.max_tasks DESC, j.id LIMIT 1)"
    };
}

/// What was marked and is not known to be published counts: the broker may refuse it for long.
pub(super) async fn queues(conn: &mut Conn, republish_after: Duration, count_to: u32) -> Done<Vec<QueueLoad>> {
    let now = conn.now().await?;
    // Steps from queue to queue through the index on ready rows.
    let ready = query(concat!(
        "WITH RECURSIVE queue (name) AS (
             SELECT min(t.queue) FROM task t WHERE state = 'ready'
             UNION ALL
             SELECT (SELECT min(t.queue) FROM task t WHERE t.state = 'ready' AND t.queue > q.name)
             FROM queue q WHERE q.name IS NOT NULL
         )
         SELECT q.name, (SELECT count(*) FROM (SELECT 1 AS one FROM task t
                         WHERE t.state = 'ready' AND t.queue = q.name AND (t.run_after <= $1 AND t.published IS NULL OR ",
        unpublished!(),
        ") AND ",
        may_run!(),
        " LIMIT $3) counted) AS unpublished
         FROM queue q WHERE q.name IS NOT NULL"
    ))
    .bind(now)
    .bind(millis(republish_after))
    .bind(count_to)
    .fetch_all(conn)
    .await?;
    let load = |row: &Row| Ok(QueueLoad { queue: Queue(row.get("name")?), unpublished: row.get("unpublished")? });
    ready.iter().map(load).collect()
}

/// Through the sessions: open rows may be many, and running ones are few.
pub(super) async fn running(conn: &mut Conn) -> Done<Vec<(Queue, u64)>> {
    let found = query(
        "SELECT t.queue, count(*) AS running FROM session s JOIN task t ON t.session = s.id AND t.state = 'running'
         WHERE s.ended IS NULL GROUP BY t.queue ORDER BY t.queue",
    )
    .fetch_all(conn)
    .await?;
    found.iter().map(|row| Ok((Queue(row.get("queue")?), row.get("running")?))).collect()
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
    let now = conn.now().await?;
    let mut room = room(conn).await?;
    let mut wanted = limit;
    for priority in priorities(conn).await? {
        loop {
            // Rows of full accounts stay out, but for those that are on them already.
            let full: Vec<Uuid> = room.iter().filter(|(_, room)| **room <= 0).map(|(job, _)| job.0).collect();
            let found = query(concat!(
                "SELECT t.id, t.token IS NOT NULL AS counted, ",
                account!(),
                " AS account FROM task t
                 WHERE t.state = 'ready' AND t.queue = $3 AND t.token IS DISTINCT FROM $7 AND ",
                unpublished!(),
                " AND EXISTS (SELECT 1 FROM job_task n JOIN job j ON j.id = n.job
                              WHERE n.task = t.id AND j.priority = $4 AND j.state = 'running' AND NOT j.paused)
                  AND ($8 OR t.token IS NOT NULL OR ",
                account!(),
                " NOT IN (SELECT value FROM json_each($5)))
                 ORDER BY t.run_after, t.age LIMIT $6"
            ))
            .bind(now)
            .bind(millis(republish_after))
            .bind(&queue.0)
            .bind(priority)
            .bind(full.clone())
            .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
            .bind(token)
            .bind(full.is_empty())
            .locked_but_for_busy(conn)
            .fetch_all(conn)
            .await?;
            let taken = with_room(&found, &mut room)?;
            let sql = by_list!(conn, "UPDATE task SET token = $2, marked = $3, published = NULL WHERE id", "");
            query(sql).bind(taken.clone()).bind(token).bind(now).execute(conn).await?;
            wanted -= taken.len();
            // Short of what was there only where an account filled up: look past its rows.
            if wanted == 0 || taken.len() == found.len() {
                break;
            }
        }
    }
    carrying(conn, token).await
}

/// The candidates that their accounts have room for.
fn with_room(candidates: &[Row], room: &mut BTreeMap<JobId, i64>) -> Done<Vec<Uuid>> {
    let mut taken = Vec::new();
    for row in candidates {
        if let (false, Some(left)) = (row.get("counted")?, room.get_mut(&row.get("account")?)) {
            if *left <= 0 {
                continue;
            }
            *left -= 1;
        }
        taken.push(row.get("id")?);
    }
    Ok(taken)
}

/// The rows that carry the token, in the order in which they are to run.
async fn carrying(conn: &mut Conn, token: Uuid) -> Done<Vec<Message>> {
    let found = query(
        "SELECT t.id, t.attempt,
                (SELECT max(j.priority) FROM job_task n JOIN job j ON j.id = n.job
                 WHERE n.task = t.id AND j.state = 'running' AND NOT j.paused) AS priority
         FROM task t WHERE t.token = $1 ORDER BY priority DESC, t.run_after, t.age",
    )
    .bind(token)
    .fetch_all(conn)
    .await?;
    found.iter().map(|row| Ok(Message { task: row.get("id")?, attempt: row.get("attempt")? })).collect()
}

/// The priorities of jobs that run, highest first.
async fn priorities(conn: &mut Conn) -> Done<Vec<i32>> {
    let found =
        query("SELECT DISTINCT priority FROM job WHERE state = 'running' AND NOT paused ORDER BY priority DESC")
            .fetch_all(conn)
            .await?;
    found.iter().map(|row| row.get("priority")).collect()
}

/// How many more tasks may be marked on the account of each job that has a bound.
async fn room(conn: &mut Conn) -> Done<BTreeMap<JobId, i64>> {
    let found = query("SELECT id, max_tasks FROM job WHERE state = 'running' AND NOT paused AND max_tasks > 0")
        .fetch_all(conn)
        .await?;
    let mut room = BTreeMap::new();
    for row in &found {
        room.insert(row.get("id")?, row.get("max_tasks")?);
    }
    if room.is_empty() {
        return Ok(room);
    }
    let in_flight = query(concat!(
        "SELECT account, count(*) AS tasks FROM (
             SELECT ",
        account!(),
        " AS account FROM session s JOIN task t ON t.session = s.id AND t.state = 'running' WHERE s.ended IS NULL
             UNION ALL
             SELECT ",
        account!(),
        " AS account FROM task t WHERE t.token IS NOT NULL
         ) in_flight WHERE account IS NOT NULL GROUP BY account"
    ))
    .fetch_all(conn)
    .await?;
    for row in &in_flight {
        if let Some(room) = room.get_mut(&row.get("account")?) {
            *room -= row.get::<i64>("tasks")?;
        }
    }
    Ok(room)
}

/// Rows that a claim has locked meanwhile are left out: they lose the token with it.
pub(super) async fn published(conn: &mut Conn, token: Uuid) -> Done<()> {
    let now = conn.now().await?;
    let found = query("SELECT t.id FROM task t WHERE t.token = $1 AND t.published IS NULL")
        .bind(token)
        .locked_but_for_busy(conn)
        .fetch_all(conn)
        .await?;
    let ids = found.iter().map(|row| row.get("id")).collect::<Done<Vec<Uuid>>>()?;
    let sql = by_list!(conn, "UPDATE task SET published = $2, publications = publications + 1 WHERE id", "");
    query(sql).bind(ids).bind(now).execute(conn).await?;
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX >> 24)
}
