//! Changes of points: what counts as done, and what is noticed.

use super::*;
use imagefleet_common::{
    error::Next,
    ids::Epoch,
    ports::index::{Doomed, Scope},
};
use qdrant_client::qdrant::UpdateStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Barrier;
use tonic::Status;

#[tokio::test]
async fn a_batch_that_was_confirmed_and_dropped_is_missing_when_the_chunk_is_read_back() {
    let (running, index) = served().await;
    let id = made(&index, "photos").await;
    let upserts = AtomicUsize::new(0);
    running.store.set_hook(hook(move |call| match call.method {
        "upsert" if upserts.fetch_add(1, Ordering::SeqCst) == 1 => Verdict::Drop,
        _ => Verdict::Go,
    }));
    index.put(&id, at(0), 1, &points("p", 600, DIMS)).await.unwrap();
    assert_eq!(index.chunk(&id, 1, 0).await.unwrap().len(), 600 - 256);
}

/// A reader that asked one replica would be told that all is well.
#[tokio::test]
async fn points_that_one_replica_lacks_are_not_there() {
    let (running, index) = served().await;
    let id = made(&index, "photos").await;
    index.put(&id, at(0), 1, &points("p", 2, DIMS)).await.unwrap();
    running.store.set_hook(on("upsert", || Verdict::OneReplica));
    let late = points("q", 3, DIMS);
    index.put(&id, at(0), 1, &late).await.unwrap();
    assert_eq!(index.chunk(&id, 1, 0).await.unwrap().len(), 2);
    assert_eq!(index.counts(&id, &Scope::All).await.unwrap(), [(at(0), 2)]);
    assert_eq!(index.payloads(&id, &[late[0].key.clone()]).await.unwrap(), [None]);
    assert_eq!(index.vectors(&id, &[late[0].key.clone()]).await.unwrap(), [None]);
}

#[tokio::test]
async fn only_completed_counts_as_done() {
    let (running, index) = served().await;
    let id = made(&index, "photos").await;
    for (status, words) in [
        (UpdateStatus::Acknowledged, "not applied"),
        (UpdateStatus::ClockRejected, "later write"),
        (UpdateStatus::WaitTimeout, "in time"),
        (UpdateStatus::UnknownUpdateStatus, "does not say"),
    ] {
        for method in ["upsert", "delete"] {
            running.store.set_hook(on(method, move || Verdict::Answer(status)));
            let answer = match method {
                "upsert" => index.put(&id, at(0), 1, &points("p", 1, DIMS)).await,
                _ => index.delete(&id, &Doomed::Shard { shard: 1, up_to: i64::MAX }).await,
            };
            let error = answer.unwrap_err();
            assert!(error.is_transient() && error.to_string().contains(words), "{method} {status:?}: {error}");
        }
    }
    running.store.set_hook(on("upsert", || Verdict::Answer(UpdateStatus::Completed)));
    index.put(&id, at(0), 1, &points("p", 1, DIMS)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_busy_says_when_to_ask_again() {
    let (running, index) = served().await;
    let id = made(&index, "photos").await;
    let busy = |seconds: Option<&str>| {
        let mut status = Status::resource_exhausted("too many writes");
        seconds.into_iter().for_each(|text| drop(status.metadata_mut().insert("retry-after", text.parse().unwrap())));
        status
    };
    running.store.set_hook(on("upsert", move || Verdict::Refuse(busy(Some("7")))));
    let error = index.put(&id, at(0), 1, &points("p", 1, DIMS)).await.unwrap_err();
    assert_eq!(error.next(), Next::Retry { after: Some(Duration::from_secs(7)) }, "{error}");
    running.store.set_hook(on("upsert", move || Verdict::Refuse(busy(None))));
    let error = index.put(&id, at(0), 1, &points("p", 1, DIMS)).await.unwrap_err();
    assert_eq!(error.next(), Next::Retry { after: None }, "{error}");
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_may_be_put_again() {
    let (running, index) = served().await;
    let id = made(&index, "photos").await;
    running.store.set_hook(on("upsert", || Verdict::LoseAnswer(Status::unavailable("gone"))));
    assert!(index.put(&id, at(0), 3, &points("p", 2, DIMS)).await.unwrap_err().is_transient());
    running.store.set_hook(None);
    index.put(&id, at(0), 3, &points("p", 2, DIMS)).await.unwrap();
    assert_eq!(index.chunk(&id, 1, 0).await.unwrap().len(), 2);
}

/// Every worker has a connection of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_newest_epoch_wins_among_workers() {
    const WORKERS: usize = 6;
    let running = Running::start(Store::in_memory(), server::Settings::default()).await;
    let index = connect(&running).await;
    let id = made(&index, "photos").await;
    for round in 0..10 {
        let start = Arc::new(Barrier::new(WORKERS));
        let mut workers = Vec::new();
        for worker in 0..WORKERS {
            let (index, id, start) = (connect(&running).await, id.clone(), Arc::clone(&start));
            workers.push(tokio::spawn(async move {
                let epoch = (worker * 5 + round) % WORKERS;
                start.wait().await;
                let points = points(&format!("r{round}-"), 300, DIMS);
                index.put(&id, at(epoch as i64), epoch as Epoch, &points).await
            }));
        }
        for worker in workers {
            worker.await.unwrap().unwrap();
        }
    }
    let newest = at(WORKERS as i64 - 1);
    assert_eq!(index.counts(&id, &Scope::All).await.unwrap(), [(newest, 3_000)]);
}

#[tokio::test]
async fn a_request_is_small_however_long_vectors_are() {
    const LIMIT: usize = 5_000_000;
    let (running, index) = served().await;
    for (dims, count, requests) in [(DIMS, 600, 3), (6_000, 400, 3)] {
        let id = CollectionId(format!("dims{dims}"));
        index.ensure(&CollectionSpec { dims, ..spec(&id.0) }).await.unwrap();
        let calls = Calls::of(&running.store);
        index.put(&id, at(0), 1, &points("p", count, dims)).await.unwrap();
        let upserts = calls.named("upsert");
        assert!(upserts.iter().all(|call| call.bytes < LIMIT && call.points <= 256), "{upserts:?}");
        assert_eq!(upserts.iter().map(|call| call.points).sum::<usize>(), count);
        assert_eq!(upserts.len(), requests);
    }
}

#[tokio::test]
async fn a_broken_vector_stops_the_call_before_anything_is_sent() {
    let (running, index) = served().await;
    let id = made(&index, "photos").await;
    let calls = Calls::of(&running.store);
    let mut points = points("p", 300, DIMS);
    points[299].vector[0] = f32::NAN;
    assert!(index.put(&id, at(0), 1, &points).await.unwrap_err().is_permanent());
    assert_eq!(calls.named("upsert"), []);
}
