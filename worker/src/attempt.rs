//! One attempt: what a task's code sees of its claim, and how its end reaches the store.

use crate::{Worker, events, session::Lease, stop::Stop, tasks};
use futures::{FutureExt, future::BoxFuture};
use imagefleet_common::{
    Error, Result,
    error::Next,
    ids::Epoch,
    ports::{
        layered::Effect,
        tasks::{Claimed, Failure, Holding, Outcome, Written},
    },
    work::{Kind, Work},
};
use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

/// A granted claim under a held lease.
pub struct Attempt {
    pub claimed: Claimed,
    pub lease: Arc<Lease>,
    /// Given when the task is not needed any more, or the worker drains.
    pub stop: Stop,
}

/// What a task's code says at its end.
pub enum Done {
    Ended(Outcome),
    /// Look again after this long; a slot is never held to wait. Without a reason the worker itself was told to stop.
    NotYet(Duration, Option<String>),
}

impl Attempt {
    pub fn work(&self) -> &Work {
        &self.claimed.work
    }

    pub fn holding(&self) -> Holding {
        self.claimed.holding
    }

    pub fn epoch(&self) -> Epoch {
        self.claimed.epoch
    }

    /// Where this attempt's artifact of that name goes: no other attempt writes there.
    pub fn artifact(&self, name: &str) -> String {
        let Holding { task, holder } = self.holding();
        format!("tasks/{task}/{}/{name}", holder.attempt)
    }

    /// Runs to its end and writes it, unless the lease is lost on the way.
    pub async fn run(self, worker: &Worker) {
        let lease = Arc::clone(&self.lease);
        tokio::select! {
            () = self.run_under_lease(worker) => {}
            () = lease.lost() => events::attempt_lost(&worker.ends, self.work().kind(), lease.session),
        }
    }

    fn run_under_lease<'a>(&'a self, worker: &'a Worker) -> BoxFuture<'a, ()> {
        async move {
            let kind = self.work().kind();
            let stopped = self.stop.clone();
            let end = tokio::select! {
                end = AssertUnwindSafe(tasks::execute(worker, self)).catch_unwind() => end.unwrap_or_else(panicked),
                () = stopped.stopped() => Ok(Done::NotYet(Duration::ZERO, None)),
            };
            events::attempt_ended(&worker.ends, kind, &end);
            self.write_end(worker, kind, end).await;
        }
        .boxed()
    }

    async fn write_end(&self, worker: &Worker, kind: Kind, end: Result<Done>) {
        let tasks = &worker.ports.tasks;
        let written = match end {
            Ok(Done::Ended(outcome)) => {
                let written = self.succeed_or_fail(worker, &outcome).await;
                if let (Ok(_), Outcome::Embedded(ended)) = (&written, &outcome)
                    && let Err(error) = tasks::embed::delete_taken_down(worker, self, ended).await
                {
                    tracing::warn!(%error, "pictures that were taken down meanwhile are left to the next seal");
                }
                written
            }
            Ok(Done::NotYet(delay, why)) => {
                self.persist("hand back", || tasks.hand_back(self.holding(), delay, why.as_deref())).await
            }
            Err(error) if error.next() == Next::Relist && kind == Kind::Embed => {
                self.succeed_or_fail(worker, &Outcome::Superseded { detail: error.to_string() }).await
            }
            Err(error) => self.fail(worker, &error).await,
        };
        match written {
            Ok(Written::Done) => {}
            // Either the first try was written and its answer lost, or another attempt has the task.
            Ok(Written::Stale) => tracing::debug!("the attempt's end was written before or no longer counts"),
            Err(error) => {
                // A living session would keep the task for ever: without its lease another one gets it.
                tracing::error!(%error, "the attempt's end could not be written; the lease is given up");
                self.lease.lose();
            }
        }
    }

    /// An outcome that the store refuses for good is a failure.
    async fn succeed_or_fail(&self, worker: &Worker, outcome: &Outcome) -> Result<Written> {
        match self.persist("succeed", || worker.ports.tasks.succeed(self.holding(), outcome)).await {
            Err(error) if error.is_permanent() => self.fail(worker, &error).await,
            written => written,
        }
    }

    async fn fail(&self, worker: &Worker, error: &Error) -> Result<Written> {
        let failure = match error.next() {
            Next::GiveUp => Failure { permanent: true, retry_after: None, message: error.to_string() },
            Next::Retry { after } => Failure { permanent: false, retry_after: after, message: error.to_string() },
            Next::Relist => Failure { permanent: false, retry_after: None, message: error.to_string() },
        };
        self.persist("fail", || worker.ports.tasks.fail(self.holding(), &failure)).await
    }

    /// Repeats a write of the attempt's end while the lease is held: as long as it is, nobody else can have the task.
    async fn persist<'a>(
        &self,
        doing: &'static str,
        write: impl Fn() -> Effect<'a, Written> + Send + Sync,
    ) -> Result<Written> {
        loop {
            self.lease.check()?;
            match write().await {
                Err(error) if !error.is_permanent() => {
                    tracing::warn!(%error, doing, "the attempt's end was not written, trying again");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                written => return written,
            }
        }
    }
}

/// A task's code that panicked has failed; the worker goes on.
fn panicked(panic: Box<dyn Any + Send>) -> Result<Done> {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Err(Error::transient(format!("run the task: its code panicked: {}", said.unwrap_or("without a message"))))
}
