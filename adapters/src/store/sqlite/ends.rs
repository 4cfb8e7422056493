//! How attempts end, and what follows from it in the same transaction.

use super::{
    Conn, Done, ledger, listing,
    rows::{self, TaskRow, cancel_unless_wanted},
    sessions::holds,
    supersede,
};
use imagefleet_common::{
    Error,
    ids::Millis,
    ports::tasks::{Failure, Holding, Outcome, Written},
    task::{Event, Holder, RetryRules, State},
    work::{ChunkRef, Kind, Work},
};
use sqlx::Row;
use std::time::Duration;

pub(super) async fn progress(conn: &mut Conn, holding: Holding, done: u64) -> Done<Written> {
    let updated =
        sqlx::query("UPDATE task SET done = ? WHERE id = ? AND state = 'running' AND attempt = ? AND session = ?")
            .bind(i64::try_from(done).unwrap_or(i64::MAX))
            .bind(holding.task.to_string())
            .bind(holding.holder.attempt)
            .bind(holding.holder.session.to_string())
            .execute(conn)
            .await?
            .rows_affected();
    Ok(if updated == 1 { Written::Done } else { Written::Stale })
}

pub(super) async fn succeed(conn: &mut Conn, holding: Holding, outcome: &Outcome, rules: &RetryRules) -> Done<Written> {
    let Some(mut row) = held(conn, holding).await? else { return Ok(Written::Stale) };
    match (row.work.clone(), outcome) {
        (Work::List { corpus, shard }, Outcome::Listed(found)) => {
            finish(conn, &mut row, holding.holder, None, rules).await?;
            listing::listed(conn, &row, &corpus, shard, found, rules).await?;
        }
        (Work::Embed { collection, chunk }, Outcome::Embedded(embedded)) => {
            let corpus = corpus(conn, &row).await?;
            let at = ledger::At { corpus: &corpus, collection: &collection, chunk };
            if !rows::is_current(conn, &corpus, chunk).await? {
                // The shard was listed again while this ran; its new chunks have tasks of their own.
                let _ = rows::apply(conn, &mut row, &Event::Superseded { holder: holding.holder }, rules).await?;
                return Ok(Written::Done);
            }
            ledger::record(conn, &row, &at, embedded).await?;
            if let Some(rest) = embedded.rest {
                ledger::split(conn, &row, &at, embedded.counts.seen, rest).await?;
            }
            finish(conn, &mut row, holding.holder, Some(&embedded.artifact), rules).await?;
        }
        (Work::Embed { chunk, .. }, Outcome::Superseded { detail }) => {
            supersede::supersede(conn, &mut row, chunk, holding.holder, detail, rules).await?;
        }
        (
            Work::Seal { .. } | Work::Retrieve { .. } | Work::Rerank { .. } | Work::Finalize { .. },
            Outcome::Finished { artifact },
        ) => finish(conn, &mut row, holding.holder, artifact.as_deref(), rules).await?,
        (work, _) => return Err(Error::permanent(format!("a {} task cannot end this way", work.kind())).into()),
    }
    Ok(Written::Done)
}

async fn finish(
    conn: &mut Conn,
    row: &mut TaskRow,
    holder: Holder,
    artifact: Option<&str>,
    rules: &RetryRules,
) -> Done<()> {
    let _ = rows::apply(conn, row, &Event::Succeeded { holder }, rules).await?;
    let now = rows::now(conn).await?;
    sqlx::query("UPDATE task SET artifact = ?, finished = ?, error = NULL WHERE id = ?")
        .bind(artifact)
        .bind(now)
        .bind(row.id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The corpus whose shard a task of shared work is about.
pub(super) async fn corpus(conn: &mut Conn, row: &TaskRow) -> Done<String> {
    let found = sqlx::query("SELECT corpus FROM task WHERE id = ?").bind(row.id.to_string()).fetch_one(conn).await?;
    Ok(found.try_get(0)?)
}

pub(super) async fn fail(conn: &mut Conn, holding: Holding, failure: &Failure, rules: &RetryRules) -> Done<Written> {
    let Some(mut row) = held(conn, holding).await? else { return Ok(Written::Stale) };
    let now = rows::now(conn).await?;
    let event = Event::Failed {
        holder: holding.holder,
        permanent: failure.permanent,
        retry_after: failure.retry_after,
        now,
        jitter: rand::random(),
    };
    let _ = rows::apply(conn, &mut row, &event, rules).await?;
    explain(conn, &row, &failure.message).await?;
    cancel_unless_wanted(conn, &mut row, rules).await?;
    Ok(Written::Done)
}

/// Keeps the last error's message, for people.
pub(super) async fn explain(conn: &mut Conn, row: &TaskRow, message: &str) -> Done<()> {
    sqlx::query("UPDATE task SET error = ? WHERE id = ?").bind(message).bind(row.id.to_string()).execute(conn).await?;
    Ok(())
}

pub(super) async fn hand_back(conn: &mut Conn, holding: Holding, delay: Duration, rules: &RetryRules) -> Done<Written> {
    let Some(mut row) = held(conn, holding).await? else { return Ok(Written::Stale) };
    let delay = Millis::try_from(delay.as_millis()).unwrap_or(Millis::MAX / 2);
    let event = Event::HandedBack { holder: holding.holder, until: rows::now(conn).await? + delay };
    let _ = rows::apply(conn, &mut row, &event, rules).await?;
    cancel_unless_wanted(conn, &mut row, rules).await?;
    Ok(Written::Done)
}

/// The row, where the holder still has it.
async fn held(conn: &mut Conn, holding: Holding) -> Done<Option<TaskRow>> {
    Ok(rows::task(conn, holding.task).await?.filter(|row| holds(row, holding)))
}

pub(super) async fn embed_again(conn: &mut Conn, seal: Holding, chunk: ChunkRef, rules: &RetryRules) -> Done<bool> {
    let Some(seal_row) = held(conn, seal).await? else { return Ok(false) };
    let (Kind::Seal, Some(job)) = (seal_row.work.kind(), seal_row.work.job()) else {
        return Err(Error::permanent(format!("a {} task has no chunk embedded again", seal_row.work.kind())).into());
    };
    let Some(mut row) = rows::embed_task(conn, job, chunk).await? else { return Ok(false) };
    let caller = format!("{}/{}", seal.task, seal.holder.attempt);
    if row.task.state.is_open() || row.again.as_ref() == Some(&caller) {
        // On its way already: asked by another job's seal, or by this one, whose answer was lost.
        return Ok(true);
    }
    if row.again.is_some() || row.task.state != State::Succeeded {
        return Ok(false);
    }
    let now = rows::now(conn).await?;
    let _ = rows::apply(conn, &mut row, &Event::Reopened { now }, rules).await?;
    sqlx::query("UPDATE task SET again = ? WHERE id = ?")
        .bind(caller)
        .bind(row.id.to_string())
        .execute(&mut *conn)
        .await?;
    rows::need(conn, job, row.id).await?;
    Ok(true)
}
