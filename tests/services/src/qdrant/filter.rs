//! Filters: checked and prepared once, then asked for each point.

use super::{
    id::Id,
    value::{Payload, is_empty, is_null, values},
};
use qdrant_client::qdrant::{
    self, Condition, FieldCondition, Range, condition::ConditionOneOf, r#match::MatchValue, value::Kind,
};
use std::collections::HashSet;
use tonic::Status;

/// Lets everything through by default.
#[derive(Default)]
pub(super) struct Filter {
    must: Vec<Test>,
    must_not: Vec<Test>,
    should: Vec<Test>,
    /// Of these at least so many.
    min_should: Option<(Vec<Test>, u64)>,
}

enum Test {
    Ids(HashSet<Id>),
    Empty { key: String, wanted: bool },
    Null { key: String, wanted: bool },
    Matches { key: String, wanted: Wanted },
    Within { key: String, range: Range },
    Filter(Filter),
}

enum Wanted {
    Keywords(HashSet<String>),
    Integers(HashSet<i64>),
    Boolean(bool),
    ExceptKeywords(HashSet<String>),
    ExceptIntegers(HashSet<i64>),
}

impl Filter {
    /// Refuses what this server does not know.
    pub(super) fn read(filter: Option<&qdrant::Filter>) -> Result<Self, Status> {
        let Some(filter) = filter else { return Ok(Self::default()) };
        let tests = |conditions: &[Condition]| conditions.iter().map(test).collect::<Result<Vec<_>, _>>();
        let min_should = match &filter.min_should {
            Some(some) if some.min_count == 0 => {
                return Err(Status::invalid_argument("min_count: value 0 invalid, must be 1 or larger"));
            }
            Some(some) => Some((tests(&some.conditions)?, some.min_count)),
            None => None,
        };
        let (must, must_not) = (tests(&filter.must)?, tests(&filter.must_not)?);
        Ok(Self { must, must_not, should: tests(&filter.should)?, min_should })
    }

    pub(super) fn lets_through(&self, id: Id, payload: &Payload) -> bool {
        let holds = |test: &Test| test.holds(id, payload);
        self.must.iter().all(holds)
            && !self.must_not.iter().any(holds)
            && (self.should.is_empty() || self.should.iter().any(holds))
            && self
                .min_should
                .as_ref()
                .is_none_or(|(tests, least)| tests.iter().filter(|test| holds(test)).count() as u64 >= *least)
    }
}

fn test(condition: &Condition) -> Result<Test, Status> {
    Ok(match &condition.condition_one_of {
        Some(ConditionOneOf::HasId(ids)) => Test::Ids(Id::all(&ids.has_id)?.into_iter().collect()),
        Some(ConditionOneOf::IsEmpty(condition)) => Test::Empty { key: condition.key.clone(), wanted: true },
        Some(ConditionOneOf::IsNull(condition)) => Test::Null { key: condition.key.clone(), wanted: true },
        Some(ConditionOneOf::Filter(filter)) => Test::Filter(Filter::read(Some(filter))?),
        Some(ConditionOneOf::Field(condition)) => field(condition)?,
        Some(_) => return Err(Status::unimplemented("the test server does not know this kind of condition")),
        None => return Err(Status::invalid_argument("Malformed Condition type")),
    })
}

fn field(condition: &FieldCondition) -> Result<Test, Status> {
    let key = condition.key.clone();
    if let Some(wanted) = condition.is_empty {
        return Ok(Test::Empty { key, wanted });
    }
    if let Some(wanted) = condition.is_null {
        return Ok(Test::Null { key, wanted });
    }
    if let Some(range) = condition.range {
        return Ok(Test::Within { key, range });
    }
    let Some(wanted) = condition.r#match.as_ref().and_then(|wanted| wanted.match_value.clone()) else {
        return Err(Status::unimplemented("the test server knows matches and ranges of fields only"));
    };
    let wanted = match wanted {
        MatchValue::Keyword(keyword) => Wanted::Keywords([keyword].into()),
        MatchValue::Keywords(keywords) => Wanted::Keywords(keywords.strings.into_iter().collect()),
        MatchValue::ExceptKeywords(keywords) => Wanted::ExceptKeywords(keywords.strings.into_iter().collect()),
        MatchValue::Integer(integer) => Wanted::Integers([integer].into()),
        MatchValue::Integers(integers) => Wanted::Integers(integers.integers.into_iter().collect()),
        MatchValue::ExceptIntegers(integers) => Wanted::ExceptIntegers(integers.integers.into_iter().collect()),
        MatchValue::Boolean(boolean) => Wanted::Boolean(boolean),
        _ => return Err(Status::unimplemented("the test server does not know this kind of match")),
    };
    Ok(Test::Matches { key, wanted })
}

impl Test {
    fn holds(&self, id: Id, payload: &Payload) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(&id),
            Self::Empty { key, wanted } => values(payload, key, false).into_iter().all(is_empty) == *wanted,
            Self::Null { key, wanted } => values(payload, key, false).into_iter().any(is_null) == *wanted,
            Self::Matches { key, wanted } => values(payload, key, true).into_iter().any(|value| wanted.is(value)),
            Self::Within { key, range } => values(payload, key, true).into_iter().any(|value| is_within(range, value)),
            Self::Filter(filter) => filter.lets_through(id, payload),
        }
    }
}

impl Wanted {
    fn is(&self, value: &Kind) -> bool {
        match (self, value) {
            (Self::Keywords(keywords), Kind::StringValue(text)) => keywords.contains(text),
            (Self::Integers(integers), Kind::IntegerValue(integer)) => integers.contains(integer),
            (Self::Boolean(wanted), Kind::BoolValue(boolean)) => wanted == boolean,
            (Self::ExceptKeywords(_) | Self::ExceptIntegers(_), Kind::NullValue(_)) => false,
            (Self::ExceptKeywords(keywords), Kind::StringValue(text)) => !keywords.contains(text),
            (Self::ExceptIntegers(integers), Kind::IntegerValue(integer)) => !integers.contains(integer),
            (Self::ExceptKeywords(_) | Self::ExceptIntegers(_), _) => true,
            _ => false,
        }
    }
}

fn is_within(range: &Range, value: &Kind) -> bool {
    let number = match value {
        Kind::IntegerValue(integer) => *integer as f64,
        Kind::DoubleValue(double) => *double,
        _ => return false,
    };
    range.lt.is_none_or(|bound| number < bound)
        && range.lte.is_none_or(|bound| number <= bound)
        && range.gt.is_none_or(|bound| number > bound)
        && range.gte.is_none_or(|bound| number >= bound)
}
