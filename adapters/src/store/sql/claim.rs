//! Claims: the compare-and-set that makes a message's reader the task's holder.

use super::{
    Done, poison,
    query::Conn,
    rows::{self, Also, Changes, Locked},
    sessions,
};
use imagefleet_common::{
    ids::{Epoch, Millis, SessionId},
    ports::{
        broker::Message,
        tasks::{Claim, Claimed, Holding},
    },
    task::{ALONE_AFTER, Event, Holder, Refusal, RetryRules},
    work::Kind,
};
use uuid::Uuid;

/// How long a row rests that was refused for now (protocol §2).
const REST: Millis = 1000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) message: Message,
    pub(super) session: SessionId,
    pub(super) claim: Uuid,
}

/// Answers claims that came at the same time in one transaction, in their order.
pub(super) async fn claim(conn: &mut Conn, asks: &[Ask], rules: &RetryRules) -> Done<Vec<Claim>> {
    let sessions = sessions::alive(conn, asks.iter().map(|ask| ask.session.0).collect()).await?;
    let mut tasks = rows::locked(conn, asks.iter().map(|ask| ask.message.task.0).collect()).await?;
    let (mut answers, mut changes) = (Vec::with_capacity(asks.len()), Changes::default());
    for ask in asks {
        answers.push(match tasks.get_mut(&ask.message.task) {
            _ if !sessions.contains(&ask.session) => Claim::SessionGone,
            None => Claim::Refused(Refusal::NotThisAttempt),
            Some(task) => claim_one(conn, ask, task, rules, &mut changes).await?,
        });
    }
    changes.write(conn).await?;
    Ok(answers)
}

async fn claim_one(
    conn: &mut Conn,
    ask: &Ask,
    task: &mut Locked,
    rules: &RetryRules,
    changes: &mut Changes<'_>,
) -> Done<Claim> {
    let Ask { message, session, claim } = *ask;
    let row = &mut task.row;
    let now = conn.now().await?;
    let event = Event::Claimed { attempt: message.attempt, session, claim, now };
    let granted = match row.task.after(&event, rules) {
        // The same claim again: its answer was lost.
        Ok(after) if after == row.task => Ok(()),
        Ok(_) if !task.may_run => Err(Refusal::NotNow),
        Ok(_) => {
            if row.work.kind() == Kind::Embed {
                row.epoch = next_epoch(conn).await?;
            }
            let begins = Also::Begins { epoch: row.epoch, now };
            changes.apply(row, &event, rules, begins)
        }
        Err(refusal) => Err(refusal),
    };
    match granted {
        Ok(()) => {
            let holding = Holding { task: row.id, holder: Holder { attempt: row.task.attempt, session } };
            let (work, crashes) = (row.work.clone(), row.task.crashes);
            let poison = if crashes < ALONE_AFTER { Vec::new() } else { poison::take_down(conn, row.id).await? };
            Ok(Claim::Granted(Claimed { holding, work, crashes, poison, epoch: row.epoch }))
        }
        Err(Refusal::NotNow) => {
            let deferred = Event::Deferred { attempt: message.attempt, until: now + REST };
            // The row is ready and its attempt the message's: nothing else gives this refusal.
            let _ = changes.apply(row, &deferred, rules, Also::Nothing);
            Ok(Claim::Refused(Refusal::NotNow))
        }
        Err(refusal) => Ok(Claim::Refused(refusal)),
    }
}

async fn next_epoch(conn: &mut Conn) -> Done<Epoch> {
    let sql = conn.pick(
        "UPDATE sequence SET last = last + 1 WHERE name = 'epoch' RETURNING last AS epoch",
        "SELECT nextval('epoch') AS epoch",
    );
    super::query::query(sql).fetch_one(conn).await?.get("epoch")
}
