//! The pull loop: a message is taken only while a slot is free, claimed, done, and then acknowledged. Searches, which
//! somebody waits for, have slots of their own, and so has all else that is not embedding: a backlog of chunks holds up no
//! other job's stages.
//!
//! Only acknowledgements go back to the broker: after the attempt's end is written, or when the claim is refused. If
//! the acknowledgement is lost, the redelivery is refused by the claim.

use crate::{
    Worker,
    attempt::Attempt,
    session::{Lease, Session},
    stop::{self, Stop},
};
use futures::{FutureExt, future::select_all};
use imagefleet_common::{
    Result,
    ids::Queue,
    ports::{
        broker::Delivery,
        tasks::{Claim, Claimed},
    },
    task::ALONE_AFTER,
    work::Kind,
};
use std::{collections::VecDeque, future::pending, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
};
use tracing::Instrument;
use uuid::Uuid;

/// Works until `shutdown` is given or somebody asks its session to drain, then drains: nothing new is taken, what runs has
/// the grace to end, and what is still there is handed back.
pub async fn run(worker: Arc<Worker>, shutdown: Stop) -> Result<()> {
    let mut replaces = None;
    loop {
        let settings = &worker.settings;
        let (tasks, slots) = (Arc::clone(&worker.ports.tasks), u32::try_from(settings.slots).unwrap_or(u32::MAX));
        let opened = Session::open(tasks, &settings.name, slots, settings.lease, settings.beat, replaces).await;
        let session = match opened {
            Ok(session) => session,
            Err(error) if error.is_permanent() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "no session could be opened, trying again");
                tokio::select! {
                    () = tokio::time::sleep(settings.beat) => continue,
                    () = shutdown.stopped() => return Ok(()),
                }
            }
        };
        let asked_to_drain = async {
            tokio::select! {
                () = shutdown.stopped() => {}
                () = session.lease.asked_to_drain() => {}
            }
        };
        let mut running = Running::new();
        tokio::select! {
            () = take(&worker, &session.lease, &mut running) => {}
            () = asked_to_drain => {
                drain(&session.lease, &mut running, settings.grace).await;
                if let Err(error) = session.close(worker.ports.tasks.as_ref()).await {
                    tracing::warn!(%error, "the session could not be closed; its lease will run out");
                }
                return Ok(());
            }
            () = session.lease.lost() => {
                // Every attempt sees the loss by itself; nothing of the old session runs when the new one opens.
                while running.join_next().await.is_some() {}
                replaces = Some(session.lease.session);
            }
        }
    }
}

/// Searches that run beside a worker's other tasks: each is one text to encode and one look into the index.
const SEARCHES: usize = 2;

/// Queues whose tasks share slots.
struct Lane {
    queues: Vec<Queue>,
    slots: Arc<Semaphore>,
}

impl Lane {
    fn new(worker: &Worker, is_mine: impl Fn(Kind) -> bool, slots: usize) -> Self {
        let kinds: Vec<Kind> = worker.settings.kinds.iter().copied().filter(|kind| is_mine(*kind)).collect();
        Self { queues: queues(&kinds, &worker.settings.models), slots: Arc::new(Semaphore::new(slots)) }
    }

    /// The next message for a free slot; never where there is no queue. Dropping it takes nothing.
    async fn next(&self, worker: &Worker) -> (OwnedSemaphorePermit, Delivery) {
        let slot = Arc::clone(&self.slots).acquire_owned().await.expect("nobody closes it");
        match self.queues.is_empty() {
            true => pending().await,
            false => (slot, receive(worker, &self.queues).await),
        }
    }
}

/// Takes messages for ever, one for each free slot.
async fn take(worker: &Arc<Worker>, lease: &Arc<Lease>, running: &mut Running) {
    let embeds = Lane::new(worker, |kind| kind == Kind::Embed, worker.settings.slots);
    let others = Lane::new(worker, |kind| !matches!(kind, Kind::Embed | Kind::Search), worker.settings.slots);
    let searches = Lane::new(worker, |kind| kind == Kind::Search, SEARCHES);
    loop {
        let (slot, delivery) = tokio::select! {
            biased;
            Some(ended) = running.join_next() => {
                if let Some(first) = alone(ended, lease) {
                    run_alone(worker, lease, running, first).await;
                }
                continue;
            }
            next = searches.next(worker) => next,
            next = others.next(worker) => next,
            next = embeds.next(worker) => next,
        };
        let (worker, lease) = (Arc::clone(worker), Arc::clone(lease));
        running.spawn(async move {
            let alone = handle(worker, lease, delivery).await;
            drop(slot);
            alone
        });
    }
}

/// A task that was claimed and runs once nothing else does in this process.
struct Alone {
    claimed: Claimed,
    delivery: Delivery,
}

/// What runs; each ends with a task that is to run alone, or without.
type Running = JoinSet<Option<Alone>>;

/// What the end of something that ran leaves to be run alone.
fn alone(ended: std::result::Result<Option<Alone>, JoinError>, lease: &Lease) -> Option<Alone> {
    ended.unwrap_or_else(|error| {
        tracing::error!(%error, "an attempt was lost; the lease is given up, so that its task goes on");
        lease.lose();
        None
    })
}

/// Takes nothing meanwhile. If this is cut off, what has not begun is handed back with the session.
async fn run_alone(worker: &Arc<Worker>, lease: &Arc<Lease>, running: &mut Running, first: Alone) {
    let mut waiting = VecDeque::from([first]);
    loop {
        while let Some(ended) = running.join_next().await {
            waiting.extend(alone(ended, lease));
        }
        let Some(Alone { claimed, delivery }) = waiting.pop_front() else { return };
        tracing::warn!(key = claimed.work.key(), crashes = claimed.crashes, "its process died before: it runs alone");
        let (worker, lease) = (Arc::clone(worker), Arc::clone(lease));
        running.spawn(async move {
            run_claimed(&worker, &lease, claimed).await;
            acknowledged(worker.ports.broker.ack(&delivery).await);
            None
        });
    }
}

async fn drain(lease: &Lease, running: &mut Running, grace: Duration) {
    let half = grace / 2;
    if ended(running, half).await {
        return;
    }
    lease.stop_all();
    if !ended(running, half).await {
        tracing::error!("attempts did not stop within the grace; the session's end hands their tasks back");
        running.abort_all();
    }
}

/// Did all end in time?
async fn ended(running: &mut Running, within: Duration) -> bool {
    tokio::time::timeout(within, async { while running.join_next().await.is_some() {} }).await.is_ok()
}

/// The queues of a worker that does these kinds of work with these models; only those of its own protocol.
fn queues(kinds: &[Kind], models: &[String]) -> Vec<Queue> {
    let mut queues: Vec<Queue> = Vec::new();
    for kind in kinds {
        match kind.needs_model() {
            true => queues.extend(models.iter().map(|model| kind.queue(model))),
            false => queues.push(kind.queue("")),
        }
    }
    queues
}

/// The next message of any queue. Dropping it takes nothing.
async fn receive(worker: &Worker, queues: &[Queue]) -> Delivery {
    loop {
        let receives = queues.iter().map(|queue| worker.ports.broker.receive(queue).boxed());
        match select_all(receives).await.0 {
            Ok(delivery) => return delivery,
            Err(error) => {
                tracing::warn!(%error, "no message could be received");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn handle(worker: Arc<Worker>, lease: Arc<Lease>, delivery: Delivery) -> Option<Alone> {
    acknowledged(match claim(&worker, &lease, &delivery).await {
        None => worker.ports.broker.give_back(&delivery).await,
        Some(Claim::Granted(claimed)) if claimed.crashes >= ALONE_AFTER => return Some(Alone { claimed, delivery }),
        Some(Claim::Granted(claimed)) => {
            run_claimed(&worker, &lease, claimed).await;
            worker.ports.broker.ack(&delivery).await
        }
        Some(Claim::Refused(_)) => worker.ports.broker.ack(&delivery).await,
        Some(Claim::SessionGone) => {
            lease.lose();
            worker.ports.broker.give_back(&delivery).await
        }
    });
    None
}

fn acknowledged(done: Result<()>) {
    if let Err(error) = done {
        tracing::warn!(%error, "a message could not be acknowledged; it will come again and be refused");
    }
}

async fn run_claimed(worker: &Worker, lease: &Arc<Lease>, claimed: Claimed) {
    let span = tracing::info_span!(
        "attempt",
        job = claimed.work.job().map(tracing::field::display),
        task = %claimed.holding.task,
        attempt = claimed.holding.holder.attempt,
        key = claimed.work.key(),
    );
    let (stopper, stop) = stop::channel();
    let holding = claimed.holding;
    lease.register(holding, Arc::new(stopper));
    Attempt { claimed, lease: Arc::clone(lease), stop }.run(worker).instrument(span).await;
    lease.unregister(&holding);
}

/// Asks until the store has answered. The same claim is asked again, so that a granted claim whose answer was lost
/// is not left without a holder. `None` when the lease was lost first.
async fn claim(worker: &Worker, lease: &Lease, delivery: &Delivery) -> Option<Claim> {
    let claim = Uuid::now_v7();
    while lease.is_held() {
        match worker.ports.tasks.claim(&delivery.message, lease.session, claim).await {
            Ok(answer) => return Some(answer),
            Err(error) => tracing::warn!(%error, task = %delivery.message.task, "a claim got no answer, asking again"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_serves_its_kinds_and_its_models_under_its_own_protocol() {
        let names = |kinds: &[Kind], models: &[&str]| -> Vec<String> {
            let models: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
            queues(kinds, &models).into_iter().map(|queue| queue.0).collect()
        };
        assert_eq!(names(&[Kind::List, Kind::Embed], &["aa", "bb"]), ["list.p2", "embed.aa.p2", "embed.bb.p2"]);
        assert_eq!(names(&[Kind::Seal, Kind::Finalize], &[]), ["seal.p2", "finalize.p2"]);
        assert_eq!(names(&Kind::ALL, &["aa"]).len(), 7);
    }
}
