//! What is said of a picture's rights: short names of Creative Commons' licences, titles made readable.

/// "CC BY-NC 2.0" of a Creative Commons URL, otherwise the licence's own name.
pub(super) fn short(name: &str, url: &str) -> String {
    let of_url = || {
        let rest = url.split_once("creativecommons.org/")?.1;
        let mut parts = rest.split('/');
        let code = match (parts.next()?, parts.next()?) {
            ("licenses", code) if is_word(code) => format!("CC {}", code.to_uppercase()),
            ("publicdomain", "zero") => "CC0".to_owned(),
            ("publicdomain", "mark") => "Public Domain Mark".to_owned(),
            _ => return None,
        };
        let version =
            parts.next().filter(|version| version.starts_with(|c: char| c.is_ascii_digit()) && version.len() < 8);
        Some(version.map_or(code.clone(), |version| format!("{code} {version}")))
    };
    of_url().unwrap_or_else(|| name.trim().to_owned())
}

fn is_word(code: &str) -> bool {
    (1..20).contains(&code.len()) && code.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '+'))
}

/// URL-decoded, with `+` for a space, as YFCC100M's texts are stored. What is no code stays as it is.
pub(super) fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, beyond @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = beyond;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creative_commons_licence_is_called_by_its_code_and_others_by_their_name() {
        for (name, url, expected) in [
            ("Attribution License", "http://creativecommons.org/licenses/by/2.0/", "CC BY 2.0"),
            ("x", "https://creativecommons.org/licenses/by-nc-sa/4.0/deed.de", "CC BY-NC-SA 4.0"),
            ("x", "http://creativecommons.org/publicdomain/zero/1.0/", "CC0 1.0"),
            ("x", "http://creativecommons.org/licenses/by", "CC BY"),
            ("No known copyright restrictions", "http://flickr.com/commons/usage/", "No known copyright restrictions"),
            ("Odd", "http://creativecommons.org/licenses/<b>/2.0/", "Odd"),
            ("", "", ""),
        ] {
            assert_eq!(short(name, url), expected);
        }
    }

    #[test]
    fn stored_titles_are_made_readable() {
        assert_eq!(plain("Caf%C3%A9+%26+bar"), "Café & bar");
        assert_eq!(plain("100%+wool%2"), "100% wool%2");
        assert_eq!(plain("%ff%3Cscript"), "\u{fffd}<script");
    }
}
