//! One collection: its points, and the questions that are asked of them.

use super::{
    filter::Filter,
    id::Id,
    value::{Payload, values},
};
use qdrant_client::qdrant::{
    CreateCollection, FacetHit, FacetValue, FieldType, PointStruct, SearchParams, facet_value, value::Kind, vector,
    vectors::VectorsOptions,
};
use std::collections::{BTreeMap, BTreeSet};
use tonic::Status;

pub(super) struct Collection {
    pub(super) made: CreateCollection,
    pub(super) dims: usize,
    pub(super) points: BTreeMap<Id, Point>,
    /// By field.
    pub(super) indexes: BTreeMap<String, FieldType>,
}

#[derive(Clone)]
pub(super) struct Point {
    pub(super) payload: Payload,
    pub(super) vector: Vec<f32>,
    /// Do all replicas have it?
    pub(super) everywhere: bool,
}

/// A point of a request, read and checked.
pub(super) type New = (Id, Payload, Vec<f32>);

impl Collection {
    pub(super) fn new(made: CreateCollection, dims: usize) -> Self {
        Self { made, dims, points: BTreeMap::new(), indexes: BTreeMap::new() }
    }

    /// All of a request's points, or why they are refused.
    pub(super) fn read(&self, points: &[PointStruct]) -> Result<Vec<New>, Status> {
        if points.is_empty() {
            return Err(Status::invalid_argument("Wrong input: Empty update request"));
        }
        points.iter().map(|point| self.read_point(point)).collect()
    }

    fn read_point(&self, point: &PointStruct) -> Result<New, Status> {
        let id = Id::read(point.id.as_ref())?;
        let vectors = point.vectors.as_ref().and_then(|vectors| vectors.vectors_options.as_ref());
        let Some(VectorsOptions::Vector(vector)) = vectors else {
            return Err(Status::invalid_argument("Wrong input: Not existing vector name error"));
        };
        let vector = match &vector.vector {
            Some(vector::Vector::Dense(dense)) => dense.data.clone(),
            Some(_) => return Err(Status::unimplemented("the test server knows dense vectors only")),
            #[expect(deprecated, reason = "older clients send it")]
            None => vector.data.clone(),
        };
        self.check_dims(&vector)?;
        Ok((id, point.payload.clone(), vector))
    }

    pub(super) fn check_dims(&self, vector: &[f32]) -> Result<(), Status> {
        let (dims, found) = (self.dims, vector.len());
        if found != dims {
            let message = format!("Wrong input: Vector dimension error: expected dim: {dims}, got {found}");
            return Err(Status::invalid_argument(message));
        }
        Ok(())
    }

    /// Stores each point, but where there is one already only if the condition holds for that.
    pub(super) fn upsert(&mut self, points: Vec<New>, condition: &Filter, everywhere: bool) {
        for (id, payload, vector) in points {
            let is_kept = self.points.get(&id).is_some_and(|stored| !condition.lets_through(id, &stored.payload));
            if !is_kept {
                self.points.insert(id, Point { payload, vector, everywhere });
            }
        }
    }

    /// What a filter lets through, by id; of all replicas only what all of them have.
    pub(super) fn found<'a>(
        &'a self,
        filter: &'a Filter,
        all_replicas: bool,
    ) -> impl Iterator<Item = (Id, &'a Point)> + 'a {
        let is_there = move |point: &Point| point.everywhere || !all_replicas;
        let all = self.points.iter().map(|(id, point)| (*id, point));
        all.filter(move |(id, point)| is_there(point) && filter.lets_through(*id, &point.payload))
    }

    /// The `limit` best by inner product, best first, then by id.
    pub(super) fn nearest<'a>(
        &'a self,
        query: &[f32],
        filter: &'a Filter,
        params: Option<&SearchParams>,
        all_replicas: bool,
        limit: usize,
    ) -> Vec<(Id, f32, &'a Point)> {
        let is_exact = params.is_some_and(|params| params.exact == Some(true));
        let found = self.found(filter, all_replicas).filter(|(id, _)| is_exact || !id.is_hard_to_find());
        let mut scored: Vec<(Id, f32, &Point)> =
            found.map(|(id, point)| (id, product(query, &point.vector), point)).collect();
        let order = |a: &(Id, f32, &Point), b: &(Id, f32, &Point)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if limit < scored.len() {
            scored.select_nth_unstable_by(limit, order);
            scored.truncate(limit);
        }
        scored.sort_unstable_by(order);
        scored
    }

    /// Points by each value of an indexed field: most first, then by value. A point counts once for a value.
    pub(super) fn facet(
        &self,
        key: &str,
        filter: &Filter,
        all_replicas: bool,
        limit: usize,
    ) -> Result<Vec<FacetHit>, Status> {
        let can = [FieldType::Keyword, FieldType::Integer, FieldType::Bool, FieldType::Uuid];
        if !self.indexes.get(key).is_some_and(|index| can.contains(index)) {
            let message = format!("Wrong input: No appropriate index for faceting: `{key}`");
            return Err(Status::invalid_argument(message));
        }
        let mut counts: BTreeMap<Facet, u64> = BTreeMap::new();
        for (_, point) in self.found(filter, all_replicas) {
            let facets: BTreeSet<Facet> = values(&point.payload, key, true).into_iter().filter_map(Facet::of).collect();
            facets.into_iter().for_each(|facet| *counts.entry(facet).or_default() += 1);
        }
        let mut counts: Vec<(Facet, u64)> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts.truncate(limit);
        let hit = |(facet, count): (Facet, u64)| FacetHit { value: Some(facet.into()), count };
        Ok(counts.into_iter().map(hit).collect())
    }
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Facet {
    Bool(bool),
    Integer(i64),
    Text(String),
}

impl Facet {
    fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::BoolValue(value) => Some(Self::Bool(*value)),
            Kind::IntegerValue(value) => Some(Self::Integer(*value)),
            Kind::StringValue(value) => Some(Self::Text(value.clone())),
            _ => None,
        }
    }
}

impl From<Facet> for FacetValue {
    fn from(facet: Facet) -> Self {
        let variant = match facet {
            Facet::Bool(value) => facet_value::Variant::BoolValue(value),
            Facet::Integer(value) => facet_value::Variant::IntegerValue(value),
            Facet::Text(value) => facet_value::Variant::StringValue(value),
        };
        Self { variant: Some(variant) }
    }
}
