//! Sessions: opened, kept alive, reaped. A session that ended, for whatever reason, never revives.

use super::{
    Conn, Done,
    rows::{self, TaskRow, cancel_unless_wanted, may_run, parsed, select_task},
};
use imagefleet_common::{
    ids::{Millis, SessionId},
    ports::tasks::{Beat, Holding, NewSession},
    task::{Event, Holder, RetryRules, State},
};
use sqlx::Row;

pub(super) async fn open(conn: &mut Conn, session: &NewSession, rules: &RetryRules) -> Done<()> {
    let now = rows::now(conn).await?;
    let lease = Millis::try_from(session.lease.as_millis()).unwrap_or(Millis::MAX / 2);
    sqlx::query(
        "INSERT INTO session (id, worker, lease, expires) VALUES (?1, ?2, ?3, ?4 + ?3) ON CONFLICT (id) DO NOTHING",
    )
    .bind(session.id.to_string())
    .bind(&session.worker)
    .bind(lease)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    if let Some(old) = session.replaces {
        // The process lives: what it ran there was put down, not lost.
        end(conn, old, now).await?;
        release(conn, old, &Event::SessionEnded { session: old }, rules).await?;
        take_crashes_back(conn, old, rules).await?;
    }
    Ok(())
}

/// Extends the lease of a session that has not ended, expired or not: until it is reaped nobody else has its tasks.
pub(super) async fn beat(conn: &mut Conn, session: SessionId) -> Done<Beat> {
    let now = rows::now(conn).await?;
    let alive = sqlx::query("UPDATE session SET expires = ? + lease WHERE id = ? AND ended IS NULL")
        .bind(now)
        .bind(session.to_string())
        .execute(&mut *conn)
        .await?
        .rows_affected()
        == 1;
    if !alive {
        return Ok(Beat::default());
    }
    let found = sqlx::query(select_task!("WHERE t.state = 'running' AND t.session = ? AND NOT ", may_run!()))
        .bind(session.to_string())
        .fetch_all(conn)
        .await?;
    let unneeded = TaskRow::read_all(&found)?
        .into_iter()
        .map(|row| Holding { task: row.id, holder: Holder { attempt: row.task.attempt, session } })
        .collect();
    Ok(Beat { alive, unneeded })
}

pub(super) async fn close(conn: &mut Conn, session: SessionId, rules: &RetryRules) -> Done<()> {
    let now = rows::now(conn).await?;
    end(conn, session, now).await?;
    release(conn, session, &Event::SessionEnded { session }, rules).await
}

pub(super) async fn reap(conn: &mut Conn, rules: &RetryRules) -> Done<Vec<SessionId>> {
    let now = rows::now(conn).await?;
    let found = sqlx::query("SELECT id FROM session WHERE ended IS NULL AND expires <= ? ORDER BY expires, id")
        .bind(now)
        .fetch_all(&mut *conn)
        .await?;
    let expired = found.iter().map(|row| parsed(row, "id")).collect::<Done<Vec<SessionId>>>()?;
    for session in &expired {
        lose(conn, *session, now, rules).await?;
        // Its process may live on and write for as long as it doesn't know.
        sqlx::query("UPDATE task SET lost = ? WHERE lost_in = ?")
            .bind(now)
            .bind(session.to_string())
            .execute(&mut *conn)
            .await?;
    }
    Ok(expired)
}

/// Sessions that have passed their lease and were not reaped yet; asked without a lock, so that looking each second
/// costs nothing.
pub(super) async fn any_expired(conn: &mut Conn) -> Done<bool> {
    let now = rows::now(conn).await?;
    let row = sqlx::query("SELECT 1 FROM session WHERE ended IS NULL AND expires <= ? LIMIT 1")
        .bind(now)
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

pub(super) async fn take_over(conn: &mut Conn, rules: &RetryRules) -> Done<()> {
    let now = rows::now(conn).await?;
    let found = sqlx::query("SELECT id FROM session WHERE ended IS NULL").fetch_all(&mut *conn).await?;
    for row in &found {
        lose(conn, parsed(row, "id")?, now, rules).await?;
    }
    // Nobody can write any more, and nobody will ask for a crash back.
    sqlx::query("UPDATE task SET lost = NULL WHERE lost IS NOT NULL").execute(&mut *conn).await?;
    sqlx::query("UPDATE task SET lost_in = NULL WHERE lost_in IS NOT NULL").execute(&mut *conn).await?;
    sqlx::query(
        "UPDATE task SET token = NULL, marked = NULL, published = NULL, publications = 0 WHERE token IS NOT NULL",
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn lose(conn: &mut Conn, session: SessionId, now: Millis, rules: &RetryRules) -> Done<()> {
    end(conn, session, now).await?;
    sqlx::query("UPDATE task SET lost_in = session WHERE state = 'running' AND session = ?")
        .bind(session.to_string())
        .execute(&mut *conn)
        .await?;
    release(conn, session, &Event::SessionLost { session }, rules).await
}

async fn end(conn: &mut Conn, session: SessionId, now: Millis) -> Done<()> {
    sqlx::query("UPDATE session SET ended = ? WHERE id = ? AND ended IS NULL")
        .bind(now)
        .bind(session.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// What the session still runs becomes ready, or is cancelled where no job wants it.
async fn release(conn: &mut Conn, session: SessionId, event: &Event, rules: &RetryRules) -> Done<()> {
    let found = sqlx::query(select_task!("WHERE t.state = 'running' AND t.session = ?"))
        .bind(session.to_string())
        .fetch_all(&mut *conn)
        .await?;
    for mut row in TaskRow::read_all(&found)? {
        if rows::apply(conn, &mut row, event, rules).await?.is_ok() {
            cancel_unless_wanted(conn, &mut row, rules).await?;
        }
    }
    Ok(())
}

async fn take_crashes_back(conn: &mut Conn, session: SessionId, rules: &RetryRules) -> Done<()> {
    let found =
        sqlx::query(select_task!("WHERE t.lost_in = ?")).bind(session.to_string()).fetch_all(&mut *conn).await?;
    rows::apply_all(conn, TaskRow::read_all(&found)?, &Event::CrashTakenBack, rules).await?;
    sqlx::query("UPDATE task SET lost_in = NULL WHERE lost_in = ?").bind(session.to_string()).execute(conn).await?;
    Ok(())
}

/// Is the session open?
pub(super) async fn is_alive(conn: &mut Conn, session: SessionId) -> Done<bool> {
    let row = sqlx::query("SELECT ended IS NULL FROM session WHERE id = ?")
        .bind(session.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(match row {
        Some(row) => row.try_get(0)?,
        None => false,
    })
}

/// What the row's state says of an attempt that a caller claims to hold.
pub(super) fn holds(row: &TaskRow, holding: Holding) -> bool {
    row.task.state == State::Running && row.task.is_held_by(holding.holder)
}
