//! Ids of points: numbers and UUIDs, in the order that scrolls go by.

use qdrant_client::qdrant::{PointId, point_id::PointIdOptions};
use std::fmt;
use tonic::Status;

/// Numbers come first. A UUID is kept as its value, so that its spellings are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Id {
    Number(u64),
    Uuid(u128),
}

impl Id {
    pub(super) fn read(id: Option<&PointId>) -> Result<Self, Status> {
        match id.and_then(|id| id.point_id_options.as_ref()) {
            Some(PointIdOptions::Num(number)) => Ok(Self::Number(*number)),
            Some(PointIdOptions::Uuid(text)) => {
                let digits: String = text.chars().filter(|letter| *letter != '-').collect();
                let value = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
                let refused = || Status::invalid_argument(format!("Unable to parse UUID: {text}"));
                value.map(Self::Uuid).ok_or_else(refused)
            }
            None => Err(Status::invalid_argument("Malformed data: no id provided")),
        }
    }

    pub(super) fn all(ids: &[PointId]) -> Result<Vec<Self>, Status> {
        ids.iter().map(|id| Self::read(Some(id))).collect()
    }

    /// One in sixteen, for no reason that shows: points that a graph does not reach.
    pub(super) fn is_hard_to_find(self) -> bool {
        let value = match self {
            Self::Number(number) => u128::from(number),
            Self::Uuid(value) => value,
        };
        value.is_multiple_of(16)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Uuid(value) => {
                let hex = format!("{value:032x}");
                write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
            }
        }
    }
}

impl From<Id> for PointId {
    fn from(id: Id) -> Self {
        let options = match id {
            Id::Number(number) => PointIdOptions::Num(number),
            Id::Uuid(_) => PointIdOptions::Uuid(id.to_string()),
        };
        Self { point_id_options: Some(options) }
    }
}
