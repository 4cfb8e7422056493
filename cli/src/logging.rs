//! Logs and messages, on standard error, above the progress bars where there are any.

use indicatif::MultiProgress;
use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::LazyLock,
};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// The bars of this process: whatever is written to standard error is written above them.
pub static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Starts logging. A filter that cannot be read is reported and the default takes its place.
pub fn start(filter: &str) {
    let parsed = EnvFilter::try_new(filter);
    let wrong = parsed.as_ref().err().map(ToString::to_string);
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new("warn")))
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

/// Data, on standard output. A reader that went away is no error: what is done and how it went stay the same.
pub fn print(data: fmt::Arguments<'_>) {
    BARS.suspend(|| {
        let _ = writeln!(io::stdout(), "{data}");
    });
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
