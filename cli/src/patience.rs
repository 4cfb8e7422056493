//! Services that are away come back.

use imagefleet_common::{Result, error::Next};
use imagefleet_worker::stop::Stop;
use std::time::Duration;

const FIRST_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(10);

/// Tries until it succeeds, fails for good, or `stop` is given (`None`).
pub(crate) async fn patiently<T>(
    stop: &Stop,
    doing: &'static str,
    attempt: impl AsyncFn() -> Result<T>,
) -> Result<Option<T>> {
    let mut delay = FIRST_DELAY;
    loop {
        let tried = tokio::select! {
            tried = attempt() => tried,
            () = stop.stopped() => return Ok(None),
        };
        let error = match tried {
            Ok(done) => return Ok(Some(done)),
            Err(error) => error,
        };
        let Next::Retry { after } = error.next() else { return Err(error) };
        tracing::warn!(doing, %error, "trying again");
        tokio::select! {
            () = tokio::time::sleep(delay.max(after.unwrap_or_default())) => {}
            () = stop.stopped() => return Ok(None),
        }
        delay = (delay * 2).min(MAX_DELAY);
    }
}
