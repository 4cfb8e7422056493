//! The flat index and the folder store under SIGKILL: this test binary starts itself again as the process that dies.
//!
//! The child says on standard output what was confirmed to it; the parent kills it at a seeded moment and looks.
#![cfg(feature = "embedded")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use imagefleet_adapters::{
    faults::{Kill, Methods, Moment},
    index::flat::FlatIndex,
    objects::fs::FsObjects,
};
use imagefleet_common::{
    filter::Filter,
    ids::{CollectionId, CorpusId},
    job::spec::{CollectionSpec, Decoding, IndexSection, Limits, Precision},
    ports::{
        index::{Index, Payload, Point, PointHead, Queries, Scope, SearchFilter},
        layered::Layered,
        objects::{Objects, list_all, read_latest},
    },
    work::ChunkRef,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    env,
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

const DIMS: usize = 64;
/// More than one transaction's worth, so that a kill falls between the parts of a put too.
const CHUNK: usize = 1_500;
const FOLDER: &str = "IMAGEFLEET_TEST_FOLDER";
const PLAN: &str = "IMAGEFLEET_TEST_PLAN";

/// This binary again, running only the named test, which does nothing without [`FOLDER`].
fn child(test: &str, folder: &Path, plan: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(PLAN, plan)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Past the test harness, which would keep what is printed.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn spec() -> CollectionSpec {
    CollectionSpec {
        id: CollectionId("killed".into()),
        corpus: CorpusId("killed".into()),
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

fn chunk(n: i64) -> (ChunkRef, Vec<Point>) {
    let mut random = StdRng::seed_from_u64(n as u64);
    let mut vector = || {
        let values: Vec<f32> = (0..DIMS).map(|_| random.random_range(-1.0..1.0)).collect();
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.into_iter().map(|value| value / length).collect()
    };
    let point = |key: usize| Point { key: format!("{n}/{key:04}"), vector: vector(), payload: Payload::default() };
    (ChunkRef { shard: n % 3, version: 1, chunk: n }, (0..CHUNK).map(point).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_puts_until_it_is_killed() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let index = FlatIndex::open(folder.as_ref()).await.unwrap();
    let id = spec().id;
    index.ensure(&spec()).await.unwrap();
    let begin: i64 = env::var(PLAN).unwrap().parse().unwrap();
    for n in begin.. {
        let (at, points) = chunk(n);
        index.put(&id, at, n, &points).await.unwrap();
        say(&format!("put {n}"));
        if n % 4 == 3 {
            index.seal(&id, &[0, 1, 2]).await.unwrap();
            say(&format!("sealed {n}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_outlives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(12);
    let (mut put, mut sealed) = (Vec::new(), None);
    for kill in 0..10 {
        let begin = put.last().map_or(0, |last| last + 1);
        let mut child = child("child_that_puts_until_it_is_killed", folder.path(), &begin.to_string());
        let lines = random.random_range(1..7);
        let pause = std::time::Duration::from_micros(random.random_range(0..60_000));
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut heard = 0;
        for line in out.lines() {
            let line = line.unwrap();
            // The harness may have begun a line of its own.
            if let Some((_, n)) = line.rsplit_once("put ") {
                put.push(n.parse::<i64>().unwrap());
            } else if let Some((_, n)) = line.rsplit_once("sealed ") {
                sealed = Some(n.parse::<i64>().unwrap());
            } else {
                continue;
            }
            heard += 1;
            if heard == lines {
                // Somewhere in what comes next; what it says until then counts too.
                std::thread::sleep(pause);
                child.kill().unwrap();
            }
        }
        assert_eq!(child.wait().unwrap().signal(), Some(9), "kill {kill}");

        let index = FlatIndex::open(folder.path()).await.unwrap();
        for n in &put {
            let (at, points) = chunk(*n);
            let heads: Vec<_> =
                points.iter().map(|point| PointHead { key: point.key.clone(), at, epoch: *n }).collect();
            assert_eq!(index.chunk(&spec().id, at.shard, at.chunk).await.unwrap(), heads, "kill {kill}, chunk {n}");
            let keys: Vec<_> = points.iter().map(|point| point.key.clone()).collect();
            let vectors = index.vectors(&spec().id, &keys).await.unwrap();
            assert!(vectors.iter().zip(&points).all(|(found, put)| found.as_ref() == Some(&put.vector)));
        }
        if let Some(sealed) = sealed {
            let (_, points) = chunk(sealed);
            let queries = Queries { dims: DIMS, values: points[7].vector.clone() };
            let found = index.search(&spec().id, &queries, 1, &Scope::All, &SearchFilter::default()).await.unwrap();
            assert_eq!(found[0][0].key, points[7].key, "kill {kill}: a sealed point is found");
        }
    }
    let index = FlatIndex::open(folder.path()).await.unwrap();
    index.seal(&spec().id, &[0, 1, 2]).await.unwrap();
    let files = std::fs::read_dir(folder.path().join("segments")).unwrap().count();
    assert_eq!(files, 3, "a seal removes what dead ones left");
    eprintln!("10 kills, {} confirmed chunks of {CHUNK} points", put.len());
    assert!(put.len() > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_replaces_an_object_until_it_is_killed() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let (nth, moment) = match env::var(PLAN).unwrap().split_once(' ').unwrap() {
        (nth, "before") => (nth.parse().unwrap(), Moment::Before),
        (nth, _) => (nth.parse().unwrap(), Moment::After),
    };
    let plain: Arc<dyn Objects> = Arc::new(FsObjects::new(folder.into()));
    let objects: Arc<dyn Objects> =
        Arc::new(Layered::new(plain, Kill::new(Methods::new(&[("objects", "put")]), nth, moment)));
    for n in 0..u8::MAX {
        objects.put("out/summary.json", vec![n; 200_000].into()).await.unwrap();
        say(&format!("put {n}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_comes_at_the_call_it_was_told_to_and_leaves_whole_objects() {
    let folder = tempfile::tempdir().unwrap();
    let objects = FsObjects::new(folder.path().into());
    for (nth, moment) in [(1, Moment::Before), (4, Moment::Before), (4, Moment::After), (9, Moment::After)] {
        objects.put("out/summary.json", vec![255; 10].into()).await.unwrap();
        let plan = format!("{nth} {}", if moment == Moment::Before { "before" } else { "after" });
        let mut child = child("child_that_replaces_an_object_until_it_is_killed", folder.path(), &plan);
        let out = BufReader::new(child.stdout.take().unwrap());
        let confirmed = out.lines().filter(|line| line.as_ref().unwrap().contains("put ")).count();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert_eq!(confirmed, nth - 1, "{plan}");
        let bytes = read_latest(&objects, "out/summary.json").await.unwrap().unwrap();
        let replaced = if moment == Moment::Before { nth - 1 } else { nth };
        let expected = if replaced == 0 { vec![255; 10] } else { vec![replaced as u8 - 1; 200_000] };
        assert!(bytes == expected, "{plan}");
        assert_eq!(list_all(&objects, "").await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_a_put_leaves_the_old_object_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(5);
    for kill in 0..10 {
        let mut child = child("child_that_replaces_an_object_until_it_is_killed", folder.path(), "9999 after");
        let out = BufReader::new(child.stdout.take().unwrap());
        let (mut last, lines) = (None, random.random_range(1..20));
        for line in out.lines() {
            let line = line.unwrap();
            let Some((_, n)) = line.rsplit_once("put ") else { continue };
            last = Some(n.parse::<u8>().unwrap());
            if last == Some(lines) {
                std::thread::sleep(std::time::Duration::from_micros(random.random_range(0..3_000)));
                child.kill().unwrap();
            }
        }
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        let objects = FsObjects::new(folder.path().into());
        let bytes = read_latest(&objects, "out/summary.json").await.unwrap().unwrap();
        assert_eq!(bytes.len(), 200_000, "kill {kill}");
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "kill {kill}");
        assert!(last.is_some_and(|last| bytes[0] >= last), "kill {kill}: a confirmed put is there");
        assert_eq!(list_all(&objects, "").await.unwrap().len(), 1, "what a dead writer left is no object");
    }
    // The next writer in that folder clears it.
    let objects = FsObjects::new(folder.path().into());
    objects.put("out/summary.json", vec![1].into()).await.unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
}
