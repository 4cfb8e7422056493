//! Questions: what is longer than an answer, and what is equal.

use super::*;
use imagefleet_common::ports::index::{Queries, Scope, SearchFilter};
use qdrant_client::qdrant::{PointStruct, UpsertPoints, Value, points_client::PointsClient};
use std::collections::{BTreeSet, HashMap};

fn queries(count: usize) -> Queries {
    Queries { dims: DIMS, values: points("", count, DIMS).into_iter().flat_map(|point| point.vector).collect() }
}

#[tokio::test]
async fn ties_across_the_end_of_the_servers_list_are_ordered_by_key() {
    let (_running, index) = served().await;
    let id = made(&index, "photos").await;
    // The server orders equals by id, which says nothing of their keys.
    let mut equal = points("p", 500, DIMS);
    equal[7].vector = vec![0.0, 0.6, 0.0, 0.8];
    index.put(&id, at(0), 1, &equal).await.unwrap();
    let keys = |from: usize, to: usize| (from..to).map(|n| format!("p{n:05}")).collect::<Vec<_>>();
    for k in [1, 3, 100, 499, 500, 501] {
        let expected = match k {
            0..=7 => keys(0, k),
            8..500 => [keys(0, 7), keys(8, k + 1)].concat(),
            _ => [keys(0, 7), keys(8, 500), keys(7, 8)].concat(),
        };
        let found = index.search(&id, &queries(3), k, &Scope::All, &SearchFilter::default()).await.unwrap();
        for hits in found {
            assert_eq!(hits.into_iter().map(|hit| hit.key).collect::<Vec<_>>(), expected, "the best {k}");
        }
    }
}

/// More chunks than a first count asks for, put as the adapter would.
#[tokio::test]
async fn a_count_is_never_cut() {
    const CHUNKS: i64 = 17_000;
    let (running, index) = served().await;
    let id = made(&index, "photos").await;
    let channel = tonic::transport::Endpoint::from_shared(running.url()).unwrap().connect().await.unwrap();
    let mut client = PointsClient::new(channel);
    for chunks in Vec::from_iter(0..CHUNKS).chunks(1_000) {
        let point = |chunk: &i64| {
            let fields: HashMap<String, Value> =
                [("shard".to_owned(), 1.into()), ("place".to_owned(), format!("1/1/{chunk}").into())].into();
            PointStruct::new(*chunk as u64, vec![1.0, 0.0, 0.0, 0.0], fields)
        };
        let request = UpsertPoints {
            collection_name: "test-photos".to_owned(),
            wait: Some(true),
            points: chunks.iter().map(point).collect(),
            ..UpsertPoints::default()
        };
        client.upsert(request).await.unwrap();
    }
    for scope in [Scope::All, Scope::Shards((0..5_000).collect())] {
        let counts = index.counts(&id, &scope).await.unwrap();
        assert_eq!(counts, (0..CHUNKS).map(|chunk| (at(chunk), 1)).collect::<Vec<_>>());
    }
}

/// Scope and keys that no single filter names.
#[tokio::test]
async fn the_best_of_many_parts_are_the_best_of_all() {
    let (running, index) = served().await;
    let id = made(&index, "photos").await;
    for shard in [3, 25_000, 44_000] {
        let place = ChunkRef { shard, version: 1, chunk: 0 };
        index.put(&id, place, 1, &points(&format!("{shard}-"), 4, DIMS)).await.unwrap();
    }
    let calls = Calls::of(&running.store);
    let scope = Scope::Shards((0..45_000).collect());
    let named = ["3-00001", "44000-00000", "25000-00003"].map(String::from);
    let keys: BTreeSet<String> = (0..30_000).map(|n| format!("nobody{n}")).chain(named.clone()).collect();
    let filter = SearchFilter { keys: Some(keys), ..SearchFilter::default() };
    let found = index.search(&id, &queries(2), 2, &scope, &filter).await.unwrap();
    for hits in found {
        assert_eq!(hits.iter().map(|hit| hit.key.as_str()).collect::<Vec<_>>(), ["25000-00003", "3-00001"]);
    }
    let asked = calls.named("query_batch");
    assert!(asked.len() >= 6 && asked.iter().all(|call| call.bytes < 6 << 20), "{asked:?}");
}

#[tokio::test]
async fn nothing_is_asked_where_nothing_can_be_found() {
    let (running, index) = served().await;
    let id = made(&index, "photos").await;
    let calls = Calls::of(&running.store);
    let no_keys = SearchFilter { keys: Some(BTreeSet::new()), ..SearchFilter::default() };
    for (scope, filter) in [(Scope::All, no_keys), (Scope::Shards(Vec::new()), SearchFilter::default())] {
        assert_eq!(index.search(&id, &queries(2), 5, &scope, &filter).await.unwrap(), [[], []]);
    }
    assert_eq!(index.counts(&id, &Scope::Shards(Vec::new())).await.unwrap(), []);
    assert_eq!(calls.named("query_batch"), []);
}
