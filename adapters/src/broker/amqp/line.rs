//! A queue as this process sees it: who waits, what was offered to them, what they hold, and how many consumers that
//! takes.
//!
//! Under one lock holds: consumers − held ≥ waiting. A receiver that comes makes a consumer where one is missing; a
//! consumer leaves only while there is one too many, and none was needed for a while.

use imagefleet_common::{
    ids::Queue,
    ports::broker::{Delivery, Message},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

/// What becomes of a message that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settlement {
    Ack,
    GiveBack,
}

/// Tells a consumer what becomes of its message, and is told when that is done.
pub(super) type Settle = (Settlement, oneshot::Sender<()>);

pub(super) struct Line {
    queue: Queue,
    /// The queue's name on the server.
    pub(super) name: String,
    linger: Duration,
    state: Mutex<State>,
    offered: Notify,
}

struct State {
    waiting: usize,
    /// Consumers that are open, or are being opened.
    consumers: usize,
    offers: VecDeque<Offer>,
    /// Received and not yet settled, by tag.
    held: HashMap<u64, oneshot::Sender<Settle>>,
    /// When a receiver last stopped waiting.
    left: Instant,
    suspicion: Option<Suspicion>,
}

/// The server broke off who consumed this queue, or another one on the same connection.
#[derive(Default)]
struct Suspicion {
    /// It was this one: first and last seen to fail.
    failing: Option<(Instant, Instant)>,
}

struct Offer {
    delivery: Delivery,
    settle: oneshot::Sender<Settle>,
}

impl State {
    fn free(&self) -> usize {
        self.consumers - self.held.len()
    }
}

/// What became of an offer that its consumer wanted to take back.
pub(super) enum Withdrawn {
    /// It was not taken, and its consumer no longer counts.
    Yes,
    /// A receiver has it.
    Held,
    /// It may still be taken: ask again then.
    NotBefore(Instant),
}

impl Line {
    pub(super) fn new(queue: Queue, name: String, linger: Duration) -> Self {
        let state = State {
            waiting: 0,
            consumers: 0,
            offers: VecDeque::new(),
            held: HashMap::new(),
            left: Instant::now(),
            suspicion: None,
        };
        Self { queue, name, linger, state: Mutex::new(state), offered: Notify::new() }
    }

    /// A place among those that wait, and whether a consumer must be opened for it. It counts already.
    pub(super) fn wait(&self) -> (Waiting<'_>, bool) {
        let mut state = self.state();
        state.waiting += 1;
        let short = state.free() < state.waiting;
        state.consumers += usize::from(short);
        (Waiting { line: self, served: false }, short)
    }

    /// Settles a delivery that is held: what is returned resolves when that is done, or fails when its channel is lost.
    pub(super) fn settle(&self, tag: u64, how: Settlement) -> Option<oneshot::Receiver<()>> {
        let (done, settled) = oneshot::channel();
        let mut state = self.state();
        let consumer = state.held.remove(&tag)?;
        // A consumer that gives back leaves: as the first in turn it would be sent the same message again.
        state.consumers -= usize::from(how == Settlement::GiveBack);
        // Where the consumer is gone, so is the message: whoever waits for it sees its sender dropped.
        let _ = consumer.send((how, done));
        Some(settled)
    }

    /// A consumer offers its message to whoever waits: the tag, and how it was settled once it is.
    pub(super) fn offer(&self, message: Message) -> (u64, oneshot::Receiver<Settle>) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let tag = 1 + LAST.fetch_add(1, Ordering::Relaxed);
        let (settle, settled) = oneshot::channel();
        let delivery = Delivery { queue: self.queue.clone(), message, tag };
        self.state().offers.push_back(Offer { delivery, settle });
        self.offered.notify_waiters();
        (tag, settled)
    }

    /// Takes back an offer that lay for as long as one may since `offered`, with nobody there to take it.
    pub(super) fn withdraw(&self, tag: u64, offered: Instant) -> Withdrawn {
        let mut state = self.state();
        let Some(at) = state.offers.iter().position(|offer| offer.delivery.tag == tag) else {
            return Withdrawn::Held;
        };
        match self.leave_in(&mut state, offered) {
            Ok(()) => {
                state.offers.remove(at);
                Withdrawn::Yes
            }
            Err(again) => Withdrawn::NotBefore(again),
        }
    }

    /// A consumer's channel was lost with the message of this tag. False where the message was being settled.
    pub(super) fn forget(&self, tag: u64) -> bool {
        let mut state = self.state();
        let offers = state.offers.len();
        state.offers.retain(|offer| offer.delivery.tag != tag);
        state.offers.len() < offers || state.held.remove(&tag).is_some()
    }

    /// Counts a consumer out that was idle since then, or says when to ask again.
    pub(super) fn leave(&self, idle: Instant) -> Result<(), Instant> {
        self.leave_in(&mut self.state(), idle)
    }

    fn leave_in(&self, state: &mut State, idle: Instant) -> Result<(), Instant> {
        let again = if state.free() <= state.waiting {
            Instant::now() + self.linger
        } else {
            idle.max(state.left) + self.linger
        };
        if again > Instant::now() {
            return Err(again);
        }
        state.consumers -= 1;
        Ok(())
    }

    /// Counts a consumer out whose channel was lost, unless a receiver waits for another one.
    pub(super) fn leave_if_not_needed(&self) -> bool {
        let mut state = self.state();
        let leaves = state.free() > state.waiting;
        state.consumers -= usize::from(leaves);
        leaves
    }

    pub(super) fn suspect(&self) {
        self.state().suspicion.get_or_insert_default();
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.state().suspicion.is_some()
    }

    /// It fails alone, now and since what is returned. What was last seen longer ago than `pause` counts no more.
    pub(super) fn failing_since(&self, now: Instant, pause: Duration) -> Instant {
        let mut state = self.state();
        let failing = &mut state.suspicion.get_or_insert_default().failing;
        let since = failing.filter(|(_, last)| now.duration_since(*last) <= pause).map_or(now, |(since, _)| since);
        *failing = Some((since, now));
        since
    }

    pub(super) fn failed_last(&self) -> Option<Instant> {
        self.state().suspicion.as_ref()?.failing.map(|(_, last)| last)
    }

    pub(super) fn acquit(&self) {
        self.state().suspicion = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// A receiver that waits; dropped, it waits no longer.
pub(super) struct Waiting<'a> {
    line: &'a Line,
    served: bool,
}

impl Waiting<'_> {
    /// Taken and returned without an await in between: a dropped future has taken nothing.
    pub(super) async fn delivery(&mut self) -> Delivery {
        loop {
            // Listens from here on, so that what is offered after the look wakes it.
            let offered = self.line.offered.notified();
            if let Some(delivery) = self.take() {
                return delivery;
            }
            offered.await;
        }
    }

    fn take(&mut self) -> Option<Delivery> {
        let mut state = self.line.state();
        let Offer { delivery, settle } = state.offers.pop_front()?;
        state.held.insert(delivery.tag, settle);
        state.waiting -= 1;
        state.left = Instant::now();
        self.served = true;
        Some(delivery)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.served {
            let mut state = self.line.state();
            state.waiting -= 1;
            state.left = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_long_ago_condemns_no_queue() {
        let line = Line::new(Queue("list.p1".into()), "fleet.list.p1".to_owned(), Duration::ZERO);
        let (began, pause) = (Instant::now(), Duration::from_secs(10));
        let after = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(line.failing_since(began, pause), began);
        assert_eq!(line.failing_since(after(10), pause), began, "it goes on failing");
        assert_eq!(line.failing_since(after(21), pause), after(21), "nobody had looked for too long");
        line.acquit();
        assert!(!line.is_suspect() && line.failed_last().is_none());
        assert_eq!(line.failing_since(after(22), pause), after(22), "it was well in between");
    }
}
