//! Writes a made-up report to look at and to measure: `report FOLDER QUERIES [PICTURES]`.
//!
//! Ten pictures a query from a pool in which a few come up often, as they do in retrieval. Their thumbnails are drawn, or
//! made of the files of the folder PICTURES, and used again under many keys. `search.html` is a page of two searches.
//! The same arguments make the same bytes.

use imagefleet_common::{
    job::spec::Limits,
    ledger::{Counts, Reason, RejectedRow},
    ports::index::Attribution,
};
use imagefleet_pictures::thumbnail::thumbnail;
use imagefleet_retrieval::{
    report::{
        Change, Evaluation, EvaluationRow, FOLDER, Found, LIMIT, Ledger, Picture, PipelineTime, Preview, Query,
        RejectedExample, Report, Reranker, ResultFile, RightRank, Search, StageTime, Sweep, SweepPoint, THUMBNAIL_SIDE,
        Thumbnails, Timings, Writer, gallery,
    },
    results::{Pictures, ShardRow, Unprocessed},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use std::{collections::BTreeMap, env, fs, io, path::Path};

const SHOWN: usize = 10;
const CANDIDATES: u32 = 100;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (folder, queries, pictures) = match &arguments[..] {
        [folder, queries, pictures @ ..] => (Path::new(folder), queries.parse().map_err(io::Error::other)?, pictures),
        _ => return Err(io::Error::other("usage: report FOLDER QUERIES [PICTURES]")),
    };
    let mut rng = StdRng::seed_from_u64(28);
    let pool = match pictures.first() {
        Some(pictures) => read(Path::new(pictures))?,
        None => (0..240).map(|_| small(&drawn(&mut rng))).collect(),
    };
    let mut made = Made { rng, pool, pictures: queries * 7 };
    fs::create_dir_all(folder.join(FOLDER))?;

    let mut writer = Writer::new(LIMIT);
    let (mut asked, mut thumbnails_of_asked) = (Vec::new(), Thumbnails::new());
    for number in 0..queries {
        let query = made.query(number);
        let thumbnails = made.thumbnails(&query, |key| writer.wants(key));
        for file in writer.query(&query, &thumbnails) {
            fs::write(folder.join(file.name), file.bytes)?;
        }
        if asked.len() < 2 {
            thumbnails_of_asked.extend(made.thumbnails(&query, |_| true));
            asked.push(search(query));
        }
    }
    let report = report(queries as u64, &made.pool);
    for file in writer.finish(&report) {
        fs::write(folder.join(file.name), file.bytes)?;
    }
    if let [_, picture, ..] = &mut asked[..] {
        (picture.title, picture.picture) = ("holiday.jpg".to_owned(), made.pool.first().cloned());
    }
    let search = Search {
        model: report.model,
        collection: report.collection,
        index_size: report.index_size,
        created: report.created,
        version: report.version,
    };
    fs::write(folder.join("search.html"), gallery(&search, &asked, &thumbnails_of_asked))
}

/// A query as a search has it: without an article, ground truth or reranker.
fn search(mut query: Query) -> Query {
    for found in &mut query.found {
        *found = Found { before: found.after, score: None, fused: None, is_right: false, ..found.clone() };
    }
    Query { id: query.id, title: query.title, found: query.found, ..Query::default() }
}

struct Made {
    rng: StdRng,
    /// JPEGs.
    pool: Vec<Vec<u8>>,
    /// How many different ones there are said to be.
    pictures: usize,
}

impl Made {
    fn query(&mut self, number: usize) -> Query {
        let rng = &mut self.rng;
        let count = if number % 40 == 7 { 1 } else { SHOWN };
        let mut similarities: Vec<f32> = (0..count).map(|_| rng.random_range(0.18..0.36)).collect();
        similarities.sort_by(|a, b| b.total_cmp(a));
        let mut order: Vec<usize> = (0..count).collect();
        // Reranking moves some by a few places.
        for _ in 0..rng.random_range(0..3) {
            let (from, to) = (rng.random_range(0..count), rng.random_range(0..count));
            order.swap(from, to);
        }
        let right =
            (number % 50 != 3).then(|| rng.random_range(0..2 * CANDIDATES / 3)).filter(|_| rng.random_bool(0.8));
        let mut query = Query {
            id: (number + 1).to_string(),
            title: title(rng, number),
            url: format!("https://news.example/{}", number + 1),
            tags: ["politics;economy", "sport", "", "culture;museum;opening"]
                .choose(rng)
                .copied()
                .unwrap_or("")
                .to_owned(),
            right: Some(RightRank {
                before: right.map(|rank| rank / 6 + 1),
                after: right.map(|rank| rank / if number % 5 == 1 { 5 } else { 7 } + 1),
            }),
            ..Query::default()
        };
        for (after, before) in order.into_iter().enumerate() {
            // Squared, so that low numbers come up often.
            let one = rng.random::<f64>();
            let picture = picture((one * one * self.pictures as f64) as usize);
            let twice = query.found.iter().any(|found| found.picture.key == picture.key);
            if twice {
                continue;
            }
            let after = after as u32 + 1;
            query.found.push(Found {
                is_right: query.right.is_some_and(|right| right.after == Some(after)),
                picture,
                before: before as u32 + 1,
                after,
                similarity: similarities[before],
                score: Some(rng.random_range(2.0..5.0)),
                fused: Some(similarities[before] * 0.03),
                changed: rng.random_bool(0.004),
            });
        }
        query
    }

    /// A few have none.
    fn thumbnails(&self, query: &Query, wants: impl Fn(&str) -> bool) -> Thumbnails {
        let keys = query.found.iter().map(|found| &found.picture.key).filter(|key| wants(key));
        keys.filter_map(|key| {
            let number = usize::from_str_radix(&key[3..], 16).ok()? / 7919;
            (number % 60 != 11).then(|| (key.clone(), self.pool[number % self.pool.len()].clone()))
        })
        .collect()
    }
}

fn picture(number: usize) -> Picture {
    let key = format!("{:03x}{:024x}", number % 4096, number * 7919);
    let titles = [
        "Sunday+at+the+harbour",
        "IMG_4023",
        "",
        "The+old+market+hall+after+rain%2C+seen+from+the+tower+of+the+church+of+St.+Mary+on+a+very+long+day+in+October",
        "Caf%C3%A9",
        "%3Cb%3Enot+bold%3C%2Fb%3E",
    ];
    let licences = [
        ("Attribution License", "by"),
        ("Attribution-NonCommercial-ShareAlike License", "by-nc-sa"),
        ("Attribution-NoDerivs License", "by-nd"),
        ("Attribution-ShareAlike License", "by-sa"),
    ];
    let (licence, code) = licences[number % licences.len()];
    let owner = format!("{:08}@N{:02}", 10_000_000 + number * 31, number % 100);
    let known = Attribution {
        photo_id: number.to_string(),
        title: titles[number % titles.len()].to_owned(),
        page_url: format!("http://www.pictures.example/photos/{owner}/{number}/"),
        owner,
        licence: licence.to_owned(),
        licence_url: format!("http://creativecommons.org/licenses/{code}/2.0/"),
        ..Attribution::default()
    };
    Picture::credited(
        &key,
        &format!("images/{}.zip/data/images/{}/{}/{key}.jpg", &key[..3], &key[..3], &key[3..6]),
        &known,
    )
}

fn title(rng: &mut StdRng, number: usize) -> String {
    if number == 4 {
        return "</script><img src=x onerror=alert(1)> is a title that was once refused & \"quoted\"".to_owned();
    }
    let mut one = |of: &[&str]| of.choose(rng).copied().unwrap_or_default().to_owned();
    let who = one(&[
        "A fisherman",
        "The city council",
        "A museum",
        "A volunteer",
        "A farmer",
        "A student",
        "The prime minister",
        "A local brewery",
    ]);
    let does = one(&["opens", "protests against", "celebrates", "warns of", "rebuilds", "argues about", "postpones"]);
    let what = one(&[
        "the old bridge",
        "rising rents",
        "a record harvest",
        "new tram line",
        "the flooded harbour",
        "school meals",
        "its hundredth anniversary",
    ]);
    let more = one(&[
        "",
        "",
        " as temperatures fall",
        ", experts say",
        " – and why it took eleven years, four architects, two lawsuits and the patience of an entire neighbourhood to get there",
    ]);
    format!("{who} {does} {what}{more}")
}

/// The thumbnails of a folder's files, by name.
fn read(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).map(|bytes| small(&bytes))).collect()
}

fn small(bytes: &[u8]) -> Vec<u8> {
    thumbnail(bytes, &Limits::default(), THUMBNAIL_SIDE).expect("the pictures are whole").jpeg
}

/// A BMP of a sky, a ground and discs, with a camera's noise, in one of many shapes.
fn drawn(rng: &mut StdRng) -> Vec<u8> {
    let (width, height) = *[(400, 300), (400, 300), (300, 400), (400, 267), (600, 200), (160, 480), (320, 320)]
        .choose(rng)
        .expect("there are shapes");
    let mut colour = || -> [f64; 3] { std::array::from_fn(|_| rng.random_range(20.0..235.0)) };
    let (sky, ground, discs) = (colour(), colour(), [colour(), colour(), colour()]);
    let places: [(f64, f64, f64); 3] =
        std::array::from_fn(|_| (rng.random(), rng.random(), rng.random_range(0.05..0.25)));
    let horizon = rng.random_range(0.3..0.8);
    let mut file = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    file.extend([width, height].into_iter().flat_map(u32::to_le_bytes));
    file.extend([1, 0, 24, 0]);
    file.resize(54, 0);
    for row in (0..height).rev() {
        let y = f64::from(row) / f64::from(height);
        for column in 0..width {
            let x = f64::from(column) / f64::from(height);
            let disc = places.iter().position(|(cx, cy, r)| (x - cx).hypot(y - cy) < *r);
            let base = disc.map_or(if y < horizon { sky } else { ground }, |disc| discs[disc]);
            let grain = 12.0 * ((37.0 * x).sin() * (53.0 * y).cos()) + rng.random_range(-9.0..9.0);
            file.extend(base.map(|level| (level * (0.75 + 0.4 * y) + grain).clamp(0.0, 255.0) as u8));
        }
        file.resize(54 + (file.len() - 54).next_multiple_of(4), 0);
    }
    file
}

fn report(queries: u64, pool: &[Vec<u8>]) -> Report {
    let change = |before, after| Change { before, after };
    let row = |k, hits, mrr, precision| EvaluationRow { k, hits, mrr, precision };
    let file = |path: &str, about: &str| ResultFile { path: path.to_owned(), about: about.to_owned() };
    let stage = |name: &str, wall_seconds, items, unit: &str| StageTime {
        name: name.to_owned(),
        wall_seconds,
        items,
        unit: unit.to_owned(),
    };
    let flow =
        |name: &str, busy, busy_seconds| PipelineTime { name: name.to_owned(), busy, busy_seconds, items: 371_402 };
    let sweep = |metric: &str, height: f64| Sweep {
        reranker: "vlm_judge".to_owned(),
        metric: metric.to_owned(),
        points: (0..=10)
            .map(|tenth| f64::from(tenth) / 10.0)
            .map(|weight| SweepPoint { weight, value: height + 0.09 * weight - 0.28 * weight * weight })
            .collect(),
        used: Some(0.2),
    };
    Report {
        title: "news-on-yfcc".to_owned(),
        model: "openai/clip-vit-base-patch32".to_owned(),
        corpus: "yfcc100m, 250 shards".to_owned(),
        collection: "clip-yfcc100m-5f0c2a91".to_owned(),
        rerankers: vec![
            Reranker { name: "vlm_judge".to_owned(), weight: Some(0.2) },
            Reranker { name: "identity".to_owned(), weight: None },
        ],
        candidates: CANDIDATES.into(),
        queries,
        index_size: 371_402,
        created: "2026-03-14 09:26 UTC".to_owned(),
        version: "0.1.0 (0f3a2c1)".to_owned(),
        notes: vec![
            "2 dead tasks were left out, as a person decided: their 1,200 pictures are not in the index.".to_owned(),
            "3 results show a picture that is no longer the one that was retrieved.".to_owned(),
        ],
        files: vec![
            file("inference_results.json", "the pictures of each query"),
            file("summary.json", "the run in numbers"),
            file("ledger.jsonl", "what became of every picture"),
        ],
        evaluations: vec![Evaluation {
            reranker: "vlm_judge".to_owned(),
            queries,
            rows: vec![
                row(1, change(0.2412, 0.2763), change(0.2412, 0.2763), change(0.2412, 0.2763)),
                row(5, change(0.4418, 0.4561), change(0.3127, 0.3402), change(0.0884, 0.0912)),
                row(10, change(0.5339, 0.5312), change(0.3251, 0.3498), change(0.0534, 0.0531)),
                row(100, change(0.7702, 0.7702), change(0.3347, 0.3581), change(0.0077, 0.0077)),
            ],
        }],
        sweeps: vec![sweep("Hits@1", 0.241), sweep("MRR@10", 0.325)],
        timings: Timings {
            wall_seconds: 5061.0,
            stages: vec![
                stage("embed", 4812.4, 371_402, "pictures"),
                stage("seal", 6.31, 250, "shards"),
                stage("retrieve", 48.9, queries, "queries"),
                stage("rerank", 182.0, 2 * queries, "queries"),
                stage("finalize", 11.7, queries, "queries"),
            ],
            pipeline: vec![
                flow("read", 0.062, 298.4),
                flow("decode", 0.413, 3975.0),
                flow("encode", 0.987, 4749.8),
                flow("upsert", 0.031, 149.2),
            ],
        },
        ledger: ledger(pool),
    }
}

fn ledger(pool: &[Vec<u8>]) -> Ledger {
    let mut pictures = Pictures { missing: 31, unattributed: 9, ..Pictures::default() };
    let mut shards = Vec::new();
    for (number, [embedded, truncated, unknown, large, twice, dead]) in [
        (0x1c4, [73_027, 11, 0, 1, 24, 1_200]),
        (0x5e9, [74_512, 9, 3, 0, 31, 0]),
        (0x8a3, [74_609, 4, 0, 0, 17, 0]),
        (0xb73, [74_688, 15, 4, 0, 22, 0]),
        (0xf2d, [74_566, 2, 0, 0, 18, 0]),
    ] {
        let rejected = [
            (Reason::Truncated, truncated),
            (Reason::UnknownFormat, unknown),
            (Reason::TooManyPixels, large),
            (Reason::Duplicate, twice),
        ];
        let counts = Counts {
            seen: embedded + truncated + unknown + large + twice,
            embedded,
            rejected: rejected.into_iter().filter(|(_, count)| *count > 0).collect(),
            unattributed: 0,
        };
        pictures.add(&counts);
        pictures.add_unprocessed(Unprocessed::Dead, dead);
        shards.push(ShardRow {
            shard: format!("images/{number:03x}.zip"),
            version: 1,
            seen: counts.seen + dead,
            embedded,
            rejected: counts.rejected,
            unprocessed: BTreeMap::from([(Unprocessed::Dead, dead)]),
            missing: number % 11,
        });
    }
    let example = |number: usize, reason, detail: &str, preview: Option<&Vec<u8>>| {
        let key = format!("1c4{number:025x}");
        let entry = format!("data/images/1c4/{}/{key}.jpg", &key[3..6]);
        RejectedExample::new(
            RejectedRow { key, shard: "images/1c4.zip".to_owned(), entry, reason, detail: detail.to_owned() },
            preview.map(|jpeg| Preview { bytes: jpeg.clone(), of: picture(number) }),
        )
    };
    // Browsers show what there is of it.
    let cut = |number: usize| pool.get(number).map(|jpeg| jpeg[..jpeg.len() * 2 / 3].to_vec());
    Ledger {
        pictures,
        shards,
        rejected: vec![
            example(1, Reason::Truncated, "jpeg: ends before the picture does", cut(1).as_ref()),
            example(2, Reason::Truncated, "jpeg: ends before the picture does", cut(2).as_ref()),
            example(3, Reason::UnknownFormat, "begins like no format that is read", None),
            example(4, Reason::TooManyPixels, "30000x20000, max_pixels is 100000000", pool.get(3)),
            example(5, Reason::Duplicate, "a later entry of this name", pool.get(4)),
            example(6, Reason::Duplicate, "a later entry of this name", pool.get(5)),
        ],
    }
}
