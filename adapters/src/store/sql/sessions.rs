//! Sessions: opened, kept alive, reaped. A session that ended, for whatever reason, never revives.

use super::{
    Done, attempts, ends, poison,
    query::{Conn, Row, query},
    rows::{self, TaskRow, by_list, cancel_unless_wanted, may_run, select_task},
};
use imagefleet_common::{
    ids::{Millis, SessionId},
    ports::{
        jobs::AttemptEnd,
        tasks::{Beat, Holding, NewSession, SessionView},
    },
    task::{Event, Holder, RetryRules, State},
};
use std::collections::HashSet;
use uuid::Uuid;

pub(super) async fn open(conn: &mut Conn, session: &NewSession, rules: &RetryRules) -> Done<()> {
    let now = conn.now().await?;
    let lease = Millis::try_from(session.lease.as_millis()).unwrap_or(Millis::MAX / 2);
    query(
        "INSERT INTO session (id, worker, slots, lease, expires) VALUES ($1, $2, $3, $4, $5 + $4)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(session.id)
    .bind(&session.worker)
    .bind(session.slots)
    .bind(lease)
    .bind(now)
    .execute(conn)
    .await?;
    if let Some(old) = session.replaces {
        // The process lives: what it ran there was put down, not lost.
        end(conn, old, now).await?;
        poison::clear_session(conn, old).await?;
        query(
            "UPDATE session SET drain = TRUE WHERE id = $1 AND EXISTS (SELECT 1 FROM session WHERE id = $2 AND drain)",
        )
        .bind(session.id)
        .bind(old)
        .execute(conn)
        .await?;
        release(conn, old, &Event::SessionEnded { session: old }, rules).await?;
        take_crashes_back(conn, old, rules).await?;
    }
    Ok(())
}

/// Extends the lease of a session that has not ended, expired or not: until it is reaped nobody else has its tasks.
pub(super) async fn beat(conn: &mut Conn, session: SessionId) -> Done<Beat> {
    let now = conn.now().await?;
    let beaten = query("UPDATE session SET expires = $1 + lease WHERE id = $2 AND ended IS NULL RETURNING drain")
        .bind(now)
        .bind(session)
        .fetch_optional(conn)
        .await?;
    let Some(beaten) = beaten else { return Ok(Beat::default()) };
    let found = query(select_task!("WHERE t.state = 'running' AND t.session = $1 AND NOT ", may_run!()))
        .bind(session)
        .fetch_all(conn)
        .await?;
    let unneeded = TaskRow::read_all(&found)?
        .into_iter()
        .map(|row| Holding { task: row.id, holder: Holder { attempt: row.task.attempt, session } })
        .collect();
    Ok(Beat { alive: true, unneeded, drain: beaten.get("drain")? })
}

pub(super) async fn drain(conn: &mut Conn, sessions: Vec<Uuid>) -> Done<u64> {
    let sql = by_list!(conn, "UPDATE session SET drain = TRUE WHERE id", "AND ended IS NULL");
    query(sql).bind(sessions).execute(conn).await
}

pub(super) async fn close(conn: &mut Conn, session: SessionId, rules: &RetryRules) -> Done<()> {
    let now = conn.now().await?;
    end(conn, session, now).await?;
    poison::clear_session(conn, session).await?;
    release(conn, session, &Event::SessionEnded { session }, rules).await
}

/// A beat that comes in between wins: each session is looked at again in the statement that ends it.
pub(super) async fn reap(conn: &mut Conn, rules: &RetryRules) -> Done<Vec<SessionId>> {
    let now = conn.now().await?;
    let found = query("UPDATE session SET ended = $1 WHERE ended IS NULL AND expires <= $1 RETURNING id")
        .bind(now)
        .fetch_all(conn)
        .await?;
    let mut expired = found.iter().map(|row| row.get("id")).collect::<Done<Vec<SessionId>>>()?;
    expired.sort_unstable();
    for session in &expired {
        lose(conn, *session, rules).await?;
        // Its process may live on and write for as long as it doesn't know.
        query("UPDATE task SET lost = $1 WHERE lost_in = $2").bind(now).bind(*session).execute(conn).await?;
    }
    Ok(expired)
}

/// Sessions that have passed their lease and were not reaped yet; asked without a lock, so that looking each second
/// costs nothing.
pub(super) async fn any_expired(conn: &mut Conn) -> Done<bool> {
    let now = conn.now().await?;
    let row = query("SELECT 1 FROM session WHERE ended IS NULL AND expires <= $1 LIMIT 1")
        .bind(now)
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Ends every session; nobody can write any more, and nobody will ask for a crash back.
pub(in crate::store) async fn take_over(conn: &mut Conn, rules: &RetryRules) -> Done<()> {
    let now = conn.now().await?;
    let found = query("SELECT id FROM session WHERE ended IS NULL").fetch_all(conn).await?;
    for row in &found {
        let session = row.get("id")?;
        end(conn, session, now).await?;
        lose(conn, session, rules).await?;
    }
    for sql in [
        "UPDATE task SET lost = NULL WHERE lost IS NOT NULL",
        "UPDATE task SET lost_in = NULL WHERE lost_in IS NOT NULL",
        "UPDATE task SET token = NULL, marked = NULL, published = NULL, publications = 0 WHERE token IS NOT NULL",
    ] {
        query(sql).execute(conn).await?;
    }
    Ok(())
}

async fn lose(conn: &mut Conn, session: SessionId, rules: &RetryRules) -> Done<()> {
    query("UPDATE task SET lost_in = session WHERE state = 'running' AND session = $1")
        .bind(session)
        .execute(conn)
        .await?;
    release(conn, session, &Event::SessionLost { session }, rules).await
}

async fn end(conn: &mut Conn, session: SessionId, now: Millis) -> Done<()> {
    query("UPDATE session SET ended = $1 WHERE id = $2 AND ended IS NULL")
        .bind(now)
        .bind(session)
        .execute(conn)
        .await?;
    Ok(())
}

/// What the session still runs becomes ready, or is cancelled where no job wants it.
async fn release(conn: &mut Conn, session: SessionId, event: &Event, rules: &RetryRules) -> Done<()> {
    let found =
        query(select_task!("WHERE t.state = 'running' AND t.session = $1")).bind(session).fetch_all(conn).await?;
    let how = match event {
        Event::SessionLost { .. } => AttemptEnd::Lost,
        _ => AttemptEnd::HandedBack,
    };
    for mut row in TaskRow::read_all(&found)? {
        attempts::note(conn, row.id, how, None).await?;
        if rows::apply(conn, &mut row, event, rules).await?.is_ok() {
            if row.task.state == State::Dead {
                let died =
                    format!("the process that ran it died {} times; see the logs of the workers", row.task.crashes);
                ends::explain(conn, &row, &died).await?;
            }
            cancel_unless_wanted(conn, &mut row, rules).await?;
        }
    }
    Ok(())
}

async fn take_crashes_back(conn: &mut Conn, session: SessionId, rules: &RetryRules) -> Done<()> {
    let found = query(select_task!("WHERE t.lost_in = $1")).bind(session).fetch_all(conn).await?;
    let lost = TaskRow::read_all(&found)?;
    // What runs by now stands where its own attempt does.
    let idle = lost.iter().filter(|row| row.task.state != State::Running).map(|row| row.id.0).collect();
    poison::clear(conn, idle).await?;
    rows::apply_all(conn, lost, &Event::CrashTakenBack, rules).await?;
    query("UPDATE task SET lost_in = NULL WHERE lost_in = $1").bind(session).execute(conn).await?;
    Ok(())
}

/// Those of these sessions that have not ended.
pub(super) async fn alive(conn: &mut Conn, sessions: Vec<Uuid>) -> Done<HashSet<SessionId>> {
    let sql = by_list!(conn, "SELECT id FROM session WHERE id", "AND ended IS NULL");
    let found = query(sql).bind(sessions).fetch_all(conn).await?;
    found.iter().map(|row| row.get("id")).collect()
}

/// Every session that has not ended, as people and publishers see it.
pub(super) async fn open_ones(conn: &mut Conn) -> Done<Vec<SessionView>> {
    let found = query(
        "SELECT s.id, s.worker, s.slots, s.expires, s.drain,
                (SELECT count(*) FROM task t WHERE t.state = 'running' AND t.session = s.id) AS running
         FROM session s WHERE s.ended IS NULL ORDER BY s.worker, s.id",
    )
    .fetch_all(conn)
    .await?;
    let view = |row: &Row| {
        Ok(SessionView {
            id: row.get("id")?,
            worker: row.get("worker")?,
            slots: row.get("slots")?,
            expires: row.get("expires")?,
            running: row.get("running")?,
            drains: row.get("drain")?,
        })
    };
    found.iter().map(view).collect()
}

/// What the row's state says of an attempt that a caller claims to hold.
pub(super) fn holds(row: &TaskRow, holding: Holding) -> bool {
    row.task.state == State::Running && row.task.is_held_by(holding.holder)
}
