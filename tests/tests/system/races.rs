//! What one process can show of the protocol's promises: draining, the folder's lock, a lost lease, a late write, and a
//! job file that changes under its job.

use futures::FutureExt;
use imagefleet::{run::Run, world::World};
use imagefleet_adapters::faults::Moment;
use imagefleet_common::{
    ids::Epoch,
    ports::{
        broker::Delivery,
        index::{Payload, Point},
        jobs::{JobState, TaskView},
        tasks::Claim,
    },
    task::State,
    work::{ChunkRef, Kind, Work},
};
use imagefleet_coordinator::submit::submit;
use imagefleet_tests::{
    child::Child,
    compare::{differences, rows},
    corpus::{photos, write_yfcc_shard},
    encoders::disturbed,
    events::{Event, Place},
    gate::Gate,
    hooks::{Hooks, Then},
    points::newest_job,
    project::Project,
    running::{behind, start},
};
use imagefleet_worker::Settings;
use serde_json::Value;
use std::{
    fs,
    future::pending,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

const SHARDS: [&str; 3] = ["0a1", "0a2", "0a3"];
const EACH: u64 = 12;

fn project() -> Project {
    let project = Project::new("yfcc", 12);
    for shard in SHARDS {
        write_yfcc_shard(&project.corpus(), shard, &photos(shard, EACH as usize));
    }
    project
}

async fn undisturbed() -> Project {
    let project = project();
    project.run().await.unwrap();
    project
}

fn nothing() -> Vec<String> {
    Vec::new()
}

async fn tasks(project: &Project) -> Vec<TaskView> {
    let (world, job) = newest_job(project).await;
    world.jobs.tasks(job.id).await.unwrap()
}

/// An encoder that works until it has encoded so many pictures, and then holds at the gate.
fn hold_after(run: &mut Run, pictures: usize, gate: &Arc<Gate>) {
    let (gate, encoded) = (Arc::clone(gate), AtomicUsize::new(0));
    run.load = disturbed(move |encoder, batch| {
        if encoded.fetch_add(batch.count, Ordering::SeqCst) >= pictures {
            gate.pass();
        }
        encoder.encode_pictures(batch)
    });
}

const GRACE: Duration = Duration::from_secs(1);

fn one_at_a_time(settings: &mut Settings) {
    settings.slots = 1;
    settings.grace = GRACE;
}

/// A run that was stopped in its second chunk, while its encoder held: one chunk is done.
async fn stopped_in_its_second_chunk(project: &Project) {
    let (gate, hooks) = (Arc::new(Gate::default()), Hooks::default());
    let running = start(project, &hooks, |run| {
        hold_after(run, EACH as usize, &gate);
        run.worker = one_at_a_time;
    })
    .await;
    gate.reached().await;
    let asked = Instant::now();
    running.stop();
    let ended = running.end().await;
    assert!(asked.elapsed() < 2 * GRACE, "it took {:?} to drain", asked.elapsed());
    assert_eq!((ended.state, ended.written), (JobState::Running, None));
    assert_eq!(hooks.calls("tasks", "hand_back"), 1);
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_hands_back_within_the_grace_and_the_next_one_goes_on() {
    let (undisturbed, project) = (undisturbed().await, project());
    stopped_in_its_second_chunk(&project).await;
    let left = tasks(&project).await;
    assert!(left.iter().all(|task| task.state != State::Running && task.failures + task.crashes == 0), "{left:?}");
    let embedded = left.iter().filter(|task| task.work.kind() == Kind::Embed && task.state == State::Succeeded);
    assert_eq!(embedded.count(), 1);

    let again = project.run().await.unwrap();
    assert_eq!((again.state, again.stats.encode.items()), (JobState::Succeeded, 2 * EACH));
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_job_file_cancels_the_older_job_and_keeps_its_chunks() {
    let project = project();
    stopped_in_its_second_chunk(&project).await;
    let job = fs::read_to_string(project.job_file()).unwrap();
    fs::write(project.job_file(), job.replace("candidates = 5", "candidates = 4")).unwrap();

    let changed = project.run().await.unwrap();
    assert_eq!((changed.state, changed.stats.encode.items()), (JobState::Succeeded, 2 * EACH));
    assert!(rows(&project.out()).iter().all(|row| row["indices"].as_array().unwrap().len() == 4));
    let (world, newest) = newest_job(&project).await;
    let jobs = world.jobs.jobs().await.unwrap();
    let states: Vec<JobState> = jobs.iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Cancelled, JobState::Succeeded]);
    assert_eq!(newest.id, changed.job);
    assert_eq!(project.verify().await.unwrap().wrong, nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_searches_the_shards_that_it_planned_and_none_that_came_later() {
    let (undisturbed, project) = (undisturbed().await, project());
    stopped_in_its_second_chunk(&project).await;
    let later = photos("0a4", EACH as usize);
    write_yfcc_shard(&project.corpus(), "0a4", &later);
    let job = fs::read_to_string(project.job_file()).unwrap();
    let other = job.replace("name = \"test\"\n[corpus]", "name = \"other\"\n[corpus]").replace("\"out\"", "\"other\"");
    fs::write(project.job_file(), other).unwrap();
    assert_eq!(project.run().await.unwrap().state, JobState::Succeeded);
    let others = rows(&project.path().join("other"));
    let is_later = |key: &Value| later.iter().any(|photo| *key == photo.key);
    assert!(
        others.iter().flat_map(|row| row["indices"].as_array().unwrap()).any(is_later),
        "else this test shows nothing"
    );

    fs::write(project.job_file(), job).unwrap();
    assert_eq!(project.run().await.unwrap().state, JobState::Succeeded);
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_in_one_folder_is_refused_and_told_which_process_works_there() {
    let project = project();
    let mut child = Child::start(super::sigkill::CHILD, &project, None);
    let submit = Event { stage: "list".into(), call: "jobs.submit".into(), number: 1 };
    child.places_until(Some(&Place { moment: Moment::Before, event: submit }));
    signal(&child, "-STOP");
    let refused = project.run().await.err().expect("a process works there").to_string();
    signal(&child, "-CONT");
    assert!(refused.contains(&format!("process {} works in it", child.id())), "{refused}");
    assert_eq!(child.end().state.as_deref(), Some("succeeded"));
    assert_eq!(project.run().await.unwrap().state, JobState::Succeeded);
}

const LEASE: Duration = Duration::from_millis(1000);
const UPSERT: Duration = Duration::from_millis(1000);

fn short_lease(settings: &mut Settings) {
    settings.lease = LEASE;
    settings.beat = LEASE / 8;
    settings.upsert_timeout = UPSERT;
}

/// What happened when a session was reaped while its worker lived.
#[derive(Default)]
struct Reaped {
    at: Mutex<Option<Instant>>,
    /// Counted against its tasks, until the worker opened a session anew.
    crashes: AtomicU32,
    /// From the reaping to the moment at which the seal looked at the index.
    sealed_after: Mutex<Option<Duration>>,
    /// Each claim of a chunk.
    claims: Mutex<Vec<(ChunkRef, Epoch)>>,
    /// Messages that the worker took.
    deliveries: AtomicU64,
}

/// The heart of a run gets no answer while its encoder holds, and the store reaps its session. Late writes of the lost
/// attempts reach the index when it is sealed.
async fn run_with_a_reaped_session(project: &Project) -> (Arc<Reaped>, Hooks) {
    let (gate, reaped) = (Arc::new(Gate::default()), Arc::new(Reaped::default()));
    let world = behind(project).await;
    let hooks = Hooks::default()
        .before({
            let (gate, reaped) = (Arc::clone(&gate), Arc::clone(&reaped));
            move |call| {
                let (gate, reaped, world) = (Arc::clone(&gate), Arc::clone(&reaped), world.clone());
                async move {
                    let is_reaped = reaped.at.lock().unwrap().is_some();
                    if call.is("tasks", "beat") && !is_reaped && gate.reached().now_or_never().is_some() {
                        // The heart gives it up.
                        pending::<()>().await;
                    }
                    if call.is("tasks", "open_session") && call.number == 2 {
                        while world.tasks.reap().await.unwrap().is_empty() {
                            tokio::time::sleep(LEASE / 20).await;
                        }
                        *reaped.at.lock().unwrap() = Some(Instant::now());
                        let job = world.jobs.jobs().await.unwrap().pop().unwrap();
                        let tasks = world.jobs.tasks(job.id).await.unwrap();
                        reaped.crashes.store(tasks.iter().map(|task| task.crashes).sum(), Ordering::SeqCst);
                    }
                    if call.is("index", "counts") && call.number == 1 {
                        *reaped.sealed_after.lock().unwrap() = reaped.at.lock().unwrap().map(|at| at.elapsed());
                        let claims = reaped.claims.lock().unwrap().clone();
                        write_late(&world, &claims).await;
                    }
                    Then::Go
                }
            }
        })
        .after({
            let (gate, reaped) = (Arc::clone(&gate), Arc::clone(&reaped));
            move |call, answer| {
                if let Some(Claim::Granted(claimed)) = answer.downcast_ref()
                    && let Work::Embed { chunk, .. } = claimed.work
                {
                    reaped.claims.lock().unwrap().push((chunk, claimed.epoch));
                }
                reaped.deliveries.fetch_add(answer.is::<Delivery>().into(), Ordering::SeqCst);
                if call.is("tasks", "open_session") && call.number == 2 {
                    gate.open();
                }
            }
        });
    let running = start(project, &hooks, |run| {
        hold_after(run, 0, &gate);
        run.worker = short_lease;
        // The seal looks as soon as it may.
        run.coordinator.idle = LEASE / 50;
    })
    .await;
    assert_eq!(running.end().await.state, JobState::Succeeded);
    (reaped, hooks)
}

/// What a lost attempt still had under way: other vectors for its chunk's points, and a point that nobody else wrote.
async fn write_late(world: &World, claims: &[(ChunkRef, Epoch)]) {
    let job = world.jobs.jobs().await.unwrap().pop().unwrap();
    let dims = world.catalog.collection(&job.collection).await.unwrap().unwrap().dims;
    let mut vector = vec![0.0; dims];
    vector[0] = 1.0;
    for &(at, epoch) in claims {
        let newest = claims.iter().filter(|(chunk, _)| *chunk == at).map(|(_, epoch)| *epoch).max();
        if newest == Some(epoch) {
            continue;
        }
        let stored = world.index.chunk(&job.collection, at.shard, at.chunk).await.unwrap();
        let keys = stored.into_iter().map(|head| head.key).chain([format!("late {at}")]);
        let points: Vec<Point> =
            keys.map(|key| Point { key, vector: vector.clone(), payload: Payload::default() }).collect();
        world.index.put(&job.collection, at, epoch, &points).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_session_was_reaped_starts_anew_and_no_late_write_counts() {
    let (undisturbed, project) = (undisturbed().await, project());
    let (reaped, hooks) = run_with_a_reaped_session(&project).await;
    assert!(reaped.crashes.load(Ordering::SeqCst) > 0, "the session held tasks when it was reaped");
    assert_eq!(hooks.calls("tasks", "open_session"), 2);
    let ended = tasks(&project).await;
    assert!(ended.iter().all(|task| task.crashes + task.failures == 0), "{ended:?}");
    let waited = reaped.sealed_after.lock().unwrap().unwrap();
    // The store's clock has begun a moment before.
    let waited = waited + Duration::from_millis(100);
    assert!(waited >= LEASE + UPSERT, "sealed {waited:?} after attempts were lost whose writes could still come");
    assert!(reaped.claims.lock().unwrap().len() > SHARDS.len(), "chunks were claimed again");
    let dealt_with = hooks.calls("broker", "ack") + hooks.calls("broker", "give_back");
    assert_eq!(dealt_with, reaped.deliveries.load(Ordering::SeqCst), "messages of lost attempts, too");
    for task in ended.iter().filter(|task| task.work.kind() == Kind::Embed) {
        let artifact = task.artifact.as_deref().unwrap();
        assert!(artifact.contains(&format!("/{}/", task.attempt)), "{artifact} is no other attempt's");
    }
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
    assert_eq!(project.verify().await.unwrap().wrong, nothing());
}

/// Keys in the index that no attempt of this run wrote.
async fn strangers(world: &World, at: ChunkRef) -> Vec<String> {
    let job = world.jobs.jobs().await.unwrap().pop().unwrap();
    let stored = world.index.chunk(&job.collection, at.shard, at.chunk).await.unwrap();
    stored.into_iter().map(|head| head.key).filter(|key| key.starts_with("late ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_attempt_left_in_a_chunk_is_gone_when_the_next_one_has_succeeded() {
    let project = project();
    let world = behind(&project).await;
    let (claimed, left) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
    let hooks = Hooks::default()
        .before({
            let (claimed, left) = (Arc::clone(&claimed), Arc::clone(&left));
            move |call| {
                let (claimed, left, world) = (Arc::clone(&claimed), Arc::clone(&left), world.clone());
                async move {
                    let at: Option<(ChunkRef, Epoch)> = *claimed.lock().unwrap();
                    // The first attempt that reads its chunk back finds what one before it put there.
                    if let (Some((at, epoch)), true) = (at, call.is("index", "chunk") && call.number == 1) {
                        write_late(&world, &[(at, epoch - 1), (at, epoch)]).await;
                        assert_eq!(strangers(&world, at).await.len(), 1);
                    }
                    if let (Some((at, _)), true) = (at, call.is("index", "counts") && call.number == 1) {
                        *left.lock().unwrap() = Some(strangers(&world, at).await);
                    }
                    Then::Go
                }
            }
        })
        .after(move |_, answer| {
            if let Some(Claim::Granted(granted)) = answer.downcast_ref()
                && let Work::Embed { chunk, .. } = granted.work
            {
                claimed.lock().unwrap().get_or_insert((chunk, granted.epoch));
            }
        });
    let running = start(&project, &hooks, |run| run.worker = one_at_a_time).await;
    assert_eq!(running.end().await.state, JobState::Succeeded);
    assert_eq!(*left.lock().unwrap(), Some(vec![]), "the seal's first look");
}

/// A write that is held up until a seal has looked again for whoever may still write.
#[derive(Default)]
struct HeldUp {
    released: Notify,
    is_released: AtomicBool,
    /// The seal counted points while the write was under way.
    is_too_early: AtomicBool,
}

impl HeldUp {
    fn release(&self) {
        self.is_released.store(true, Ordering::SeqCst);
        self.released.notify_one();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_waits_for_an_attempt_on_a_chunk_that_was_replaced() {
    /// Each has a seal that looks; a look after these is a second one.
    const JOBS: u64 = 2;
    let project = Arc::new(Project::new("yfcc", 12));
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 12));
    let (world, held_up) = (behind(&project).await, Arc::new(HeldUp::default()));
    let hooks = Hooks::default().before({
        let (project, held_up) = (Arc::clone(&project), Arc::clone(&held_up));
        move |call| {
            let (project, world, held_up) = (Arc::clone(&project), world.clone(), Arc::clone(&held_up));
            async move {
                if call.is("index", "put") && call.number == 1 {
                    // The shard has changed, and a later job has it listed again.
                    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", 8));
                    let job = fs::read_to_string(project.job_file()).unwrap();
                    fs::write(project.job_file(), job.replacen("\"test\"", "\"later\"", 1)).unwrap();
                    let later = project.prepare(world.clone()).unwrap().submission;
                    submit(world.jobs.as_ref(), world.artifacts.as_ref(), later).await.unwrap();
                    held_up.released.notified().await;
                }
                if call.is("catalog", "writers") && call.number > JOBS {
                    held_up.release();
                }
                if call.is("index", "counts") && !held_up.is_released.load(Ordering::SeqCst) {
                    held_up.is_too_early.store(true, Ordering::SeqCst);
                    held_up.release();
                }
                Then::Go
            }
        }
    });
    let running = start(&project, &hooks, |run| {
        run.worker = |settings| {
            // No beat says that nobody needs the old chunk.
            settings.lease = Duration::from_secs(3600);
            settings.beat = settings.lease;
        };
    })
    .await;
    assert_eq!(running.end().await.state, JobState::Succeeded);
    assert!(!held_up.is_too_early.load(Ordering::SeqCst), "it sealed while an attempt could write");
    assert!(held_up.is_released.load(Ordering::SeqCst));
}
