//! A picture that is taken down while its chunk embeds.

use imagefleet::takedown::take_down;
use imagefleet_common::ledger::Reason;
use imagefleet_tests::{
    corpus::{photos, write_yfcc_shard},
    hooks::{Call, Hooks, Then},
    points::{newest_job, points},
    project::Project,
    running::{behind, start},
};
use std::sync::Arc;

/// Runs a project of twelve pictures, takes one down before the first call of this method that is about embedding, and
/// says how many points of it were deleted on purpose.
async fn taken_down_before(method: &'static str, port: &'static str) -> (Project, String) {
    let project = Project::new("yfcc", 2);
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 12));
    let key = photos("0a1", 12).remove(5).key;
    let world = Arc::new(behind(&project).await);
    let hooks = Hooks::default().before({
        let (world, key) = (Arc::clone(&world), key.clone());
        move |call: Call| {
            let (world, key) = (Arc::clone(&world), key.clone());
            async move {
                if call.is(port, method) && call.number == 1 {
                    take_down(&world, &key, "asked").await.unwrap();
                }
                Then::Go
            }
        }
    });
    let ended = start(&project, &hooks, |_| {}).await.end().await;
    assert_eq!(hooks.calls("tasks", "embed_again"), 0, "no chunk had to be embedded twice");
    assert_eq!(ended.stats.encode.items(), 12, "the attempt had begun without knowing");
    (project, key)
}

async fn is_gone(project: &Project, key: &str) {
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new());
    assert!(!points(project).await.contains_key(key));
    let (world, job) = newest_job(project).await;
    let counts = world.jobs.progress(job.id).await.unwrap().counts;
    assert_eq!((counts.seen, counts.embedded, counts.rejected), (12, 11, [(Reason::Takedown, 1)].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_point_is_deleted_by_the_attempt_that_put_it_after_the_takedown_had_looked() {
    // The attempt has read its takedowns and puts its points only now.
    let (project, key) = taken_down_before("put", "index").await;
    is_gone(&project, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_counts_it_as_rejected_where_its_point_was_taken_before_the_attempt_ended() {
    // Points are put and read back; what is left is the end: the first artifacts that a run writes are its inputs.
    let (project, key) = taken_down_before("delete", "index").await;
    is_gone(&project, &key).await;
}
