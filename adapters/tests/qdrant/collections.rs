//! Collections: who makes them, and which are used.

use super::*;
use imagefleet_common::{
    job::spec::{IndexKind, VectorType},
    ports::index::Sealed,
};
use imagefleet_test_services::qdrant::CollectionStatus;
use qdrant_client::qdrant::{CreateCollection, Distance, VectorParams, VectorsConfig, vectors_config};
use tokio::sync::{Barrier, Semaphore};

/// Fields with an index.
const INDEXES: usize = 9;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_that_make_a_collection_at_once_make_one() {
    const WORKERS: usize = 8;
    let running = Running::start(Store::in_memory(), server::Settings::default()).await;
    for round in 0..10 {
        let start = Arc::new(Barrier::new(WORKERS));
        let mut workers = Vec::new();
        for worker in 0..WORKERS {
            let (index, start) = (connect(&running).await, Arc::clone(&start));
            workers.push(tokio::spawn(async move {
                let id = CollectionId(format!("round{round}"));
                start.wait().await;
                index.ensure(&spec(&id.0)).await.unwrap();
                index.put(&id, at(worker as i64), 1, &points(&format!("w{worker}-"), 3, DIMS)).await.unwrap();
            }));
        }
        for worker in workers {
            worker.await.unwrap();
        }
        let id = CollectionId(format!("round{round}"));
        let counts = connect(&running).await.counts(&id, &imagefleet_common::ports::index::Scope::All).await.unwrap();
        assert_eq!(counts, (0..WORKERS as i64).map(|chunk| (at(chunk), 3)).collect::<Vec<_>>());
    }
}

/// A worker that made a collection and then hangs, or dies, has made no index: the next one makes them all before it puts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_index_is_there_before_the_first_point_whoever_made_the_collection() {
    let (running, first) = served().await;
    let (seen, go_on) = (Calls::default(), Arc::new(Semaphore::new(0)));
    let (calls, gate) = (seen.clone(), Arc::clone(&go_on));
    running.store.set_hook(Some(Box::new(move |call: Call| -> Waiting {
        calls.0.lock().unwrap().push(call.clone());
        let holds = call.method == "create_field_index" && calls.named("create_field_index").len() == 1;
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            if holds {
                drop(gate.acquire().await);
            }
            Verdict::Go
        })
    })));
    let maker = tokio::spawn(async move { first.ensure(&spec("photos")).await });
    let held = async {
        while seen.named("create_field_index").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), held).await.expect("the first worker makes an index");
    let second = connect(&running).await;
    let id = made(&second, "photos").await;
    second.put(&id, at(0), 1, &points("p", 1, DIMS)).await.unwrap();
    let calls = seen.0.lock().unwrap().clone();
    let put = calls.iter().position(|call| call.method == "upsert").unwrap();
    let indexed = calls[..put].iter().filter(|call| call.method == "create_field_index").count();
    assert_eq!(indexed, 1 + INDEXES, "the one that is held, and all that the second worker made");
    go_on.add_permits(1);
    maker.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_collection_that_is_there_is_only_looked_at() {
    let (running, index) = served().await;
    made(&index, "photos").await;
    let calls = Calls::of(&running.store);
    made(&connect(&running).await, "photos").await;
    assert_eq!((calls.named("create").len(), calls.named("create_field_index").len()), (0, 0));
    assert_eq!(calls.named("info").len(), 1);
}

#[tokio::test]
async fn vectors_of_another_size_are_refused_with_both_values() {
    let (_running, index) = served().await;
    made(&index, "photos").await;
    let error = index.ensure(&CollectionSpec { dims: 8, ..spec("photos") }).await.unwrap_err();
    assert!(error.is_permanent(), "{error}");
    assert!(error.to_string().contains("4 dimensions") && error.to_string().contains("8 dimensions"), "{error}");
    let f16 = IndexSection { vectors: VectorType::F16, ..IndexSection::default() };
    let error = index.ensure(&CollectionSpec { storage: f16, ..spec("other") }).await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("index.type \"hnsw\""), "{error}");
}

#[tokio::test]
async fn other_settings_of_what_is_stored_are_refused_with_both_values() {
    let (_running, index) = served().await;
    let hnsw = IndexSection { kind: IndexKind::Hnsw, ..IndexSection::default() };
    index.ensure(&CollectionSpec { storage: hnsw.clone(), ..spec("photos") }).await.unwrap();
    let f16 = IndexSection { vectors: VectorType::F16, ..hnsw };
    let error = index.ensure(&CollectionSpec { storage: f16, ..spec("photos") }).await.unwrap_err();
    assert!(error.is_permanent(), "{error}");
    assert!(error.to_string().contains("vectors f32") && error.to_string().contains("vectors f16"), "{error}");
}

#[tokio::test]
async fn a_collection_of_somebody_else_is_left_alone() {
    let (running, index) = served().await;
    let params = VectorParams { size: DIMS as u64, distance: Distance::Dot as i32, ..VectorParams::default() };
    let theirs = CreateCollection {
        collection_name: "test-theirs".to_owned(),
        vectors_config: Some(VectorsConfig { config: Some(vectors_config::Config::Params(params)) }),
        ..CreateCollection::default()
    };
    let channel = tonic::transport::Endpoint::from_shared(running.url()).unwrap().connect().await.unwrap();
    CollectionsClient::new(channel).create(theirs).await.unwrap();
    let error = index.ensure(&spec("theirs")).await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("imagefleet did not make it"), "{error}");
}

#[tokio::test]
async fn namespaces_know_nothing_of_each_other() {
    let (running, ours) = served().await;
    let settings = Settings { namespace: "other".to_owned(), ..settings(&running.url()) };
    let theirs = QdrantIndex::connect(settings).await.unwrap();
    let id = made(&ours, "photos").await;
    ours.alias("serving", &id).await.unwrap();
    assert_eq!(theirs.resolve("serving").await.unwrap(), None);
    assert!(theirs.chunk(&id, 1, 0).await.unwrap_err().is_permanent());
    made(&theirs, "photos").await;
    ours.put(&id, at(0), 1, &points("p", 2, DIMS)).await.unwrap();
    assert_eq!(theirs.chunk(&id, 1, 0).await.unwrap(), []);
}

#[tokio::test]
async fn only_green_is_ready_and_grey_is_woken() {
    let (running, index) = served().await;
    let id = made(&index, "photos").await;
    assert_eq!(index.seal(&id, &[1]).await.unwrap(), Sealed::Ready);
    let calls = Calls::of(&running.store);
    for (status, name) in [
        (CollectionStatus::Yellow, "yellow"),
        (CollectionStatus::Red, "red"),
        (CollectionStatus::Grey, "grey"),
        (CollectionStatus::UnknownCollectionStatus, "unknown"),
    ] {
        running.store.set_status(status);
        let Sealed::Building(state) = index.seal(&id, &[1]).await.unwrap() else { panic!("{name} is not ready") };
        assert!(state.contains(name), "{state}");
    }
    assert_eq!(calls.named("update").len(), 1, "grey waits until something is changed");
    running.store.set_status(CollectionStatus::Green);
    assert_eq!(index.seal(&id, &[1]).await.unwrap(), Sealed::Ready);
}
