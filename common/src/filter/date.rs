//! A day of the Gregorian calendar, written `2012-05-06`.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Years 1 to 9999; every date is a real one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Bytes of a date's text.
    pub const LENGTH: usize = "2012-05-06".len();

    /// `20120506`: numbers are ordered as their days are.
    pub fn number(self) -> i64 {
        i64::from(self.year) * 10_000 + i64::from(self.month) * 100 + i64::from(self.day)
    }
}

impl FromStr for Date {
    /// What was expected.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| "a date of the calendar as in \"2012-05-06\"".to_owned())
    }
}

fn read(text: &str) -> Option<Date> {
    let written = text
        .bytes()
        .enumerate()
        .all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    if text.len() != Date::LENGTH || !written {
        return None;
    }
    let (year, month, day) = (text[..4].parse().ok()?, text[5..7].parse().ok()?, text[8..].parse().ok()?);
    let is_real = year > 0 && (1..=12).contains(&month) && (1..=days(year, month)).contains(&day);
    is_real.then_some(Date { year, month, day })
}

fn days(year: u16, month: u8) -> u8 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|expected| format!("found {text:?}, expected {expected}"))
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_of_the_calendar_are_dates_and_they_are_written_as_they_were_read() {
        for date in ["2012-05-06", "2000-02-29", "2012-02-29", "0001-01-01", "9999-12-31", "1999-04-30"] {
            assert_eq!(date.parse::<Date>().map(|date| date.to_string()), Ok(date.to_owned()));
        }
        for none in [
            "1900-02-29",
            "2011-02-29",
            "2012-04-31",
            "2012-13-01",
            "2012-00-10",
            "2012-01-00",
            "0000-01-01",
            "2012-5-06",
            "12-05-06",
            "2012/05/06",
            "2012-05-06 ",
            "+012-05-06",
            "2012-05-0é",
            "２012-05-06",
            "",
        ] {
            assert!(none.parse::<Date>().is_err(), "{none}");
        }
    }

    #[test]
    fn dates_are_ordered_by_time() {
        let dates = ["2011-12-31", "2012-01-01", "2012-01-10", "2012-02-01"].map(|date| date.parse::<Date>());
        assert!(dates.is_sorted_by(|a, b| a < b));
        let numbers = dates.map(|date| date.map(Date::number));
        assert_eq!(numbers, [20_111_231, 20_120_101, 20_120_110, 20_120_201].map(Ok));
    }
}
