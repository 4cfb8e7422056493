//! The Qdrant index.
#![cfg(feature = "fleet")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use imagefleet_adapters::index::qdrant::{QdrantIndex, Settings};
use imagefleet_common::{conformance, ports::index::Index};
use imagefleet_test_services::qdrant::{self as server, Running, Store};
use std::{sync::Arc, time::Duration};

fn settings(url: String) -> Settings {
    Settings { url, api_key: None, namespace: "test".into(), timeout: Duration::from_secs(30), ca: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_an_index() {
    let running = Running::start(Store::in_memory(), server::Settings::default()).await;
    conformance::index::all(async || {
        Arc::new(QdrantIndex::connect(settings(running.url())).await.unwrap()) as Arc<dyn Index>
    })
    .await;
}
