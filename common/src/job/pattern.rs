//! Globs over `/`-separated names: `*` and `?` within one part, `**/` over any number of parts, letters in either case.

/// Does `pattern` match the whole of `name`?
///
/// A pattern without `/` is compared with the last part of the name only, as in `.gitignore`.
pub fn matches(pattern: &str, name: &str) -> bool {
    let name = if pattern.contains('/') { name } else { name.rsplit('/').next().unwrap_or(name) };
    whole(pattern.as_bytes(), name.as_bytes())
}

fn whole(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', b'*', b'/', rest @ ..] => {
            whole(rest, name)
                || name.iter().position(|&byte| byte == b'/').is_some_and(|end| whole(pattern, &name[end + 1..]))
        }
        [b'*', rest @ ..] => {
            let part = name.iter().position(|&byte| byte == b'/').unwrap_or(name.len());
            (0..=part).any(|taken| whole(rest, &name[taken..]))
        }
        [b'?', rest @ ..] => matches!(name, [byte, after @ ..] if *byte != b'/' && whole(rest, after)),
        [literal, rest @ ..] => {
            matches!(name, [byte, after @ ..] if byte.eq_ignore_ascii_case(literal) && whole(rest, after))
        }
    }
}

/// The part of every matching name that is known before its first wildcard, up to the last `/`.
pub fn fixed_prefix(pattern: &str) -> &str {
    let wild = pattern.find(['*', '?']).unwrap_or(pattern.len());
    pattern[..wild].rfind('/').map_or("", |slash| &pattern[..=slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_one_part_and_two_stars_do_not() {
        assert!(matches("images/*.zip", "images/abc.zip"));
        assert!(!matches("images/*.zip", "images/a/bc.zip"));
        assert!(matches("**/*.tar", "one.tar"));
        assert!(matches("**/*.tar", "a/b/one.tar"));
        assert!(!matches("**/*.tar", "a/b/one.tar.gz"));
    }

    #[test]
    fn a_pattern_without_a_slash_looks_at_the_last_part_and_ignores_case() {
        assert!(matches("*.jpg", "holiday/IMG_0001.JPG"));
        assert!(!matches("*.jpg", "holiday.jpg/notes.txt"));
        assert!(matches("IMG_????.jpg", "IMG_0001.jpg"));
    }

    #[test]
    fn the_fixed_prefix_ends_at_a_slash() {
        assert_eq!(fixed_prefix("images/a*.zip"), "images/");
        assert_eq!(fixed_prefix("**/*.zip"), "");
    }
}
