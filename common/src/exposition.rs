//! Prometheus's text format, version 0.0.4: how a process shows its figures to whoever scrapes it.

use std::fmt::{Display, Write};

/// Value of the `Content-Type` header.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family's samples do over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Only grows while the process lives; its name ends in `_total`.
    Counter,
    Gauge,
}

/// A text to which families are added, each with all of its samples.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// The samples of one family.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a family of which nothing was added before. `about` is one line.
    pub fn family(&mut self, name: &'static str, shape: Shape, about: &str) -> Family<'_> {
        let shape = match shape {
            Shape::Counter => "counter",
            Shape::Gauge => "gauge",
        };
        self.0 += &format!("# HELP {name} {about}\n# TYPE {name} {shape}\n");
        Family { text: &mut self.0, name }
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample. Values of labels may be any text; there must be few of them.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.text, "{}{labels} {value}", self.name).expect("a string takes all that is written");
        self
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_head_once_and_a_line_a_sample() {
        let mut text = Exposition::default();
        text.family("a_total", Shape::Counter, "As.").sample(&[], 3).sample(&[("k", "v"), ("l", "\"\\\n")], 0.5);
        text.family("b", Shape::Gauge, "Bs.");
        assert_eq!(
            text.into_text(),
            "# HELP a_total As.\n# TYPE a_total counter\na_total 3\na_total{k=\"v\",l=\"\\\"\\\\\\n\"} 0.5\n\
             # HELP b Bs.\n# TYPE b gauge\n"
        );
    }
}
