//! Injects one fault, lets it live, heals it, and says what it met.

use super::{
    fault::{Fault, Part},
    fleet::{COORDINATORS, Fleet, WORKERS},
    messages::{self, Meddling},
    process::{Service, how},
    proxy::Mode,
    run::Run,
    site::GRACE,
    table::Injection,
};
use imagefleet_common::{ids::TaskId, ports::jobs::Jobs, task::State, work::Stage};
use std::{
    fs::File,
    process::ExitStatus,
    sync::atomic::Ordering,
    time::{Duration, Instant, SystemTime},
};

/// How long a fault of a server's answers waits for a call that it can meet.
const PATIENCE: Duration = Duration::from_secs(4);
/// What the end of a process may take beyond the grace, by docs/fleet.md.
const CLOSING: Duration = Duration::from_secs(15);
/// After this a dead worker's tasks are taken for stuck.
const RECOVERY: Duration = Duration::from_secs(60);

/// What a fault met.
pub struct Met {
    /// Calls, messages, connections or processes; 0: nothing at all.
    pub count: u32,
    /// The stage that it met, where it came too late or too early for the one that it was meant for.
    pub stage: Stage,
}

pub async fn inject(run: &Run, injection: &Injection) -> Met {
    let Injection { fault, stage, target, millis, .. } = *injection;
    let (fleet, lasts) = (&run.fleet, Duration::from_millis(millis));
    let met = |count| Met { count, stage };
    if fault == Fault::ObjectsMissing {
        run.relisted.store(true, Ordering::SeqCst);
    }
    let process = match fault.part() {
        Part::Worker => COORDINATORS + target as usize % WORKERS,
        _ => target as usize % COORDINATORS,
    };
    let url = &fleet.site.services.broker_url;
    match fault {
        Fault::KillWorker => met(kill_worker(run, process, lasts).await),
        Fault::TermWorker | Fault::TermCoordinator => met(terminate(run, process, lasts).await),
        Fault::KillCoordinator => {
            let mut process = fleet.processes[process].lock().await;
            process.signal("KILL");
            process.ends().await;
            tokio::time::sleep(lasts).await;
            process.start();
            met(1)
        }
        Fault::StopWorker | Fault::StopCoordinator => {
            let process = fleet.processes[process].lock().await;
            process.signal("STOP");
            tokio::time::sleep(lasts).await;
            process.signal("CONT");
            met(1)
        }
        Fault::FullDisk => met(full_disk(fleet, COORDINATORS, lasts).await),
        Fault::WorkerAhead => met(jump(fleet, COORDINATORS, 600, lasts).await),
        Fault::WorkerBehind => met(jump(fleet, COORDINATORS, -600, lasts).await),
        Fault::CoordinatorAhead => met(jump(fleet, 0, 600, lasts).await),
        Fault::CoordinatorBehind => met(jump(fleet, 0, -600, lasts).await),
        Fault::BrokerRestart => {
            fleet.site.services.restart_broker().await;
            met(1)
        }
        Fault::QueuesPurged | Fault::QueuesDeleted => {
            let queues: Vec<String> = Stage::ALL.into_iter().flat_map(|stage| fleet.queues(stage)).collect();
            let cleared = messages::clear(url, &queues, fault == Fault::QueuesDeleted).await;
            met(u32::from(cleared.is_ok()))
        }
        Fault::Doubled => meddle(fleet, stage, Meddling::Double, lasts).await,
        Fault::Reordered => meddle(fleet, stage, Meddling::Reorder, lasts).await,
        Fault::Dropped => meddle(fleet, stage, Meddling::Drop, lasts).await,
        Fault::StoreRestart => {
            fleet.site.services.restart_store().await;
            met(1)
        }
        Fault::TransactionsCut => met(fleet.site.services.cut_transactions(&fleet.site.namespace).await),
        Fault::StoreReadOnly => {
            fleet.site.services.set_read_only(true).await;
            tokio::time::sleep(lasts).await;
            fleet.site.services.set_read_only(false).await;
            met(1)
        }
        Fault::StoreCut => met(link(fleet, Service::Store, Mode::Cut, target, lasts).await),
        Fault::StoreHalfOpen => met(link(fleet, Service::Store, Mode::HalfOpen, target, lasts).await),
        Fault::StoreSlow => met(link(fleet, Service::Store, Mode::Slow, target, lasts).await),
        Fault::BrokerCut => met(link(fleet, Service::Broker, Mode::Cut, target, lasts).await),
        Fault::BrokerHalfOpen => met(link(fleet, Service::Broker, Mode::HalfOpen, target, lasts).await),
        Fault::BrokerSlow => met(link(fleet, Service::Broker, Mode::Slow, target, lasts).await),
        Fault::IndexCut => met(link(fleet, Service::Index, Mode::Cut, target, lasts).await),
        Fault::IndexHalfOpen => met(link(fleet, Service::Index, Mode::HalfOpen, target, lasts).await),
        Fault::ObjectsCut => met(link(fleet, Service::Objects, Mode::Cut, target, lasts).await),
        Fault::ObjectsSlow => met(link(fleet, Service::Objects, Mode::Slow, target, lasts).await),
        Fault::ObjectsChanged => {
            let shards = fleet.site.shards();
            let shard = &shards[target as usize % shards.len()];
            File::options().write(true).open(shard).unwrap().set_modified(SystemTime::now()).unwrap();
            run.relisted.store(true, Ordering::SeqCst);
            met(1)
        }
        Fault::IndexErrors | Fault::IndexStalls | Fault::IndexLosesAnswers | Fault::IndexDropsBatches => {
            met(answers(fleet, fault, 0, lasts).await)
        }
        Fault::ObjectsTruncated
        | Fault::ObjectsBusy
        | Fault::ObjectsMissing
        | Fault::ObjectsWrong
        | Fault::ObjectsLoseAnswers => met(answers(fleet, fault, 1, lasts).await),
    }
}

/// A server answers wrongly for so long after the first call that meets it.
async fn answers(fleet: &Fleet, fault: Fault, which: usize, lasts: Duration) -> u32 {
    let set = |fault| match which {
        0 => fleet.site.servers.set_index(fault),
        _ => fleet.site.servers.set_objects(fault),
    };
    let (before, since) = (fleet.site.servers.met()[which], Instant::now());
    set(Some(fault));
    while fleet.site.servers.met()[which] == before && since.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if fleet.site.servers.met()[which] > before {
        tokio::time::sleep(lasts).await;
    }
    set(None);
    fleet.site.servers.met()[which] - before
}

/// Of one process, or of all.
async fn link(fleet: &Fleet, service: Service, mode: Mode, target: u32, lasts: Duration) -> u32 {
    let all = fleet.links.len();
    let broken = match target as usize % (all + 1) {
        one if one < all => &fleet.links[one..=one],
        _ => &fleet.links[..],
    };
    let met: usize = broken.iter().map(|links| links.open()[service as usize]).sum();
    broken.iter().for_each(|links| links.set(service, mode));
    tokio::time::sleep(lasts).await;
    broken.iter().for_each(|links| links.set(service, Mode::Pass));
    // Where none was open, new ones were refused.
    met.max(1) as u32
}

async fn meddle(fleet: &Fleet, stage: Stage, how: Meddling, lasts: Duration) -> Met {
    let mut queues = fleet.queues(stage);
    // A single message is gone before its stage is seen to have begun.
    queues.extend(stage.next().into_iter().flat_map(|next| fleet.queues(next)));
    let taken = messages::meddle(&fleet.site.services.broker_url, &queues, how, lasts).await.unwrap_or_default();
    let own = fleet.queues(stage);
    let hit = taken.iter().any(|queue| own.contains(queue)) || taken.is_empty();
    Met { count: taken.len() as u32, stage: if hit { stage } else { stage.next().unwrap_or(stage) } }
}

async fn jump(fleet: &Fleet, process: usize, seconds: i64, lasts: Duration) -> u32 {
    let process = fleet.processes[process].lock().await;
    let met = process.set_clock(seconds);
    tokio::time::sleep(lasts).await;
    process.set_clock(0);
    u32::from(met)
}

async fn full_disk(fleet: &Fleet, process: usize, lasts: Duration) -> u32 {
    let process = fleet.processes[process].lock().await;
    let met = process.set_full_disk(true);
    tokio::time::sleep(lasts).await;
    process.set_full_disk(false);
    u32::from(met)
}

/// Measures, where nothing else is broken meanwhile, when its tasks may go on elsewhere.
async fn kill_worker(run: &Run, process: usize, away: Duration) -> u32 {
    let mut process = run.fleet.processes[process].lock().await;
    let Some(id) = process.id() else { return 0 };
    let held = run.held_by(id).await;
    let alone = run.alone();
    let killed = Instant::now();
    process.signal("KILL");
    process.ends().await;
    let recovered = async {
        while killed.elapsed() < RECOVERY && still_held(run, &held, id).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        killed.elapsed()
    };
    let back = async {
        tokio::time::sleep(away).await;
        process.start();
    };
    let (recovered, ()) = tokio::join!(recovered, back);
    if !held.is_empty() {
        run.note_recovery(recovered, alone.is_some_and(|since| since == run.injected.load(Ordering::SeqCst)));
    }
    1
}

/// Does the dead worker still hold one of these tasks? Unknown is yes.
async fn still_held(run: &Run, tasks: &[TaskId], worker: u32) -> bool {
    let Ok(all) = run.fleet.store.tasks(run.job).await else { return true };
    let suffix = format!("-{worker}");
    let mut held = all.iter().filter(|task| {
        let by_it = task.worker.as_ref().is_some_and(|name| name.ends_with(&suffix));
        task.state == State::Running && by_it && tasks.contains(&task.id)
    });
    held.next().is_some()
}

/// SIGTERM: whoever is told to go does so by itself.
async fn terminate(run: &Run, number: usize, away: Duration) -> u32 {
    let mut process = run.fleet.processes[number].lock().await;
    let alone = run.alone();
    let told = Instant::now();
    process.signal("TERM");
    let status: ExitStatus = process.ends().await;
    let took = told.elapsed();
    let alone = alone.is_some_and(|since| since == run.injected.load(Ordering::SeqCst));
    // Who cannot say farewell to a database that is away ends all the same, and says that it could not.
    if (alone && !status.success()) || status.code().is_none() || took > GRACE + CLOSING {
        run.wrong(format!("{} was told to go and ended with {} after {took:?}", process.name, how(status)));
    }
    if number >= COORDINATORS {
        run.note_drain(took, alone);
    }
    tokio::time::sleep(away).await;
    process.start();
    1
}
