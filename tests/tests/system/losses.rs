//! An index that loses what it confirmed, and a broker that loses messages or is never given too many.

use async_trait::async_trait;
use bytes::Bytes;
use imagefleet::world::World;
use imagefleet_common::{
    Result,
    ids::Epoch,
    ports::{
        index::Doomed,
        jobs::{JobState, TaskView},
        layered::{Effect, Layer, Op},
    },
    task::State,
    work::Kind,
};
use imagefleet_tests::{
    compare::differences,
    corpus::{photos, write_yfcc_shard},
    encoders::disturbed,
    hooks::{Hooks, Then},
    lossy::LossyBroker,
    points::newest_job,
    project::Project,
    running::{behind, start},
};
use std::{
    any::Any,
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const EACH: u64 = 12;

fn project(shards: &[&str]) -> Project {
    let project = Project::new("yfcc", 12);
    for shard in shards {
        write_yfcc_shard(&project.corpus(), shard, &photos(shard, EACH as usize));
    }
    project
}

/// Two projects alike, the first of which has run.
async fn twins() -> (Project, Project) {
    let (undisturbed, other) = (project(&["0a1", "0a2"]), project(&["0a1", "0a2"]));
    undisturbed.run().await.unwrap();
    (undisturbed, other)
}

async fn tasks(project: &Project) -> Vec<TaskView> {
    let (world, job) = newest_job(project).await;
    world.jobs.tasks(job.id).await.unwrap()
}

fn nothing() -> Vec<String> {
    Vec::new()
}

/// The first bytes of a port that begin like this, and are read for so many times, are other ones at a place, once.
#[derive(Clone)]
struct Flip {
    port: &'static str,
    begin: &'static [u8],
    time: u32,
    /// The place, of this many bytes.
    place: fn(usize) -> usize,
    seen: Arc<Mutex<HashMap<Bytes, u32>>>,
    done: Arc<AtomicBool>,
}

impl Flip {
    fn is_time(&self, bytes: &Bytes) -> bool {
        let mut seen = self.seen.lock().unwrap();
        let times = seen.entry(bytes.clone()).or_default();
        *times += 1;
        *times == self.time
    }
}

#[async_trait]
impl Layer for Flip {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        let mut answer = effect().await?;
        if let Some(bytes) = (&mut answer as &mut dyn Any).downcast_mut::<Bytes>()
            && op.port == self.port
            && bytes.starts_with(self.begin)
            && self.is_time(bytes)
            && !self.done.swap(true, Ordering::SeqCst)
        {
            let mut other = bytes.to_vec();
            let place = (self.place)(other.len());
            other[place] ^= 1;
            *bytes = other.into();
        }
        Ok(answer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_damaged_on_their_way_are_read_again() {
    /// Port, first bytes, which time they are read, the place that is damaged, and failures of tasks.
    type Case = (&'static str, &'static [u8], u32, fn(usize) -> usize, &'static [u32]);
    const FIRST: fn(usize) -> usize = |_| 0;
    // Where a zip says where its directory is.
    const LAST: fn(usize) -> usize = |length| length - 22;
    // The first time, a small zip is read for its directory; that and metadata are read again at once.
    const CASES: [Case; 5] = [
        ("files", b"PK\x03\x04", 1, LAST, &[]),
        ("files", b"PK\x03\x04", 2, FIRST, &[1]),
        ("files", b"\x1f\x8b", 1, FIRST, &[]),
        ("artifacts", b"article_id,", 1, FIRST, &[1]),
        ("artifacts", b"{\"article_id\"", 1, FIRST, &[1]),
    ];
    for (port, begin, time, place, expected) in CASES {
        let (undisturbed, project) = twins().await;
        let flip = Flip { port, begin, time, place, seen: Arc::default(), done: Arc::default() };
        assert_eq!(start(&project, &flip, |_| {}).await.end().await.state, JobState::Succeeded);
        assert!(flip.done.load(Ordering::SeqCst), "nothing of {port} was damaged");
        assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
        let failures: Vec<u32> = tasks(&project).await.iter().map(|task| task.failures).filter(|it| *it > 0).collect();
        assert_eq!(failures, expected, "{begin:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_confirmed_points_are_not_there_fails_and_is_tried_again() {
    let (undisturbed, project) = twins().await;
    let hooks = Hooks::default()
        .before(|call| async move { if call.is("index", "put") && call.number == 1 { Then::Lose } else { Then::Go } });
    assert_eq!(start(&project, &hooks, |_| {}).await.end().await.state, JobState::Succeeded);
    let failed: Vec<TaskView> = tasks(&project).await.into_iter().filter(|task| task.failures > 0).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!((failed[0].work.kind(), failed[0].failures), (Kind::Embed, 1));
    assert_eq!(hooks.calls("tasks", "embed_again"), 0, "the seal found nothing lost");
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
}

/// Deletes a point of the first chunk behind everyone's back, where the chunk has all of its points.
async fn lose_a_point(world: &World) {
    let job = world.jobs.jobs().await.unwrap().pop().unwrap();
    let shard = world.catalog.job_shards(job.id).await.unwrap()[0].number;
    let mut points = world.index.chunk(&job.collection, shard, 0).await.unwrap();
    if points.len() == EACH as usize {
        let doomed = Doomed::Keys { keys: vec![points.remove(0).key], up_to: Epoch::MAX };
        world.index.delete(&job.collection, &doomed).await.unwrap();
    }
}

/// An index that loses a point when a seal looks at it: every time, or the first time only.
async fn forgetful(project: &Project, always: bool) -> Hooks {
    let world = behind(project).await;
    Hooks::default().before(move |call| {
        let world = world.clone();
        async move {
            if call.is("index", "counts") && (always || call.number == 1) {
                lose_a_point(&world).await;
            }
            Then::Go
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn points_lost_after_their_chunk_was_done_are_embedded_once_more() {
    let (undisturbed, project) = twins().await;
    let hooks = forgetful(&project, false).await;
    let ended = start(&project, &hooks, |_| {}).await.end().await;
    assert_eq!((ended.state, ended.stats.encode.items()), (JobState::Succeeded, 3 * EACH));
    assert_eq!(hooks.calls("tasks", "embed_again"), 1);
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
    assert_eq!(project.verify().await.unwrap().wrong, nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_goes_on_losing_points_blocks_the_job_with_both_figures() {
    let (undisturbed, project) = twins().await;
    let hooks = forgetful(&project, true).await;
    let ended = start(&project, &hooks, |_| {}).await.end().await;
    assert_eq!((ended.state, ended.stats.encode.items()), (JobState::Blocked, 3 * EACH));
    let dead: Vec<TaskView> = tasks(&project).await.into_iter().filter(|task| task.state == State::Dead).collect();
    assert_eq!((dead.len(), dead[0].work.kind()), (1, Kind::Seal));
    let why = dead[0].error.as_deref().unwrap();
    assert!(why.contains("holds 11 points and the ledger names 12"), "{why}");

    let mended = project.run_changed(|run| run.retry_dead = true).await.unwrap();
    assert_eq!((mended.state, mended.stats.encode.items()), (JobState::Succeeded, EACH));
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_lost_are_published_again_and_the_job_ends() {
    let (undisturbed, project) = twins().await;
    let mut broker = None;
    let running = start(&project, &Hooks::default(), |run| {
        let lossy = Arc::new(LossyBroker::losing(Arc::clone(&run.world.broker)));
        run.world.broker = lossy.clone();
        run.coordinator.republish_after = Duration::from_millis(200);
        run.coordinator.idle = Duration::from_millis(100);
        broker = Some(lossy);
    })
    .await;
    assert_eq!(running.end().await.state, JobState::Succeeded);
    // All but searches, which no job file asks for.
    assert_eq!(broker.unwrap().lost(), Kind::ALL.len() - 1, "each kind has a queue, and each queue lost messages");
    assert!(tasks(&project).await.iter().all(|task| task.failures + task.crashes == 0));
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_never_holds_more_messages_than_its_window() {
    const SLOTS: usize = 2;
    let project = project(&["0a1", "0a2", "0a3", "0a4", "0a5", "0a6", "0a7", "0a8", "0a9", "0b1"]);
    let mut broker = None;
    let ended = start(&project, &Hooks::default(), |run| {
        let watched = Arc::new(LossyBroker::watching(Arc::clone(&run.world.broker)));
        run.world.broker = watched.clone();
        run.coordinator.window = 1;
        run.worker = |settings| settings.slots = SLOTS;
        // The slower the encoder, the more often the publisher looks at a full queue.
        run.coordinator.idle = Duration::from_millis(10);
        run.load = disturbed(|encoder, batch| {
            std::thread::sleep(Duration::from_millis(20));
            encoder.encode_pictures(batch)
        });
        broker = Some(watched);
    })
    .await
    .end()
    .await;
    assert_eq!((ended.state, ended.stats.encode.items()), (JobState::Succeeded, 10 * EACH));
    assert_eq!(broker.unwrap().deepest(), SLOTS);
}
