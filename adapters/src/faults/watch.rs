//! Writes down what a process asks of its ports, so that a test can choose where the next run dies.

use async_trait::async_trait;
use imagefleet_common::{
    error::Result,
    ports::layered::{Effect, Layer, Op},
};
use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

/// Writes `event port method n` at the start of each call, `n` being its number among that method's calls, from 1: the
/// number that [`Kill`](super::Kill) takes. Clones count together.
#[derive(Clone)]
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    calls: BTreeMap<Op, u64>,
    out: Box<dyn Write + Send>,
}

impl Watch {
    /// Each line is written and flushed at once.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self { seen: Arc::new(Mutex::new(Seen { calls: BTreeMap::new(), out: Box::new(out) })) }
    }

    /// Calls by method so far.
    pub fn calls(&self) -> BTreeMap<Op, u64> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).calls.clone()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Layer for Watch {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let calls = seen.calls.entry(op).or_default();
            *calls += 1;
            let line = format!("event {} {} {calls}\n", op.port, op.method);
            if let Err(error) = seen.out.write_all(line.as_bytes()).and_then(|()| seen.out.flush()) {
                tracing::warn!(%error, "write an event");
            }
        }
        effect().await
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::io;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn calls_are_numbered_by_method() {
        let out = Shared::default();
        let watch = Watch::new(out.clone());
        let effect = || -> Effect<'_, ()> { Box::pin(async { Ok(()) }) };
        for method in ["put", "delete", "put"] {
            watch.call(Op { port: "index", method }, &effect).await.unwrap();
        }
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written, "event index put 1\nevent index delete 1\nevent index put 2\n");
    }
}
