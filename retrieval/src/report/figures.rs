//! Numbers as people read them.

/// `8,500`
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `0.42 s`, `12.3 s`, `3 min 05 s`, `1 h 03 min`
pub(super) fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 0.005 => "0 s".to_owned(),
        _ if seconds < 9.995 => format!("{seconds:.2} s"),
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        0..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", count(whole / 3600), whole % 3600 / 60),
    }
}

/// Items a second: three digits, or all before the point.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        _ if rate < 9.995 => format!("{rate:.2}"),
        _ if rate < 99.95 => format!("{rate:.1}"),
        _ => count(rate.round() as u64),
    }
}

/// `37 %`, and never 0 % or 100 % of what is neither.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        _ if percent > 0.0 && percent < 1.0 => {
            format!("{} %", if percent < 0.1 { "< 0.1".to_owned() } else { format!("{percent:.1}") })
        }
        _ if percent > 99.0 && percent < 100.0 => {
            format!("{} %", if percent > 99.9 { "> 99.9".to_owned() } else { format!("{percent:.1}") })
        }
        _ => format!("{percent:.0} %"),
    }
}

/// Three decimals, as the reference prints metrics; a true minus.
pub(super) fn metric(value: f64) -> String {
    // So that what rounds to zero has no sign.
    let rounded = (value * 1000.0).round() / 1000.0;
    if rounded < 0.0 { format!("−{:.3}", -rounded) } else { format!("{:.3}", rounded.abs()) }
}

/// A difference, with its sign.
pub(super) fn difference(value: f64) -> String {
    let text = metric(value);
    let is_zero = !text.contains(|c: char| ('1'..='9').contains(&c));
    if is_zero || text.starts_with('−') { text } else { format!("+{text}") }
}

/// `a b`, in the plural unless it is one: "1 picture".
pub(super) fn counted(number: u64, thing: &str) -> String {
    let plural = match thing {
        _ if number == 1 => thing.to_owned(),
        "query" => "queries".to_owned(),
        _ => format!("{thing}s"),
    };
    format!("{} {plural}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!([0, 999, 1000, 99_200_000].map(count), ["0", "999", "1,000", "99,200,000"]);
        let times = [0.0, 0.416, 12.34, 59.97, 185.0, 3599.6, 3780.0];
        assert_eq!(
            times.map(seconds),
            ["0 s", "0.42 s", "12.3 s", "1 min 00 s", "3 min 05 s", "1 h 00 min", "1 h 03 min"]
        );
        assert_eq!([0.5, 12.34, 1234.5].map(rate), ["0.50", "12.3", "1,235"]);
        let shares = [0.0, 0.0001, 0.004, 0.372, 0.996, 0.9999, 1.0];
        assert_eq!(shares.map(percent), ["0 %", "< 0.1 %", "0.4 %", "37 %", "99.6 %", "> 99.9 %", "100 %"]);
        assert_eq!([0.12345, -0.0124, -0.0001].map(metric), ["0.123", "−0.012", "0.000"]);
        assert_eq!([0.0124, -0.0124, 0.0004, -0.0004].map(difference), ["+0.012", "−0.012", "0.000", "0.000"]);
        assert_eq!(
            [counted(1, "query"), counted(2, "query"), counted(0, "picture")],
            ["1 query", "2 queries", "0 pictures"]
        );
    }
}
