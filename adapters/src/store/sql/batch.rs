//! Calls that come at the same time share one transaction: one commit, one fsync.
//!
//! Nobody waits to be joined. Whoever comes while a batch is under way is in the next one.

use futures::future::BoxFuture;
use imagefleet_common::{Error, error::Result};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// Calls that one transaction answers.
const MOST: usize = 64;

struct Call<I, O> {
    item: I,
    answer: oneshot::Sender<Result<O>>,
}

pub(super) struct Batches<I, O> {
    waiting: Mutex<Vec<Call<I, O>>>,
    /// Held while a batch is under way.
    turn: tokio::sync::Mutex<()>,
}

impl<I, O> Default for Batches<I, O> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<I: Clone, O> Batches<I, O> {
    /// Answers `item` together with whatever else waits. `run` does a batch as a whole or not at all, and answers in
    /// its order. Where it fails for good its items are done one by one, so that none spoils another's call.
    pub(super) async fn call<'a>(
        &self,
        item: I,
        run: impl Fn(Vec<I>) -> BoxFuture<'a, Result<Vec<O>>> + Send + Sync,
    ) -> Result<O> {
        let (answer, mut answered) = oneshot::channel();
        self.waiting().push(Call { item, answer });
        loop {
            let _turn = self.turn.lock().await;
            match answered.try_recv() {
                Ok(answer) => return answer,
                Err(oneshot::error::TryRecvError::Closed) => {
                    return Err(Error::transient("whoever made this call together with others was stopped"));
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let calls: Vec<Call<I, O>> = {
                let mut waiting = self.waiting();
                let count = waiting.len().min(MOST);
                waiting.drain(..count).collect()
            };
            Self::answer(calls, &run).await;
        }
    }

    async fn answer<'a>(
        calls: Vec<Call<I, O>>,
        run: &(impl Fn(Vec<I>) -> BoxFuture<'a, Result<Vec<O>>> + Send + Sync),
    ) {
        let error = match run(calls.iter().map(|call| call.item.clone()).collect()).await {
            Ok(outs) => {
                for (call, out) in calls.into_iter().zip(outs) {
                    // Its caller may have given up.
                    let _ = call.answer.send(Ok(out));
                }
                return;
            }
            Err(error) => error,
        };
        let is_alone = calls.len() == 1;
        let mut error = Some(error);
        for Call { item, answer } in calls {
            let one = match &error {
                Some(error) if !is_alone && error.is_permanent() => run(vec![item]).await,
                Some(shared) if !is_alone => Err(Error::transient(shared.to_string())),
                _ => error.take().map_or_else(|| Ok(Vec::new()), Err),
            };
            let one = one.and_then(|outs| outs.into_iter().next().ok_or_else(|| Error::transient("no answer")));
            let _ = answer.send(one);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Call<I, O>>> {
        self.waiting.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    /// Doubles, but refuses batches with a zero in them.
    fn double(ran: &Arc<AtomicUsize>, items: Vec<u32>) -> BoxFuture<'static, Result<Vec<u32>>> {
        ran.fetch_add(1, SeqCst);
        Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            match items.contains(&0) {
                true => Err(Error::permanent("a zero")),
                false => Ok(items.iter().map(|item| item * 2).collect()),
            }
        })
    }

    #[tokio::test]
    async fn calls_that_come_meanwhile_share_the_next_batch_and_a_bad_one_fails_alone() {
        let (batches, ran) = (Arc::new(Batches::default()), Arc::new(AtomicUsize::new(0)));
        let calls = (0..150u32).map(|item| {
            let (batches, ran) = (Arc::clone(&batches), Arc::clone(&ran));
            tokio::spawn(async move {
                let at = if item == 77 { 0 } else { item + 1 };
                (at, batches.call(at, move |items| double(&ran, items)).await)
            })
        });
        for call in calls.collect::<Vec<_>>() {
            let (item, answer) = call.await.expect("no call panics");
            match item {
                0 => assert!(answer.expect_err("zero is refused").is_permanent()),
                item => assert_eq!(answer.expect("others are not"), item * 2),
            }
        }
        assert!(ran.load(SeqCst) < 75, "{} transactions for 150 calls", ran.load(SeqCst));
    }

    #[tokio::test]
    async fn a_caller_that_stops_leaves_nobody_without_an_answer() {
        let (batches, ran) = (Arc::new(Batches::default()), Arc::new(AtomicUsize::new(0)));
        let call = |item: u32| {
            let (batches, ran) = (Arc::clone(&batches), Arc::clone(&ran));
            tokio::spawn(async move { batches.call(item, move |items| double(&ran, items)).await })
        };
        let first = call(1);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let others: Vec<_> = (2..10).map(call).collect();
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        first.abort();
        others[0].abort();
        for other in others.into_iter().skip(1) {
            let answer = other.await.expect("no call panics");
            assert!(answer.is_ok() || answer.expect_err("it failed").is_transient());
        }
        assert_eq!(call(21).await.expect("no call panics").expect("the next batch works"), 42);
    }
}
