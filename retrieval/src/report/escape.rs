//! The only ways by which a text gets into a page.

use serde::Serialize;
use std::fmt::{self, Display};

/// Text between tags, or in a quoted attribute.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::write(&mut Escaping(f), format_args!("{}", self.0))
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                // A parser would make something else of it.
                '\0' => self.0.write_str("\u{fffd}")?,
                _ => fmt::Write::write_char(self.0, character)?,
            }
        }
        Ok(())
    }
}

/// JSON that is also JavaScript, and that no HTML parser takes for the end of a script.
pub(super) fn json(value: &impl Serialize) -> String {
    let plain = serde_json::to_string(value).expect("texts and numbers in lists serialise");
    let mut safe = String::with_capacity(plain.len());
    for character in plain.chars() {
        // All of these stand within strings only, where an escape means the same.
        match character {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '\u{2028}' => safe.push_str("\\u2028"),
            '\u{2029}' => safe.push_str("\\u2029"),
            _ => safe.push(character),
        }
    }
    safe
}

/// A link that may stand in a page: an address of the web.
pub(super) fn web(url: &str) -> Option<&str> {
    let scheme = url.split_once("://")?.0;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(url)
}

/// A link to a file beside the page, or below: no scheme, no way upwards, nothing that needs a code.
pub(super) fn beside(path: &str) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    path.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(is_plain)).then_some(path)
}

/// RFC 4648, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for letter in 0..4 {
            let is_padding = letter > three.len();
            let six = (bits >> (18 - 6 * letter) & 63) as usize;
            text.push(if is_padding { '=' } else { char::from(LETTERS[six]) });
        }
    }
    text
}

/// A picture as a `data:` URL, if its first bytes are those of a format that browsers show. None of these runs scripts.
pub(super) fn data_url(picture: &[u8]) -> Option<String> {
    let kind = match picture {
        [0xff, 0xd8, 0xff, ..] => "jpeg",
        [0x89, b'P', b'N', b'G', ..] => "png",
        [b'G', b'I', b'F', b'8', ..] => "gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        [b'B', b'M', ..] => "bmp",
        _ => return None,
    };
    Some(format!("data:image/{kind};base64,{}", base64(picture)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(Text("<b a='x' b=\"y\">&\0").to_string(), "&lt;b a=&#39;x&#39; b=&quot;y&quot;&gt;&amp;\u{fffd}");
        assert_eq!(Text(12).to_string(), "12");
    }

    #[test]
    fn json_cannot_end_a_script_and_reads_back_as_what_it_was() {
        let text = "</script><!--\u{2028}\u{2029}\\\"é";
        let json = json(&[text]);
        assert!(!json.contains(['<', '>', '\u{2028}', '\u{2029}']), "{json}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).ok(), Some(vec![text.to_owned()]));
    }

    #[test]
    fn only_the_web_and_the_files_beside_are_linked() {
        for good in ["http://a.example/x", "HTTPS://a.example"] {
            assert_eq!(web(good), Some(good));
        }
        for bad in
            ["javascript:alert(1)", "javascript://a.example/%0aalert(1)", " http://x", "data:text/html,x", "//x", ""]
        {
            assert_eq!(web(bad), None, "{bad}");
        }
        for good in ["summary.json", "identity/inference_results.json"] {
            assert_eq!(beside(good), Some(good));
        }
        for bad in ["javascript:alert(1)", "/etc/passwd", "../x", "a//b", "a b", "", "\\\\host\\x"] {
            assert_eq!(beside(bad), None, "{bad}");
        }
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[test]
    fn a_preview_is_shown_as_what_its_bytes_say_and_never_as_markup() {
        assert!(data_url(&[0xff, 0xd8, 0xff, 0]).is_some_and(|url| url.starts_with("data:image/jpeg;base64,/9j/")));
        assert_eq!(data_url(b"<svg onload=alert(1)>"), None);
        assert_eq!(data_url(b""), None);
    }
}
