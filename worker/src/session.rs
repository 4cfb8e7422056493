//! The lease: one per worker process, beaten from a thread of its own, measured on this machine's clock.
//!
//! The worker counts its lease from *before* a beat was sent, so it never believes in a lease longer than the store
//! does, and on `CLOCK_BOOTTIME`, which goes on while the machine sleeps. A lease that ran out or was reaped never
//! revives: whoever held it drops all work and opens a new session that names the old one.

use crate::stop::{self, Stop, Stopper};
use imagefleet_common::{
    Error, Result,
    ids::SessionId,
    ports::tasks::{Holding, NewSession, Tasks},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Nanoseconds since the machine started, sleep included.
fn boottime() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec; the call writes nothing else.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    assert_eq!(failed, 0, "CLOCK_BOOTTIME is there since Linux 2.6.39");
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A session's lease, as this process knows it.
#[derive(Debug)]
pub struct Lease {
    pub session: SessionId,
    /// `CLOCK_BOOTTIME` at which it runs out; 0 once it was lost.
    until: AtomicU64,
    lost: Stopper,
    on_loss: Stop,
    /// Somebody asked the session to drain.
    drains: Stopper,
    on_drain: Stop,
    /// Attempts in flight, each with the signal that stops it.
    running: Mutex<HashMap<Holding, Arc<Stopper>>>,
}

impl Lease {
    fn new(session: SessionId, until: u64) -> Self {
        let ((lost, on_loss), (drains, on_drain)) = (stop::channel(), stop::channel());
        Self { session, until: AtomicU64::new(until), lost, on_loss, drains, on_drain, running: Mutex::default() }
    }

    pub fn is_held(&self) -> bool {
        boottime() < self.until.load(Ordering::Acquire)
    }

    fn left(&self) -> Duration {
        Duration::from_nanos(self.until.load(Ordering::Acquire).saturating_sub(boottime()))
    }

    /// To be asked before every effect: whoever holds no lease writes nothing.
    pub fn check(&self) -> Result<()> {
        if self.is_held() {
            Ok(())
        } else {
            Err(Error::transient(format!("the lease of session {} is lost", self.session)))
        }
    }

    /// Ends when the lease is lost.
    pub async fn lost(&self) {
        self.on_loss.stopped().await;
    }

    /// Ends when somebody asks the session to drain.
    pub async fn asked_to_drain(&self) {
        self.on_drain.stopped().await;
    }

    fn extend(&self, until: u64) {
        // A lease that was lost or ran out stays so, even where the store has not noticed: attempts have given up on it.
        let held = |old: u64| (boottime() < old).then_some(old.max(until));
        let _ = self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, held);
    }

    pub(crate) fn lose(&self) {
        self.until.store(0, Ordering::Release);
        self.lost.stop();
    }

    pub(crate) fn register(&self, holding: Holding, stopper: Arc<Stopper>) {
        self.running().insert(holding, stopper);
    }

    pub(crate) fn unregister(&self, holding: &Holding) {
        self.running().remove(holding);
    }

    /// Stops every attempt: they hand back.
    pub(crate) fn stop_all(&self) {
        self.running().values().for_each(|stopper| stopper.stop());
    }

    fn stop_unneeded(&self, unneeded: &[Holding]) {
        let running = self.running();
        for stopper in unneeded.iter().filter_map(|holding| running.get(holding)) {
            stopper.stop();
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<Holding, Arc<Stopper>>> {
        self.running.lock().expect("nothing panics while it holds this lock")
    }
}

/// An open session: its lease, and the thread that beats.
pub struct Session {
    pub lease: Arc<Lease>,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Session {
    /// Opens a session and starts its heart. `replaces` is the lost session of this same process.
    pub async fn open(
        tasks: Arc<dyn Tasks>,
        worker: &str,
        slots: u32,
        lease: Duration,
        beat: Duration,
        replaces: Option<SessionId>,
    ) -> Result<Self> {
        let before = boottime();
        let id = SessionId::random();
        tasks.open_session(&NewSession { id, worker: worker.to_owned(), slots, lease, replaces }).await?;
        let lease_held = Arc::new(Lease::new(id, before + lease.as_nanos() as u64));
        let (end, ended) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("heartbeat".into())
            .spawn({
                let lease_held = Arc::clone(&lease_held);
                move || heart(&lease_held, tasks.as_ref(), lease, beat, ended)
            })
            .map_err(|error| Error::transient("start the heartbeat thread").because(error))?;
        Ok(Self { lease: lease_held, end: Some(end), thread: Some(thread) })
    }

    /// Stops the heart; what the session still holds is handed back by the store.
    pub async fn close(mut self, tasks: &dyn Tasks) -> Result<()> {
        self.still();
        tasks.close_session(self.lease.session).await
    }

    fn still(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A heart that panicked has nothing left to stop.
            let _ = thread.join();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.end.take());
    }
}

/// Beats until told to end or until the lease is lost. A runtime of its own: nothing that the worker does delays it.
fn heart(
    lease: &Lease,
    tasks: &dyn Tasks,
    length: Duration,
    beat: Duration,
    mut ended: tokio::sync::oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime.inspect_err(|error| tracing::error!(%error, "no runtime for the heartbeat")) else {
        return lease.lose();
    };
    runtime.block_on(async {
        loop {
            tokio::select! {
                _ = &mut ended => return,
                () = tokio::time::sleep(beat) => {}
            }
            let before = boottime();
            let answer = tokio::select! {
                _ = &mut ended => return,
                // A connection whose other end is gone says nothing: the next beat needs another, in time.
                answer = tokio::time::timeout(lease.left().min(length / 2), tasks.beat(lease.session)) => {
                    answer.unwrap_or_else(|_| Err(Error::transient("no answer within half a lease")))
                }
            };
            match answer {
                Ok(answer) if answer.alive => {
                    lease.extend(before + length.as_nanos() as u64);
                    lease.stop_unneeded(&answer.unneeded);
                    if answer.drain {
                        lease.drains.stop();
                    }
                }
                Ok(_) => {
                    tracing::warn!(session = %lease.session, "the session was reaped");
                    return lease.lose();
                }
                Err(error) => tracing::warn!(session = %lease.session, %error, "a heartbeat failed"),
            }
            if !lease.is_held() {
                tracing::warn!(session = %lease.session, "the lease ran out");
                return lease.lose();
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_lease_that_ran_out_or_was_lost_is_not_extended() {
        let lease = Lease::new(SessionId::random(), boottime() + SECOND);
        lease.extend(boottime() + 1000 * SECOND);
        // An answer that was long under way takes nothing back.
        lease.extend(boottime());
        assert!(lease.is_held());
        lease.lose();
        let ran_out = Lease::new(SessionId::random(), boottime());
        for lease in [lease, ran_out] {
            lease.extend(boottime() + SECOND);
            assert!(!lease.is_held());
            assert!(lease.check().is_err());
        }
    }
}
