//! A JSON list that is written row by row, laid out as Python's `json.dump(…, indent=2)` lays it out.

use serde::Serialize;
use std::io::{self, Write};

/// It is complete after [`finish`](Self::finish) only.
pub(super) struct List<W: Write> {
    to: W,
    rows: u64,
}

impl<W: Write> List<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, rows: 0 }
    }

    /// A row is gone from memory once it is written.
    pub(super) fn row(&mut self, row: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(row)?;
        self.to.write_all(if self.rows == 0 { b"[" } else { b"," })?;
        // Every line break in JSON text is layout, since those within strings are escaped.
        for line in text.split('\n') {
            self.to.write_all(b"\n  ")?;
            self.to.write_all(line.as_bytes())?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Ends the list, flushes, and hands back what was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(if self.rows == 0 { b"[]\n" } else { b"\n]\n" })?;
        self.to.flush()?;
        Ok(self.to)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

    use super::*;

    #[test]
    fn a_row_is_written_before_the_next_one_is_made() {
        struct Counted(usize);
        impl Write for Counted {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += bytes.len();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut list = List::new(Counted(0));
        let mut before = 0;
        for _ in 0..3 {
            list.row(&["a row of some length"; 5]).unwrap();
            assert!(list.to.0 > before + 100);
            before = list.to.0;
        }
    }
}
