//! What a run costs after a change of the corpus, counted in pictures that the encoder saw (protocol §7).

use imagefleet::run::Ended;
use imagefleet_common::{ports::jobs::JobState, work::Kind};
use imagefleet_tests::{
    compare::rows,
    corpus::{Photo, jpeg, photos, write_metadata, write_yfcc_shard},
    ledger::Ledger,
    points::{newest_job, points},
    project::{Project, tiny_model},
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, sync::atomic::Ordering::Relaxed};

const EACH: usize = 15;

fn yfcc(shards: &[&str]) -> Project {
    let project = Project::new("yfcc", 6);
    for shard in shards {
        write_yfcc_shard(&project.corpus(), shard, &photos(shard, EACH));
    }
    project
}

/// Runs to success; how many pictures were encoded.
async fn encoded(project: &Project) -> u64 {
    succeeded(project.run().await.unwrap())
}

async fn encoded_with_leave_to_delete(project: &Project) -> u64 {
    succeeded(project.run_changed(|run| run.submission.allow_delete = true).await.unwrap())
}

fn succeeded(ended: Ended) -> u64 {
    assert_eq!(ended.state, JobState::Succeeded);
    ended.stats.encode.items()
}

fn remove_shard(corpus: &Path, shard: &str) {
    fs::remove_file(corpus.join(format!("images/{shard}.zip"))).unwrap();
    fs::remove_file(corpus.join(format!("metadata/{shard}.jsonl.gz"))).unwrap();
}

/// The keys of all results.
fn results(project: &Project) -> BTreeSet<String> {
    let rows = rows(&project.out());
    let keys = rows.iter().flat_map(|row| row["indices"].as_array().unwrap());
    keys.map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// The shards whose points the index holds, of the newest job's collection.
async fn shards_of_points(project: &Project) -> BTreeSet<String> {
    points(project).await.into_values().map(|held| held.payload.shard_path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_shard_is_all_that_is_embedded() {
    let project = yfcc(&["0a1", "0a2"]);
    assert_eq!(encoded(&project).await, 30);
    write_yfcc_shard(&project.corpus(), "0a3", &photos("0a3", 4));
    assert_eq!(encoded(&project).await, 4);
    let ledger = Ledger::read(&project.out());
    assert_eq!((ledger.summary.index_size, ledger.shard("images/0a3.zip").embedded), (34, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_picture_more_in_a_folder_of_2000_costs_less_than_a_twentieth_of_it() {
    const PICTURES: u32 = 2_000;
    let project = Project::new("folder", 3);
    let folder = project.corpus().join("holiday");
    fs::create_dir(&folder).unwrap();
    for seed in 0..PICTURES {
        fs::write(folder.join(format!("{seed:04}.jpg")), jpeg(seed)).unwrap();
    }
    assert_eq!(encoded(&project).await, u64::from(PICTURES));
    fs::write(folder.join("one-more.jpg"), jpeg(PICTURES)).unwrap();
    let again = project.run().await.unwrap();
    let batches = again.stats.batches.load(Relaxed);
    let encoded = succeeded(again);
    eprintln!("one more in {PICTURES}: {encoded} pictures encoded in {batches} calls");
    assert!((1..u64::from(PICTURES) / 20).contains(&encoded), "{encoded}");
    let ledger = Ledger::read(&project.out());
    assert_eq!((ledger.summary.index_size, ledger.faults()), (u64::from(PICTURES) + 1, vec![]));
    assert_eq!(ledger.shard("holiday").version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_leaves_or_changes_in_a_folder_costs_its_bucket_only() {
    let project = Project::new("folder", 3);
    for seed in 0..200 {
        fs::write(project.corpus().join(format!("{seed:03}.jpg")), jpeg(seed)).unwrap();
    }
    assert_eq!(encoded(&project).await, 200);
    fs::remove_file(project.corpus().join("007.jpg")).unwrap();
    fs::write(project.corpus().join("100.jpg"), jpeg(5_000)).unwrap();
    let before = points(&project).await;
    let encoded = encoded(&project).await;
    assert!((1..120).contains(&encoded), "{encoded} of 199 in 4 buckets");
    let after = points(&project).await;
    assert_eq!((after.len(), after.contains_key("007.jpg")), (199, false));
    assert_ne!(after["100.jpg"].vector, before["100.jpg"].vector);
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_shard_is_embedded_anew_and_what_it_lost_leaves_the_index() {
    let project = yfcc(&["0a1", "0a2"]);
    encoded(&project).await;
    let mut changed = photos("0a2", EACH + 2);
    let lost: Vec<Photo> = changed.drain(..5).collect();
    write_yfcc_shard(&project.corpus(), "0a2", &changed);
    assert_eq!(encoded(&project).await, 12);
    let ledger = Ledger::read(&project.out());
    let versions = ["images/0a1.zip", "images/0a2.zip"].map(|path| ledger.shard(path).version);
    assert_eq!((versions, ledger.summary.index_size), ([1, 2], 27));
    let held = points(&project).await;
    assert_eq!(held.len(), 27);
    assert!(lost.iter().all(|photo| !held.contains_key(&photo.key)));
    let of_changed = held.values().filter(|held| held.payload.shard_path == "images/0a2.zip");
    assert!(of_changed.map(|held| held.at.version).all(|version| version == 2));
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_metadata_alone_makes_a_new_version() {
    let project = yfcc(&["0a1", "0a2"]);
    encoded(&project).await;
    let photos = photos("0a1", EACH);
    let renamed = photos.iter().map(|photo| photo.metadata().replace("photo+", "renamed+"));
    write_metadata(&project.corpus(), "0a1", renamed);
    assert_eq!(encoded(&project).await, EACH as u64);
    assert_eq!(Ledger::read(&project.out()).shard("images/0a1.zip").version, 2);
    let held = points(&project).await;
    assert!(photos.iter().all(|photo| held[&photo.key].payload.attribution.title.starts_with("renamed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_gone_is_kept_and_named_unless_there_is_leave_to_delete() {
    let project = yfcc(&["0a1", "0a2"]);
    encoded(&project).await;
    remove_shard(&project.corpus(), "0a2");
    assert_eq!(encoded(&project).await, 0);
    let (_, job) = newest_job(&project).await;
    assert_eq!(job.kept_shards, ["images/0a2.zip"]);
    assert_eq!(Ledger::read(&project.out()).summary.index_size, 30);
    assert_eq!(points(&project).await.len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_leave_to_delete_a_shard_that_is_gone_leaves_results_and_index() {
    let project = yfcc(&["0a1", "0a2"]);
    encoded(&project).await;
    let of_gone: BTreeSet<String> = photos("0a2", EACH).into_iter().map(|photo| photo.key).collect();
    assert!(!results(&project).is_disjoint(&of_gone), "else this test shows nothing");
    remove_shard(&project.corpus(), "0a2");
    assert_eq!(encoded_with_leave_to_delete(&project).await, 0);
    assert!(results(&project).is_disjoint(&of_gone));
    let ledger = Ledger::read(&project.out());
    assert_eq!((ledger.summary.index_size, ledger.shards.len(), ledger.faults()), (15, 1, vec![]));
    assert_eq!(shards_of_points(&project).await, BTreeSet::from(["images/0a1.zip".to_owned()]));
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_comes_back_is_embedded_again() {
    let project = yfcc(&["0a1", "0a2"]);
    encoded(&project).await;
    let before = results(&project);
    remove_shard(&project.corpus(), "0a2");
    encoded_with_leave_to_delete(&project).await;
    write_yfcc_shard(&project.corpus(), "0a2", &photos("0a2", EACH));
    assert_eq!(encoded(&project).await, EACH as u64);
    assert_eq!((results(&project), Ledger::read(&project.out()).summary.index_size), (before, 30));
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new());
}

/// A folder of one picture for each shard.
fn folders(count: u32) -> Project {
    let project = Project::new("folder", 2);
    for seed in 0..count {
        let folder = project.corpus().join(format!("{seed:03}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("only.jpg"), jpeg(seed)).unwrap();
    }
    project
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_hundred_shards_may_go_without_leave_and_none_of_the_99_that_are_left() {
    let project = folders(100);
    assert_eq!(encoded(&project).await, 100);
    fs::remove_dir_all(project.corpus().join("050")).unwrap();
    assert_eq!(encoded(&project).await, 0);
    assert_eq!(Ledger::read(&project.out()).summary.index_size, 99);
    assert!(!shards_of_points(&project).await.contains("050"));
    assert_eq!(newest_job(&project).await.1.kept_shards, Vec::<String>::new());

    fs::remove_dir_all(project.corpus().join("051")).unwrap();
    assert_eq!(encoded(&project).await, 0);
    assert_eq!(Ledger::read(&project.out()).summary.index_size, 99);
    assert_eq!(newest_job(&project).await.1.kept_shards, ["051"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_in_a_hundred_shards_are_all_kept() {
    let project = folders(101);
    encoded(&project).await;
    for gone in ["001", "002"] {
        fs::remove_dir_all(project.corpus().join(gone)).unwrap();
    }
    assert_eq!(encoded(&project).await, 0);
    assert_eq!(newest_job(&project).await.1.kept_shards, ["001", "002"]);
    assert_eq!(Ledger::read(&project.out()).summary.index_size, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_model_makes_a_second_collection_over_the_same_shards() {
    let project = yfcc(&["0a1", "0a2"]);
    encoded(&project).await;
    let first_job = newest_job(&project).await.1;
    let other = tiny_model().with_file_name("clip-legacy");
    let job = fs::read_to_string(project.job_file()).unwrap();
    let second = job.replace(tiny_model().to_str().unwrap(), other.to_str().unwrap()).replace("\"out\"", "\"out2\"");
    fs::write(project.job_file(), second.replace("name = \"test\"\n[corpus]", "name = \"second\"\n[corpus]")).unwrap();
    assert_eq!(encoded(&project).await, 30);

    let (world, second_job) = newest_job(&project).await;
    assert_ne!(second_job.collection, first_job.collection);
    assert_eq!(second_job.corpus, first_job.corpus);
    for shard in world.catalog.shards(&second_job.corpus).await.unwrap() {
        assert_eq!(shard.version, 1, "{}: what was listed is known", shard.path);
    }
    let tasks = world.jobs.tasks(second_job.id).await.unwrap();
    let lists = tasks.iter().filter(|task| task.work.kind() == Kind::List).map(|task| task.attempt);
    let lists: Vec<u32> = lists.collect();
    assert_eq!(lists, [2, 2], "one look a job at each shard");
    let summary: Value = serde_json::from_slice(&fs::read(project.path().join("out2/summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["experiment_id"], &summary["index_size"]), (&"second".into(), &30.into()));

    fs::write(project.job_file(), job).unwrap();
    assert_eq!(encoded(&project).await, 0, "the first collection is still there");
}
