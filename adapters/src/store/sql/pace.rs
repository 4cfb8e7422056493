//! How fast a job goes, for people.

use super::{
    Done,
    query::{Conn, query},
    rows::needed_through,
};
use imagefleet_common::{
    ids::{JobId, Millis},
    ledger::Spent,
    ports::jobs::Pace,
};
use std::time::Duration;

pub(super) async fn pace(conn: &mut Conn, job: JobId, lately: Duration) -> Done<Pace> {
    let now = conn.now().await?;
    let mut pace = Pace { now, ..Pace::default() };
    let running = needed_through!(
        conn,
        "task_running",
        "SELECT count(DISTINCT t.session) AS workers,
                CAST(coalesce(sum(CASE WHEN t.kind = 'embed' THEN t.done ELSE 0 END), 0) AS BIGINT) AS under_way",
        "WHERE t.state = 'running'"
    );
    let running = query(running).bind(job).fetch_one(conn).await?;
    pace.workers = running.get("workers")?;
    pace.under_way = running.get("under_way")?;
    let chunks = query(
        "SELECT t.claimed, l.seen, l.spent FROM job j JOIN job_shard s ON s.job = j.id
         JOIN ledger_chunk l ON l.collection = j.collection AND l.shard = s.shard
         JOIN task t ON t.id = l.task
         WHERE j.id = $1 AND t.finished >= $2",
    )
    .bind(job)
    .bind(now - Millis::try_from(lately.as_millis()).unwrap_or(Millis::MAX / 2))
    .fetch_all(conn)
    .await?;
    for row in &chunks {
        pace.chunks += 1;
        pace.pictures += row.get::<u64>("seen")?;
        if let Some(spent) = row.get::<Option<String>>("spent")? {
            pace.spent.add(&serde_json::from_str::<Spent>(&spent)?);
        }
        let claimed: Option<Millis> = row.get("claimed")?;
        pace.since = pace.since.into_iter().chain(claimed).min();
    }
    Ok(pace)
}
