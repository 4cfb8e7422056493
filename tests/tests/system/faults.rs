//! A fifth of the calls to every port fail, half of them after their effect took place; some are late, answer short, or
//! take place twice. With the retries that ship, no run notices.

use imagefleet::run::Ended;
use imagefleet_adapters::faults::{FaultPlan, Faults, Table};
use imagefleet_common::{ports::jobs::JobState, task::State};
use imagefleet_tests::{
    around::around,
    compare::differences,
    corpus::{Photo, photos, write_yfcc_shard},
    points::newest_job,
    project::Project,
    running::PATIENCE,
};
use imagefleet_worker::stop;
use std::{
    io::{Write, stderr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

const SEEDS: u64 = 50;
/// Runs at a time: they mostly wait before they try again.
const ABREAST: usize = 8;
const PORTS: [&str; 7] = ["tasks", "jobs", "catalog", "broker", "index", "files", "artifacts"];

type Corpus = Vec<(&'static str, Vec<Photo>)>;

/// Three shards; two pictures of the first are broken.
fn corpus() -> Corpus {
    let mut shards: Vec<_> = ["0a1", "0a2", "0a3"].map(|shard| (shard, photos(shard, 12))).into();
    let broken = &mut shards[0].1;
    broken[3].bytes.truncate(300);
    broken[7].bytes.clear();
    shards
}

fn project(corpus: &Corpus) -> Project {
    let project = Project::new("yfcc", 12);
    for (shard, photos) in corpus {
        write_yfcc_shard(&project.corpus(), shard, photos);
    }
    project
}

fn plan(seed: u64) -> FaultPlan {
    FaultPlan { delay: Duration::from_millis(20), truncate: true, duplicate: 0.05, ..FaultPlan::new(seed) }
}

/// What a disturbed run met, and how often a task had to be tried again.
struct Met {
    table: Table,
    failed_attempts: u32,
}

async fn disturbed(seed: u64, corpus: &Corpus, undisturbed: &Project) -> Met {
    let project = project(corpus);
    let faults = Faults::new(plan(seed));
    let (_lock, world) = project.take_over().await.unwrap();
    let world = around(world, &faults).retrying();
    let (_stopper, stop) = stop::channel();
    let run = project.prepare(world).unwrap().run(stop);
    let ended = timeout(PATIENCE, run).await.unwrap_or_else(|_| panic!("seed {seed}: the run does not come to an end"));
    let Ended { state, .. } = ended.expect("a run outlasts its faults");
    assert_eq!(state, JobState::Succeeded, "seed {seed}");
    assert_eq!(differences(&undisturbed.out(), &project.out()), Vec::<String>::new(), "seed {seed}");
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new(), "seed {seed}");
    let (world, job) = newest_job(&project).await;
    let tasks = world.jobs.tasks(job.id).await.unwrap();
    for task in &tasks {
        assert_eq!(task.state, State::Succeeded, "seed {seed}: {} says {:?}", task.work.key(), task.error);
    }
    Met { table: faults.counts(), failed_attempts: tasks.iter().map(|task| task.failures).sum() }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_runs_in_which_a_fifth_of_all_calls_fail_end_as_an_undisturbed_one() {
    let (corpus, start) = (Arc::new(corpus()), Instant::now());
    let undisturbed = Arc::new(project(&corpus));
    undisturbed.run().await.unwrap();

    let (mut runs, abreast) = (JoinSet::new(), Arc::new(Semaphore::new(ABREAST)));
    for seed in 0..SEEDS {
        let (corpus, undisturbed, abreast) = (Arc::clone(&corpus), Arc::clone(&undisturbed), Arc::clone(&abreast));
        runs.spawn(async move {
            let _turn = abreast.acquire().await.unwrap();
            disturbed(seed, &corpus, &undisturbed).await
        });
    }
    let (mut table, mut failed_attempts) = (Table::default(), 0);
    while let Some(met) = runs.join_next().await {
        let met = met.unwrap();
        table.add(&met.table);
        failed_attempts += met.failed_attempts;
    }

    let seconds = start.elapsed().as_secs_f64();
    // Past the test harness, which keeps what a passing test prints.
    let mut out = stderr();
    writeln!(out, "{table}{SEEDS} runs in {seconds:.0} s, {failed_attempts} attempts failed").unwrap();
    let ports = table.ports();
    for port in PORTS {
        let counts = ports.get(port).copied().unwrap_or_default();
        assert!(counts.failed_before > 0 && counts.failed_after > 0, "{port}: {counts:?}");
        let share = counts.failures() as f64 / counts.calls as f64;
        assert!((0.1..0.3).contains(&share), "{port}: {share:.2} of its calls failed");
    }
}
