//! Failures, delays, short answers and repetitions, drawn by seed.
//!
//! What happens to a call depends on the seed, its method and its number among that method's calls, and on nothing
//! else: the same order of calls meets the same faults, whatever other methods are called in between.

use super::{
    Methods,
    counts::{Counts, Table},
};
use async_trait::async_trait;
use bytes::Bytes;
use imagefleet_common::{
    error::{Error, Result},
    ports::{
        layered::{Effect, Layer, Op},
        objects::Page,
    },
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};
use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Which faults, and how often.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    pub seed: u64,
    /// Share of the calls that fail.
    pub rate: f64,
    /// Share of the failures that come after the effect took place.
    pub after_share: f64,
    /// The longest delay; as many calls are delayed as fail. Zero delays none.
    pub delay: Duration,
    /// Half of the failures after the effect of calls that answer with bytes or a listing are short answers instead:
    /// fewer bytes without any error, or a page that ends early. A page says so (its `next` is set), because no
    /// caller could tell a listing that silently ends early from a complete one.
    pub truncate: bool,
    /// Share of the calls whose effect takes place twice.
    pub duplicate: f64,
    /// Methods that work as they should.
    pub spare: Methods,
}

impl FaultPlan {
    /// A fifth of all calls fails, half of them after the effect took place; nothing else.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rate: 0.2,
            after_share: 0.5,
            delay: Duration::ZERO,
            truncate: false,
            duplicate: 0.0,
            spare: Methods::default(),
        }
    }
}

/// The faults of one process. Clones share plan and counts, so that one table covers all ports.
#[derive(Debug, Clone)]
pub struct Faults {
    plan: Arc<FaultPlan>,
    counts: Arc<Mutex<Table>>,
}

/// What is to happen to a call.
#[derive(Debug, Clone, Copy)]
struct Fate {
    delay: Duration,
    failure: Option<Failure>,
    twice: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Before,
    After,
    Short,
}

impl Faults {
    pub fn new(plan: FaultPlan) -> Self {
        Self { plan: Arc::new(plan), counts: Arc::default() }
    }

    /// What happened so far.
    pub fn counts(&self) -> Table {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, op: Op, change: impl FnOnce(&mut Counts)) {
        change(self.counts.lock().unwrap_or_else(PoisonError::into_inner).0.entry(op).or_default());
    }

    /// Counts a call and draws its fate.
    fn draw(&self, op: Op, may_be_short: bool) -> Fate {
        let mut number = 0;
        self.count(op, |counts| {
            number = counts.calls;
            counts.calls += 1;
        });
        let plan = &self.plan;
        if plan.spare.has(op) {
            return Fate { delay: Duration::ZERO, failure: None, twice: false };
        }
        let mut random = random_of(plan.seed, op, number);
        // All is drawn for every call, so that one setting does not change what another one draws.
        let (fails, after, short, delayed) = (
            random.random_bool(plan.rate),
            random.random_bool(plan.after_share),
            random.random_bool(0.5),
            random.random_bool(plan.rate),
        );
        let (delay, twice) = (plan.delay.mul_f64(random.random()), random.random_bool(plan.duplicate));
        // A message that was received and then lost would stay with its consumer until that ends.
        let takes = op.method == "receive";
        let failure = fails.then_some(match after && !takes {
            true if short && may_be_short && plan.truncate => Failure::Short,
            true => Failure::After,
            false => Failure::Before,
        });
        Fate { delay: if delayed { delay } else { Duration::ZERO }, failure, twice: twice && !takes }
    }
}

fn random_of(seed: u64, op: Op, number: u64) -> StdRng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(number.to_le_bytes());
    hash.update(op.port);
    hash.update(".");
    hash.update(op.method);
    StdRng::from_seed(hash.finalize().into())
}

fn injected(op: Op, when: &str) -> Error {
    Error::transient(format!("{} {}: injected failure {when} the effect", op.port, op.method))
}

#[async_trait]
impl Layer for Faults {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        let fate = self.draw(op, may_be_short::<T>());
        if !fate.delay.is_zero() {
            self.count(op, |counts| counts.delayed += 1);
            tokio::time::sleep(fate.delay).await;
        }
        if fate.failure == Some(Failure::Before) {
            self.count(op, |counts| counts.failed_before += 1);
            return Err(injected(op, "before"));
        }
        let mut answer = effect().await;
        if fate.twice {
            self.count(op, |counts| counts.duplicated += 1);
            answer = effect().await;
        }
        let mut answer = answer?;
        match fate.failure {
            Some(Failure::Short) if shorten(&mut answer) => {
                self.count(op, |counts| counts.truncated += 1);
                Ok(answer)
            }
            Some(_) => {
                self.count(op, |counts| counts.failed_after += 1);
                Err(injected(op, "after"))
            }
            None => Ok(answer),
        }
    }
}

fn may_be_short<T: Any>() -> bool {
    let kind = std::any::TypeId::of::<T>();
    kind == std::any::TypeId::of::<Bytes>() || kind == std::any::TypeId::of::<Page>()
}

/// Cuts an answer in half; `false` where it is no answer that could be cut, or too short.
fn shorten<T: Any>(answer: &mut T) -> bool {
    let answer: &mut dyn Any = answer;
    if let Some(bytes) = answer.downcast_mut::<Bytes>() {
        let half = bytes.len() / 2;
        let shorter = half < bytes.len();
        bytes.truncate(half);
        return shorter;
    }
    if let Some(page) = answer.downcast_mut::<Page>()
        && page.objects.len() > 1
    {
        page.objects.truncate(page.objects.len() / 2);
        page.next = page.objects.last().map(|object| object.path.clone());
        return true;
    }
    false
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use imagefleet_common::ports::objects::ObjectMeta;
    use std::sync::atomic::{AtomicU64, Ordering};

    const PUT: Op = Op { port: "objects", method: "put" };
    const RECEIVE: Op = Op { port: "broker", method: "receive" };

    /// Calls `op` so often, and says for each call whether it succeeded; with it, how often the effect took place.
    async fn calls(faults: &Faults, op: Op, times: usize) -> (Vec<bool>, u64) {
        let effects = AtomicU64::new(0);
        let mut outcomes = Vec::new();
        for _ in 0..times {
            let effect = || -> Effect<'_, ()> {
                Box::pin(async {
                    effects.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                })
            };
            let outcome = faults.call(op, &effect).await;
            assert!(
                outcome
                    .as_ref()
                    .err()
                    .is_none_or(|error| error.is_transient() && error.to_string().contains("injected"))
            );
            outcomes.push(outcome.is_ok());
        }
        (outcomes, effects.into_inner())
    }

    #[tokio::test]
    async fn the_same_seed_meets_the_same_faults_whatever_is_called_in_between() {
        let (one, other) = (Faults::new(FaultPlan::new(7)), Faults::new(FaultPlan::new(7)));
        let (first, _) = calls(&one, PUT, 200).await;
        let (mut second, _) = calls(&other, PUT, 100).await;
        calls(&other, RECEIVE, 33).await;
        second.extend(calls(&other, PUT, 100).await.0);
        assert_eq!(first, second);
        let (elsewhere, _) = calls(&Faults::new(FaultPlan::new(8)), PUT, 200).await;
        assert_ne!(first, elsewhere);
    }

    #[tokio::test]
    async fn a_fifth_fails_and_half_of_that_after_the_effect() {
        let faults = Faults::new(FaultPlan::new(1));
        let (outcomes, effects) = calls(&faults, PUT, 2_000).await;
        let counts = faults.counts().0[&PUT];
        assert_eq!(counts.calls, 2_000);
        assert_eq!(outcomes.iter().filter(|succeeded| !**succeeded).count() as u64, counts.failures());
        assert_eq!(effects, counts.calls - counts.failed_before);
        assert!((300..500).contains(&counts.failures()), "{counts:?}");
        assert!(counts.failed_after.abs_diff(counts.failed_before) < 80, "{counts:?}");
        assert_eq!(faults.counts().ports()["objects"], counts);
    }

    #[tokio::test]
    async fn a_message_is_never_received_and_then_lost_nor_received_twice() {
        let faults = Faults::new(FaultPlan { duplicate: 0.5, ..FaultPlan::new(2) });
        let (outcomes, effects) = calls(&faults, RECEIVE, 500).await;
        assert_eq!(outcomes.iter().filter(|succeeded| **succeeded).count() as u64, effects);
        assert!(faults.counts().0[&RECEIVE].failed_before > 0);
    }

    #[tokio::test]
    async fn spared_methods_work_and_others_take_place_twice_when_asked() {
        let spare = Methods::new(&[("objects", "put")]);
        let faults = Faults::new(FaultPlan { rate: 0.0, duplicate: 0.5, spare, ..FaultPlan::new(3) });
        let (_, effects) = calls(&faults, PUT, 100).await;
        assert_eq!(effects, 100);
        let delete = Op { port: "objects", method: "delete" };
        let (_, effects) = calls(&faults, delete, 100).await;
        assert_eq!(effects, 100 + faults.counts().0[&delete].duplicated);
        assert!(effects > 120);
    }

    #[tokio::test]
    async fn a_short_answer_has_fewer_bytes_and_no_error_and_a_short_page_says_that_more_follows() {
        let plan = FaultPlan { rate: 1.0, after_share: 1.0, truncate: true, ..FaultPlan::new(4) };
        let faults = Faults::new(plan);
        let read = || -> Effect<'_, Bytes> { Box::pin(async { Ok(Bytes::from_static(b"eight by")) }) };
        let list = || -> Effect<'_, Page> {
            let object = |path: &str| ObjectMeta { path: path.into(), size: 1, etag: "1".into() };
            Box::pin(async move { Ok(Page { objects: vec![object("a"), object("b")], next: None }) })
        };
        for _ in 0..20 {
            if let Ok(bytes) = faults.call(Op { port: "objects", method: "read" }, &read).await {
                assert_eq!(bytes.len(), 4);
            }
            if let Ok(page) = faults.call(Op { port: "objects", method: "list" }, &list).await {
                assert_eq!((page.objects.len(), page.next.as_deref()), (1, Some("a")));
            }
        }
        assert!(faults.counts().0.values().all(|counts| counts.truncated > 0), "{}", faults.counts());
        assert!(faults.counts().to_string().lines().nth(1).unwrap().starts_with("objects"));
    }
}
