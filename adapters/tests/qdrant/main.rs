//! The Qdrant index: the port's suite, and what only a served index promises.
//!
//! The suite runs against the server at IMAGEFLEET_TEST_INDEX_URL (and IMAGEFLEET_TEST_INDEX_API_KEY) where that is set,
//! else against the test server, in this process. All other tests need that one: they make it fail on purpose.
#![cfg(feature = "fleet")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod collections;
mod connections;
mod reads;
mod writes;

use imagefleet_adapters::index::qdrant::{QdrantIndex, Settings};
use imagefleet_common::{
    conformance,
    filter::Filter,
    ids::{CollectionId, CorpusId},
    job::spec::{CollectionSpec, Decoding, IndexSection, Limits, Precision},
    ports::index::{Index, Payload, Point},
    work::ChunkRef,
};
use imagefleet_test_services::qdrant::{self as server, Call, Hook, Running, Store, Verdict};
use qdrant_client::qdrant::{DeleteCollection, ListCollectionsRequest, collections_client::CollectionsClient};
use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use uuid::Uuid;

const DIMS: usize = 4;

fn settings(url: &str) -> Settings {
    let timeout = Duration::from_secs(30);
    Settings { url: url.to_owned(), api_key: None, namespace: "test".to_owned(), timeout, ca: None }
}

async fn connect(running: &Running) -> QdrantIndex {
    QdrantIndex::connect(settings(&running.url())).await.unwrap()
}

/// A server in this process and an index behind it.
async fn served() -> (Running, QdrantIndex) {
    let running = Running::start(Store::in_memory(), server::Settings::default()).await;
    let index = connect(&running).await;
    (running, index)
}

fn spec(name: &str) -> CollectionSpec {
    CollectionSpec {
        id: CollectionId(name.to_owned()),
        corpus: CorpusId("corpus".to_owned()),
        model_path: String::new(),
        revision: String::new(),
        precision: Precision::F32,
        decoding: Decoding::Exact,
        preprocessing: String::new(),
        limits: Limits::default(),
        filter: Filter::default(),
        dims: DIMS,
        batch: 1,
        storage: IndexSection::default(),
    }
}

async fn made(index: &QdrantIndex, name: &str) -> CollectionId {
    index.ensure(&spec(name)).await.unwrap();
    CollectionId(name.to_owned())
}

fn at(chunk: i64) -> ChunkRef {
    ChunkRef { shard: 1, version: 1, chunk }
}

/// Points with the same vector: all of its length in the last value.
fn points(prefix: &str, count: usize, dims: usize) -> Vec<Point> {
    let mut vector = vec![0.0; dims];
    vector[dims - 1] = 1.0;
    let point = |n| Point { key: format!("{prefix}{n:05}"), vector: vector.clone(), payload: Payload::default() };
    (0..count).map(point).collect()
}

/// A hook that does not wait.
fn hook(decide: impl Fn(&Call) -> Verdict + Send + Sync + 'static) -> Option<Hook> {
    Some(Box::new(move |call| {
        let verdict = decide(&call);
        Box::pin(async move { verdict })
    }))
}

/// What becomes of calls of one method.
fn on(method: &'static str, verdict: impl Fn() -> Verdict + Send + Sync + 'static) -> Option<Hook> {
    hook(move |call| if call.method == method { verdict() } else { Verdict::Go })
}

/// Every call, in order.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Call>>>);

impl Calls {
    fn of(store: &Store) -> Self {
        let calls = Self::default();
        let seen = calls.clone();
        store.set_hook(hook(move |call| {
            seen.0.lock().unwrap().push(call.clone());
            Verdict::Go
        }));
        calls
    }

    fn named(&self, method: &str) -> Vec<Call> {
        self.0.lock().unwrap().iter().filter(|call| call.method == method).cloned().collect()
    }
}

type Waiting = Pin<Box<dyn Future<Output = Verdict> + Send>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_an_index() {
    let given = std::env::var("IMAGEFLEET_TEST_INDEX_URL").ok();
    let running = match &given {
        Some(_) => None,
        None => Some(Running::start(Store::in_memory(), server::Settings::default()).await),
    };
    let url = running.as_ref().map_or_else(|| given.clone().unwrap(), Running::url);
    let api_key = std::env::var("IMAGEFLEET_TEST_INDEX_API_KEY").ok().filter(|_| given.is_some());
    // A server that lasts may hold what an earlier run left.
    let namespace = format!("test-{}", Uuid::now_v7());
    let settings = Settings { api_key: api_key.clone(), namespace: namespace.clone(), ..settings(&url) };
    conformance::index::all(async || Arc::new(QdrantIndex::connect(settings.clone()).await.unwrap()) as Arc<dyn Index>)
        .await;
    if given.is_some() {
        remove(&url, api_key.as_deref(), &namespace).await;
    }
}

/// Removes what stands in a namespace.
async fn remove(url: &str, api_key: Option<&str>, namespace: &str) {
    let channel = tonic::transport::Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap();
    let key = api_key.map(|key| key.parse().unwrap());
    let mut collections = CollectionsClient::with_interceptor(channel, move |mut request: tonic::Request<()>| {
        key.iter().for_each(|key: &tonic::metadata::MetadataValue<_>| {
            request.metadata_mut().insert("api-key", key.clone());
        });
        Ok(request)
    });
    for found in collections.list(ListCollectionsRequest {}).await.unwrap().into_inner().collections {
        if found.name.starts_with(namespace) {
            collections.delete(DeleteCollection { collection_name: found.name, timeout: None }).await.unwrap();
        }
    }
}
