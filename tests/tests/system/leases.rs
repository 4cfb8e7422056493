//! Leases and messages as a worker and a reaper see them: what holds when answers are late, lost, or never come.

use async_trait::async_trait;
use futures::FutureExt;
use imagefleet_common::{
    Result,
    ids::SessionId,
    ports::{
        jobs::{Control, JobState},
        layered::{Effect, Layer, Layered, Op},
        tasks::{Claim, NewSession, Tasks, Written},
    },
};
use imagefleet_coordinator::{reap::Reaper, stats::Stats};
use imagefleet_tests::{
    around::around,
    corpus::{photos, write_yfcc_shard},
    encoders::disturbed,
    gate::Gate,
    hooks::{Hooks, Then},
    points::newest_job,
    project::Project,
    running::{behind, start},
};
use imagefleet_worker::{Settings, session::Session};
use std::{
    any::Any,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(5);

fn project() -> Project {
    let project = Project::new("yfcc", 6);
    for shard in ["0a1", "0a2"] {
        write_yfcc_shard(&project.corpus(), shard, &photos(shard, 8));
    }
    project
}

fn one_slot(settings: &mut Settings) {
    settings.slots = 1;
}

/// A store whose first answer to a method is late, and all others to it never come.
#[derive(Clone)]
struct Late {
    method: &'static str,
    by: Duration,
    asked: Arc<Mutex<Option<Instant>>>,
}

#[async_trait]
impl Layer for Late {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        if op.method != self.method {
            return effect().await;
        }
        if self.asked.lock().unwrap().replace(Instant::now()).is_some() {
            return pending().await;
        }
        let answer = effect().await;
        sleep(self.by).await;
        answer
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_counts_its_lease_from_before_it_asked() {
    const LEASE: Duration = Duration::from_millis(1000);
    const LATE: Duration = Duration::from_millis(600);
    for (method, beat) in [("open_session", HOUR), ("beat", MOMENT)] {
        let project = project();
        let late = Late { method, by: LATE, asked: Arc::default() };
        let tasks: Arc<dyn Tasks> = Arc::new(Layered::new(behind(&project).await.tasks, late.clone()));
        let session = Session::open(tasks, "a worker", 1, LEASE, beat, None).await.unwrap();
        while late.asked.lock().unwrap().is_none() {
            sleep(MOMENT).await;
        }
        let asked = late.asked.lock().unwrap().unwrap();
        while session.lease.is_held() {
            sleep(MOMENT).await;
        }
        let held = asked.elapsed();
        assert!(held < LEASE + LATE / 2, "{method}: held for {held:?} after it was asked for");
    }
}

/// What comes of a lease that runs out while the encoder holds at the gate.
#[derive(Default)]
struct Outage {
    gate: Gate,
    /// The worker has another session.
    is_renewed: AtomicBool,
    /// Writes of points before that.
    strayed: AtomicU64,
    /// The heart was answered before that.
    is_answered: AtomicBool,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_lease_ran_out_writes_nothing() {
    const LEASE: Duration = Duration::from_millis(600);
    /// How long a beat has no answer: the heart gives it up before.
    const SILENCE: Duration = Duration::from_secs(5);
    let (project, outage) = (project(), Arc::new(Outage::default()));
    let hooks = Hooks::default()
        .before({
            let outage = Arc::clone(&outage);
            move |call| {
                let outage = Arc::clone(&outage);
                async move {
                    if !outage.is_renewed.load(SeqCst) && outage.gate.reached().now_or_never().is_some() {
                        outage.strayed.fetch_add(call.is("index", "put").into(), SeqCst);
                        if call.is("tasks", "beat") {
                            // The encoder goes on once the lease is out.
                            std::thread::spawn({
                                let outage = Arc::clone(&outage);
                                move || {
                                    std::thread::sleep(LEASE);
                                    outage.gate.open();
                                }
                            });
                            sleep(SILENCE).await;
                            outage.is_answered.store(true, SeqCst);
                        }
                    }
                    Then::Go
                }
            }
        })
        .after({
            let outage = Arc::clone(&outage);
            move |call, _| {
                outage.is_renewed.fetch_or(call.is("tasks", "open_session") && call.number == 2, SeqCst);
            }
        });
    let running = start(&project, &hooks, |run| {
        let outage = Arc::clone(&outage);
        run.load = disturbed(move |encoder, batch| {
            outage.gate.pass();
            encoder.encode_pictures(batch)
        });
        run.worker = |settings| {
            settings.lease = LEASE;
            settings.beat = LEASE / 12;
        };
    })
    .await;
    assert_eq!(running.end().await.state, JobState::Succeeded);
    assert_eq!(outage.strayed.load(SeqCst), 0, "writes without a lease");
    assert!(!outage.is_answered.load(SeqCst), "who could not write gave the lease up");
    assert_eq!(hooks.calls("tasks", "open_session"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_waits_a_lease_after_its_start_and_after_each_query_that_failed() {
    const LEASE: Duration = Duration::from_millis(500);
    let (project, is_away) = (project(), Arc::new(AtomicBool::new(false)));
    let world = behind(&project).await;
    let hooks = Hooks::default().before({
        let is_away = Arc::clone(&is_away);
        move |_| {
            let is_away = is_away.load(SeqCst);
            async move { if is_away { Then::Fail } else { Then::Go } }
        }
    });
    let ports = around(world.clone(), &hooks).coordinator();
    let (began, reaper, stats) = (Instant::now(), Reaper::new(LEASE), Stats::default());
    // Until a session that is past its lease is ended.
    let reaps = async || {
        let (id, worker) = (SessionId::random(), "a worker".to_owned());
        let session = NewSession { id, worker, slots: 1, lease: Duration::ZERO, replaces: None };
        world.tasks.open_session(&session).await.unwrap();
        while !world.tasks.sessions().await.unwrap().is_empty() {
            reaper.reap(&ports, &stats).await.unwrap();
            sleep(MOMENT).await;
        }
    };
    reaps().await;
    assert!(began.elapsed() >= LEASE, "{:?} after its start", began.elapsed());
    // The second failure comes while it waits because of the first.
    for _ in 0..2 {
        let failed = Instant::now();
        is_away.store(true, SeqCst);
        assert!(reaper.reap(&ports, &stats).await.is_err());
        sleep(LEASE / 2).await;
        let failed_again = Instant::now();
        assert!(reaper.reap(&ports, &stats).await.is_err(), "{:?} after a failure", failed.elapsed());
        is_away.store(false, SeqCst);
        reaps().await;
        assert!(failed_again.elapsed() >= LEASE, "{:?} after a failure", failed_again.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_repeated_until_an_answer_comes() {
    /// More than the retries around the store take upon themselves.
    const LOST: u64 = 8;
    let project = project();
    let hooks = Hooks::default().before(|call| async move {
        if call.is("tasks", "claim") && call.number <= LOST { Then::Forget } else { Then::Go }
    });
    let running = start(&project, &hooks, |run| run.worker = one_slot).await;
    assert_eq!(running.end().await.state, JobState::Succeeded);
    let (world, job) = newest_job(&project).await;
    let tasks = world.jobs.tasks(job.id).await.unwrap();
    assert!(tasks.iter().all(|task| task.attempt == 1), "{tasks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_claim_got_no_answer_under_the_lease_is_given_back() {
    let (project, is_renewed) = (project(), Arc::new(AtomicBool::new(false)));
    let hooks = Hooks::default()
        .before({
            let is_renewed = Arc::clone(&is_renewed);
            move |call| {
                let is_asked = call.is("tasks", "claim") || call.is("tasks", "beat");
                let then = if is_asked && !is_renewed.load(SeqCst) { Then::Fail } else { Then::Go };
                async move { then }
            }
        })
        .after(move |call, _| {
            is_renewed.fetch_or(call.is("tasks", "open_session") && call.number == 2, SeqCst);
        });
    let running = start(&project, &hooks, |run| {
        run.worker = |settings| {
            settings.lease = Duration::from_millis(600);
            settings.beat = settings.lease / 12;
        };
    })
    .await;
    assert_eq!(running.end().await.state, JobState::Succeeded);
    assert!(hooks.calls("broker", "give_back") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_runs_one_task_at_a_time_and_acknowledges_it_when_its_end_is_written() {
    /// One slot of chunks, and one of all else.
    const SLOTS: u64 = 2;
    let (project, wrong) = (project(), Arc::new(Mutex::new(Vec::new())));
    let [claimed, ended, dealt_with, acked] = [(); 4].map(|()| Arc::new(AtomicU64::new(0)));
    let hooks = Hooks::default()
        .before({
            let (dealt_with, wrong) = (Arc::clone(&dealt_with), Arc::clone(&wrong));
            move |call| {
                if call.is("broker", "ack") && acked.fetch_add(1, SeqCst) >= dealt_with.load(SeqCst) {
                    wrong.lock().unwrap().push("a message was acknowledged before its attempt's end was written");
                }
                async { Then::Go }
            }
        })
        .after({
            let wrong = Arc::clone(&wrong);
            move |call, answer| match answer.downcast_ref() {
                Some(Claim::Granted(_)) if claimed.fetch_add(1, SeqCst) >= ended.load(SeqCst) + SLOTS => {
                    wrong.lock().unwrap().push("a task was claimed without a free slot");
                }
                Some(Claim::Granted(_)) => {}
                Some(_) => drop(dealt_with.fetch_add(1, SeqCst)),
                None if answer.is::<Written>() && call.method != "progress" => {
                    ended.fetch_add(1, SeqCst);
                    dealt_with.fetch_add(1, SeqCst);
                }
                None => {}
            }
        });
    let running = start(&project, &hooks, |run| run.worker = one_slot).await;
    assert_eq!(running.end().await.state, JobState::Succeeded);
    assert_eq!(*wrong.lock().unwrap(), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_no_job_needs_any_more_is_stopped() {
    let (project, gate) = (project(), Arc::new(Gate::default()));
    let world = behind(&project).await;
    let running = start(&project, &Hooks::default(), |run| {
        let gate = Arc::clone(&gate);
        run.load = disturbed(move |encoder, batch| {
            gate.pass();
            encoder.encode_pictures(batch)
        });
        run.worker = |settings| settings.beat = MOMENT;
    })
    .await;
    gate.reached().await;
    let job = world.jobs.jobs().await.unwrap().pop().unwrap().id;
    world.jobs.control(job, Control::Cancel).await.unwrap();
    assert_eq!(running.end().await.state, JobState::Cancelled);
    gate.open();
}
