//! What is kept of attempts that did not succeed. Those that did are in their tasks' own rows, and cost nothing here.

use super::{
    Done, Fault,
    query::{Conn, Row, query},
};
use imagefleet_common::{
    ids::TaskId,
    ports::jobs::{ATTEMPTS_KEPT, AttemptEnd, AttemptView},
};

/// Notes how the task's last attempt ended, and forgets the oldest.
pub(super) async fn note(conn: &mut Conn, task: TaskId, end: AttemptEnd, error: Option<&str>) -> Done<()> {
    let now = conn.now().await?;
    query(
        "INSERT INTO attempt (task, number, worker, began, ended, how, error)
         SELECT id, attempt, worker, claimed, $2, $3, $4 FROM task WHERE id = $1 ON CONFLICT (task, number) DO NOTHING",
    )
    .bind(task)
    .bind(now)
    .bind(end.name())
    .bind(error)
    .execute(conn)
    .await?;
    query("DELETE FROM attempt WHERE task = $1 AND number <= (SELECT attempt FROM task WHERE id = $1) - $2")
        .bind(task)
        .bind(ATTEMPTS_KEPT)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn of_task(conn: &mut Conn, task: TaskId) -> Done<Vec<AttemptView>> {
    let found = query("SELECT number, worker, began, ended, how, error FROM attempt WHERE task = $1 ORDER BY number")
        .bind(task)
        .fetch_all(conn)
        .await?;
    found.iter().map(read).collect()
}

fn read(row: &Row) -> Done<AttemptView> {
    let how: String = row.get("how")?;
    Ok(AttemptView {
        attempt: row.get("number")?,
        worker: row.get("worker")?,
        began: row.get("began")?,
        ended: row.get("ended")?,
        end: AttemptEnd::from_name(&how).ok_or_else(|| Fault::unreadable("end of an attempt", &how))?,
        error: row.get("error")?,
    })
}
