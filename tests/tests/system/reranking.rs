//! Rerankers, evaluation, the report and the run's record, through whole runs.

use imagefleet_common::{ids::content_hash, ports::jobs::JobState};
use imagefleet_retrieval::{evaluation::report::Report, results::RunRecord};
use imagefleet_tests::{
    compare::rows,
    corpus::{Photo, photos, write_yfcc_shard},
    points::points,
    project::Project,
};
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

const TITLES: usize = 20;

/// Two shards, and an article for each of twenty of their photos.
fn project(more: &str) -> (Project, Vec<Photo>) {
    let project = Project::new("yfcc", 0);
    let mut all = Vec::new();
    for shard in ["0a1", "0a2"] {
        let photos = photos(shard, 30);
        write_yfcc_shard(&project.corpus(), shard, &photos);
        all.extend(photos);
    }
    let rows =
        all.iter().take(TITLES).enumerate().map(|(n, photo)| format!("a{n},,Title number {n},,{},\n", photo.key));
    let header = "article_id,article_url,article_title,article_tags,image_id,image_url\n";
    fs::write(project.path().join("articles.csv"), header.to_owned() + &rows.collect::<String>()).unwrap();
    project.write_job("yfcc", more);
    (project, all)
}

/// The heads that the models' own tests use.
fn head(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fixtures/head").join(name)
}

fn aesthetics(weight: f64) -> String {
    format!("[[rerank]]\ntype = \"aesthetics\"\nweight = {weight}\nhead = {:?}\n", head("head.pth"))
}

fn texts(row: &Value, field: &str) -> Vec<String> {
    row[field].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

fn numbers(row: &Value) -> Vec<f64> {
    row["similarity_scores"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn json<T: serde::de::DeserializeOwned>(project: &Project, file: &str) -> T {
    serde_json::from_slice(&fs::read(project.out().join(file)).unwrap()).unwrap()
}

/// Its head's scores of the project's points, computed here.
async fn scores(project: &Project) -> HashMap<String, f64> {
    let head = imagefleet_models::head::LinearHead::read(&fs::read(head("head.pth")).unwrap()).unwrap();
    let points = points(project).await;
    points.into_iter().map(|(key, held)| (key, f64::from(head.score(&held.vector)))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn aesthetics_are_computed_from_the_index_and_fused_as_the_reference_does() {
    let (project, _) = project("");
    assert_eq!(project.run().await.unwrap().stats.encode.items(), 60);
    let (retrieved, scores) = (rows(&project.out()), scores(&project).await);
    for weight in [0.0, 0.2, 0.7, 1.0] {
        project.write_job("yfcc", &aesthetics(weight));
        let ended = project.run().await.unwrap();
        assert_eq!((ended.state, ended.stats.encode.items()), (JobState::Succeeded, 0), "no picture is encoded again");
        for (before, after) in retrieved.iter().zip(rows(&project.out())) {
            let (keys, similarities) = (texts(before, "indices"), numbers(before));
            let paths = texts(before, "retrieved_images");
            let sums = (similarities.iter().sum::<f64>(), keys.iter().map(|key| scores[key]).sum::<f64>());
            let mut expected: Vec<(f64, &String, &String)> = (0..keys.len())
                .map(|at| {
                    let fused = (1.0 - weight) * similarities[at] / sums.0 + weight * scores[&keys[at]] / sums.1;
                    (fused, &keys[at], &paths[at])
                })
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0));
            assert_eq!(
                texts(&after, "indices"),
                expected.iter().map(|it| it.1.clone()).collect::<Vec<_>>(),
                "{weight}"
            );
            let paths: Vec<String> = expected.iter().map(|it| it.2.clone()).collect();
            assert_eq!(texts(&after, "retrieved_images"), paths, "a path goes with its key");
            for (found, (fused, ..)) in numbers(&after).iter().zip(&expected) {
                assert!((found - fused).abs() < 1e-6, "{found} is not {fused}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_rerankers_share_one_retrieval_and_each_has_its_folder() {
    let (project, _) = project(&format!("[[rerank]]\ntype = \"identity\"\n{}", aesthetics(1.0)));
    project.run().await.unwrap();
    let of = |folder: &str| rows(&project.out().join(folder));
    assert_eq!(of("identity"), of(""), "the first one's stand at the top too");
    let scores = scores(&project).await;
    for (one, other) in of("identity").iter().zip(of("aesthetics")) {
        let (mut one, other) = (texts(one, "indices"), texts(&other, "indices"));
        assert!(other.is_sorted_by(|a, b| scores[a] >= scores[b]));
        one.sort_by(|a, b| scores[b].total_cmp(&scores[a]));
        assert_eq!(one, other);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_for_another_model_is_refused_before_anything_starts() {
    let (project, _) = project(&format!("[[rerank]]\ntype = \"aesthetics\"\nhead = {:?}\n", head("wide.pth")));
    let error = project.run().await.err().unwrap();
    let said = error.to_string();
    assert!(
        error.is_permanent() && said.contains("wide.pth") && said.contains("768 values (of CLIP ViT-L/14)"),
        "{said}"
    );
    let world = imagefleet::world::World::open(&project.data()).await.unwrap();
    assert!(world.jobs.jobs().await.unwrap().is_empty() && !project.out().exists());
}

/// Rank of the article's picture in a row, from 1.
fn rank(row: &Value, truth: &str) -> Option<usize> {
    texts(row, "indices").iter().position(|key| key == truth).map(|at| at + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_measures_what_the_results_show() {
    let (project, photos) = project(&format!("{}[evaluation]\nsweep = true\n", aesthetics(0.5)));
    project.run().await.unwrap();
    let report: Report = json(&project, "metrics.json");
    assert_eq!((report.queries, report.without_truth, report.k.as_slice()), (TITLES as u64, 0, &[1, 5][..]));
    let (initial, reranked): (Vec<Value>, Vec<Value>) =
        (json(&project, "initial_retrieval.json"), json(&project, "reranking.json"));
    let results = rows(&project.out());
    assert_eq!([initial.len(), reranked.len(), results.len()], [TITLES; 3]);
    let mut ranks = Vec::new();
    for (((result, before), after), photo) in results.iter().zip(&initial).zip(&reranked).zip(&photos) {
        assert_eq!([&before["ground_truth"], &after["ground_truth"]], [photo.key.as_str(); 2]);
        assert_eq!(before["query"], result["query"]);
        assert_eq!(after["retrieved"], result["indices"]);
        assert_eq!(after["similarity_scores"], result["similarity_scores"]);
        ranks.push(rank(result, &photo.key));
    }
    let mean = |of: &dyn Fn(Option<usize>) -> f64| ranks.iter().map(|rank| of(*rank)).sum::<f64>() / TITLES as f64;
    for at in &report.after {
        let within = |rank: Option<usize>| rank.filter(|rank| *rank <= at.k);
        assert_eq!(at.hits, mean(&|rank| f64::from(u8::from(within(rank).is_some()))));
        assert!((at.mrr - mean(&|rank| within(rank).map_or(0.0, |rank| 1.0 / rank as f64))).abs() < 1e-12);
    }
    let sweep = report.sweep.unwrap();
    assert_eq!(sweep.len(), 11);
    assert_eq!((&sweep[0].at, &sweep[5].at), (&report.before, &report.after), "weight 0 is retrieval's order");
    for file in ["metrics.csv", "metrics.jsonl", "mlruns"] {
        assert!(project.out().join(file).exists(), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_asks_for_its_own_articles_and_finds_its_own_pictures_only() {
    let (project, photos) = project("[evaluation]\nsplit = \"train\"\nindex = \"split\"\n");
    project.run().await.unwrap();
    let rows: Vec<Value> = json(&project, "initial_retrieval.json");
    let truths: BTreeSet<String> = rows.iter().map(|row| row["ground_truth"].as_str().unwrap().to_owned()).collect();
    assert_eq!((rows.len(), truths.len()), (16, 16), "80 of 100");
    let keys: BTreeSet<String> = photos.iter().take(TITLES).map(|photo| photo.key.clone()).collect();
    assert!(truths.is_subset(&keys));
    for row in &rows {
        let found = texts(row, "retrieved");
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|key| truths.contains(key)), "{found:?} are the split's own");
    }
    // With all of the pictures others are found too.
    project.write_job("yfcc", "[evaluation]\nsplit = \"train\"\n");
    project.run().await.unwrap();
    let rows: Vec<Value> = json(&project, "initial_retrieval.json");
    assert!(rows.iter().any(|row| texts(row, "retrieved").iter().any(|key| !truths.contains(key))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_names_everything_that_the_results_depend_on() {
    let (project, _) = project(&aesthetics(0.3));
    project.run().await.unwrap();
    let record: RunRecord = json(&project, "run.json");
    for (file, hash) in &record.results {
        assert_eq!(content_hash(&fs::read(project.out().join(file)).unwrap()), *hash, "{file}");
    }
    let files: Vec<&str> = record.results.keys().map(String::as_str).collect();
    assert_eq!(files, ["attribution.jsonl", "inference_results.json", "ledger.jsonl", "summary.json"]);
    let read = |path: &Path| content_hash(&fs::read(path).unwrap());
    assert_eq!(record.job.articles, read(&project.path().join("articles.csv")));
    assert_eq!(record.job.heads, [Some(read(&head("head.pth")))]);
    let model = imagefleet_tests::project::tiny_model();
    assert_eq!(record.model.files["model.safetensors"], read(&model.join("model.safetensors")));
    assert_eq!(record.model.revision, imagefleet_models::revision(&model).unwrap());
    let shards: Vec<&str> = record.corpus.shards.iter().map(|shard| shard.path.as_str()).collect();
    assert_eq!(shards, ["images/0a1.zip", "images/0a2.zip"]);
    assert!(record.machine.cores > 0 && record.workers.len() == 1);
    let timings = record.timings;
    assert_eq!(timings.embedding.pictures, 60);
    assert!(timings.embedding.encode > 0.0 && timings.embedding.bottleneck.is_some());
    assert_eq!(
        timings.stages.iter().map(|stage| stage.stage.as_str()).collect::<Vec<_>>(),
        ["embed", "seal", "retrieve", "rerank", "finalize"]
    );
    assert!(timings.stages.iter().all(|stage| stage.tasks > 0 && stage.found_done == 0), "{timings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_shows_every_title_and_credits_every_picture_that_it_shows() {
    let (project, photos) = project(&format!("{}[evaluation]\n[report]\npictures = 3\n", aesthetics(0.3)));
    project.run().await.unwrap();
    let page = fs::read_to_string(project.out().join("report.html")).unwrap();
    for title in 0..TITLES {
        assert!(page.contains(&format!("Title number {title}")));
    }
    for row in rows(&project.out()) {
        for key in texts(&row, "indices").iter().take(3) {
            let photo = photos.iter().find(|photo| photo.key == *key).unwrap();
            assert!(page.contains(key.as_str()) && page.contains(&format!("http://example.org/{}", photo.id)));
        }
    }
    assert!(page.contains("creativecommons.org/licenses/by/2.0") && page.contains("data:image/jpeg;base64,"));
    // Parts of a larger report go with it; what else stands there stays.
    fs::create_dir(project.out().join("report")).unwrap();
    for name in ["0007.js", "mine.js"] {
        fs::write(project.out().join("report").join(name), "").unwrap();
    }
    // None where none is wanted, and the results are the same.
    let results = fs::read(project.out().join("inference_results.json")).unwrap();
    project.write_job("yfcc", &format!("{}[evaluation]\n[report]\npictures = 0\n", aesthetics(0.3)));
    fs::remove_file(project.out().join("report.html")).unwrap();
    project.run().await.unwrap();
    assert!(!project.out().join("report.html").exists());
    assert!(!project.out().join("report/0007.js").exists() && project.out().join("report/mine.js").exists());
    assert_eq!(fs::read(project.out().join("inference_results.json")).unwrap(), results);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_job_left_in_the_folder_is_not_taken_for_this_ones() {
    let both = format!("[[rerank]]\ntype = \"identity\"\n{}[evaluation]\n", aesthetics(0.2));
    let (project, _) = project(&both);
    project.run().await.unwrap();
    let there = |file: &str| project.out().join(file).exists();
    assert!(there("aesthetics/summary.json") && there("metrics.json") && there("report.html"));
    fs::write(project.out().join("mine.json"), "").unwrap();
    project.write_job("yfcc", "[report]\npictures = 0\n");
    project.run().await.unwrap();
    for file in
        ["aesthetics/summary.json", "identity/inference_results.json", "metrics.json", "reranking.json", "report.html"]
    {
        assert!(!there(file), "{file}");
    }
    assert!(there("summary.json") && there("attribution.jsonl") && there("mine.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_was_kept_out_is_not_shown_and_one_that_is_too_large_is_not_read() {
    let project = Project::new("folder", 2);
    for seed in 0..3 {
        fs::write(project.corpus().join(format!("{seed}.jpg")), imagefleet_tests::corpus::jpeg(seed)).unwrap();
    }
    // Sparse: three gigabytes that take no room on the disk, but would in memory.
    fs::File::create(project.corpus().join("huge.jpg")).unwrap().set_len(3 << 30).unwrap();
    project.write_job("folder", "");
    project.run().await.unwrap();
    let page = fs::read_to_string(project.out().join("report.html")).unwrap();
    assert!(page.contains("huge.jpg") && page.contains("too-many-bytes"));

    let (filtered, _) = self::project("[index.filter]\nlicence = [\"cc0\"]\n");
    filtered.run().await.unwrap();
    let page = fs::read_to_string(filtered.out().join("report.html")).unwrap();
    assert!(page.contains("filtered") && !page.contains("/9j/"), "no picture is in the page");
}
