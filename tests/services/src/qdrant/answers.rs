//! Answers to questions: requests read, collections asked, what was found put into the protocol's form.

use super::{collection::Point, config, filter::Filter, id::Id, store::Tables, value::Payload};
use qdrant_client::qdrant::{
    AliasDescription, BatchResult, CollectionDescription, CollectionExists, CollectionExistsResponse, CollectionStatus,
    CountPoints, CountResponse, CountResult, DenseVector, FacetCounts, FacetResponse, GetCollectionInfoResponse,
    GetPoints, GetResponse, ListAliasesResponse, ListCollectionsResponse, QueryBatchPoints, QueryBatchResponse,
    QueryPoints, QueryResponse, ReadConsistency, RetrievedPoint, ScoredPoint, ScrollPoints, ScrollResponse,
    VectorOutput, VectorsOutput, WithPayloadSelector, WithVectorsSelector, query, read_consistency::Value,
    vector_input, vector_output, vectors_output::VectorsOptions, with_payload_selector, with_vectors_selector,
};
use tonic::Status;

/// Results where none are asked for by number.
const DEFAULT_LIMIT: u64 = 10;

impl Tables {
    pub(super) fn info(&self, name: &str, status: CollectionStatus) -> Result<GetCollectionInfoResponse, Status> {
        let result = Some(config::info(self.collection(name)?, status));
        Ok(GetCollectionInfoResponse { result, time: 0.0 })
    }

    pub(super) fn exists(&self, name: &str) -> CollectionExistsResponse {
        let result = Some(CollectionExists { exists: self.collection(name).is_ok() });
        CollectionExistsResponse { result, time: 0.0 }
    }

    pub(super) fn names(&self) -> ListCollectionsResponse {
        let names = self.collections.keys().map(|name| CollectionDescription { name: name.clone() });
        ListCollectionsResponse { collections: names.collect(), time: 0.0 }
    }

    /// Of one collection, or of all.
    pub(super) fn aliases(&self, of: Option<&str>) -> ListAliasesResponse {
        let wanted = self.aliases.iter().filter(|(_, name)| of.is_none_or(|of| of == name.as_str()));
        let described = |(alias, name): (&String, &String)| AliasDescription {
            alias_name: alias.clone(),
            collection_name: name.clone(),
        };
        ListAliasesResponse { aliases: wanted.map(described).collect(), time: 0.0 }
    }

    pub(super) fn get(&self, request: &GetPoints) -> Result<GetResponse, Status> {
        let collection = self.collection(&request.collection_name)?;
        let everywhere = from_all_replicas(request.read_consistency.as_ref());
        let payload = request.with_payload.as_ref();
        let vectors = wants_vectors(request.with_vectors.as_ref())?;
        let mut result = Vec::new();
        for id in Id::all(&request.ids)? {
            if let Some(point) = collection.points.get(&id).filter(|point| point.everywhere || !everywhere) {
                result.push(retrieved(id, point, payload, vectors));
            }
        }
        Ok(GetResponse { result, time: 0.0, usage: None })
    }

    pub(super) fn scroll(&self, request: &ScrollPoints) -> Result<ScrollResponse, Status> {
        if request.order_by.is_some() {
            return Err(Status::unimplemented("the test server scrolls by id only"));
        }
        let collection = self.collection(&request.collection_name)?;
        let limit = limit(request.limit.map(u64::from))?;
        let filter = Filter::read(request.filter.as_ref())?;
        let offset = request.offset.as_ref().map(|id| Id::read(Some(id))).transpose()?;
        let everywhere = from_all_replicas(request.read_consistency.as_ref());
        let vectors = wants_vectors(request.with_vectors.as_ref())?;
        let mut found =
            collection.found(&filter, everywhere).filter(|(id, _)| offset.is_none_or(|offset| *id >= offset));
        let page = found.by_ref().take(limit);
        let result = page.map(|(id, point)| retrieved(id, point, request.with_payload.as_ref(), vectors)).collect();
        let next_page_offset = found.next().map(|(id, _)| id.into());
        Ok(ScrollResponse { next_page_offset, result, time: 0.0, usage: None })
    }

    pub(super) fn count(&self, request: &CountPoints) -> Result<CountResponse, Status> {
        let collection = self.collection(&request.collection_name)?;
        let filter = Filter::read(request.filter.as_ref())?;
        let count = collection.found(&filter, from_all_replicas(request.read_consistency.as_ref())).count() as u64;
        Ok(CountResponse { result: Some(CountResult { count }), time: 0.0, usage: None })
    }

    pub(super) fn facet(&self, request: &FacetCounts) -> Result<FacetResponse, Status> {
        let collection = self.collection(&request.collection_name)?;
        let filter = Filter::read(request.filter.as_ref())?;
        let everywhere = from_all_replicas(request.read_consistency.as_ref());
        let hits = collection.facet(&request.key, &filter, everywhere, limit(request.limit)?)?;
        Ok(FacetResponse { hits, time: 0.0, usage: None })
    }

    pub(super) fn query(&self, request: &QueryPoints) -> Result<QueryResponse, Status> {
        let result = self.nearest(request, request.read_consistency.as_ref())?;
        Ok(QueryResponse { result, time: 0.0, usage: None })
    }

    pub(super) fn query_batch(&self, request: &QueryBatchPoints) -> Result<QueryBatchResponse, Status> {
        let mut result = Vec::with_capacity(request.query_points.len());
        for query in &request.query_points {
            if query.collection_name != request.collection_name {
                return Err(Status::invalid_argument("a batch asks one collection"));
            }
            result.push(BatchResult { result: self.nearest(query, request.read_consistency.as_ref())? });
        }
        Ok(QueryBatchResponse { result, time: 0.0, usage: None })
    }

    fn nearest(
        &self,
        request: &QueryPoints,
        consistency: Option<&ReadConsistency>,
    ) -> Result<Vec<ScoredPoint>, Status> {
        let collection = self.collection(&request.collection_name)?;
        let query = request.query.as_ref().and_then(|query| query.variant.as_ref());
        let Some(query::Variant::Nearest(input)) = query else {
            return Err(Status::unimplemented("the test server knows nearest neighbours of a vector only"));
        };
        let Some(vector_input::Variant::Dense(dense)) = &input.variant else {
            return Err(Status::unimplemented("the test server knows nearest neighbours of a dense vector only"));
        };
        if !request.prefetch.is_empty() || request.lookup_from.is_some() {
            return Err(Status::unimplemented("the test server knows queries of one step only"));
        }
        collection.check_dims(&dense.data)?;
        let filter = Filter::read(request.filter.as_ref())?;
        let (limit, offset) = (limit(request.limit)?, request.offset.unwrap_or(0) as usize);
        let everywhere = from_all_replicas(consistency);
        let vectors = wants_vectors(request.with_vectors.as_ref())?;
        let (params, wanted) = (request.params.as_ref(), limit.saturating_add(offset));
        let best = collection.nearest(&dense.data, &filter, params, everywhere, wanted).into_iter().skip(offset);
        let best = best.filter(|(_, score, _)| request.score_threshold.is_none_or(|least| *score >= least));
        let scored = |(id, score, point): (Id, f32, &Point)| ScoredPoint {
            id: Some(id.into()),
            payload: selected(&point.payload, request.with_payload.as_ref()),
            score,
            vectors: vectors.then(|| output(&point.vector)),
            ..ScoredPoint::default()
        };
        Ok(best.map(scored).collect())
    }
}

/// Only what every replica has? Majority and quorum of the two that there are here are both of them.
fn from_all_replicas(consistency: Option<&ReadConsistency>) -> bool {
    match consistency.and_then(|consistency| consistency.value.as_ref()) {
        Some(Value::Type(_)) => true,
        Some(Value::Factor(factor)) => *factor > 1,
        None => false,
    }
}

fn limit(limit: Option<u64>) -> Result<usize, Status> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        0 => Err(Status::invalid_argument("limit: value 0 invalid, must be 1 or larger")),
        limit => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
    }
}

fn wants_vectors(selector: Option<&WithVectorsSelector>) -> Result<bool, Status> {
    match selector.and_then(|selector| selector.selector_options.as_ref()) {
        Some(with_vectors_selector::SelectorOptions::Enable(enable)) => Ok(*enable),
        Some(_) => Err(Status::unimplemented("the test server has no named vectors")),
        None => Ok(false),
    }
}

fn selected(payload: &Payload, selector: Option<&WithPayloadSelector>) -> Payload {
    use with_payload_selector::SelectorOptions::{Enable, Exclude, Include};
    let only = |wanted: &dyn Fn(&String) -> bool| {
        payload.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    match selector.and_then(|selector| selector.selector_options.as_ref()) {
        Some(Enable(true)) => payload.clone(),
        Some(Include(include)) => only(&|name| include.fields.contains(name)),
        Some(Exclude(exclude)) => only(&|name| !exclude.fields.contains(name)),
        Some(Enable(false)) | None => Payload::new(),
    }
}

fn retrieved(id: Id, point: &Point, payload: Option<&WithPayloadSelector>, vectors: bool) -> RetrievedPoint {
    RetrievedPoint {
        id: Some(id.into()),
        payload: selected(&point.payload, payload),
        vectors: vectors.then(|| output(&point.vector)),
        ..RetrievedPoint::default()
    }
}

fn output(vector: &[f32]) -> VectorsOutput {
    let dense = vector_output::Vector::Dense(DenseVector { data: vector.to_vec() });
    let vector = VectorOutput { vector: Some(dense), ..VectorOutput::default() };
    VectorsOutput { vectors_options: Some(VectorsOptions::Vector(vector)) }
}
