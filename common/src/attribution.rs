//! Whose picture it is, and what its licence allows: what Creative Commons wants to be said beside a picture.
//!
//! Texts are kept as the metadata have them. YFCC's are URL-encoded, with `+` for a space; what people read comes from
//! the methods, which decode.

mod licence;

pub use licence::{Element, Licence};

use serde::{Deserialize, Serialize};

/// Empty where nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attribution {
    pub photo_id: String,
    /// The photographer's user id.
    pub owner: String,
    /// The name that the photographer goes by.
    pub author: String,
    pub title: String,
    pub page_url: String,
    /// The licence's name.
    pub licence: String,
    pub licence_url: String,
    /// When the picture was taken, its date first: `2012-05-06 12:33:00.0`.
    pub taken: String,
    /// With commas between them.
    pub tags: String,
}

impl Attribution {
    /// Who is to be named: the author, else the owner.
    pub fn credit(&self) -> String {
        let author = self.author_text();
        if author.trim().is_empty() { self.owner.clone() } else { author }
    }

    pub fn author_text(&self) -> String {
        decoded(&self.author)
    }

    pub fn title_text(&self) -> String {
        decoded(&self.title)
    }

    pub fn tag_texts(&self) -> impl Iterator<Item = String> {
        self.tags.split(',').filter(|tag| !tag.is_empty()).map(decoded)
    }
}

/// Undoes a URL's encoding. An escape that is none, or whose bytes are no UTF-8, stays an escape.
fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(&spaced).collect();
    let mut decoded = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        decoded.push_str(chunk.valid());
        // The text itself is UTF-8, so that every byte here comes from an escape.
        for byte in chunk.invalid() {
            decoded.push_str(percent_encoding::percent_encode_byte(*byte));
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_for_people_are_decoded_and_what_is_no_escape_stays() {
        for (stored, read) in [
            ("A+%22quiet%22+day", "A \"quiet\" day"),
            ("Caf%C3%A9%2C+5%2B1", "Café, 5+1"),
            ("100%+sure+%2", "100% sure %2"),
            ("%zz%E9t%c3%A9", "%zz%E9té"),
            ("写真+%F0%9F%98%80", "写真 😀"),
            ("", ""),
        ] {
            assert_eq!(decoded(stored), read, "{stored}");
        }
    }

    #[test]
    fn a_comma_within_a_tag_does_not_part_it() {
        let attribution = Attribution { tags: "new+york,a%2Cb,,boat".into(), ..Attribution::default() };
        assert_eq!(attribution.tag_texts().collect::<Vec<_>>(), ["new york", "a,b", "boat"]);
    }

    #[test]
    fn the_author_is_named_and_where_there_is_none_the_owner() {
        let by = |author: &str| Attribution { author: author.into(), owner: "1@N00".into(), ..Attribution::default() };
        assert_eq!(by("Zo%C3%AB+Z").credit(), "Zoë Z");
        assert_eq!(by("").credit(), "1@N00");
        assert_eq!(by("+").credit(), "1@N00");
    }

    #[test]
    fn what_was_stored_before_there_were_authors_dates_and_tags_still_reads() {
        let stored = r#"{"photo_id":"1","owner":"1@N00","title":"t","page_url":"p","licence":"l","licence_url":"u"}"#;
        let read: Attribution = serde_json::from_str(stored).expect("it reads");
        assert_eq!((read.licence.as_str(), read.author.as_str(), read.taken.as_str()), ("l", "", ""));
    }
}
