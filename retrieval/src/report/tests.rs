#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use super::*;
use crate::results::{Pictures, ShardRow, Unprocessed};
use imagefleet_common::{
    ledger::{Reason, RejectedRow},
    ports::index::Attribution,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const HOSTILE: &str = "</script><img src=x onerror=alert(1)><!--\u{2028}\"'&";

fn known(number: usize) -> Attribution {
    Attribution {
        photo_id: number.to_string(),
        owner: format!("{number}@N01"),
        title: "A+day%2C+out".to_owned(),
        page_url: format!("http://pictures.example/{number}"),
        licence: "Attribution License".to_owned(),
        licence_url: "http://creativecommons.org/licenses/by/2.0/".to_owned(),
        ..Attribution::default()
    }
}

fn found(number: usize, before: u32, after: u32) -> Found {
    let picture = Picture::credited(&format!("key{number}"), &format!("images/abc.zip/{number}.jpg"), &known(number));
    let similarity = 0.5 - 0.01 * before as f32;
    Found { picture, before, after, similarity, score: Some(3.25), fused: Some(0.125), ..Found::default() }
}

/// Queries that share every second picture with the one before.
fn queries(count: usize) -> Vec<Query> {
    let query = |number: usize| Query {
        id: format!("q{number}"),
        title: format!("Title of {number}"),
        url: format!("https://news.example/{number}"),
        tags: "a;b".to_owned(),
        picture: None,
        right: Some(RightRank { before: Some(3), after: number.is_multiple_of(2).then_some(1) }),
        found: vec![found(number, 2, 1), found(number + 1, 1, 2)],
    };
    (0..count).map(query).collect()
}

fn thumbnails(queries: &[Query]) -> Thumbnails {
    let keys = queries.iter().flat_map(|query| &query.found).map(|found| found.picture.key.clone());
    keys.map(|key| (key.clone(), [b"\xff\xd8\xff".as_slice(), key.as_bytes(), &[7; 600]].concat())).collect()
}

fn text(file: &File) -> &str {
    str::from_utf8(&file.bytes).unwrap()
}

/// The content of the data block of this id.
fn data(page: &str, id: &str) -> Value {
    let (_, rest) = page.split_once(&format!("<script type=\"application/json\" id=\"{id}\">")).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn body(page: &str) -> &str {
    page.split_once("<body>").unwrap().1
}

/// A report in which every number is another.
fn full() -> Report {
    let change = |before, after| Change { before, after };
    Report {
        title: "a job".to_owned(),
        model: "a model".to_owned(),
        corpus: "a corpus".to_owned(),
        collection: "a collection".to_owned(),
        rerankers: vec![Reranker { name: "judge".to_owned(), weight: Some(0.35) }],
        candidates: 1_101,
        queries: 2_202,
        index_size: 3_303,
        created: "a day".to_owned(),
        version: "9.8.7".to_owned(),
        notes: vec!["2 dead tasks left out".to_owned()],
        files: vec![ResultFile { path: "identity/summary.json".to_owned(), about: "in numbers".to_owned() }],
        evaluations: vec![Evaluation {
            reranker: "judge".to_owned(),
            queries: 2_201,
            rows: vec![EvaluationRow {
                k: 5,
                hits: change(0.1011, 0.2022),
                mrr: change(0.3033, 0.2522),
                precision: change(0.0404, 0.0404),
            }],
        }],
        sweeps: vec![Sweep {
            reranker: "judge".to_owned(),
            metric: "Hits@5".to_owned(),
            points: vec![SweepPoint { weight: 0.0, value: 0.1011 }, SweepPoint { weight: 0.35, value: 0.2022 }],
            used: Some(0.35),
        }],
        timings: Timings {
            wall_seconds: 3_780.0,
            stages: vec![StageTime {
                name: "embed".to_owned(),
                wall_seconds: 40.0,
                items: 1_320,
                unit: "pictures".to_owned(),
            }],
            pipeline: vec![
                PipelineTime { name: "decode".to_owned(), busy: 0.61, busy_seconds: 24.4, items: 1_320 },
                PipelineTime { name: "encode".to_owned(), busy: 0.93, busy_seconds: 37.2, items: 1_319 },
            ],
        },
        ledger: Ledger {
            pictures: Pictures {
                seen: 4_444,
                embedded: 4_404,
                rejected: BTreeMap::from([(Reason::Truncated, 29)]),
                unprocessed: BTreeMap::from([(Unprocessed::Dead, 11)]),
                missing: 17,
                unattributed: 13,
            },
            shards: vec![ShardRow { shard: "images/abc.zip".to_owned(), seen: 4_443, ..ShardRow::default() }],
            rejected: vec![RejectedExample::new(
                RejectedRow {
                    key: "abc1".to_owned(),
                    shard: "images/abc.zip".to_owned(),
                    entry: "x.jpg".to_owned(),
                    reason: Reason::Truncated,
                    detail: "jpeg: ends before the picture does".to_owned(),
                },
                Some(Preview {
                    bytes: b"\xff\xd8\xff".to_vec(),
                    of: Picture::credited("abc1", "images/abc.zip/x.jpg", &known(77)),
                }),
            )],
        },
    }
}

#[test]
fn a_small_report_is_one_file_that_needs_nothing_else() {
    let queries = queries(3);
    let files = render(&full(), &queries, &thumbnails(&queries), LIMIT);
    assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), [REPORT]);
    let page = text(&files[0]);
    // Nothing is loaded, and what is not in the page is only linked to.
    for loaded in [" src=\"http", " src=\"report", "<link", "@import", "url(", "fetch("] {
        assert!(!page.contains(loaded), "{loaded}");
    }
    assert!(page.contains("script-src 'sha256-") && !page.contains("'self'") && !page.contains("unsafe"));
    let part = data(page, "part-0");
    // Four pictures in three queries of two: each stands there once.
    assert_eq!(part["key"], serde_json::json!(["key0", "key1", "key2", "key3"]));
    assert_eq!(part["picture"], serde_json::json!([0, 1, 1, 2, 2, 3]));
    assert!(part["jpeg"].as_array().unwrap().iter().all(|jpeg| jpeg.as_str().unwrap().starts_with("/9j/a2V5")));
}

#[test]
fn every_number_of_a_report_is_shown_as_it_was_given() {
    let report = full();
    let files = render(&report, &queries(2), &Thumbnails::new(), LIMIT);
    let page = body(text(&files[0]));
    for shown in [
        "<h1>a job</h1>",
        "a model",
        "a corpus",
        "a collection",
        "judge (weight 0.35)",
        "1,101",
        "2,202",
        "3,303",
        "a day",
        "9.8.7",
        "2 dead tasks left out",
        "href=\"identity/summary.json\"",
        "in numbers",
        // The metrics.
        "judge, over 2,201 queries",
        "<td>0.101</td><td>0.202</td><td><span class=\"better\">+0.101</span></td>",
        "<td>0.303</td><td>0.252</td><td><span class=\"worse\">−0.051</span></td>",
        "<td>0.040</td><td>0.040</td><td><span class=\"same\">0.000</span></td>",
        "best 0.202 at 0.35, this run used 0.35",
        // The times.
        "1 h 03 min",
        "40.0 s",
        "1,320 pictures, 33.0 a second",
        "61 % busy",
        "24.4 s of work, 1,320 pictures",
        "93 % busy",
        "37.2 s of work, 1,319 pictures",
        "<b>encode</b>, at work 93 % of the time",
        // The ledger.
        "<b>4,444</b> seen = <b>4,404</b> embedded + <b>29</b> rejected + <b>11</b> unprocessed",
        "rejected: truncated",
        "unprocessed: dead",
        "17 pictures are named by the metadata",
        "13 pictures are embedded without metadata",
        "<td>4,443</td>",
        "1 of 29",
        "x.jpg",
        "in images/abc.zip",
        "key abc1",
        "jpeg: ends before the picture does",
        "data:image/jpeg;base64,/9j/",
        "A day, out</span><span>by 77@N01</span><span><a href=\"http://creativecommons.org/licenses/by/2.0/\"",
        "<a href=\"http://pictures.example/77\"",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    let (index, part) = (data(page, "index"), data(page, "part-0"));
    assert_eq!(index["id"], serde_json::json!(["q0", "q1"]));
    assert_eq!((&index["before"], &index["after"]), (&serde_json::json!([3, 3]), &serde_json::json!([1, 0])));
    assert_eq!((&part["before"], &part["after"]), (&serde_json::json!([2, 1, 2, 1]), &serde_json::json!([1, 2, 1, 2])));
    assert_eq!(part["similarity"][0].as_f64().unwrap() as f32, 0.48);
    assert_eq!((part["score"][3].as_f64(), part["fused"][3].as_f64()), (Some(3.25), Some(0.125)));
}

#[test]
fn author_title_licence_and_source_stand_with_every_picture() {
    let page = String::from_utf8(gallery(&Search::default(), &queries(1), &Thumbnails::new())).unwrap();
    let (index, part) = (data(&page, "index"), data(&page, "part-0"));
    assert_eq!(part["name"], serde_json::json!(["A day, out", "A day, out"]));
    assert_eq!(part["author"], serde_json::json!(["0@N01", "1@N01"]));
    assert_eq!(part["page"], serde_json::json!(["http://pictures.example/0", "http://pictures.example/1"]));
    assert_eq!(part["licence"], serde_json::json!([0, 0]));
    assert_eq!(index["licence"], serde_json::json!(["CC BY 2.0"]));
    assert_eq!(index["licence_url"], serde_json::json!(["http://creativecommons.org/licenses/by/2.0/"]));
    assert_eq!(index["licences"], serde_json::json!([[0]]));
}

#[test]
fn no_text_becomes_markup_and_no_link_a_script() {
    let hostile = || HOSTILE.to_owned();
    let script = || "javascript:alert(1)".to_owned();
    let mut query = queries(1).remove(0);
    (query.id, query.title, query.url, query.tags) = (hostile(), hostile(), script(), hostile());
    query.found[0].picture = Picture {
        key: hostile(),
        path: hostile(),
        title: hostile(),
        author: hostile(),
        page: script(),
        licence: hostile(),
        licence_url: script(),
        is_own: false,
    };
    let mut report = full();
    for place in [&mut report.title, &mut report.model, &mut report.corpus, &mut report.collection, &mut report.created]
    {
        *place = hostile();
    }
    (report.version, report.notes) = (hostile(), vec![hostile()]);
    report.files =
        vec![ResultFile { path: script(), about: hostile() }, ResultFile { path: hostile(), about: script() }];
    report.rerankers[0].name = hostile();
    (report.evaluations[0].reranker, report.sweeps[0].reranker, report.sweeps[0].metric) =
        (hostile(), hostile(), hostile());
    (report.timings.stages[0].name, report.timings.stages[0].unit, report.timings.pipeline[1].name) =
        (hostile(), hostile(), hostile());
    report.ledger.shards[0].shard = hostile();
    let example = &mut report.ledger.rejected[0];
    (example.key, example.entry, example.detail) = (format!("{HOSTILE}2"), hostile(), hostile());
    example.shard = hostile();
    let of = query.found[0].picture.clone();
    let mut broken = example.clone();
    example.preview = Some(Preview { bytes: b"<svg onload=alert(1)>".to_vec(), of: of.clone() });
    broken.preview = Some(Preview { bytes: b"\xff\xd8\xff".to_vec(), of });
    report.ledger.rejected.push(broken);

    for limit in [LIMIT, 1] {
        let files = render(&report, std::slice::from_ref(&query), &Thumbnails::new(), limit);
        assert_eq!(files.len(), if limit == 1 { 2 } else { 1 });
        for file in &files {
            let text = text(file);
            let text = text.split_once("<body>").map_or(text, |(_, body)| body);
            for markup in ["<img src=x", "<!--", "<svg onload"] {
                assert!(!text.contains(markup), "{markup} in {}", file.name);
            }
            assert!(!text.contains("href=\"javascript") && !text.contains("\"javascript:"), "{}", file.name);
        }
        let page = body(text(files.last().unwrap()));
        // One block of data ends where it should, and reads back as it was.
        assert_eq!(data(page, "index")["title"][0], HOSTILE);
    }
}

#[test]
fn equal_input_gives_equal_bytes() {
    let queries = queries(50);
    let files = |limit| render(&full(), &queries, &thumbnails(&queries), limit);
    for limit in [LIMIT, 1000] {
        assert_eq!(files(limit), files(limit));
    }
}

#[test]
fn beyond_the_limit_there_is_a_folder_that_holds_everything_the_page_names() {
    let queries = queries(4_000);
    let thumbnails = thumbnails(&queries);
    let whole = render(&full(), &queries, &thumbnails, LIMIT);
    let [whole] = &whole[..] else { panic!("fits one file") };
    // A byte less than it needs, found out at the end, and so little that it is found out on the way.
    for limit in [whole.bytes.len() - 1, 1_500_000] {
        let files = render(&full(), &queries, &thumbnails, limit);
        let (page, parts) = files.split_last().unwrap();
        assert_eq!(page.name, REPORT);
        let index = data(text(page), "index");
        assert_eq!(index["folder"], FOLDER);
        let named: Vec<String> =
            (0..index["first_query"].as_array().unwrap().len()).map(|at| format!("report/{at:04}.js")).collect();
        assert_eq!(parts.iter().map(|part| part.name.clone()).collect::<Vec<_>>(), named);
        assert!(named.len() > 2);

        let mut keys = BTreeSet::new();
        for (number, part) in parts.iter().enumerate() {
            let call = text(part).strip_prefix(&format!("imagefleetPart({number},")).unwrap();
            let part: Value = serde_json::from_str(call.strip_suffix(");\n").unwrap()).unwrap();
            assert_eq!(index["first_picture"][number], keys.len());
            assert_eq!(part, data(text(whole), &format!("part-{number}")));
            keys.extend(part["key"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()));
        }
        assert_eq!(keys.len(), 4_001);
    }
    let exact = render(&full(), &queries, &thumbnails, whole.bytes.len());
    assert_eq!(exact, std::slice::from_ref(whole));
}

#[test]
fn parts_are_handed_out_as_soon_as_it_is_clear_that_there_is_a_folder() {
    let queries = queries(4_000);
    let thumbnails = thumbnails(&queries);
    let mut writer = Writer::new(1_500_000);
    let mut early = 0;
    for query in &queries {
        assert!(writer.wants(&query.found[1].picture.key));
        early += writer.query(query, &thumbnails).len();
        assert!(query.found.iter().all(|found| !writer.wants(&found.picture.key)));
    }
    assert_eq!(writer.finish(&full()).len(), 2, "the last part and the page");
    assert!(early > 1);
}

#[test]
fn a_run_that_did_nothing_says_so() {
    let files = render(&Report::default(), &[], &Thumbnails::new(), LIMIT);
    let page = body(text(&files[0]));
    assert!(page.contains("Everything was done already"));
    assert!(page.contains("No picture was seen."));
    assert!(!page.contains("NaN") && !page.contains("Within embed") && !page.contains("id=\"metrics\""));
    // A limit that even the empty page is beyond changes nothing, for there is nothing to move out.
    assert_eq!(render(&Report::default(), &[], &Thumbnails::new(), 1), files);
}

#[test]
fn without_ground_truth_there_are_no_metrics_and_no_ranks() {
    let mut report = full();
    (report.evaluations, report.sweeps) = Default::default();
    let mut queries = queries(2);
    queries.iter_mut().for_each(|query| query.right = None);
    let files = render(&report, &queries, &Thumbnails::new(), LIMIT);
    let page = body(text(&files[0]));
    assert!(!page.contains("Metrics") && !page.contains("hits at"));
    assert_eq!(data(page, "index")["after"], serde_json::json!([null, null]));
}

#[test]
fn numbers_that_are_none_do_not_spoil_a_page() {
    let mut report = full();
    report.timings.pipeline[0].busy = f64::NAN;
    report.sweeps[0].points[0].value = f64::INFINITY;
    let mut queries = queries(1);
    queries[0].found[0].score = Some(f32::NAN);
    let files = render(&report, &queries, &Thumbnails::new(), LIMIT);
    assert_eq!(data(body(text(&files[0])), "part-0")["score"], serde_json::json!([null, 3.25]));
}
