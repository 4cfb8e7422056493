//! Pictures that kill the process: each is found, rejected and named, and the others are embedded all the same.

use async_trait::async_trait;
use imagefleet::world::World;
use imagefleet_common::{
    Result,
    ledger::Reason,
    ports::{
        jobs::JobState,
        layered::{Effect, Layer, Op},
        tasks::Claim,
    },
    task::ALONE_AFTER,
    work::Kind,
};
use imagefleet_tests::{
    child::Child,
    compare::differences,
    corpus::{deadly_jpeg, photos, write_yfcc_shard},
    ledger::Ledger,
    project::Project,
    running::start,
};
use std::{
    any::Any,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Nobody knows where the first two deaths were; each picture then takes two more.
const DEATHS: usize = 2 + 2 * 2;

fn project(deadly: &[usize]) -> Project {
    let project = Project::new("yfcc", 12);
    for (shard, count) in [("0a1", 24), ("0a2", 24)] {
        let mut photos = photos(shard, count);
        if shard == "0a1" {
            deadly.iter().for_each(|at| photos[*at].bytes = deadly_jpeg());
        }
        write_yfcc_shard(&project.corpus(), shard, &photos);
    }
    project
}

#[test]
#[ignore = "the process that another test starts, and that dies"]
fn child() {
    imagefleet_tests::child::run_for_parent();
}

#[test]
fn a_picture_that_kills_the_process_is_found_and_rejected() {
    let project = project(&[5, 20]);
    let mut deaths = 0;
    let end = loop {
        let end = Child::start_with_deadly_pictures("crashes::child", &project).end();
        if end.state.is_some() {
            break end;
        }
        deaths += 1;
        assert!(deaths <= DEATHS, "it dies for ever: {}", end.log);
    };
    assert_eq!((end.state.as_deref(), deaths), (Some("succeeded"), DEATHS), "{}", end.log);
    let ledger = Ledger::read(&project.out());
    assert_eq!(ledger.faults(), Vec::<String>::new());
    let crashed: Vec<_> = ledger.rejected.iter().map(|row| (row.shard.as_str(), row.reason)).collect();
    assert_eq!(crashed, [("images/0a1.zip", Reason::Crashes); 2]);
    let photos = photos("0a1", 24);
    let mut keys = [photos[5].key.clone(), photos[20].key.clone()];
    keys.sort_unstable();
    assert_eq!(ledger.rejected.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), keys);
    assert_eq!((ledger.shard("images/0a1.zip").embedded, ledger.shard("images/0a2.zip").embedded), (22, 24));
}

/// Two deaths for other reasons: what runs alone after them gives the same. So it does where it dies again once all of its
/// pictures are through; of three such deaths one chunk has two.
#[test]
fn what_runs_alone_gives_what_runs_together_gives() {
    let (alone, together) = (project(&[]), project(&[]));
    // What runs alone has a tokio task of its own, which was granted no claim.
    let places = ["before embed index.put 1"; 2].into_iter().chain(["before list index.delete 1"; 3]);
    for place in places {
        let place = place.parse().unwrap();
        assert!(Child::start("crashes::child", &alone, Some(&place)).end().by_kill());
    }
    for project in [&alone, &together] {
        assert_eq!(Child::start("crashes::child", project, None).end().state.as_deref(), Some("succeeded"));
    }
    assert_eq!(differences(&together.out(), &alone.out()), Vec::<String>::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tasks = runtime.block_on(async {
        let world = World::open(&alone.data()).await.unwrap();
        let job = world.jobs.jobs().await.unwrap().pop().unwrap();
        world.jobs.tasks(job.id).await.unwrap()
    });
    assert!(tasks.iter().any(|task| task.crashes >= ALONE_AFTER), "one of them ran alone: {tasks:?}");
}

/// Has the process of every chunk's task die twice before, and counts attempts that write down where they stand: those
/// that do so at this moment, the most at a time, and how often.
#[derive(Clone, Default)]
struct TwiceDied(Arc<Mutex<[usize; 3]>>);

#[async_trait]
impl Layer for TwiceDied {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        let stands = (op.port, op.method) == ("tasks", "stands_at");
        if stands {
            let [now, most, all] = &mut *self.0.lock().unwrap();
            (*now, *all) = (*now + 1, *all + 1);
            *most = (*most).max(*now);
        }
        let mut answer = effect().await;
        if stands {
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.0.lock().unwrap()[0] -= 1;
        }
        if let Ok(answer) = &mut answer
            && let Some(Claim::Granted(claimed)) = (answer as &mut dyn Any).downcast_mut()
            && claimed.work.kind() == Kind::Embed
        {
            claimed.crashes = ALONE_AFTER;
        }
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_tasks_whose_process_died_one_runs_at_a_time() {
    let (project, layer) = (project(&[]), TwiceDied::default());
    let running = start(&project, &layer, |run| run.worker = |worker| worker.slots = 4).await;
    assert_eq!(running.end().await.state, JobState::Succeeded);
    let [now, most, all] = *layer.0.lock().unwrap();
    assert_eq!((now, most), (0, 1), "one at a time");
    assert!(all >= 48, "each of 48 pictures: {all}");
}
