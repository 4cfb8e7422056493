//! What every index must do.
//!
//! Each function is one promise and makes its own collection, so that all of them may share one server. The maker
//! opens the index anew over the same storage each time it is called: what must outlast a process is asked of a
//! second one. Embedded callers keep the first alive only where two may be open at once.

pub mod filters;
pub mod removal;

use crate::{
    error::Result,
    filter::Filter,
    ids::{CollectionId, CorpusId, Epoch},
    job::spec::{CollectionSpec, Decoding, Hnsw, IndexKind, IndexSection, Limits, Precision},
    ports::index::{
        Attribution, Doomed, Hit, Index, Payload, Point, PointHead, Queries, Scope, Sealed, SearchFilter, Stored,
    },
    work::ChunkRef,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Barrier;

const DIMS: usize = 24;

/// Runs every promise; `make` opens the index over the same storage each time.
pub async fn all(make: impl AsyncFn() -> Arc<dyn Index>) {
    puts_are_read_back_by_chunk(&make).await;
    an_older_epoch_never_wins(&make).await;
    the_newest_of_concurrent_puts_wins(&make).await;
    a_deletion_takes_what_it_names_and_nothing_else(&make).await;
    chunks_are_counted(&make).await;
    payloads_and_vectors_come_in_the_order_of_the_keys(&make).await;
    a_search_equals_brute_force(&make).await;
    a_search_looks_through_its_scope(&make).await;
    ties_are_ordered_by_key(&make).await;
    more_than_there_is_gives_all_there_is(&make).await;
    filters::a_filtered_search_equals_brute_force_over_payloads(&make).await;
    filters::ties_among_what_passes_are_ordered_by_key(&make).await;
    filters::a_filter_goes_by_the_payloads_that_were_sealed_last(&make).await;
    a_search_sees_what_was_sealed(&make).await;
    removal::a_deleted_point_is_found_no_more_once_its_shard_is_sealed(&make).await;
    removal::a_removed_collection_is_gone_and_can_be_made_anew(&make).await;
    a_moved_key_stands_once(&make).await;
    everything_outlasts_the_process(&make).await;
    an_alias_switches_in_one_step(&make).await;
    other_storage_settings_are_refused_with_both_values(&make).await;
    vectors_that_are_not_unit_length_are_refused(&make).await;
    questions_that_make_no_sense_are_refused(&make).await;
}

/// A collection of this suite: exact, of [`DIMS`] dimensions.
fn collection(name: &str) -> CollectionSpec {
    CollectionSpec {
        id: CollectionId(format!("conformance-{name}")),
        corpus: CorpusId("conformance".into()),
        model_path: "model".into(),
        revision: "0123456789abcdef".into(),
        precision: Precision::F32,
        decoding: Decoding::Exact,
        preprocessing: "none".into(),
        limits: Limits::default(),
        filter: Filter::default(),
        dims: DIMS,
        batch: 32,
        storage: IndexSection::default(),
    }
}

async fn made(index: &dyn Index, name: &str) -> CollectionId {
    let spec = collection(name);
    index.ensure(&spec).await.expect("a new collection is made");
    index.ensure(&spec).await.expect("making it again changes nothing");
    spec.id
}

/// Seals until the index is ready; a server may build for a while.
async fn seal(index: &dyn Index, id: &CollectionId, shards: &[i64]) {
    const PATIENCE: Duration = Duration::from_secs(60);
    let start = Instant::now();
    while let Sealed::Building(state) = index.seal(id, shards).await.expect("shards are sealed") {
        assert!(start.elapsed() < PATIENCE, "not ready after {PATIENCE:?}: {state}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn unit(random: &mut StdRng) -> Vec<f32> {
    let values: Vec<f64> = (0..DIMS).map(|_| random.random_range(-1.0..1.0)).collect();
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    values.into_iter().map(|value| (value / length) as f32).collect()
}

fn payload(key: &str) -> Payload {
    Payload {
        shard_path: "images/abc.zip".into(),
        entry: format!("{key}.jpg"),
        object: "images/abc.zip".into(),
        offset: 1 << 40,
        length: 77,
        crc32: u32::MAX,
        width: 640,
        height: 480,
        attribution: Attribution {
            photo_id: key.into(),
            owner: "Zoë \"Z\"".into(),
            author: "Zo%C3%AB".into(),
            title: "été, 写真\n".into(),
            page_url: String::new(),
            licence: "CC BY 2.0".into(),
            licence_url: "https://creativecommons.org/licenses/by/2.0/".into(),
            taken: "2012-05-06 12:33:00.0".into(),
            tags: "sea,red+boat".into(),
        },
    }
}

fn point(key: &str, random: &mut StdRng) -> Point {
    Point { key: key.into(), vector: unit(random), payload: payload(key) }
}

fn points(prefix: &str, count: usize, seed: u64) -> Vec<Point> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|n| point(&format!("{prefix}{n:05}"), &mut random)).collect()
}

fn at(shard: i64, version: i64, chunk: i64) -> ChunkRef {
    ChunkRef { shard, version, chunk }
}

fn heads(points: &[Point], at: ChunkRef, epoch: Epoch) -> Vec<PointHead> {
    let mut heads: Vec<_> = points.iter().map(|point| PointHead { key: point.key.clone(), at, epoch }).collect();
    heads.sort();
    heads
}

fn queries(count: usize, seed: u64) -> Queries {
    let mut random = StdRng::seed_from_u64(seed);
    Queries { dims: DIMS, values: (0..count).flat_map(|_| unit(&mut random)).collect() }
}

fn keys(points: &[Point]) -> Vec<String> {
    points.iter().map(|point| point.key.clone()).collect()
}

fn keys_of(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.key.as_str()).collect()
}

pub async fn puts_are_read_back_by_chunk(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "read-back").await;
    let mut shuffled = points("p", 2_500, 1);
    shuffled.shuffle(&mut StdRng::seed_from_u64(2));
    index.put(&id, at(3, 1, 0), 10, &shuffled).await.expect("points are put");
    index.put(&id, at(3, 1, 1), 11, &points("q", 3, 3)).await.expect("points are put");
    assert_eq!(index.chunk(&id, 3, 0).await.expect("a chunk is read"), heads(&shuffled, at(3, 1, 0), 10));
    assert_eq!(index.chunk(&id, 3, 7).await.expect("a chunk is read"), [], "a chunk that is not there has no points");
    // The same chunk at another version is the same chunk.
    let later = points("r", 2, 4);
    index.put(&id, at(3, 2, 1), 12, &later).await.expect("points are put");
    let mut both = heads(&points("q", 3, 3), at(3, 1, 1), 11);
    both.extend(heads(&later, at(3, 2, 1), 12));
    assert_eq!(index.chunk(&id, 3, 1).await.expect("a chunk is read"), both);
    index.put(&id, at(3, 1, 9), 12, &[]).await.expect("nothing can be put");
}

pub async fn an_older_epoch_never_wins(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "epochs").await;
    let (old, new) = (points("p", 4, 1), points("p", 4, 2));
    index.put(&id, at(1, 2, 0), 20, &new).await.expect("points are put");
    index.put(&id, at(1, 1, 5), 19, &old).await.expect("an older put is no error");
    assert_eq!(index.chunk(&id, 1, 0).await.expect("a chunk is read"), heads(&new, at(1, 2, 0), 20));
    assert_eq!(index.chunk(&id, 1, 5).await.expect("a chunk is read"), []);
    let vectors = index.vectors(&id, &keys(&new)).await.expect("vectors are read");
    assert_eq!(vectors, new.iter().map(|point| Some(point.vector.clone())).collect::<Vec<_>>());
    // The same epoch replaces: a task that repeats itself changes nothing but what it corrects.
    index.put(&id, at(1, 2, 0), 20, &old).await.expect("points are put");
    let vectors = index.vectors(&id, &keys(&old)).await.expect("vectors are read");
    assert_eq!(vectors, old.iter().map(|point| Some(point.vector.clone())).collect::<Vec<_>>());
}

pub async fn the_newest_of_concurrent_puts_wins(make: &impl AsyncFn() -> Arc<dyn Index>) {
    const WRITERS: usize = 8;
    const ROUNDS: i64 = 6;
    let index = make().await;
    let id = made(&*index, "concurrent").await;
    for round in 0..ROUNDS {
        let start = Arc::new(Barrier::new(WRITERS));
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let (index, id, start) = (Arc::clone(&index), id.clone(), Arc::clone(&start));
            writers.push(tokio::spawn(async move {
                let epoch = (writer as i64 * 5 + round) % WRITERS as i64 + 1;
                let points = points(&format!("round{round}-"), 20, epoch as u64);
                start.wait().await;
                index.put(&id, at(epoch, 1, round), epoch, &points).await
            }));
        }
        for writer in writers {
            writer.await.expect("a writer does not panic").expect("a put succeeds, whoever wins");
        }
        let newest = points(&format!("round{round}-"), 20, WRITERS as u64);
        let winner = WRITERS as i64;
        let found = index.chunk(&id, winner, round).await.expect("a chunk is read");
        assert_eq!(found, heads(&newest, at(winner, 1, round), winner), "round {round}");
        let vectors = index.vectors(&id, &keys(&newest)).await.expect("vectors are read");
        assert_eq!(vectors, newest.iter().map(|point| Some(point.vector.clone())).collect::<Vec<_>>());
        for loser in 1..winner {
            assert_eq!(index.chunk(&id, loser, round).await.expect("a chunk is read"), [], "round {round}");
        }
    }
}

pub async fn a_deletion_takes_what_it_names_and_nothing_else(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let places = [(at(1, 1, 0), 10), (at(1, 2, 0), 12), (at(1, 1, 1), 10), (at(2, 1, 0), 10), (at(2, 1, 1), 14)];
    let name_of = |place: usize, n: usize| format!("place{place}-{n}");
    /// Of the place by its number, and the point by its number there.
    type IsDoomed = fn(usize, usize) -> bool;
    let cases: [(&str, Doomed, IsDoomed); 9] = [
        ("older", Doomed::OlderInChunk { shard: 1, chunk: 0, before: 12 }, |place, _| place == 0),
        ("older-none", Doomed::OlderInChunk { shard: 1, chunk: 0, before: 10 }, |_, _| false),
        ("chunk", Doomed::Chunk { at: at(1, 2, 0), up_to: i64::MAX }, |place, _| place == 1),
        ("newer-chunk", Doomed::Chunk { at: at(1, 2, 0), up_to: 0 }, |_, _| false),
        ("shard", Doomed::Shard { shard: 2, up_to: i64::MAX }, |place, _| place >= 3),
        ("newer-shard", Doomed::Shard { shard: 2, up_to: 0 }, |_, _| false),
        ("no-shard", Doomed::Shard { shard: 77, up_to: i64::MAX }, |_, _| false),
        (
            "keys",
            Doomed::Keys {
                keys: vec![name_of(0, 1), name_of(1, 2), name_of(2, 0), name_of(4, 2), "unknown".into()],
                up_to: 12,
            },
            |place, n| [(0, 1), (1, 2), (2, 0)].contains(&(place, n)),
        ),
        ("no-keys", Doomed::Keys { keys: Vec::new(), up_to: i64::MAX }, |_, _| false),
    ];
    for (name, doomed, is_doomed) in cases {
        let id = made(&*index, &format!("delete-{name}")).await;
        let untouched = made(&*index, &format!("beside-{name}")).await;
        let (mut kept, mut all) = (Vec::new(), Vec::new());
        for (place, (at, epoch)) in places.iter().enumerate() {
            let points = points(&format!("place{place}-"), 3, place as u64);
            let points: Vec<_> =
                points.into_iter().enumerate().map(|(n, point)| Point { key: name_of(place, n), ..point }).collect();
            for collection in [&id, &untouched] {
                index.put(collection, *at, *epoch, &points).await.expect("points are put");
            }
            all.extend(heads(&points, *at, *epoch));
            let stays = points.iter().enumerate().filter(|(n, _)| !is_doomed(place, *n));
            kept.extend(stays.map(|(_, point)| PointHead { key: point.key.clone(), at: *at, epoch: *epoch }));
        }
        index.delete(&id, &doomed).await.expect("points are deleted");
        index.delete(&id, &doomed).await.expect("deleting again changes nothing");
        for (collection, expected) in [(&id, kept), (&untouched, all)] {
            let mut found = Vec::new();
            for (shard, chunk) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
                found.extend(index.chunk(collection, shard, chunk).await.expect("a chunk is read"));
            }
            found.sort();
            assert_eq!(found, expected, "{name}");
        }
    }
    let id = made(&*index, "delete-many").await;
    index.put(&id, at(5, 1, 0), 1, &points("many", 5_000, 9)).await.expect("points are put");
    index.put(&id, at(6, 1, 0), 1, &points("few", 5, 9)).await.expect("points are put");
    index.delete(&id, &Doomed::Shard { shard: 5, up_to: i64::MAX }).await.expect("many points are deleted");
    assert_eq!(index.counts(&id, &Scope::Shards(vec![5, 6])).await.expect("points are counted"), [(at(6, 1, 0), 5)]);
}

pub async fn chunks_are_counted(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "counts").await;
    let places = [(at(2, 1, 1), 4), (at(1, 1, 0), 3), (at(1, 2, 0), 2), (at(1, 1, 7), 1), (at(3, 1, 0), 9)];
    for (place, (at, count)) in places.iter().enumerate() {
        let points = points(&format!("place{place}-"), *count, 0);
        index.put(&id, *at, 1, &points).await.expect("points are put");
    }
    let counted = index.counts(&id, &Scope::Shards(vec![2, 1, 8])).await.expect("points are counted");
    assert_eq!(counted, [(at(1, 1, 0), 3), (at(1, 1, 7), 1), (at(1, 2, 0), 2), (at(2, 1, 1), 4)]);
    assert_eq!(index.counts(&id, &Scope::Shards(vec![])).await.expect("nothing is counted"), []);
    let all = index.counts(&id, &Scope::All).await.expect("points are counted");
    assert_eq!((all.len(), all.last()), (5, Some(&(at(3, 1, 0), 9))));
}

pub async fn payloads_and_vectors_come_in_the_order_of_the_keys(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "by-key").await;
    let mut points = points("p", 1_200, 5);
    for (n, key) in ["a b/c.jpg", "été/写真.jpg", "'\";--", "%2E%2E/x"].into_iter().enumerate() {
        points[n].key = key.into();
        points[n].payload = payload(key);
    }
    index.put(&id, at(4, 2, 6), 8, &points).await.expect("points are put");
    let mut asked: Vec<Option<usize>> = (0..points.len()).map(Some).chain([None, Some(3), Some(3)]).collect();
    asked.shuffle(&mut StdRng::seed_from_u64(6));
    let names: Vec<String> = asked.iter().map(|n| n.map_or("nobody".into(), |n| points[n].key.clone())).collect();
    let head = |n: usize| PointHead { key: points[n].key.clone(), at: at(4, 2, 6), epoch: 8 };
    let stored = |n: usize| Stored { head: head(n), payload: points[n].payload.clone() };
    let payloads = index.payloads(&id, &names).await.expect("payloads are read");
    assert_eq!(payloads, asked.iter().map(|n| n.map(stored)).collect::<Vec<_>>());
    let vectors = index.vectors(&id, &names).await.expect("vectors are read");
    assert_eq!(vectors, asked.iter().map(|n| n.map(|n| points[n].vector.clone())).collect::<Vec<_>>());
}

/// The best `k` by f64 arithmetic, ties by key.
fn brute_force<'a>(points: impl Iterator<Item = &'a Point>, query: &[f32], k: usize) -> Vec<(&'a str, f64)> {
    let score =
        |point: &Point| -> f64 { point.vector.iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let mut scored: Vec<_> = points.map(|point| (point.key.as_str(), score(point))).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    scored.truncate(k);
    scored
}

/// The same ids but for swaps among scores within 1e-6, also across the last rank.
fn assert_same(hits: &[Hit], all: &[(&str, f64)], k: usize) {
    let expected = &all[..k.min(all.len())];
    assert_eq!(hits.len(), expected.len());
    let true_scores: BTreeMap<&str, f64> = all.iter().copied().collect();
    for (hit, (key, score)) in hits.iter().zip(expected) {
        let true_score = true_scores[hit.key.as_str()];
        assert!((f64::from(hit.score) - true_score).abs() < 1e-6, "the score of {} is {}", hit.key, hit.score);
        assert!(hit.key == *key || (true_score - score).abs() < 1e-6, "{} stands where {key} should", hit.key);
    }
    let mut distinct = keys_of(hits);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), hits.len(), "no key comes twice");
    assert!(hits.is_sorted_by(|a, b| a.score > b.score || a.score == b.score && a.key < b.key), "{hits:?}");
}

pub async fn a_search_equals_brute_force(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "search").await;
    let mut shards: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
    for (shard, count) in [(1, 1), (2, 6_000), (3, 700), (4, 1_300), (9, 17)] {
        let points = points(&format!("s{shard}-"), count, shard as u64);
        for (chunk, part) in (0..).zip(points.chunks(1_024)) {
            index.put(&id, at(shard, 1, chunk), shard * 100, part).await.expect("points are put");
        }
        shards.insert(shard, points);
    }
    seal(&*index, &id, &[1, 2, 3, 4, 9]).await;
    for (count, k) in [(1, 10), (7, 1), (130, 100)] {
        let queries = queries(count, 40 + count as u64);
        let found =
            index.search(&id, &queries, k, &Scope::All, &SearchFilter::default()).await.expect("a search succeeds");
        assert_eq!(found.len(), count);
        for (hits, query) in found.iter().zip(queries.values.chunks(DIMS)) {
            assert_same(hits, &brute_force(shards.values().flatten(), query, k + 50), k);
            for hit in hits {
                let shard: i64 = hit.key[1..2].parse().expect("keys name their shard");
                assert_eq!(hit.epoch, shard * 100);
            }
        }
        let again =
            index.search(&id, &queries, k, &Scope::All, &SearchFilter::default()).await.expect("a search succeeds");
        assert_eq!(found, again, "the same question has the same answer");
    }
    let none =
        index.search(&id, &Queries { dims: DIMS, values: Vec::new() }, 5, &Scope::All, &SearchFilter::default()).await;
    assert_eq!(none.expect("no queries are no error"), Vec::<Vec<Hit>>::new());
}

pub async fn a_search_looks_through_its_scope(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "scope").await;
    for shard in 1..=4 {
        index.put(&id, at(shard, 1, 0), 1, &points(&format!("s{shard}-"), 30, shard as u64)).await.expect("put");
    }
    seal(&*index, &id, &[1, 2, 3, 4]).await;
    for scope in [vec![2], vec![1, 4], vec![3, 88], vec![1, 2, 3, 4], vec![]] {
        let expected: Vec<Vec<Point>> = scope
            .iter()
            .filter(|shard| **shard <= 4)
            .map(|shard| points(&format!("s{shard}-"), 30, *shard as u64))
            .collect();
        let queries = queries(5, 9);
        let found = index
            .search(&id, &queries, 40, &Scope::Shards(scope), &SearchFilter::default())
            .await
            .expect("a search succeeds");
        for (hits, query) in found.iter().zip(queries.values.chunks(DIMS)) {
            assert_same(hits, &brute_force(expected.iter().flatten(), query, 200), 40);
        }
    }
}

pub async fn ties_are_ordered_by_key(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "ties").await;
    let mut random = StdRng::seed_from_u64(11);
    let vector = unit(&mut random);
    let twin = |key: &str| Point { key: key.into(), vector: vector.clone(), payload: Payload::default() };
    // Equal vectors in several chunks and shards, neither put nor stored in the order of their keys.
    index.put(&id, at(2, 1, 0), 1, &[twin("b"), twin("é"), twin("B")]).await.expect("points are put");
    index.put(&id, at(1, 1, 1), 1, &[twin("c"), twin("a"), twin("a/b")]).await.expect("points are put");
    index.put(&id, at(1, 1, 0), 1, &[twin("z"), twin("0")]).await.expect("points are put");
    seal(&*index, &id, &[1, 2]).await;
    let queries = Queries { dims: DIMS, values: vector.clone() };
    for (k, expected) in [(8, ["0", "B", "a", "a/b", "b", "c", "z", "é"].as_slice()), (3, &["0", "B", "a"])] {
        let found =
            index.search(&id, &queries, k, &Scope::All, &SearchFilter::default()).await.expect("a search succeeds");
        assert_eq!(keys_of(&found[0]), expected);
    }
}

pub async fn more_than_there_is_gives_all_there_is(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "few").await;
    let search = async |k| {
        index.search(&id, &queries(2, 1), k, &Scope::All, &SearchFilter::default()).await.expect("a search succeeds")
    };
    assert_eq!(search(10).await, [[], []], "an empty collection has no hits");
    index.put(&id, at(1, 1, 0), 1, &points("p", 3, 1)).await.expect("points are put");
    seal(&*index, &id, &[1]).await;
    assert!(search(1_000_000).await.iter().all(|hits| hits.len() == 3));
    assert_eq!(search(0).await, [[], []]);
}

pub async fn a_search_sees_what_was_sealed(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "sealed").await;
    let first = points("first", 5, 1);
    index.put(&id, at(1, 1, 0), 1, &first).await.expect("points are put");
    index.put(&id, at(2, 1, 0), 1, &points("other", 5, 2)).await.expect("points are put");
    seal(&*index, &id, &[1, 2]).await;
    let found = async || {
        let found = index
            .search(&id, &queries(1, 3), 100, &Scope::All, &SearchFilter::default())
            .await
            .expect("a search succeeds");
        let mut keys: Vec<String> = found[0].iter().map(|hit| hit.key.clone()).collect();
        keys.sort();
        keys
    };
    assert_eq!(found().await.len(), 10);
    index.put(&id, at(1, 2, 0), 2, &points("second", 3, 4)).await.expect("points are put");
    index.delete(&id, &Doomed::OlderInChunk { shard: 1, chunk: 0, before: 2 }).await.expect("points are deleted");
    index.delete(&id, &Doomed::Shard { shard: 2, up_to: i64::MAX }).await.expect("points are deleted");
    seal(&*index, &id, &[1]).await;
    // An empty shard; then again, with one that was never there.
    seal(&*index, &id, &[2]).await;
    seal(&*index, &id, &[1, 2, 3]).await;
    assert_eq!(found().await, ["second00000", "second00001", "second00002"]);
    // A shard that was emptied may fill again.
    index.put(&id, at(2, 2, 0), 3, &points("third", 1, 5)).await.expect("points are put");
    seal(&*index, &id, &[2]).await;
    assert_eq!(found().await, ["second00000", "second00001", "second00002", "third00000"]);
}

/// A key that a later put brings to another shard leaves the first one, in searches too.
pub async fn a_moved_key_stands_once(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "moved").await;
    let points = points("p", 2, 1);
    index.put(&id, at(1, 1, 0), 1, &points).await.expect("points are put");
    seal(&*index, &id, &[1, 2]).await;
    index.put(&id, at(2, 1, 0), 2, &points[1..]).await.expect("a point moves");
    seal(&*index, &id, &[1, 2]).await;
    let counted = index.counts(&id, &Scope::Shards(vec![1, 2])).await.expect("points are counted");
    assert_eq!(counted, [(at(1, 1, 0), 1), (at(2, 1, 0), 1)]);
    let found =
        index.search(&id, &queries(1, 3), 10, &Scope::All, &SearchFilter::default()).await.expect("a search succeeds");
    let mut keys = keys_of(&found[0]);
    keys.sort_unstable();
    assert_eq!(keys, ["p00000", "p00001"]);
}

pub async fn everything_outlasts_the_process(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let (spec, points) = (collection("reopened"), points("p", 50, 1));
    let id = &spec.id;
    let before = {
        let index = make().await;
        made(&*index, "reopened").await;
        index.put(id, at(1, 1, 0), 4, &points).await.expect("points are put");
        seal(&*index, id, &[1]).await;
        index.alias("reopened", id).await.expect("an alias is set");
        index.search(id, &queries(3, 2), 10, &Scope::All, &SearchFilter::default()).await.expect("a search succeeds")
    };
    let index = make().await;
    assert_eq!(index.chunk(id, 1, 0).await.expect("a chunk is read"), heads(&points, at(1, 1, 0), 4));
    assert_eq!(
        index.search(id, &queries(3, 2), 10, &Scope::All, &SearchFilter::default()).await.expect("a search succeeds"),
        before
    );
    assert_eq!(index.resolve("reopened").await.expect("an alias is resolved").as_ref(), Some(id));
    index.ensure(&spec).await.expect("the settings are those it was made with");
}

pub async fn an_alias_switches_in_one_step(make: &impl AsyncFn() -> Arc<dyn Index>) {
    const SWITCHES: usize = 20;
    let index = make().await;
    let (old, new) = (made(&*index, "alias-old").await, made(&*index, "alias-new").await);
    assert_eq!(index.resolve("serving").await.expect("an unknown name is no error"), None);
    index.alias("serving", &old).await.expect("an alias is set");
    assert_eq!(index.resolve("serving").await.expect("an alias is resolved"), Some(old.clone()));
    let start = Arc::new(Barrier::new(2));
    let reader = {
        let (index, start, either) = (Arc::clone(&index), Arc::clone(&start), [old.clone(), new.clone()]);
        tokio::spawn(async move {
            start.wait().await;
            for _ in 0..4 * SWITCHES {
                let found = index.resolve("serving").await.expect("an alias is resolved");
                assert!(found.is_some_and(|found| either.contains(&found)), "a name in service never names nothing");
            }
        })
    };
    start.wait().await;
    for switch in 0..SWITCHES {
        index.alias("serving", if switch % 2 == 0 { &new } else { &old }).await.expect("an alias is switched");
    }
    reader.await.expect("every look found one of the two");
    assert_eq!(index.resolve("serving").await.expect("an alias is resolved"), Some(old));
}

pub async fn other_storage_settings_are_refused_with_both_values(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let made_with = collection("settings");
    index.ensure(&made_with).await.expect("a new collection is made");
    let hnsw = |m| Hnsw { m, ..Hnsw::default() };
    let graph = |m| IndexSection { kind: IndexKind::Hnsw, hnsw: hnsw(m), ..IndexSection::default() };
    let refused = index.ensure(&CollectionSpec { storage: graph(32), ..made_with.clone() }).await;
    let error = refused.expect_err("another type is refused");
    assert!(error.is_permanent(), "{error}");
    assert!(error.to_string().contains("flat_ip") && error.to_string().contains("hnsw"), "{error}");
    for (changed, values) in [
        (IndexSection { shards: 2, ..IndexSection::default() }, ["shards 1", "shards 2"]),
        (IndexSection { replicas: 3, ..IndexSection::default() }, ["replicas 1", "replicas 3"]),
        (IndexSection { on_disk: false, ..IndexSection::default() }, ["on_disk true", "on_disk false"]),
    ] {
        let refused = index.ensure(&CollectionSpec { storage: changed, ..made_with.clone() }).await;
        let error = refused.expect_err("other storage is refused");
        assert!(error.is_permanent() && values.iter().all(|value| error.to_string().contains(value)), "{error}");
    }

    let made_with = CollectionSpec { storage: graph(17), ..collection("settings-hnsw") };
    index.ensure(&made_with).await.expect("a new collection is made");
    let refused = index.ensure(&CollectionSpec { storage: graph(19), ..made_with.clone() }).await;
    let error = refused.expect_err("another graph is refused");
    assert!(error.is_permanent() && error.to_string().contains("17") && error.to_string().contains("19"), "{error}");
    index.ensure(&made_with).await.expect("the settings it was made with still stand");
}

pub async fn vectors_that_are_not_unit_length_are_refused(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "refused").await;
    let broken: [fn(&mut Vec<f32>); 6] = [
        |vector| vector[3] = f32::NAN,
        |vector| vector[0] = f32::INFINITY,
        |vector| vector.fill(0.0),
        |vector| vector.iter_mut().for_each(|value| *value *= 1.01),
        |vector| vector.truncate(DIMS - 1),
        |vector| vector.push(0.0),
    ];
    for change in broken {
        let mut points = points("p", 3, 1);
        change(&mut points[1].vector);
        let error = index.put(&id, at(1, 1, 0), 1, &points).await.expect_err("a broken vector is refused");
        assert!(error.is_permanent() && error.to_string().contains("p00001"), "{error}");
        assert_eq!(index.chunk(&id, 1, 0).await.expect("a chunk is read"), [], "nothing of the call was stored");
    }
}

pub async fn questions_that_make_no_sense_are_refused(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "questions").await;
    let unknown = CollectionId("conformance-nobody".into());
    let permanent = |answer: Result<()>| answer.expect_err("it is refused").is_permanent();
    assert!(permanent(index.put(&unknown, at(1, 1, 0), 1, &points("p", 1, 1)).await));
    assert!(permanent(
        index.search(&unknown, &queries(1, 1), 1, &Scope::All, &SearchFilter::default()).await.map(drop)
    ));
    assert!(permanent(index.alias("nobody", &unknown).await));
    let other_dims = Queries { dims: DIMS - 1, values: vec![0.0; DIMS - 1] };
    assert!(permanent(index.search(&id, &other_dims, 1, &Scope::All, &SearchFilter::default()).await.map(drop)));
    let not_finite = Queries { dims: DIMS, values: vec![f32::NAN; DIMS] };
    assert!(permanent(index.search(&id, &not_finite, 1, &Scope::All, &SearchFilter::default()).await.map(drop)));
}
