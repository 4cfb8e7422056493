//! Pictures that kill the process that decodes or encodes them.
//!
//! An attempt that runs alone writes down the ordinal at which it stands (`stands_at`). A row that nobody runs and that
//! still has one is a row whose process died there; the next claim takes that down (`suspect`, and at the second time
//! `poison`). Whatever ends an attempt in another way clears it, and so does a process that says that it lives.

use super::{
    Done, ends,
    query::{Conn, query},
    rows::by_list,
};
use imagefleet_common::{
    ids::{SessionId, TaskId},
    ports::tasks::{Holding, Written},
};
use uuid::Uuid;

pub(super) async fn stands_at(conn: &mut Conn, holding: Holding, ordinal: Option<u64>) -> Done<Written> {
    let sql = "UPDATE task SET stands_at = $1 WHERE id = $2 AND state = 'running' AND attempt = $3 AND session = $4";
    ends::while_held(conn, sql, ordinal, holding).await
}

/// The ordinals that are poison, after what the last attempt left behind was taken down.
pub(super) async fn take_down(conn: &mut Conn, task: TaskId) -> Done<Vec<u64>> {
    let row = query("SELECT stands_at, suspect, poison FROM task WHERE id = $1").bind(task).fetch_one(conn).await?;
    let (died_at, suspect): (Option<i64>, Option<i64>) = (row.get("stands_at")?, row.get("suspect")?);
    let mut poison: Vec<u64> = row.json("poison")?;
    let Some(died_at) = died_at else { return Ok(poison) };
    let suspect = match suspect == Some(died_at) {
        true => {
            poison.push(died_at.unsigned_abs());
            None
        }
        false => Some(died_at),
    };
    query("UPDATE task SET stands_at = NULL, suspect = $1, poison = $2 WHERE id = $3")
        .bind(suspect)
        .bind(serde_json::to_string(&poison)?)
        .bind(task)
        .execute(conn)
        .await?;
    Ok(poison)
}

/// These attempts ended, or their process lives: nothing died where they stood.
pub(super) async fn clear(conn: &mut Conn, tasks: Vec<Uuid>) -> Done<()> {
    let sql = by_list!(conn, "UPDATE task SET stands_at = NULL WHERE id", "AND stands_at IS NOT NULL");
    query(sql).bind(tasks).execute(conn).await?;
    Ok(())
}

/// As [`clear`], for all that a session runs.
pub(super) async fn clear_session(conn: &mut Conn, session: SessionId) -> Done<()> {
    query("UPDATE task SET stands_at = NULL WHERE state = 'running' AND session = $1 AND stands_at IS NOT NULL")
        .bind(session)
        .execute(conn)
        .await?;
    Ok(())
}
