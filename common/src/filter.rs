//! A filter of pictures: by licence, by the date when they were taken, by the words of title and tags.
//!
//! What is not known is kept out where there is a rule about it: a picture without a known licence by any rule about
//! licences, one without a date by any rule about dates. Two filters that say the same are equal and serialise alike.

mod date;

pub use date::Date;

use crate::{
    attribution::{Attribution, Element, Licence},
    error::{Error, Result},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};

/// The default lets everything through. All rules that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only these licences.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub licence: BTreeSet<Licence>,
    /// No licence that has one of these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub licence_without: BTreeSet<Element>,
    /// Taken on this day or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_from: Option<Date>,
    /// Taken on an earlier day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_before: Option<Date>,
    /// Words, in lower case, each of which stands in title or tags.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub text: BTreeSet<String>,
}

/// What a filter's rules are called in a job file and on a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Licence,
    LicenceWithout,
    TakenFrom,
    TakenBefore,
    Text,
}

impl Key {
    pub const ALL: [Self; 5] = [Self::Licence, Self::LicenceWithout, Self::TakenFrom, Self::TakenBefore, Self::Text];

    pub fn name(self) -> &'static str {
        match self {
            Self::Licence => "licence",
            Self::LicenceWithout => "licence_without",
            Self::TakenFrom => "taken_from",
            Self::TakenBefore => "taken_before",
            Self::Text => "text",
        }
    }

    pub fn is_list(self) -> bool {
        matches!(self, Self::Licence | Self::LicenceWithout | Self::Text)
    }
}

impl Filter {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub fn lets_through(&self, picture: &Attribution) -> bool {
        self.objection(picture).is_none()
    }

    /// Why the picture is kept out: the rule, and what the picture has instead.
    pub fn objection(&self, picture: &Attribution) -> Option<String> {
        self.licence_objection(picture)
            .or_else(|| self.date_objection(picture))
            .or_else(|| self.text_objection(picture))
    }

    /// The licences that the rules let through; `None` where there is no rule about licences. With one a picture whose
    /// licence is not known is kept out.
    pub fn licences(&self) -> Option<Vec<Licence>> {
        if self.licence.is_empty() && self.licence_without.is_empty() {
            return None;
        }
        let passes = |licence: &Licence| {
            let is_named = self.licence.is_empty() || self.licence.contains(licence);
            is_named && !self.licence_without.iter().any(|element| licence.has(*element))
        };
        Some(Licence::ALL.into_iter().filter(passes).collect())
    }

    fn licence_objection(&self, picture: &Attribution) -> Option<String> {
        if self.licence.is_empty() && self.licence_without.is_empty() {
            return None;
        }
        let rule = if self.licence.is_empty() { Key::LicenceWithout } else { Key::Licence }.name();
        let Some(licence) = Licence::of(picture) else {
            let Attribution { licence, licence_url, .. } = picture;
            return Some(match (licence.is_empty(), licence_url.is_empty()) {
                (true, true) => format!("{rule}: the picture's licence is not known"),
                _ => {
                    format!("{rule}: {:?} is no known licence", if licence.is_empty() { licence_url } else { licence })
                }
            });
        };
        let code = licence.code();
        if !self.licence.is_empty() && !self.licence.contains(&licence) {
            return Some(format!("licence: {code} is not one of {}", codes(self.licence.iter().map(|it| it.code()))));
        }
        let element = self.licence_without.iter().find(|element| licence.has(**element))?;
        Some(format!("licence_without: {code} has {}", element.code()))
    }

    fn date_objection(&self, picture: &Attribution) -> Option<String> {
        let rule = match (self.taken_from, self.taken_before) {
            (None, None) => return None,
            (Some(_), _) => Key::TakenFrom.name(),
            (None, Some(_)) => Key::TakenBefore.name(),
        };
        let Some(date) = day_taken(picture) else {
            let taken = picture.taken.trim();
            return Some(match taken.is_empty() {
                true => format!("{rule}: when the picture was taken is not known"),
                false => format!("{rule}: {taken:?} begins with no date"),
            });
        };
        match (self.taken_from, self.taken_before) {
            (Some(from), _) if date < from => Some(format!("taken_from: {date} is before {from}")),
            (_, Some(before)) if date >= before => Some(format!("taken_before: {date} is not before {before}")),
            _ => None,
        }
    }

    fn text_objection(&self, picture: &Attribution) -> Option<String> {
        if self.text.is_empty() {
            return None;
        }
        let texts = texts_of(picture);
        let words: HashSet<&str> = texts.iter().flat_map(|text| words(text)).collect();
        let missing = self.text.iter().find(|word| !words.contains(word.as_str()))?;
        Some(format!("text: neither title nor tags have the word {missing:?}"))
    }

    /// Sets one rule, instead of what it was, from text: lists have commas between their values. An error names the
    /// key, the value and what was expected.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let Some(known) = Key::ALL.into_iter().find(|known| known.name() == key) else {
            let names = Key::ALL.map(Key::name).join(", ");
            return Err(Error::permanent(format!("filter {key}={value}: no such key, expected one of {names}")));
        };
        let mut changed = self.clone();
        changed.clear(known);
        let values: Vec<&str> = if known.is_list() { value.split(',').collect() } else { vec![value] };
        for one in values {
            changed.add(known, one.trim()).map_err(|expected| {
                Error::permanent(format!("filter {key}={value}: found {:?}, expected {expected}", one.trim()))
            })?;
        }
        *self = changed;
        Ok(())
    }

    fn clear(&mut self, key: Key) {
        match key {
            Key::Licence => self.licence.clear(),
            Key::LicenceWithout => self.licence_without.clear(),
            Key::TakenFrom => self.taken_from = None,
            Key::TakenBefore => self.taken_before = None,
            Key::Text => self.text.clear(),
        }
    }

    /// Adds a value to a list, or sets a date. Where it is wrong nothing changes, and what was expected is returned.
    pub(crate) fn add(&mut self, key: Key, value: &str) -> Result<(), String> {
        match key {
            Key::Licence => {
                self.licence.insert(one_of(value, &Licence::ALL, Licence::code)?);
            }
            Key::LicenceWithout => {
                self.licence_without.insert(one_of(value, &Element::ALL, Element::code)?);
            }
            Key::TakenFrom => {
                let date = value.parse()?;
                match self.taken_before {
                    Some(before) if date >= before => return Err(format!("a date before taken_before, {before}")),
                    _ => self.taken_from = Some(date),
                }
            }
            Key::TakenBefore => {
                let date = value.parse()?;
                match self.taken_from {
                    Some(from) if date <= from => return Err(format!("a date after taken_from, {from}")),
                    _ => self.taken_before = Some(date),
                }
            }
            Key::Text => {
                let word = value.to_lowercase();
                if !words(&word).eq([word.as_str()]) {
                    return Err("one word of letters and digits".to_owned());
                }
                self.text.insert(word);
            }
        }
        Ok(())
    }
}

/// The day when a picture was taken, where that is known.
pub fn day_taken(picture: &Attribution) -> Option<Date> {
    picture.taken.trim().get(..Date::LENGTH)?.parse().ok()
}

/// The words of a picture's title and tags, in lower case: what the text rule looks at.
pub fn words_of(picture: &Attribution) -> BTreeSet<String> {
    texts_of(picture).iter().flat_map(|text| words(text)).map(str::to_owned).collect()
}

/// Title and tags, in lower case.
fn texts_of(picture: &Attribution) -> Vec<String> {
    std::iter::once(picture.title_text()).chain(picture.tag_texts()).map(|text| text.to_lowercase()).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn codes(codes: impl Iterator<Item = &'static str>) -> String {
    codes.collect::<Vec<_>>().join(", ")
}

fn one_of<T: Copy>(value: &str, all: &[T], code: fn(T) -> &'static str) -> Result<T, String> {
    all.iter().copied().find(|known| code(*known) == value).ok_or_else(|| {
        let known: Vec<String> = all.iter().map(|known| format!("{:?}", code(*known))).collect();
        format!("one of {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests;
