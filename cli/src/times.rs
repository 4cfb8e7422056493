//! Times for people.

use imagefleet_common::ids::Millis;

/// A span in its largest unit: `12 s`, `3 min`, `2 h`, `5 d`.
pub(crate) fn span(millis: Millis) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0 => format!("{} ms", millis.max(0)),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

pub(crate) fn ago(now: Millis, then: Millis) -> String {
    format!("{} ago", span(now - then))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_the_unit_that_fits_it() {
        for (millis, text) in [
            (-5, "0 ms"),
            (850, "850 ms"),
            (1_000, "1 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_199_000, "119 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(span(millis), text);
        }
        assert_eq!(ago(10_000, 7_000), "3 s ago");
    }
}
