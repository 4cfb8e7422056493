//! Searches: jobs of one task, which nobody plans, and which are forgotten when they have been answered.

use super::{
    Done, catalog,
    query::{Conn, query},
    rows::{self, by_list},
};
use imagefleet_common::{
    Error,
    ids::{JobId, Millis},
    ports::jobs::{JobState, NewSearch, OldSearch},
    task::State,
    work::{Stage, Work},
};
use std::time::Duration;
use uuid::Uuid;

pub(super) async fn search(conn: &mut Conn, search: &NewSearch) -> Done<()> {
    let collection = catalog::collection(conn, &search.collection).await?;
    let collection = collection.ok_or_else(|| Error::permanent("there is no such collection"))?;
    let now = conn.now().await?;
    let inserted = query(
        "INSERT INTO job (id, name, spec, hash, corpus, collection, priority, max_tasks, state, stage, allow_delete, created, search)
         VALUES ($1, 'search', $2, $3, $4, $5, $6, 0, $7, $8, FALSE, $9, TRUE) ON CONFLICT (id) DO NOTHING",
    )
    .bind(search.id)
    .bind(&search.spec)
    .bind(search.id.to_string())
    .bind(&collection.corpus.0)
    .bind(&collection.id.0)
    .bind(i32::MAX)
    .bind(JobState::Running.name())
    .bind(Stage::Finalize.name())
    .bind(now)
    .execute(conn)
    .await?;
    if inserted == 1 {
        let row = rows::insert(conn, &Work::Search { job: search.id }, collection.model(), State::Ready, now).await?;
        rows::need(conn, search.id, row.id).await?;
    }
    Ok(())
}

pub(super) async fn forget(conn: &mut Conn, searches: &[JobId]) -> Done<()> {
    let searches: Vec<Uuid> = searches.iter().map(|id| id.0).collect();
    let sql = by_list!(
        conn,
        "SELECT j.id FROM job j JOIN task t ON t.job = j.id WHERE j.search AND t.state <> 'running' AND j.id",
        ""
    );
    let found = query(sql).bind(searches).fetch_all(conn).await?;
    let idle = found.iter().map(|row| row.get("id")).collect::<Done<Vec<Uuid>>>()?;
    for sql in [
        by_list!(conn, "DELETE FROM job_task WHERE job", ""),
        by_list!(conn, "DELETE FROM task WHERE job", ""),
        by_list!(conn, "DELETE FROM job WHERE id", ""),
    ] {
        query(sql).bind(idle.clone()).execute(conn).await?;
    }
    Ok(())
}

pub(super) async fn old(conn: &mut Conn, age: Duration) -> Done<Vec<OldSearch>> {
    let until = conn.now().await? - Millis::try_from(age.as_millis()).unwrap_or(Millis::MAX / 2);
    let found = query(
        "SELECT j.id, t.artifact FROM job j JOIN task t ON t.job = j.id
         WHERE j.search AND j.created <= $1 AND t.state <> 'running' ORDER BY j.created, j.id",
    )
    .bind(until)
    .fetch_all(conn)
    .await?;
    found.iter().map(|row| Ok(OldSearch { id: row.get("id")?, artifact: row.get("artifact")? })).collect()
}
