//! Typed access to the tables of a TOML file. Every getter knows where in the file its key stands, and writes what is
//! wrong with it into a [`Report`] instead of failing: so all problems of a file are told at once.
//!
//! What a getter returns after a problem is a stand-in. It goes nowhere, for a report with a problem is an error.

use crate::error::{Error, Result};
use std::{cell::RefCell, fmt::Display, ops::Range, path::Path};
use toml::de::{DeTable, DeValue};

/// What is wrong with one file, by place.
pub(super) struct Report<'a> {
    file: &'a Path,
    text: &'a str,
    problems: RefCell<Vec<(usize, String)>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, problems: RefCell::default() }
    }

    /// `at` is a byte offset into the file.
    pub(super) fn add(&self, at: usize, problem: impl Display) {
        let (line, column) = line_and_column(self.text, at);
        let problem = format!("{}:{line}:{column}: {problem}", self.file.display());
        self.problems.borrow_mut().push((at, problem));
    }

    /// The file says something else than `expected` for `key`.
    pub(super) fn wrong(&self, at: &At, expected: impl Display) {
        let found = found(self.text, &at.span);
        self.add(at.span.start, format_args!("{}: found {found}, expected {expected}", at.key));
    }

    /// `value`, if nothing was wrong; else one permanent error that names every problem, a line each, from top to bottom.
    pub(super) fn finish<T>(self, value: T) -> Result<T> {
        let mut problems = self.problems.into_inner();
        if problems.is_empty() {
            return Ok(value);
        }
        problems.sort_by_key(|(at, _)| *at);
        let lines: Vec<String> = problems.into_iter().map(|(_, problem)| problem).collect();
        Err(Error::permanent(lines.join("\n")))
    }
}

/// Line and column of a byte offset, both from 1; columns count characters.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// What the file says there, where that is short enough to be repeated.
fn found(text: &str, span: &Range<usize>) -> String {
    const SHORT: usize = 60;
    match text.get(span.clone()) {
        Some(value) if value.len() <= SHORT && !value.contains('\n') => value.to_owned(),
        _ => "what stands there".to_owned(),
    }
}

/// Where a value stands: its dotted key and its bytes in the file.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) key: String,
    pub(super) span: Range<usize>,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

/// One table of the file. A table that is not there holds nothing and lacks nothing.
pub(super) struct Section<'a> {
    report: &'a Report<'a>,
    table: Option<&'a DeTable<'a>>,
    at: At,
    /// Keys that were asked for: all that the table may have.
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn root(report: &'a Report<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(report, Some(table), At { key: String::new(), span: 0..0 })
    }

    fn new(report: &'a Report<'a>, table: Option<&'a DeTable<'a>>, at: At) -> Self {
        Self { report, table, at, known: RefCell::default() }
    }

    /// The table should not be there, or not like this.
    pub(super) fn wrong(&self, expected: impl Display) {
        self.report.wrong(&self.at, expected);
    }

    fn dotted(&self, key: &str) -> String {
        if self.at.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at.key) }
    }

    fn get(&self, key: &'static str, need: Need, expected: impl Display) -> Option<Found<&'a DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        let table = self.table?;
        match table.get(key) {
            Some(value) => Some(Found { value: value.get_ref(), at: At { key: self.dotted(key), span: value.span() } }),
            None => {
                if need == Need::Required {
                    let key = self.dotted(key);
                    self.report.add(self.at.span.start, format_args!("{key}: missing, expected {expected}"));
                }
                None
            }
        }
    }

    /// A string that `check` finds nothing wrong with; what it returns is what was expected instead.
    pub(super) fn string(
        &self,
        key: &'static str,
        need: Need,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<Found<String>> {
        let Found { value, at } = self.get(key, need, "a string")?;
        self.checked(value, at, &check)
    }

    fn checked(
        &self,
        value: &DeValue<'_>,
        at: At,
        check: &impl Fn(&str) -> Result<(), String>,
    ) -> Option<Found<String>> {
        match value.as_str().ok_or_else(|| "a string".to_owned()).and_then(|text| check(text).map(|()| text)) {
            Ok(text) => Some(Found { value: text.to_owned(), at }),
            Err(expected) => {
                self.report.wrong(&at, expected);
                None
            }
        }
    }

    /// An array of at least one string, each of which passes `check`.
    pub(super) fn strings(&self, key: &'static str, check: impl Fn(&str) -> Result<(), String>) -> Option<Vec<String>> {
        const EXPECTED: &str = "an array of at least one string";
        let Found { value, at } = self.get(key, Need::Optional, EXPECTED)?;
        let Some(items) = value.as_array().filter(|items| !items.is_empty()) else {
            self.report.wrong(&at, EXPECTED);
            return None;
        };
        let strings = items.iter().enumerate().filter_map(|(number, item)| {
            let at = At { key: format!("{}[{number}]", at.key), span: item.span() };
            self.checked(item.get_ref(), at, &check).map(|found| found.value)
        });
        Some(strings.collect())
    }

    /// A whole number within `allowed`.
    pub(super) fn integer<T>(&self, key: &'static str, allowed: std::ops::RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        let expected = format!("a whole number from {} to {}", allowed.start(), allowed.end());
        let Found { value, at } = self.get(key, Need::Optional, &expected)?;
        let number = value
            .as_integer()
            .and_then(|number| i128::from_str_radix(number.as_str(), number.radix()).ok())
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| allowed.contains(number));
        if number.is_none() {
            self.report.wrong(&at, expected);
        }
        number
    }

    /// A number within `allowed`, whole or not.
    pub(super) fn number(&self, key: &'static str, allowed: std::ops::RangeInclusive<f64>) -> Option<f64> {
        let expected = format!("a number from {} to {}", allowed.start(), allowed.end());
        let Found { value, at } = self.get(key, Need::Optional, &expected)?;
        let text = value.as_float().map(|number| number.as_str()).or(value.as_integer().map(|number| number.as_str()));
        let number = text.and_then(|text| text.parse().ok()).filter(|number| allowed.contains(number));
        if number.is_none() {
            self.report.wrong(&at, expected);
        }
        number
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        const EXPECTED: &str = "true or false";
        let Found { value, at } = self.get(key, Need::Optional, EXPECTED)?;
        if value.as_bool().is_none() {
            self.report.wrong(&at, EXPECTED);
        }
        value.as_bool()
    }

    /// One of a few names.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, need: Need, choices: &[(&str, T)]) -> Option<Found<T>> {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        let expected = match names.as_slice() {
            [only] => only.clone(),
            names => format!("one of {}", names.join(", ")),
        };
        let Found { value, at } = self.get(key, need, &expected)?;
        let choice = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
        if choice.is_none() {
            self.report.wrong(&at, expected);
        }
        choice.map(|(_, choice)| Found { value: *choice, at })
    }

    /// Does the file have this table?
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// A table within this one.
    pub(super) fn table(&self, key: &'static str, need: Need) -> Self {
        let expected = format!("a table [{}]", self.dotted(key));
        let absent = || Self::new(self.report, None, At { key: self.dotted(key), span: 0..0 });
        let Some(Found { value, at }) = self.get(key, need, &expected) else { return absent() };
        match value.as_table() {
            Some(table) => Self::new(self.report, Some(table), at),
            None => {
                self.report.wrong(&at, expected);
                absent()
            }
        }
    }

    /// An array of tables, `[[key]]`; empty where it is not there.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Self> {
        let expected = format!("an array of tables [[{}]]", self.dotted(key));
        let Some(Found { value, at }) = self.get(key, Need::Optional, &expected) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            self.report.wrong(&at, expected);
            return Vec::new();
        };
        let tables = items.iter().enumerate().filter_map(|(number, item)| {
            let at = At { key: format!("{}[{number}]", at.key), span: item.span() };
            if item.get_ref().as_table().is_none() {
                self.report.wrong(&at, &expected);
            }
            item.get_ref().as_table().map(|table| Self::new(self.report, Some(table), at))
        });
        tables.collect()
    }

    /// Everything was asked for: what else stands in the table is unknown.
    pub(super) fn close(self) {
        let known = self.known.into_inner();
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let dotted = if self.at.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at.key) };
                let hint = match (nearest(name, &known), known.as_slice()) {
                    (Some(meant), _) => format!("did you mean {meant:?}?"),
                    (None, [only]) => format!("expected {only}"),
                    (None, known) => format!("expected one of {}", known.join(", ")),
                };
                self.report.add(key.span().start, format_args!("{dotted}: no such key, {hint}"));
            }
        }
    }
}

/// The known key that `name` was probably meant to be.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let furthest = (name.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (edits(name, candidate), *candidate))
        .filter(|(edits, _)| *edits <= furthest)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, drop, replace or swap with their neighbour to get from one word to the other (optimal string alignment).
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_one_edit() {
        assert_eq!(edits("layuot", "layout"), 1);
        assert_eq!(edits("batc", "batch"), 1);
        assert_eq!(edits("", "batch"), 5);
        assert_eq!(nearest("layuot", &["name", "layout"]), Some("layout"));
        assert_eq!(nearest("colour", &["name", "layout"]), None);
    }

    #[test]
    fn lines_and_columns_count_from_one_and_by_character() {
        let text = "a = 1\nü = \"é\"x\n";
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, text.find('x').expect("there is an x")), (2, 8));
        assert_eq!(line_and_column(text, text.len()), (3, 1));
    }
}
