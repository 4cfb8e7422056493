//! A layer that a test writes as functions: what happens before a call, and what is seen of its answer.

use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt};
use imagefleet_common::{
    Error, Result,
    ports::layered::{Effect, Layer, Op},
};
use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// What is to become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Go,
    /// It is confirmed and never happens. Only for calls that answer nothing.
    Lose,
    Fail,
    /// It happens, and its caller is told that it failed.
    Forget,
}

/// A call as hooks see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub port: &'static str,
    pub method: &'static str,
    /// Among the calls of this method, from 1.
    pub number: u64,
}

impl Call {
    pub fn is(&self, port: &str, method: &str) -> bool {
        self.port == port && self.method == method
    }
}

type Before = dyn Fn(Call) -> BoxFuture<'static, Then> + Send + Sync;
type After = dyn Fn(Call, &dyn Any) + Send + Sync;

/// Clones count together.
#[derive(Clone)]
pub struct Hooks {
    before: Arc<Before>,
    after: Arc<After>,
    calls: Arc<Mutex<HashMap<Op, u64>>>,
}

impl Default for Hooks {
    /// Lets everything happen.
    fn default() -> Self {
        Self { before: Arc::new(|_| async { Then::Go }.boxed()), after: Arc::new(|_, _| {}), calls: Arc::default() }
    }
}

impl Hooks {
    #[must_use]
    pub fn before<F: Future<Output = Then> + Send + 'static>(
        mut self,
        hook: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self {
        self.before = Arc::new(move |call| hook(call).boxed());
        self
    }

    #[must_use]
    pub fn after(mut self, hook: impl Fn(Call, &dyn Any) + Send + Sync + 'static) -> Self {
        self.after = Arc::new(hook);
        self
    }

    /// Calls of a method so far.
    pub fn calls(&self, port: &'static str, method: &'static str) -> u64 {
        self.calls.lock().unwrap().get(&Op { port, method }).copied().unwrap_or_default()
    }

    fn count(&self, op: Op) -> Call {
        let mut calls = self.calls.lock().unwrap();
        let number = calls.entry(op).or_default();
        *number += 1;
        Call { port: op.port, method: op.method, number: *number }
    }
}

#[async_trait]
impl Layer for Hooks {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        let call = self.count(op);
        let then = (self.before)(call).await;
        let failed = || Error::transient(format!("{} {} fails in this test", op.port, op.method));
        match then {
            Then::Go | Then::Forget => {}
            Then::Fail => return Err(failed()),
            Then::Lose => {
                let nothing: Box<dyn Any> = Box::new(());
                return Ok(*nothing.downcast().expect("only a call that answers nothing can be lost"));
            }
        }
        let answer = effect().await?;
        (self.after)(call, &answer);
        if then == Then::Forget { Err(failed()) } else { Ok(answer) }
    }
}
