//! Logs and messages, on standard error, above the progress bars where there are any.

use imagefleet_common::{Error, Result};
use indicatif::MultiProgress;
use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::{LazyLock, OnceLock},
};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// The bars of this process: whatever is written to standard error is written above them.
pub static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Starts logging. A filter that cannot be read is reported and the default takes its place.
pub fn start(filter: &str) {
    let parsed = EnvFilter::try_new(filter);
    // It repeats parameters of a URL that it does not know, and with them what stands in their place.
    let secrets = "sqlx_postgres::options=off".parse().expect("this is a directive");
    let wrong = parsed.as_ref().err().map(ToString::to_string);
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new("warn")).add_directive(secrets))
        .with_ansi(colour)
        .with_writer(AboveBars)
        .init();
    if let Some(wrong) = wrong {
        say(format_args!("warning: the log filter {filter:?} of --log or IMAGEFLEET_LOG: {wrong}; using \"warn\""));
    }
}

/// A message for a person.
pub fn say(message: fmt::Arguments<'_>) {
    BARS.suspend(|| {
        // Nobody is left to be told that standard error is closed.
        let _ = writeln!(io::stderr(), "{message}");
    });
}

/// Why data did not reach standard output.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Data, on standard output. A reader that went away is no error: what is done and how it went stay the same. Another
/// failure is told by [`written`].
pub fn print(data: fmt::Arguments<'_>) {
    BARS.suspend(|| match writeln!(io::stdout(), "{data}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = UNWRITTEN.set(error);
        }
        _ => {}
    });
}

/// Has all data reached standard output? Permanent error where it has not.
pub fn written() -> Result<()> {
    match UNWRITTEN.get() {
        Some(error) => Err(Error::permanent(format!("write to standard output: {error}"))),
        None => Ok(()),
    }
}

struct AboveBars;

impl Write for AboveBars {
    /// Never fails: a log that cannot be written must not end what it tells of.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| {
            let _ = io::stderr().write_all(bytes);
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for AboveBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
