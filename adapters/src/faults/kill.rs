//! Ends the own process as the kernel would: no destructor, no flush, no last word.

use super::Methods;
use async_trait::async_trait;
use imagefleet_common::{
    error::Result,
    ports::layered::{Effect, Layer, Op},
};
use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// When, relative to the call's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

/// Sends SIGKILL to the own process at the `nth` call (from 1) of any of `methods`. Clones count together.
#[derive(Debug, Clone)]
pub struct Kill {
    methods: Methods,
    nth: u64,
    moment: Moment,
    calls: Arc<AtomicU64>,
}

impl Kill {
    pub fn new(methods: Methods, nth: u64, moment: Moment) -> Self {
        Self { methods, nth, moment, calls: Arc::default() }
    }
}

#[async_trait]
impl Layer for Kill {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        let last = self.methods.has(op) && self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.nth;
        if last && self.moment == Moment::Before {
            die();
        }
        let answer = effect().await;
        if last {
            die();
        }
        answer
    }
}

/// Ends the own process with SIGKILL.
pub fn die() -> ! {
    // SAFETY: a plain system call on the own process.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!("SIGKILL cannot be handled")
}
