//! Claims: the compare-and-set that makes a message's reader the task's holder.

use super::{
    Conn, Done,
    rows::{self, TaskRow, may_run},
    sessions,
};
use imagefleet_common::{
    ids::{Epoch, SessionId},
    ports::{
        broker::Message,
        tasks::{Claim, Claimed, Holding},
    },
    task::{Event, Holder, Refusal, RetryRules, State},
    work::Kind,
};
use sqlx::Row;
use uuid::Uuid;

/// How long a row rests that was refused for now (protocol §2).
const REST_MS: i64 = 1000;

pub(super) async fn claim(
    conn: &mut Conn,
    message: &Message,
    session: SessionId,
    claim: Uuid,
    rules: &RetryRules,
) -> Done<Claim> {
    if !sessions::is_alive(conn, session).await? {
        return Ok(Claim::SessionGone);
    }
    let Some(mut row) = rows::task(conn, message.task).await? else {
        return Ok(Claim::Refused(Refusal::NotThisAttempt));
    };
    let now = rows::now(conn).await?;
    let event = Event::Claimed { attempt: message.attempt, session, claim, now };
    let granted = match row.task.after(&event, rules) {
        // The same claim again: its answer was lost.
        Ok(after) if after == row.task => Ok(()),
        Ok(_) if !may_run(conn, &row).await? => Err(Refusal::NotNow),
        Ok(_) => rows::apply(conn, &mut row, &event, rules).await?.and(Ok(begin_attempt(conn, &mut row).await?)),
        Err(refusal) => Err(refusal),
    };
    match granted {
        Ok(()) => {
            let holding = Holding { task: row.id, holder: Holder { attempt: row.task.attempt, session } };
            Ok(Claim::Granted(Claimed { holding, work: row.work, crashes: row.task.crashes, epoch: row.epoch }))
        }
        Err(Refusal::NotNow) => {
            let deferred = Event::Deferred { attempt: message.attempt, until: now + REST_MS };
            let _ = rows::apply(conn, &mut row, &deferred, rules).await?;
            Ok(Claim::Refused(Refusal::NotNow))
        }
        Err(refusal) => Ok(Claim::Refused(refusal)),
    }
}

async fn may_run(conn: &mut Conn, row: &TaskRow) -> Done<bool> {
    let found = sqlx::query(concat!("SELECT 1 FROM task t WHERE t.id = ? AND ", may_run!()))
        .bind(row.id.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

async fn begin_attempt(conn: &mut Conn, row: &mut TaskRow) -> Done<()> {
    debug_assert_eq!(row.task.state, State::Running);
    if row.work.kind() == Kind::Embed {
        row.epoch = next_epoch(conn).await?;
    }
    let now = rows::now(conn).await?;
    sqlx::query(
        "UPDATE task SET epoch = ?, done = 0, claimed = ?, worker = (SELECT worker FROM session WHERE id = task.session)
         WHERE id = ?",
    )
    .bind(row.epoch)
    .bind(now)
    .bind(row.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

async fn next_epoch(conn: &mut Conn) -> Done<Epoch> {
    let row =
        sqlx::query("UPDATE sequence SET last = last + 1 WHERE name = 'epoch' RETURNING last").fetch_one(conn).await?;
    Ok(row.try_get(0)?)
}
