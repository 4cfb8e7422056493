//! Short names of licences, with the version that they are linked to.

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
}
