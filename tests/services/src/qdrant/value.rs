//! Values of payloads, and what a key names in them.

use qdrant_client::qdrant::{Value, value::Kind};
use std::collections::HashMap;

pub(super) type Payload = HashMap<String, Value>;

/// What `key` names, with dots between names of nested objects; an array's elements one by one where `flat`.
pub(super) fn values<'a>(payload: &'a Payload, key: &str, flat: bool) -> Vec<&'a Kind> {
    let mut found = Vec::new();
    let mut names = key.split('.');
    let first = names.next().and_then(|name| payload.get(name));
    let value = names.try_fold(first, |value, name| match value.and_then(|value| value.kind.as_ref()) {
        Some(Kind::StructValue(object)) => Some(object.fields.get(name)),
        _ => None,
    });
    if let Some(kind) = value.flatten().and_then(|value| value.kind.as_ref()) {
        collect(kind, flat, &mut found);
    }
    found
}

fn collect<'a>(kind: &'a Kind, flat: bool, found: &mut Vec<&'a Kind>) {
    match kind {
        Kind::ListValue(list) if flat => {
            list.values.iter().filter_map(|value| value.kind.as_ref()).for_each(|kind| found.push(kind));
        }
        kind => found.push(kind),
    }
}

pub(super) fn is_empty(kind: &Kind) -> bool {
    match kind {
        Kind::NullValue(_) => true,
        Kind::ListValue(list) => list.values.is_empty(),
        _ => false,
    }
}

pub(super) fn is_null(kind: &Kind) -> bool {
    match kind {
        Kind::NullValue(_) => true,
        Kind::ListValue(list) => list.values.iter().any(|value| matches!(value.kind, Some(Kind::NullValue(_)))),
        _ => false,
    }
}
