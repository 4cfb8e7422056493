//! Measures the flat index: put, seal and one batch of queries, all points and filtered ones, e.g.
//! `cargo run --release -p imagefleet-adapters --example flat_search -- 370000 512 1000 100`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use imagefleet_adapters::index::flat::FlatIndex;
use imagefleet_common::{
    filter::Filter,
    ids::{CollectionId, CorpusId},
    job::spec::{CollectionSpec, Decoding, IndexKind, IndexSection, Limits, Precision},
    ports::index::{Attribution, Index, Payload, Point, Queries, Scope, SearchFilter},
    work::ChunkRef,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::Instant;

/// Points a shard: one zip of YFCC100M.
const SHARD: usize = 23_000;

fn unit(random: &mut StdRng, dims: usize) -> Vec<f32> {
    let values: Vec<f32> = (0..dims).map(|_| random.random_range(-1.0..1.0)).collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.into_iter().map(|value| value / length).collect()
}

/// Half of the pictures are under `by`, a twentieth under `cc0`, in no order.
fn payload(n: usize) -> Payload {
    let code = match n * 7_919 % 20 {
        0 => "publicdomain/zero/1.0/",
        1..=10 => "licenses/by/2.0/",
        _ => "licenses/by-nc-sa/2.0/",
    };
    let attribution = Attribution {
        photo_id: format!("{}", 1_000_000_000 + n),
        owner: "12345678@N00".into(),
        author: "A+photographer".into(),
        title: format!("A+picture+of+%22something%22+{n}"),
        page_url: format!("http://www.flickr.com/photos/12345678@N00/{n}/"),
        licence_url: format!("http://creativecommons.org/{code}"),
        taken: format!("20{:02}-05-06 12:33:00.0", n % 15),
        tags: "holiday,sea,red+boat,harbour,2012".into(),
        ..Attribution::default()
    };
    Payload { entry: format!("data/images/abc/def/{n:032}.jpg"), attribution, ..Payload::default() }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, left_out: usize| match arguments.get(at) {
        Some(text) => text.parse().map_err(|error| format!("ROWS DIMS QUERIES K [hnsw]: {text:?}: {error}")),
        None => Ok(left_out),
    };
    let (rows, dims, count, k) = (number(0, 370_000)?, number(1, 512)?, number(2, 1_000)?, number(3, 100)?);
    let kind = if arguments.iter().any(|text| text == "hnsw") { IndexKind::Hnsw } else { IndexKind::FlatIp };
    let folder = tempfile::tempdir()?;
    let index = FlatIndex::open(folder.path()).await?;
    let spec = CollectionSpec {
        id: CollectionId("measured".into()),
        corpus: CorpusId("measured".into()),
        model_path: String::new(),
        revision: String::new(),
        precision: Precision::F32,
        decoding: Decoding::Exact,
        preprocessing: String::new(),
        limits: Limits::default(),
        filter: Filter::default(),
        dims,
        batch: 32,
        storage: IndexSection { kind, ..IndexSection::default() },
    };
    index.ensure(&spec).await?;

    let mut random = StdRng::seed_from_u64(1);
    let mut putting = std::time::Duration::ZERO;
    for start in (0..rows).step_by(1_024) {
        let points: Vec<Point> = (start..rows.min(start + 1_024))
            .map(|n| Point { key: format!("{n:09}"), vector: unit(&mut random, dims), payload: payload(n) })
            .collect();
        let at = ChunkRef { shard: (start / SHARD) as i64, version: 1, chunk: (start / 1_024) as i64 };
        let began = Instant::now();
        index.put(&spec.id, at, 1, &points).await?;
        putting += began.elapsed();
    }
    println!("put {rows} × {dims}: {putting:.2?}, {:.0} points/s", rows as f64 / putting.as_secs_f64());
    let shards: Vec<i64> = (0..=(rows / SHARD) as i64).collect();
    let began = Instant::now();
    index.seal(&spec.id, &shards).await?;
    println!("seal: {:.2?}", began.elapsed());
    let queries = Queries { dims, values: (0..count).flat_map(|_| unit(&mut random, dims)).collect() };
    let filter = |key: &str, value: &str| -> Result<SearchFilter, Box<dyn std::error::Error>> {
        let mut filter = SearchFilter::default();
        filter.filter.set(key, value)?;
        Ok(filter)
    };
    let keys = (0..rows).step_by(100).map(|n| format!("{n:09}")).collect();
    let filters = [
        ("all points", SearchFilter::default(), rows),
        ("by licence, a half", filter("licence", "by")?, rows / 2),
        ("by licence, a twentieth", filter("licence", "cc0")?, rows / 20),
        ("by words, all", filter("text", "red,boat")?, rows),
        ("by key, a hundredth", SearchFilter { keys: Some(keys), ..SearchFilter::default() }, rows / 100),
    ];
    for (name, filter, rows) in &filters {
        for round in 1..=4 {
            let began = Instant::now();
            let found = index.search(&spec.id, &queries, k, &Scope::All, filter).await?;
            let took = began.elapsed();
            let rate = 2.0 * (rows * dims * count) as f64 / took.as_secs_f64() / 1e9;
            let best = found[0][0].score;
            println!("search {round}, {name}: {count} queries, k {k}: {took:.2?}, {rate:.0} GFLOP/s, best {best:.4}");
        }
    }
    let one = Queries { dims, values: queries.values[..dims].to_vec() };
    let began = Instant::now();
    index.search(&spec.id, &one, k, &Scope::All, &SearchFilter::default()).await?;
    println!("one query: {:.2?}", began.elapsed());
    Ok(())
}
