//! An index that is not ready when the last picture is embedded.

use imagefleet::world::World;
use imagefleet_common::{
    ports::jobs::{JobState, TaskView},
    work::Kind,
};
use imagefleet_tests::{
    building::Building,
    corpus::{photos, write_yfcc_shard},
    project::Project,
    running::start,
};
use imagefleet_worker::Settings;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(100);

async fn seal(world: &World) -> Option<TaskView> {
    let job = world.jobs.jobs().await.unwrap().pop()?;
    let tasks = world.jobs.tasks(job.id).await.unwrap();
    tasks.into_iter().find(|task| task.work.kind() == Kind::Seal)
}

/// Until it says that it waits for the index.
async fn says_what_it_waits_for(world: World) {
    let waits = |seal: TaskView| seal.error.is_some_and(|said| said.starts_with("waits: the index says"));
    while !seal(&world).await.is_some_and(waits) {
        tokio::time::sleep(LOOK / 10).await;
    }
}

/// Attempts of the seal of a run over this index.
async fn sealed(index: &Building, settings: fn(&mut Settings)) -> u32 {
    let project = Project::new("yfcc", 12);
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 12));
    let running = start(&project, index, |run| run.worker = settings).await;
    let world = World::open(&project.data()).await.unwrap();
    let said = tokio::spawn(says_what_it_waits_for(world.clone()));
    assert_eq!(running.end().await.state, JobState::Succeeded);
    assert!(said.is_finished(), "nobody could see what it waited for");
    let seal = seal(&world).await.unwrap();
    assert_eq!((seal.failures, seal.crashes, seal.error), (0, 0, None), "to wait is no failure");
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
