//! The embedded adapters against the ports' suites, as they are and with a fifth of all calls failing.
#![cfg(feature = "embedded")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use imagefleet_adapters::{
    faults::{FaultPlan, Faults},
    index::flat::FlatIndex,
    objects::fs::FsObjects,
};
use imagefleet_common::{
    conformance,
    ports::{
        index::Index,
        layered::{Layered, Retry},
        objects::Objects,
    },
};
use std::{sync::Arc, time::Duration};

/// The shipped number of tries would give up on one call in 15,000; more of them, and faster, suit a suite.
const RETRY: Retry = Retry { tries: 20, first_delay: Duration::from_micros(100), max_delay: Duration::from_millis(5) };

/// Fails a fifth of all calls, half of them after the effect, and does a tenth of them twice.
fn faults(seed: u64) -> Faults {
    Faults::new(FaultPlan { duplicate: 0.1, ..FaultPlan::new(seed) })
}

fn assert_injected(faults: &Faults) {
    let table = faults.counts();
    eprintln!("{table}");
    assert!(table.ports().values().all(|counts| counts.failed_before > 0 && counts.failed_after > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_is_an_object_store() {
    let folder = tempfile::tempdir().unwrap();
    conformance::objects::all(async || Arc::new(FsObjects::new(folder.path().into())) as Arc<dyn Objects>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_is_an_object_store_when_a_fifth_of_the_calls_fails() {
    for seed in 1..=3 {
        let (folder, faults) = (tempfile::tempdir().unwrap(), faults(seed));
        conformance::objects::all(async || {
            let objects: Arc<dyn Objects> = Arc::new(FsObjects::new(folder.path().into()));
            let faulty: Arc<dyn Objects> = Arc::new(Layered::new(objects, faults.clone()));
            Arc::new(Layered::new(faulty, RETRY)) as Arc<dyn Objects>
        })
        .await;
        assert_injected(&faults);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_flat_index_is_an_index() {
    let folder = tempfile::tempdir().unwrap();
    conformance::index::all(async || Arc::new(FlatIndex::open(folder.path()).await.unwrap()) as Arc<dyn Index>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_flat_index_is_an_index_when_a_fifth_of_the_calls_fails() {
    for seed in 1..=3 {
        let (folder, faults) = (tempfile::tempdir().unwrap(), faults(seed));
        conformance::index::all(async || {
            let index: Arc<dyn Index> = Arc::new(FlatIndex::open(folder.path()).await.unwrap());
            let faulty: Arc<dyn Index> = Arc::new(Layered::new(index, faults.clone()));
            Arc::new(Layered::new(faulty, RETRY)) as Arc<dyn Index>
        })
        .await;
        assert_injected(&faults);
    }
}
