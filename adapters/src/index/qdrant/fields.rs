//! A point as it is stored: its id, its fields, and what they are asked for.

use imagefleet_common::{
    attribution::{Attribution, Licence},
    error::{Error, Result},
    filter::{self, day_taken, words_of},
    ids::Epoch,
    ports::index::{Payload, Point, PointHead},
    work::ChunkRef,
};
use qdrant_client::qdrant::{
    Condition, FieldType, PointId, PointStruct, Range, Value, WithPayloadSelector, point_id::PointIdOptions,
    value::Kind, with_payload_selector,
};
use std::collections::HashMap;
use uuid::Uuid;

pub(super) const KEY: &str = "key";
pub(super) const SHARD: &str = "shard";
pub(super) const VERSION: &str = "version";
pub(super) const CHUNK: &str = "chunk";
pub(super) const EPOCH: &str = "epoch";
/// Shard, version and chunk in one word: what points are counted by.
pub(super) const PLACE: &str = "place";
/// What the rules of a filter look at; left out where it is not known.
const LICENCE: &str = "filter_licence";
const DAY: &str = "filter_day";
const WORDS: &str = "filter_words";

/// Fields that are asked for: each has an index, made before there are points.
pub(super) const INDEXED: [(&str, FieldType); 9] = [
    (KEY, FieldType::Keyword),
    (SHARD, FieldType::Integer),
    (VERSION, FieldType::Integer),
    (CHUNK, FieldType::Integer),
    (EPOCH, FieldType::Integer),
    (PLACE, FieldType::Keyword),
    (LICENCE, FieldType::Keyword),
    (DAY, FieldType::Integer),
    (WORDS, FieldType::Keyword),
];

pub(super) type Fields = HashMap<String, Value>;

/// A UUID of the key: putting a key twice is putting one point.
pub(super) fn id(key: &str) -> Uuid {
    const NAMESPACE: Uuid = Uuid::from_u128(0x2d94_07c1_5be3_4f08_8a6b_6c1e_93d0_47f5);
    Uuid::new_v5(&NAMESPACE, key.as_bytes())
}

pub(super) fn point_id(key: &str) -> PointId {
    PointId { point_id_options: Some(PointIdOptions::Uuid(id(key).to_string())) }
}

/// The UUID that an answer names.
pub(super) fn read_id(id: Option<&PointId>) -> Result<Uuid> {
    match id.and_then(|id| id.point_id_options.as_ref()) {
        Some(PointIdOptions::Uuid(text)) => {
            Uuid::parse_str(text).map_err(|error| Error::permanent(format!("read the id {text}")).because(error))
        }
        other => Err(Error::permanent(format!("read the id {other:?}: it is none of a point of imagefleet's"))),
    }
}

pub(super) fn stored(point: &Point, at: ChunkRef, epoch: Epoch) -> Result<PointStruct> {
    let Point { key, vector, payload } = point;
    let Payload { shard_path, entry, object, offset, length, crc32, width, height, attribution } = payload;
    let whole = |name: &str, value: u64| {
        i64::try_from(value).map_err(|_| Error::permanent(format!("put point {key:?}: its {name} is {value}")))
    };
    let Attribution { photo_id, owner, author, title, page_url, licence, licence_url, taken, tags } = attribution;
    let mut fields = Fields::new();
    let texts = [
        (KEY, key),
        ("shard_path", shard_path),
        ("entry", entry),
        ("object", object),
        ("photo_id", photo_id),
        ("owner", owner),
        ("author", author),
        ("title", title),
        ("page_url", page_url),
        ("licence", licence),
        ("licence_url", licence_url),
        ("taken", taken),
        ("tags", tags),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            fields.insert(name.to_owned(), text.as_str().into());
        }
    }
    let numbers = [
        (SHARD, at.shard),
        (VERSION, at.version),
        (CHUNK, at.chunk),
        (EPOCH, epoch),
        ("offset", whole("offset", *offset)?),
        ("length", whole("length", *length)?),
        ("crc32", i64::from(*crc32)),
        ("width", i64::from(*width)),
        ("height", i64::from(*height)),
    ];
    fields.extend(numbers.map(|(name, number)| (name.to_owned(), number.into())));
    fields.insert(PLACE.to_owned(), place(at).into());
    if let Some(licence) = Licence::of(attribution) {
        fields.insert(LICENCE.to_owned(), licence.code().into());
    }
    if let Some(day) = day_taken(attribution) {
        fields.insert(DAY.to_owned(), day.number().into());
    }
    let words = Vec::from_iter(words_of(attribution));
    if !words.is_empty() {
        fields.insert(WORDS.to_owned(), words.into());
    }
    Ok(PointStruct::new(id(key).to_string(), vector.clone(), fields))
}

fn place(at: ChunkRef) -> String {
    format!("{}/{}/{}", at.shard, at.version, at.chunk)
}

pub(super) fn read_place(text: &str) -> Result<ChunkRef> {
    let numbers: Option<Vec<i64>> = text.split('/').map(|number| number.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[shard, version, chunk]) => Ok(ChunkRef { shard, version, chunk }),
        _ => Err(Error::permanent(format!("read the place {text:?}: it is none of a chunk"))),
    }
}

/// The fields of a [`PointHead`].
pub(super) fn only_head() -> WithPayloadSelector {
    only(&[KEY, SHARD, VERSION, CHUNK, EPOCH])
}

pub(super) fn only(fields: &[&str]) -> WithPayloadSelector {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    let include = qdrant_client::qdrant::PayloadIncludeSelector { fields };
    WithPayloadSelector { selector_options: Some(with_payload_selector::SelectorOptions::Include(include)) }
}

pub(super) fn head(fields: &mut Fields) -> Result<PointHead> {
    let at =
        ChunkRef { shard: number(fields, SHARD)?, version: number(fields, VERSION)?, chunk: number(fields, CHUNK)? };
    Ok(PointHead { key: text(fields, KEY), at, epoch: number(fields, EPOCH)? })
}

pub(super) fn payload(fields: &mut Fields) -> Result<Payload> {
    let attribution = Attribution {
        photo_id: text(fields, "photo_id"),
        owner: text(fields, "owner"),
        author: text(fields, "author"),
        title: text(fields, "title"),
        page_url: text(fields, "page_url"),
        licence: text(fields, "licence"),
        licence_url: text(fields, "licence_url"),
        taken: text(fields, "taken"),
        tags: text(fields, "tags"),
    };
    Ok(Payload {
        shard_path: text(fields, "shard_path"),
        entry: text(fields, "entry"),
        object: text(fields, "object"),
        offset: number(fields, "offset")?,
        length: number(fields, "length")?,
        crc32: number(fields, "crc32")?,
        width: number(fields, "width")?,
        height: number(fields, "height")?,
        attribution,
    })
}

/// Takes a text; empty where it was left out.
pub(super) fn text(fields: &mut Fields, name: &str) -> String {
    match fields.remove(name).and_then(|value| value.kind) {
        Some(Kind::StringValue(text)) => text,
        _ => String::new(),
    }
}

pub(super) fn number<T: TryFrom<i64>>(fields: &Fields, name: &str) -> Result<T> {
    let number = match fields.get(name).and_then(|value| value.kind.as_ref()) {
        Some(Kind::IntegerValue(number)) => T::try_from(*number).ok(),
        _ => None,
    };
    number.ok_or_else(|| Error::permanent(format!("read a point: its field {name:?} is none that imagefleet wrote")))
}

/// Epochs up to 2⁵³ are compared exactly.
pub(super) fn epoch_up_to(epoch: Epoch) -> Condition {
    Condition::range(EPOCH, Range { lte: Some(epoch as f64), ..Range::default() })
}

pub(super) fn epoch_before(epoch: Epoch) -> Condition {
    Condition::range(EPOCH, Range { lt: Some(epoch as f64), ..Range::default() })
}

/// Conditions that hold exactly where the filter lets a picture through.
pub(super) fn conditions(filter: &filter::Filter) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if let Some(licences) = filter.licences() {
        let codes: Vec<String> = licences.into_iter().map(|licence| licence.code().to_owned()).collect();
        conditions.push(Condition::matches(LICENCE, codes));
    }
    if filter.taken_from.is_some() || filter.taken_before.is_some() {
        let bound = |day: Option<filter::Date>| day.map(|day| day.number() as f64);
        let range = Range { gte: bound(filter.taken_from), lt: bound(filter.taken_before), ..Range::default() };
        conditions.push(Condition::range(DAY, range));
    }
    conditions.extend(filter.text.iter().map(|word| Condition::matches(WORDS, word.clone())));
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_id_is_the_same_for_ever() {
        assert_eq!(id("photo-1").to_string(), "74728fe2-70d6-5d10-96da-12783260ece6");
        assert_ne!(id("photo-1"), id("photo-2"));
    }

    #[test]
    fn a_place_reads_back() {
        let at = ChunkRef { shard: 7, version: 2, chunk: 1_000_003 };
        assert_eq!(read_place(&place(at)).ok(), Some(at));
        for none in ["", "1/2", "1/2/3/4", "a/b/c"] {
            assert!(read_place(none).is_err(), "{none}");
        }
    }
}
