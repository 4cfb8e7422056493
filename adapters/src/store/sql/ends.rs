//! How attempts end, and what follows from it in the same transaction.

use super::{
    Done, Lock, attempts, ledger, listing, poison,
    query::{Conn, query},
    rows::{self, Also, Changes, TaskRow, cancel_unless_wanted},
    sessions::holds,
    supersede,
};
use imagefleet_common::{
    Error,
    ids::Millis,
    ports::{
        jobs::AttemptEnd,
        tasks::{Embedded, Failure, Holding, Outcome, Written},
    },
    task::{ALONE_AFTER, Event, Holder, RetryRules, State},
    work::{ChunkRef, Kind, Work},
};
use std::time::Duration;

pub(super) async fn progress(conn: &mut Conn, holding: Holding, done: u64) -> Done<Written> {
    let sql = "UPDATE task SET done = $1 WHERE id = $2 AND state = 'running' AND attempt = $3 AND session = $4";
    while_held(conn, sql, Some(done), holding).await
}

/// A statement that sets a number on the row ($1) while this holder ($2 to $4) has it.
pub(super) async fn while_held(
    conn: &mut Conn,
    sql: &'static str,
    number: Option<u64>,
    holding: Holding,
) -> Done<Written> {
    let updated = query(sql)
        .bind(number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
        .bind(holding.task)
        .bind(holding.holder.attempt)
        .bind(holding.holder.session)
        .execute(conn)
        .await?;
    Ok(if updated == 1 { Written::Done } else { Written::Stale })
}

/// How an attempt ends.
#[derive(Debug, Clone)]
pub(super) enum End {
    Succeeded(Outcome),
    Failed(Failure),
    /// To be looked at again after this long, and why.
    HandedBack {
        delay: Duration,
        why: Option<String>,
    },
}

impl End {
    /// Which tasks there are changes with a listing, and with chunks that are split or have changed.
    pub(super) fn lock(&self) -> Lock {
        match self {
            Self::Succeeded(Outcome::Finished { .. } | Outcome::Embedded(Embedded { rest: None, .. }))
            | Self::Failed(_)
            | Self::HandedBack { .. } => Lock::Rows,
            Self::Succeeded(Outcome::Listed(_) | Outcome::Embedded(_) | Outcome::Superseded { .. }) => Lock::Structure,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) holding: Holding,
    pub(super) end: End,
}

/// Writes ends that came at the same time in one transaction, in their order.
pub(super) async fn end(conn: &mut Conn, endings: &[Ending], rules: &RetryRules) -> Done<Vec<Written>> {
    let mut tasks = rows::locked(conn, endings.iter().map(|ending| ending.holding.task.0).collect()).await?;
    let (mut written, mut changes) = (Vec::with_capacity(endings.len()), Changes::default());
    for Ending { holding, end } in endings {
        written.push(match tasks.get_mut(&holding.task).filter(|task| holds(&task.row, *holding)) {
            None => Written::Stale,
            Some(task) => {
                if task.row.task.crashes >= ALONE_AFTER {
                    poison::clear(conn, vec![task.row.id.0]).await?;
                }
                end_one(conn, &mut task.row, holding.holder, end, rules, &mut changes).await?;
                Written::Done
            }
        });
    }
    changes.write(conn).await?;
    Ok(written)
}

async fn end_one<'a>(
    conn: &mut Conn,
    row: &mut TaskRow,
    holder: Holder,
    end: &'a End,
    rules: &RetryRules,
    changes: &mut Changes<'a>,
) -> Done<()> {
    let event = match end {
        End::Succeeded(Outcome::Finished { artifact }) if row.work.job().is_some() => {
            let ends = Also::Ends { artifact: artifact.as_deref(), now: conn.now().await? };
            let _ = changes.apply(row, &Event::Succeeded { holder }, rules, ends);
            return Ok(());
        }
        End::Succeeded(outcome) => return succeed(conn, row, holder, outcome, rules).await,
        End::Failed(failure) => {
            let Failure { permanent, retry_after, message } = failure;
            explain(conn, row, message).await?;
            attempts::note(conn, row.id, AttemptEnd::Failed, Some(message)).await?;
            let (permanent, retry_after) = (*permanent, *retry_after);
            Event::Failed { holder, permanent, retry_after, now: conn.now().await?, jitter: rand::random() }
        }
        End::HandedBack { delay, why } => {
            if let Some(why) = why {
                explain(conn, row, why).await?;
            }
            // Whoever names a time looks again then: that tells nobody anything.
            if delay.is_zero() {
                attempts::note(conn, row.id, AttemptEnd::HandedBack, None).await?;
            }
            let delay = Millis::try_from(delay.as_millis()).unwrap_or(Millis::MAX / 2);
            Event::HandedBack { holder, until: conn.now().await? + delay }
        }
    };
    let _ = rows::apply(conn, row, &event, rules).await?;
    cancel_unless_wanted(conn, row, rules).await
}

async fn succeed(
    conn: &mut Conn,
    row: &mut TaskRow,
    holder: Holder,
    outcome: &Outcome,
    rules: &RetryRules,
) -> Done<()> {
    match (row.work.clone(), outcome) {
        (Work::List { corpus, shard }, Outcome::Listed(found)) => {
            finish(conn, row, holder, None, rules).await?;
            listing::listed(conn, row, &corpus, shard, found, rules).await
        }
        (Work::Embed { collection, chunk }, Outcome::Embedded(embedded)) => {
            let corpus = corpus(conn, row).await?;
            let at = ledger::At { corpus: &corpus, collection: &collection, chunk };
            if !rows::is_current(conn, &corpus, chunk).await? {
                // The shard was listed again while this ran; its new chunks have tasks of their own.
                attempts::note(conn, row.id, AttemptEnd::Superseded, None).await?;
                let _ = rows::apply(conn, row, &Event::Superseded { holder }, rules).await?;
                return Ok(());
            }
            ledger::record(conn, row, &at, embedded).await?;
            if let Some(rest) = embedded.rest {
                ledger::split(conn, row, &at, embedded.counts.seen, rest).await?;
            }
            finish(conn, row, holder, Some(&embedded.artifact), rules).await
        }
        (Work::Embed { chunk, .. }, Outcome::Superseded { detail }) => {
            supersede::supersede(conn, row, chunk, holder, detail, rules).await
        }
        (work, _) => Err(Error::permanent(format!("a {} task cannot end this way", work.kind())).into()),
    }
}

async fn finish(
    conn: &mut Conn,
    row: &mut TaskRow,
    holder: Holder,
    artifact: Option<&str>,
    rules: &RetryRules,
) -> Done<()> {
    let now = conn.now().await?;
    let mut changes = Changes::default();
    let _ = changes.apply(row, &Event::Succeeded { holder }, rules, Also::Ends { artifact, now });
    changes.write(conn).await
}

/// The corpus whose shard a task of shared work is about.
pub(super) async fn corpus(conn: &mut Conn, row: &TaskRow) -> Done<String> {
    query("SELECT corpus FROM task WHERE id = $1").bind(row.id).fetch_one(conn).await?.get("corpus")
}

/// Keeps the last error's message, or why the task waits, for people.
pub(super) async fn explain(conn: &mut Conn, row: &TaskRow, message: &str) -> Done<()> {
    query("UPDATE task SET error = $1 WHERE id = $2").bind(message).bind(row.id).execute(conn).await?;
    Ok(())
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
    let corpus = corpus(conn, &row).await?;
    if !rows::is_current(conn, &corpus, chunk).await? {
        // Another job had the shard listed meanwhile: its chunks are other ones now, and have tasks of their own.
        return Ok(true);
    }
    let caller = format!("{}/{}", seal.task, seal.holder.attempt);
    if row.task.state.is_open() || row.again.as_ref() == Some(&caller) {
        // On its way already: asked by another job's seal, or by this one, whose answer was lost.
        return Ok(true);
    }
    if row.again.is_some() || row.task.state != State::Succeeded {
        return Ok(false);
    }
    let now = conn.now().await?;
    let _ = rows::apply(conn, &mut row, &Event::Reopened { now }, rules).await?;
    query("UPDATE task SET again = $1 WHERE id = $2").bind(caller).bind(row.id).execute(&mut *conn).await?;
    rows::need(conn, job, row.id).await?;
    Ok(true)
}
