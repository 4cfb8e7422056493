//! What the flat index promises beyond the port's suite: graphs, readers beside a writer, files that come and go.
#![cfg(feature = "embedded")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use imagefleet_adapters::index::flat::FlatIndex;
use imagefleet_common::{
    filter::Filter,
    ids::{CollectionId, CorpusId},
    job::spec::{CollectionSpec, Decoding, Hnsw, IndexKind, IndexSection, Limits, Precision},
    ports::index::{Doomed, Hit, Index, Payload, Point, Queries, Scope, SearchFilter},
    work::ChunkRef,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{collections::HashSet, path::Path, sync::Arc};
use tokio::sync::Barrier;

const DIMS: usize = 48;

fn spec(name: &str, kind: IndexKind) -> CollectionSpec {
    CollectionSpec {
        id: CollectionId(name.into()),
        corpus: CorpusId("corpus".into()),
        model_path: String::new(),
        revision: String::new(),
        precision: Precision::F32,
        decoding: Decoding::Exact,
        preprocessing: String::new(),
        limits: Limits::default(),
        filter: Filter::default(),
        dims: DIMS,
        batch: 1,
        storage: IndexSection {
            kind,
            hnsw: Hnsw { m: 16, ef_construct: 100, ef_search: 120 },
            ..IndexSection::default()
        },
    }
}

fn unit(random: &mut StdRng) -> Vec<f32> {
    let values: Vec<f32> = (0..DIMS).map(|_| random.random_range(-1.0..1.0)).collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.into_iter().map(|value| value / length).collect()
}

fn points(prefix: &str, count: usize, seed: u64) -> Vec<Point> {
    let mut random = StdRng::seed_from_u64(seed);
    let point = |n| Point { key: format!("{prefix}{n:05}"), vector: unit(&mut random), payload: Payload::default() };
    (0..count).map(point).collect()
}

fn queries(count: usize, seed: u64) -> Queries {
    let mut random = StdRng::seed_from_u64(seed);
    Queries { dims: DIMS, values: (0..count).flat_map(|_| unit(&mut random)).collect() }
}

fn at(shard: i64) -> ChunkRef {
    ChunkRef { shard, version: 1, chunk: 0 }
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder.join("segments")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// Share of the exact answers that the graph found too.
fn recall(found: &[Vec<Hit>], exact: &[Vec<Hit>]) -> f64 {
    let (mut common, mut all) = (0, 0);
    for (found, exact) in found.iter().zip(exact) {
        let keys: HashSet<&str> = found.iter().map(|hit| hit.key.as_str()).collect();
        common += exact.iter().filter(|hit| keys.contains(hit.key.as_str())).count();
        all += exact.len();
    }
    f64::from(common as u32) / f64::from(all as u32)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_finds_nearly_all_and_scores_it_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let (exact, graph) = (spec("exact", IndexKind::FlatIp), spec("graph", IndexKind::Hnsw));
    {
        let index = FlatIndex::open(folder.path()).await.unwrap();
        for spec in [&exact, &graph] {
            index.ensure(spec).await.unwrap();
            for shard in 1..=3 {
                let points = points(&format!("s{shard}-"), 1_500, shard as u64);
                index.put(&spec.id, at(shard), 1, &points).await.unwrap();
            }
            index.seal(&spec.id, &[1, 2, 3]).await.unwrap();
        }
        index.seal(&graph.id, &[1, 3]).await.unwrap();
    }
    assert_eq!(files(folder.path()).iter().filter(|name| name.ends_with(".graph")).count(), 2);
    let index = FlatIndex::open(folder.path()).await.unwrap();
    for scope in [Scope::All, Scope::Shards(vec![1, 3]), Scope::Shards(vec![1, 2, 3])] {
        let (queries, k) = (queries(60, 77), 20);
        let wanted = index.search(&exact.id, &queries, k, &scope, &SearchFilter::default()).await.unwrap();
        let found = index.search(&graph.id, &queries, k, &scope, &SearchFilter::default()).await.unwrap();
        let recall = recall(&found, &wanted);
        eprintln!("recall over {scope:?}: {recall:.4}");
        assert!(recall > 0.95, "{recall}");
        for (query, hits) in queries.values.chunks(DIMS).zip(&found) {
            assert_eq!(hits.len(), k);
            assert!(hits.is_sorted_by(|a, b| a.score > b.score || a.score == b.score && a.key < b.key));
            let keys: Vec<_> = hits.iter().map(|hit| hit.key.clone()).collect();
            for (hit, vector) in hits.iter().zip(index.vectors(&graph.id, &keys).await.unwrap()) {
                let score: f64 = vector.unwrap().iter().zip(query).map(|(a, b)| f64::from(a * b)).sum();
                assert!((score - f64::from(hit.score)).abs() < 1e-6);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_graph_of_the_searched_shards_the_search_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    let index = FlatIndex::open(folder.path()).await.unwrap();
    let spec = spec("graph", IndexKind::Hnsw);
    index.ensure(&spec).await.unwrap();
    for shard in 1..=2 {
        index.put(&spec.id, at(shard), 1, &points(&format!("s{shard}-"), 400, shard as u64)).await.unwrap();
    }
    index.seal(&spec.id, &[1, 2]).await.unwrap();
    let before = files(folder.path());
    // Another job changes and seals one of the shards: the graph over both is of no use any more.
    index.put(&spec.id, at(1), 2, &points("new-", 1, 9)).await.unwrap();
    index.seal(&spec.id, &[1]).await.unwrap();
    let query = Queries { dims: DIMS, values: points("new-", 1, 9)[0].vector.clone() };
    let found = index.search(&spec.id, &query, 801, &Scope::All, &SearchFilter::default()).await.unwrap();
    assert_eq!((found[0].len(), found[0][0].key.as_str()), (801, "new-00000"));
    assert!(files(folder.path()).iter().filter(|name| name.ends_with(".graph")).all(|name| !before.contains(name)));
}

/// Between two seals a filter goes by what is stored when it is first used; keys alone go by what was sealed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_row_whose_point_changed_since_is_judged_by_its_payload_of_now_and_one_that_is_gone_is_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let index = FlatIndex::open(folder.path()).await.unwrap();
    let spec = spec("exact", IndexKind::FlatIp);
    index.ensure(&spec).await.unwrap();
    let titled = |numbers: &[usize], title: &str| -> Vec<Point> {
        let all = points("p", 6, 1);
        let mut some: Vec<Point> = numbers.iter().map(|number| all[*number].clone()).collect();
        some.iter_mut().for_each(|point| point.payload.attribution.title = title.into());
        some
    };
    index.put(&spec.id, at(1), 1, &titled(&[0, 1, 2, 3, 4, 5], "red")).await.unwrap();
    index.seal(&spec.id, &[1]).await.unwrap();
    index.put(&spec.id, at(1), 2, &titled(&[0], "blue")).await.unwrap();
    index.put(&spec.id, at(2), 2, &titled(&[1, 2], "red")).await.unwrap();
    index.put(&spec.id, at(2), 2, &titled(&[3], "blue")).await.unwrap();
    index.delete(&spec.id, &Doomed::Keys { keys: vec!["p00005".into()], up_to: 9 }).await.unwrap();
    let found = async |filter: SearchFilter| {
        let found = index.search(&spec.id, &queries(1, 3), 10, &Scope::All, &filter).await.unwrap();
        assert!(found[0].iter().all(|hit| hit.epoch == 1), "they are the sealed rows");
        let mut keys: Vec<String> = found[0].iter().map(|hit| hit.key.clone()).collect();
        keys.sort();
        keys
    };
    let word = |word: &str| {
        let mut filter = SearchFilter::default();
        filter.filter.set("text", word).unwrap();
        filter
    };
    assert_eq!(found(word("red")).await, ["p00001", "p00002", "p00004"]);
    assert_eq!(found(word("blue")).await, ["p00000", "p00003"]);
    let keys = ["p00000", "p00005"].map(String::from);
    let keyed = SearchFilter { keys: Some(keys.clone().into()), ..SearchFilter::default() };
    assert_eq!(found(keyed).await, keys);
    // What was read once stands until the next seal.
    index.put(&spec.id, at(1), 3, &titled(&[4], "blue")).await.unwrap();
    assert_eq!(found(word("red")).await, ["p00001", "p00002", "p00004"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_shards_that_changed_are_sealed_again_and_old_segments_go() {
    let folder = tempfile::tempdir().unwrap();
    let index = FlatIndex::open(folder.path()).await.unwrap();
    let spec = spec("exact", IndexKind::FlatIp);
    index.ensure(&spec).await.unwrap();
    for shard in 1..=3 {
        index.put(&spec.id, at(shard), 1, &points(&format!("s{shard}-"), 10, shard as u64)).await.unwrap();
    }
    index.seal(&spec.id, &[1, 2, 3]).await.unwrap();
    let first = files(folder.path());
    assert_eq!(first, ["c1-s1-1.rows", "c1-s2-1.rows", "c1-s3-1.rows"]);
    let written =
        |name: &str| std::fs::metadata(folder.path().join("segments").join(name)).unwrap().modified().unwrap();
    let before = written("c1-s1-1.rows");
    index.delete(&spec.id, &Doomed::Shard { shard: 3, up_to: i64::MAX }).await.unwrap();
    index.put(&spec.id, at(2), 2, &points("s2-", 10, 8)).await.unwrap();
    // What does not win changes nothing.
    index.put(&spec.id, at(1), 0, &points("s1-", 10, 8)).await.unwrap();
    index.seal(&spec.id, &[1, 2, 3]).await.unwrap();
    assert_eq!(files(folder.path()), ["c1-s1-1.rows", "c1-s2-2.rows"]);
    assert_eq!(written("c1-s1-1.rows"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_opening_searches_while_shards_are_put_and_sealed() {
    const ROUNDS: i64 = 15;
    let folder = tempfile::tempdir().unwrap();
    let writer = FlatIndex::open(folder.path()).await.unwrap();
    let spec = spec("exact", IndexKind::FlatIp);
    writer.ensure(&spec).await.unwrap();
    // Every round replaces all points at once in one transaction, and all of a round have one epoch.
    writer.put(&spec.id, at(1), 0, &points("p", 500, 0)).await.unwrap();
    writer.seal(&spec.id, &[1]).await.unwrap();
    let start = Arc::new(Barrier::new(3));
    let mut readers = Vec::new();
    for seed in 0..2 {
        let (path, id, start) = (folder.path().to_owned(), spec.id.clone(), Arc::clone(&start));
        readers.push(tokio::spawn(async move {
            let reader = FlatIndex::open(&path).await.unwrap();
            start.wait().await;
            let mut last = 0;
            while last < ROUNDS {
                let found =
                    reader.search(&id, &queries(2, seed), 500, &Scope::All, &SearchFilter::default()).await.unwrap();
                let epochs: HashSet<i64> = found.iter().flatten().map(|hit| hit.epoch).collect();
                assert_eq!((found[0].len(), epochs.len()), (500, 1), "a search sees one sealed state");
                let epoch = epochs.into_iter().next().unwrap();
                assert!(epoch >= last, "and never an earlier one than before");
                last = epoch;
            }
        }));
    }
    start.wait().await;
    for round in 1..=ROUNDS {
        writer.put(&spec.id, at(1), round, &points("p", 500, round as u64)).await.unwrap();
        writer.seal(&spec.id, &[1]).await.unwrap();
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_was_cut_off_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec("exact", IndexKind::FlatIp);
    {
        let index = FlatIndex::open(folder.path()).await.unwrap();
        index.ensure(&spec).await.unwrap();
        index.put(&spec.id, at(1), 1, &points("p", 100, 1)).await.unwrap();
        index.seal(&spec.id, &[1]).await.unwrap();
    }
    let segment = folder.path().join("segments").join("c1-s1-1.rows");
    for length in [20_000, 1_000, 64, 10, 0] {
        std::fs::File::options().write(true).open(&segment).unwrap().set_len(length).unwrap();
        let index = FlatIndex::open(folder.path()).await.unwrap();
        let error = index.search(&spec.id, &queries(1, 1), 1, &Scope::All, &SearchFilter::default()).await.unwrap_err();
        assert!(error.is_permanent() && error.to_string().contains("c1-s1-1.rows"), "{error}");
    }
}
