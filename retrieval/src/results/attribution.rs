//! `attribution.jsonl`: whom to credit for the pictures that the results name, a line a picture, by key.
//!
//! Texts are decoded here, for this file is for people; what is not known is an empty text, an unknown licence's code `null`.

use super::picture_path;
use imagefleet_common::{
    attribution::{Attribution, Licence},
    ports::index::Payload,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// A line. Fields in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributionRow {
    pub key: String,
    /// As [`picture_path`] makes it.
    pub path: String,
    /// Whom to name; the owner where no author is known.
    pub author: String,
    /// The photographer's user id.
    pub owner: String,
    pub title: String,
    /// The licence's name, as the metadata have it.
    pub licence: String,
    pub licence_code: Option<Licence>,
    pub licence_url: String,
    pub page_url: String,
    pub taken: String,
}

impl AttributionRow {
    fn new(key: &str, path: String, of: &Attribution) -> Self {
        Self {
            key: key.to_owned(),
            path,
            author: of.credit(),
            owner: of.owner.clone(),
            title: of.title_text(),
            licence: of.licence.clone(),
            licence_code: Licence::of(of),
            licence_url: of.licence_url.clone(),
            page_url: of.page_url.clone(),
            taken: of.taken.clone(),
        }
    }
}

/// The pictures of all results, each once.
#[derive(Debug, Clone, Default)]
pub struct Attributions {
    rows: BTreeMap<String, AttributionRow>,
}

impl Attributions {
    /// `payload` is `None` for a picture that is gone: it is named by its key, unless it was seen before or comes again.
    pub fn add(&mut self, key: &str, payload: Option<&Payload>) {
        if payload.is_none() && self.rows.contains_key(key) {
            return;
        }
        let row = match payload {
            Some(payload) => {
                let path = picture_path(&payload.shard_path, &payload.entry);
                AttributionRow::new(key, path, &payload.attribution)
            }
            None => AttributionRow::new(key, key.to_owned(), &Attribution::default()),
        };
        self.rows.insert(key.to_owned(), row);
    }

    /// Writes the whole file. `to` should be buffered.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        for row in self.rows.values() {
            serde_json::to_writer(&mut to, row)?;
            to.write_all(b"\n")?;
        }
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

    use super::*;

    fn payload(entry: &str, author: &str) -> Payload {
        Payload {
            shard_path: "images/abc.zip".into(),
            entry: entry.into(),
            attribution: Attribution {
                photo_id: "7".into(),
                owner: "1@N00".into(),
                author: author.into(),
                title: "A+%22quiet%22+day".into(),
                page_url: "http://example.org/7".into(),
                licence: "Attribution-ShareAlike License".into(),
                licence_url: "http://creativecommons.org/licenses/by-sa/2.0/".into(),
                taken: "2012-05-06 12:33:00.0".into(),
                tags: "sea".into(),
            },
            ..Payload::default()
        }
    }

    fn written(attributions: &Attributions) -> String {
        let mut bytes = Vec::new();
        attributions.write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_picture_has_a_line_by_key_with_texts_that_people_can_read() {
        let mut attributions = Attributions::default();
        attributions.add("b", Some(&payload("b.jpg", "Zo%C3%AB+Z")));
        attributions.add("a", Some(&payload("a.jpg", "")));
        attributions.add("b", Some(&payload("b.jpg", "Zo%C3%AB+Z")));
        attributions.add("c", Some(&Payload { entry: "c.jpg".into(), ..Payload::default() }));
        let expected = r#"{"key":"a","path":"images/abc.zip/a.jpg","author":"1@N00","owner":"1@N00","title":"A \"quiet\" day","licence":"Attribution-ShareAlike License","licence_code":"by-sa","licence_url":"http://creativecommons.org/licenses/by-sa/2.0/","page_url":"http://example.org/7","taken":"2012-05-06 12:33:00.0"}
{"key":"b","path":"images/abc.zip/b.jpg","author":"Zoë Z","owner":"1@N00","title":"A \"quiet\" day","licence":"Attribution-ShareAlike License","licence_code":"by-sa","licence_url":"http://creativecommons.org/licenses/by-sa/2.0/","page_url":"http://example.org/7","taken":"2012-05-06 12:33:00.0"}
{"key":"c","path":"c.jpg","author":"","owner":"","title":"","licence":"","licence_code":null,"licence_url":"","page_url":"","taken":""}
"#;
        assert_eq!(written(&attributions), expected);
        assert_eq!(written(&Attributions::default()), "");
    }

    #[test]
    fn a_picture_that_is_gone_is_named_by_its_key_unless_it_was_there_at_another_look() {
        let there = payload("a.jpg", "Z");
        let [mut before, mut after, mut never] = [(); 3].map(|()| Attributions::default());
        before.add("a", Some(&there));
        before.add("a", None);
        after.add("a", None);
        after.add("a", Some(&there));
        never.add("a", None);
        never.add("a", None);
        assert_eq!(written(&before), written(&after));
        assert!(written(&before).contains(r#""path":"images/abc.zip/a.jpg","author":"Z""#));
        assert!(written(&never).starts_with(r#"{"key":"a","path":"a","author":"","#), "{}", written(&never));
    }
}
