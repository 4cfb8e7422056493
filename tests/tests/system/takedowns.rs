//! A picture that is taken down while its chunk embeds.

use imagefleet::takedown::take_down;
use imagefleet_common::{
    ledger::Reason,
    ports::{
        index::{Queries, Scope, SearchFilter},
        layered::Retry,
    },
};
use imagefleet_tests::{
    around::around,
    corpus::{photos, write_yfcc_shard},
    hooks::{Call, Hooks, Then},
    points::{newest_job, points},
    project::Project,
    running::{behind, start},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

/// Runs a project of twelve pictures, and takes one down before the first call of this method. Its point is gone before
/// the seal looks, which would find it.
async fn taken_down_before(port: &'static str, method: &'static str) -> (Project, String) {
    let project = Project::new("yfcc", 2);
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 12));
    let key = photos("0a1", 12).remove(5).key;
    let world = Arc::new(behind(&project).await);
    let left_to_the_seal = Arc::new(AtomicBool::new(false));
    let hooks = Hooks::default().before({
        let (world, key, left) = (Arc::clone(&world), key.clone(), Arc::clone(&left_to_the_seal));
        move |call: Call| {
            let (world, key, left) = (Arc::clone(&world), key.clone(), Arc::clone(&left));
            async move {
                if call.is(port, method) && call.number == 1 {
                    take_down(&world, &key, "asked").await.unwrap();
                }
                // The first that a seal asks.
                if call.is("catalog", "writers") {
                    let collection = world.catalog.collections().await.unwrap().remove(0).id;
                    let found = world.index.payloads(&collection, &[key]).await.unwrap();
                    left.fetch_or(found[0].is_some(), SeqCst);
                }
                Then::Go
            }
        }
    });
    let ended = start(&project, &hooks, |_| {}).await.end().await;
    assert!(hooks.calls("catalog", "writers") > 0 && !left_to_the_seal.load(SeqCst), "the seal found its point");
    assert_eq!(hooks.calls("tasks", "embed_again"), 0, "no chunk had to be embedded twice");
    assert_eq!(ended.stats.encode.items(), 12, "the attempt had begun without knowing");
    (project, key)
}

async fn is_gone(project: &Project, key: &str) {
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new());
    let points = points(project).await;
    assert!(!points.contains_key(key));
    let (world, job) = newest_job(project).await;
    let values = points.values().next().unwrap().vector.clone();
    let queries = Queries { dims: values.len(), values };
    let found = world.index.search(&job.collection, &queries, 12, &Scope::All, &SearchFilter::default()).await.unwrap();
    let found: BTreeSet<&String> = found[0].iter().map(|hit| &hit.key).collect();
    assert_eq!(found, points.keys().collect(), "what is found is what is there");
    let counts = world.jobs.progress(job.id).await.unwrap().counts;
    assert_eq!((counts.seen, counts.embedded, counts.rejected), (12, 11, [(Reason::Takedown, 1)].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_point_is_deleted_by_the_attempt_that_put_it_after_the_takedown_had_looked() {
    // The attempt has read its takedowns and puts its points only now.
    let (project, key) = taken_down_before("index", "put").await;
    is_gone(&project, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_counts_it_as_rejected_where_its_point_was_taken_before_the_attempt_ended() {
    // Points are put and read back; older attempts' are about to be deleted.
    let (project, key) = taken_down_before("index", "delete").await;
    is_gone(&project, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_attempt_could_not_delete_is_deleted_by_the_seal() {
    let project = Project::new("yfcc", 2);
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 12));
    let key = photos("0a1", 12).remove(5).key;
    let (world, failed) = (Arc::new(behind(&project).await), Arc::new(AtomicU32::new(0)));
    let hooks = Hooks::default().before({
        let (world, key) = (Arc::clone(&world), key.clone());
        move |call: Call| {
            let (world, key, failed) = (Arc::clone(&world), key.clone(), Arc::clone(&failed));
            async move {
                if call.is("index", "put") && call.number == 1 {
                    take_down(&world, &key, "asked").await.unwrap();
                }
                let tries = Retry::default().tries;
                // The first deletes what older attempts left. The seal comes when the attempt has given up.
                if call.is("index", "delete") && call.number > 1 && failed.load(SeqCst) < tries {
                    failed.fetch_add(1, SeqCst);
                    return Then::Fail;
                }
                while call.is("catalog", "writers") && failed.load(SeqCst) < tries {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Then::Go
            }
        }
    });
    start(&project, &hooks, |_| {}).await.end().await;
    is_gone(&project, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takedown_that_was_cut_off_is_made_whole_by_the_same_command() {
    for (port, method) in [("catalog", "take_out"), ("index", "delete"), ("index", "seal")] {
        let project = Project::new("yfcc", 2);
        write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 12));
        let key = photos("0a1", 12).remove(5).key;
        project.run().await.unwrap();
        let world = behind(&project).await;
        let fails = Hooks::default()
            .before(move |call| async move { if call.is(port, method) { Then::Fail } else { Then::Go } });
        take_down(&around(world.clone(), &fails), &key, "asked").await.unwrap_err();
        take_down(&world, &key, "asked").await.unwrap();
        is_gone(&project, &key).await;
        let again = project.run().await.unwrap();
        assert_eq!(again.stats.encode.items(), 0, "cut off at {method}: no chunk is embedded again");
    }
}
