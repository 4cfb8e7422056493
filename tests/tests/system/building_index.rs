//! An index that is not ready when the last picture is embedded.

use imagefleet_common::{ports::jobs::JobState, work::Kind};
use imagefleet_tests::{
    building::Building,
    corpus::{photos, write_yfcc_shard},
    points::newest_job,
    project::Project,
    running::start,
};
use imagefleet_worker::Settings;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(100);

/// Attempts of the seal of a run over this index.
async fn sealed(index: &Building, settings: fn(&mut Settings)) -> u32 {
    let project = Project::new("yfcc", 12);
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 12));
    let ended = start(&project, index, |run| run.worker = settings).await.end().await;
    assert_eq!(ended.state, JobState::Succeeded);
    let (world, job) = newest_job(&project).await;
    let tasks = world.jobs.tasks(job.id).await.unwrap();
    let seal = tasks.into_iter().find(|task| task.work.kind() == Kind::Seal).unwrap();
    assert_eq!((seal.failures, seal.crashes), (0, 0), "to wait is no failure");
    seal.attempt
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_looks_again_until_the_index_is_ready() {
    let index = Building::during(3);
    let attempts = sealed(&index, |settings| settings.building_look = LOOK).await;
    assert_eq!((index.asked(), attempts), (4, 4), "each look is an attempt of its own: no slot is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_with_an_index_that_is_never_ready() {
    let index = Building::during(u64::MAX);
    let attempts = sealed(&index, |settings| {
        settings.building_look = LOOK;
        settings.building_limit = Duration::from_secs(2);
    })
    .await;
    assert!(index.asked() > 1 && attempts as u64 == index.asked(), "{attempts} attempts");
}
