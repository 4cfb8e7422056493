//! Colour, where a person looks: on a terminal, and only as NO_COLOR and TERM allow.

use std::{env, io::IsTerminal};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warn,
    Bad,
}

pub(crate) fn paint(on: &impl IsTerminal, tone: Tone, text: &str) -> String {
    let is_wanted = on.is_terminal()
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb");
    painted(is_wanted, tone, text)
}

/// SGR colours, which every terminal's own palette keeps legible.
fn painted(is_wanted: bool, tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Good => 32,
        Tone::Warn => 33,
        Tone::Bad => 31,
        Tone::Plain => return text.to_owned(),
    };
    if is_wanted { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_terminal_gets_no_colour() {
        assert_eq!(painted(true, Tone::Bad, "dead"), "\u{1b}[31mdead\u{1b}[0m");
        assert_eq!(painted(true, Tone::Plain, "ready"), "ready");
        assert_eq!(painted(false, Tone::Good, "ok"), "ok");
    }
}
