//! An index that says at its first seals that it still builds.

use async_trait::async_trait;
use imagefleet_common::{
    Result,
    ports::{
        index::Sealed,
        layered::{Effect, Layer, Op},
    },
};
use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Clones count together.
#[derive(Clone)]
pub struct Building {
    seals: u64,
    asked: Arc<AtomicU64>,
}

impl Building {
    /// Builds during so many seals.
    pub fn during(seals: u64) -> Self {
        Self { seals, asked: Arc::default() }
    }

    /// Seals so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Layer for Building {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        let answer = effect().await?;
        if (op.port, op.method) == ("index", "seal") && self.asked.fetch_add(1, Ordering::SeqCst) < self.seals {
            let building: Box<dyn Any> = Box::new(Sealed::Building("it optimises".to_owned()));
            return Ok(*building.downcast().expect("a seal says how ready the index is"));
        }
        Ok(answer)
    }
}
