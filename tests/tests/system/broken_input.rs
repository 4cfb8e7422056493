//! A corpus in which one entry in ten is broken, and a shard that is no archive: every picture is accounted for, and
//! what is sound is embedded as if nothing broken stood beside it.

use imagefleet::run::Ended;
use imagefleet_common::{Error, ledger::Reason, ports::jobs::JobState, task::State, work::Kind};
use imagefleet_retrieval::results::Unprocessed;
use imagefleet_tests::{
    broken::{BrokenShard, COLLIDING, MAX_BYTES},
    compare::differences,
    corpus::{photos, write_metadata, write_yfcc_shard},
    ledger::Ledger,
    moving::Moving,
    points::{distance, newest_job, points},
    project::Project,
};
use std::{collections::BTreeMap, fs};

const LAST_DIGIT: f32 = 1e-6;

fn limited() -> Project {
    let project = Project::new("yfcc", 6);
    project.write_job("yfcc", &format!("[limits]\nmax_bytes = {MAX_BYTES}\n"));
    project
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_entry_is_rejected_for_its_own_reason_and_the_sums_agree() {
    let (project, shard) = (limited(), BrokenShard::new());
    shard.write(&project.corpus());
    let ended = project.run().await.unwrap();
    assert_eq!(ended.state, JobState::Succeeded);
    let ledger = Ledger::read(&project.out());
    assert_eq!(ledger.faults(), Vec::<String>::new());

    let spoilt = shard.spoilt.iter().map(|(photo, reason)| (photo.entry(), *reason));
    let mut expected: Vec<(String, Reason)> = spoilt.chain(shard.refused.clone()).collect();
    expected.sort();
    let mut found: Vec<(String, Reason)> = ledger.rejected.iter().map(|row| (row.entry.clone(), row.reason)).collect();
    found.sort();
    assert_eq!(found, expected);
    let collision = ledger.rejected.iter().find(|row| row.reason == Reason::KeyCollision).unwrap();
    assert!(COLLIDING.iter().all(|url| collision.detail.contains(url)), "{}", collision.detail);

    let row = ledger.shard(&shard.path());
    assert_eq!((row.seen, row.embedded, row.missing), (160, 144, shard.missing.len() as u64));
    assert_eq!(ledger.summary.pictures.unattributed, 1);
    let held = points(&project).await;
    assert_eq!(held[&shard.unattributed().key].payload.attribution.licence, "");
    assert_eq!(held[&shard.sound[0].key].payload.attribution.licence, "Attribution License");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_remaining_vectors_are_those_of_the_clean_corpus() {
    let (broken, clean, shard) = (limited(), limited(), BrokenShard::new());
    shard.write(&broken.corpus());
    let spoilt = shard.spoilt.iter().map(|(photo, _)| photo.clone());
    let all: Vec<_> = shard.sound.iter().cloned().chain(spoilt).collect();
    write_yfcc_shard(&clean.corpus(), shard.name, &all);
    broken.run().await.unwrap();
    clean.run().await.unwrap();

    let (left, whole) = (points(&broken).await, points(&clean).await);
    let keys: Vec<&String> = left.keys().collect();
    let mut sound: Vec<&String> = shard.sound.iter().map(|photo| &photo.key).collect();
    sound.sort();
    assert_eq!((keys, whole.len()), (sound, 156));
    for (key, held) in &left {
        assert!(distance(&held.vector, &whole[key].vector) <= LAST_DIGIT, "{key}");
    }
    let verified = broken.verify().await.unwrap();
    assert_eq!((verified.wrong, verified.counts.embedded), (vec![], 144));
}

/// A project of one sound shard and one whose zip ends too early; the whole zip's bytes too.
fn with_a_truncated_zip() -> (Project, Vec<u8>) {
    let project = Project::new("yfcc", 6);
    for shard in ["0a1", "0a2"] {
        write_yfcc_shard(&project.corpus(), shard, &photos(shard, 20));
    }
    let path = project.corpus().join("images/0a2.zip");
    let whole = fs::read(&path).unwrap();
    fs::write(path, &whole[..whole.len() * 3 / 4]).unwrap();
    (project, whole)
}

async fn run_accepting(project: &Project) -> Ended {
    project.run_changed(|run| run.accept_dead = true).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_zip_blocks_its_job_and_says_why() {
    let (project, _) = with_a_truncated_zip();
    let ended = project.run().await.unwrap();
    assert_eq!((ended.state, ended.written), (JobState::Blocked, None));
    assert_eq!(ended.stats.encode.items(), 20, "the other shard is embedded all the same");
    assert!(!project.out().exists());
    let (world, job) = newest_job(&project).await;
    let dead: Vec<_> =
        world.jobs.tasks(job.id).await.unwrap().into_iter().filter(|task| task.state == State::Dead).collect();
    assert_eq!((dead.len(), dead[0].work.kind()), (1, Kind::List));
    let error = dead[0].error.as_deref().unwrap();
    assert!(error.contains("images/0a2.zip") && error.contains("not a whole zip"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accept_dead_ends_a_blocked_job_without_the_shard_and_the_summary_says_so() {
    let (project, _) = with_a_truncated_zip();
    project.run().await.unwrap();
    let ended = run_accepting(&project).await;
    assert_eq!((ended.state, ended.stats.encode.items()), (JobState::Succeeded, 0));
    let ledger = Ledger::read(&project.out());
    assert_eq!(ledger.faults(), Vec::<String>::new());
    assert_eq!((ledger.summary.accepted_dead, ledger.summary.index_size), (1, 20));
    assert_eq!(ledger.shard("images/0a2.zip").version, 0, "it was never listed");
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_zip_is_embedded_without_loss_after_retry_dead() {
    let (project, whole) = with_a_truncated_zip();
    project.run().await.unwrap();
    fs::write(project.corpus().join("images/0a2.zip"), whole).unwrap();
    let ended = project.run_changed(|run| run.retry_dead = true).await.unwrap();
    assert_eq!((ended.state, ended.stats.encode.items()), (JobState::Succeeded, 20));
    let undisturbed = Project::new("yfcc", 6);
    for shard in ["0a1", "0a2"] {
        write_yfcc_shard(&undisturbed.corpus(), shard, &photos(shard, 20));
    }
    undisturbed.run().await.unwrap();
    assert_eq!(differences(&undisturbed.out(), &project.out()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_was_accepted_as_dead_is_embedded_once_it_is_mended_and_retried() {
    let (project, whole) = with_a_truncated_zip();
    project.run().await.unwrap();
    run_accepting(&project).await;
    fs::write(project.corpus().join("images/0a2.zip"), whole).unwrap();
    let ended = project.run_changed(|run| run.retry_dead = true).await.unwrap();
    assert_eq!((ended.state, ended.stats.encode.items()), (JobState::Succeeded, 20));
    let ledger = Ledger::read(&project.out());
    assert_eq!((ledger.summary.accepted_dead, ledger.summary.index_size), (0, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_could_not_be_read_are_counted_as_unprocessed_until_they_are_retried() {
    let project = Project::new("yfcc", 6);
    for shard in ["0a1", "0a2"] {
        write_yfcc_shard(&project.corpus(), shard, &photos(shard, 20));
    }
    let unreadable = |_| Err(Error::permanent("read images/0a2.zip: a sector is gone"));
    let ended = project
        .run_changed(|run| {
            run.world.sources = Moving::new(run.world.sources.clone(), "0a2.zip", 1, unreadable);
            run.accept_dead = true;
        })
        .await
        .unwrap();
    assert_eq!((ended.state, ended.stats.encode.items()), (JobState::Succeeded, 20));
    let ledger = Ledger::read(&project.out());
    assert_eq!(ledger.faults(), Vec::<String>::new());
    let row = ledger.shard("images/0a2.zip");
    assert_eq!((row.seen, row.embedded), (20, 0));
    assert_eq!(row.unprocessed, BTreeMap::from([(Unprocessed::Dead, 20)]));
    assert_eq!(ledger.summary.accepted_dead, 1);
    assert_eq!(project.verify().await.unwrap().unprocessed, 1);

    let ended = project.run_changed(|run| run.retry_dead = true).await.unwrap();
    assert_eq!((ended.state, ended.stats.encode.items()), (JobState::Succeeded, 20));
    assert_eq!(Ledger::read(&project.out()).summary.pictures.unprocessed, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_cannot_be_read_blocks_the_job_and_names_object_and_line() {
    let project = Project::new("yfcc", 6);
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 5));
    let rows = [r#"{"downloadurl":"http://example.org/1"}"#, "{"].map(String::from);
    write_metadata(&project.corpus(), "0a1", rows.into_iter());
    assert_eq!(project.run().await.unwrap().state, JobState::Blocked);
    let (world, job) = newest_job(&project).await;
    let tasks = world.jobs.tasks(job.id).await.unwrap();
    let error = tasks.into_iter().find_map(|task| task.error).unwrap();
    assert!(error.contains("metadata/0a1.jsonl.gz") && error.contains("line 2"), "{error}");
}
