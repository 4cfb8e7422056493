//! SIGINT and SIGTERM: the first asks the process to stop, the second ends it.

use crate::{exit::Exit, logging::say};
use imagefleet_common::{Error, Result};
use imagefleet_worker::stop::{self, Stop};
use tokio::signal::unix::{SignalKind, signal};

/// Given at the first SIGINT or SIGTERM, when `what_happens` is said; the second one ends the process at once.
pub(crate) fn stop_on_signals(what_happens: &'static str) -> Result<Stop> {
    let doing = |error| Error::permanent("listen for signals").because(error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(doing)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(doing)?;
    let (stopper, stop) = stop::channel();
    tokio::spawn(async move {
        for times in 1.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if times > 1 {
                std::process::exit(Exit::Stopped as i32);
            }
            say(format_args!("stopping: {what_happens} (once more to stop at once)"));
            stopper.stop();
        }
    });
    Ok(stop)
}
