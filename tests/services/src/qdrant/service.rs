//! The protocol's services over the store.

use super::{
    fault::{Call, Verdict},
    log::Change,
    store::Store,
};
use ::qdrant_client::qdrant::{collections_server::Collections, points_server::Points, qdrant_server::Qdrant, *};
use async_trait::async_trait;
use prost::Message;
use std::sync::Arc;
use tonic::{Request, Response, Status, service::Interceptor};

#[derive(Clone)]
pub(super) struct Service {
    pub(super) store: Arc<Store>,
    pub(super) version: String,
}

/// Refuses calls that do not bring the key.
#[derive(Clone)]
pub(super) struct Key(pub(super) Option<Arc<str>>);

impl Interceptor for Key {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(key) = &self.0 else { return Ok(request) };
        let metadata = request.metadata();
        let bearer = metadata.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        match metadata.get("api-key").and_then(|value| value.to_str().ok()).or(bearer) {
            Some(given) if *given == **key => Ok(request),
            Some(_) => Err(Status::unauthenticated("Invalid API key or JWT")),
            None => Err(Status::unauthenticated("Must provide an API key or an Authorization bearer token")),
        }
    }
}

impl Service {
    /// Does a call's work where no other call waits for it, as the hook allows.
    async fn call<Q: Message + 'static, A: Send + 'static>(
        &self,
        call: Call,
        request: Q,
        work: impl FnOnce(&Store, Q, &Verdict) -> Result<A, Status> + Send + 'static,
    ) -> Result<Response<A>, Status> {
        let call = Call { bytes: request.encoded_len(), ..call };
        let (store, verdict) = (Arc::clone(&self.store), self.store.verdict(call).await);
        if let Verdict::Refuse(status) = verdict {
            return Err(status);
        }
        let done = tokio::task::spawn_blocking(move || {
            let answer = work(&store, request, &verdict)?;
            match verdict {
                Verdict::LoseAnswer(status) => Err(status),
                _ => Ok(answer),
            }
        });
        done.await.map_err(|error| Status::internal(format!("the call panicked: {error}")))?.map(Response::new)
    }

    /// A change of points.
    async fn points<Q: Message + 'static>(
        &self,
        call: Call,
        request: Q,
        wait: Option<bool>,
        change: fn(Q) -> Change,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        self.call(call, request, move |store, request, verdict| {
            let waits = wait == Some(true);
            let done = match verdict {
                Verdict::Drop => store.check(change(request)),
                verdict => store.change(change(request), !matches!(verdict, Verdict::OneReplica)),
            };
            // Nobody hears what becomes of a change that is not waited for.
            if waits {
                done?;
            }
            let status = match verdict {
                Verdict::Answer(status) => *status,
                _ if waits => UpdateStatus::Completed,
                _ => UpdateStatus::Acknowledged,
            };
            let result = Some(UpdateResult { operation_id: Some(0), status: status as i32 });
            Ok(PointsOperationResponse { result, time: 0.0, usage: None })
        })
        .await
    }

    async fn collections<Q: Message + 'static>(
        &self,
        call: Call,
        request: Q,
        change: fn(Q) -> Change,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        self.call(call, request, move |store, request, _| {
            store.change(change(request), true)?;
            Ok(CollectionOperationResponse { result: true, time: 0.0 })
        })
        .await
    }
}

fn call(method: &'static str, collection: &str) -> Call {
    Call { method, collection: collection.to_owned(), bytes: 0, points: 0 }
}

#[async_trait]
impl Qdrant for Service {
    async fn health_check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckReply>, Status> {
        let title = "imagefleet's test server of Qdrant's protocol".to_owned();
        Ok(Response::new(HealthCheckReply { title, version: self.version.clone(), commit: None }))
    }
}

/// Implements a service's trait: some methods by an expression over the request, all others by refusing.
macro_rules! serve {
    ($trait:ident {
        $(fn $method:ident($self:ident, $request:ident: $in:ty) -> $out:ty $body:block)*
    } refuses { $(fn $no:ident($no_in:ty) -> $no_out:ty;)* }) => {
        #[async_trait]
        impl $trait for Service {
            $(async fn $method(&$self, request: Request<$in>) -> Result<Response<$out>, Status> {
                let $request = request.into_inner();
                $body
            })*
            $(async fn $no(&self, _: Request<$no_in>) -> Result<Response<$no_out>, Status> {
                Err(Status::unimplemented(concat!("the test server has no ", stringify!($no))))
            })*
        }
    };
}

serve!(Points {
    fn upsert(self, request: UpsertPoints) -> PointsOperationResponse {
        let (points, wait) = (request.points.len(), request.wait);
        let call = Call { points, ..call("upsert", &request.collection_name) };
        self.points(call, request, wait, Change::Upsert).await
    }
    fn delete(self, request: DeletePoints) -> PointsOperationResponse {
        let wait = request.wait;
        self.points(call("delete", &request.collection_name), request, wait, Change::Delete).await
    }
    fn create_field_index(self, request: CreateFieldIndexCollection) -> PointsOperationResponse {
        let wait = request.wait;
        self.points(call("create_field_index", &request.collection_name), request, wait, Change::Index).await
    }
    fn get(self, request: GetPoints) -> GetResponse {
        self.call(call("get", &request.collection_name), request, |store, request, _| store.read().get(&request)).await
    }
    fn scroll(self, request: ScrollPoints) -> ScrollResponse {
        let call = call("scroll", &request.collection_name);
        self.call(call, request, |store, request, _| store.read().scroll(&request)).await
    }
    fn count(self, request: CountPoints) -> CountResponse {
        let call = call("count", &request.collection_name);
        self.call(call, request, |store, request, _| store.read().count(&request)).await
    }
    fn facet(self, request: FacetCounts) -> FacetResponse {
        let call = call("facet", &request.collection_name);
        self.call(call, request, |store, request, _| store.read().facet(&request)).await
    }
    fn query(self, request: QueryPoints) -> QueryResponse {
        let call = call("query", &request.collection_name);
        self.call(call, request, |store, request, _| store.read().query(&request)).await
    }
    fn query_batch(self, request: QueryBatchPoints) -> QueryBatchResponse {
        let call = call("query_batch", &request.collection_name);
        self.call(call, request, |store, request, _| store.read().query_batch(&request)).await
    }
} refuses {
    fn update_vectors(UpdatePointVectors) -> PointsOperationResponse;
    fn delete_vectors(DeletePointVectors) -> PointsOperationResponse;
    fn set_payload(SetPayloadPoints) -> PointsOperationResponse;
    fn overwrite_payload(SetPayloadPoints) -> PointsOperationResponse;
    fn delete_payload(DeletePayloadPoints) -> PointsOperationResponse;
    fn clear_payload(ClearPayloadPoints) -> PointsOperationResponse;
    fn delete_field_index(DeleteFieldIndexCollection) -> PointsOperationResponse;
    fn create_vector_name(CreateVectorNameRequest) -> PointsOperationResponse;
    fn delete_vector_name(DeleteVectorNameRequest) -> PointsOperationResponse;
    fn search(SearchPoints) -> SearchResponse;
    fn search_batch(SearchBatchPoints) -> SearchBatchResponse;
    fn search_groups(SearchPointGroups) -> SearchGroupsResponse;
    fn recommend(RecommendPoints) -> RecommendResponse;
    fn recommend_batch(RecommendBatchPoints) -> RecommendBatchResponse;
    fn recommend_groups(RecommendPointGroups) -> RecommendGroupsResponse;
    fn discover(DiscoverPoints) -> DiscoverResponse;
    fn discover_batch(DiscoverBatchPoints) -> DiscoverBatchResponse;
    fn update_batch(UpdateBatchPoints) -> UpdateBatchResponse;
    fn query_groups(QueryPointGroups) -> QueryGroupsResponse;
    fn search_matrix_pairs(SearchMatrixPoints) -> SearchMatrixPairsResponse;
    fn search_matrix_offsets(SearchMatrixPoints) -> SearchMatrixOffsetsResponse;
});

serve!(Collections {
    fn get(self, request: GetCollectionInfoRequest) -> GetCollectionInfoResponse {
        let call = call("info", &request.collection_name);
        let info = |store: &Store, request: GetCollectionInfoRequest, _: &Verdict| {
            store.read().info(&request.collection_name, store.status())
        };
        self.call(call, request, info).await
    }
    fn list(self, request: ListCollectionsRequest) -> ListCollectionsResponse {
        self.call(call("list", ""), request, |store, _, _| Ok(store.read().names())).await
    }
    fn create(self, request: CreateCollection) -> CollectionOperationResponse {
        self.collections(call("create", &request.collection_name), request, Change::Create).await
    }
    fn update(self, request: UpdateCollection) -> CollectionOperationResponse {
        let call = call("update", &request.collection_name);
        let nothing = |store: &Store, request: UpdateCollection, _: &Verdict| {
            store.read().collection(&request.collection_name)?;
            Ok(CollectionOperationResponse { result: true, time: 0.0 })
        };
        self.call(call, request, nothing).await
    }
    fn delete(self, request: DeleteCollection) -> CollectionOperationResponse {
        self.collections(call("remove", &request.collection_name), request, Change::Remove).await
    }
    fn update_aliases(self, request: ChangeAliases) -> CollectionOperationResponse {
        self.collections(call("update_aliases", ""), request, Change::Aliases).await
    }
    fn list_collection_aliases(self, request: ListCollectionAliasesRequest) -> ListAliasesResponse {
        let call = call("list_collection_aliases", &request.collection_name);
        let of = |store: &Store, request: ListCollectionAliasesRequest, _: &Verdict| {
            Ok(store.read().aliases(Some(&request.collection_name)))
        };
        self.call(call, request, of).await
    }
    fn list_aliases(self, request: ListAliasesRequest) -> ListAliasesResponse {
        self.call(call("list_aliases", ""), request, |store, _, _| Ok(store.read().aliases(None))).await
    }
    fn collection_exists(self, request: CollectionExistsRequest) -> CollectionExistsResponse {
        let call = call("exists", &request.collection_name);
        let exists = |store: &Store, request: CollectionExistsRequest, _: &Verdict| {
            Ok(store.read().exists(&request.collection_name))
        };
        self.call(call, request, exists).await
    }
} refuses {
    fn collection_cluster_info(CollectionClusterInfoRequest) -> CollectionClusterInfoResponse;
    fn update_collection_cluster_setup(UpdateCollectionClusterSetupRequest) -> UpdateCollectionClusterSetupResponse;
    fn create_shard_key(CreateShardKeyRequest) -> CreateShardKeyResponse;
    fn delete_shard_key(DeleteShardKeyRequest) -> DeleteShardKeyResponse;
    fn list_shard_keys(ListShardKeysRequest) -> ListShardKeysResponse;
});
