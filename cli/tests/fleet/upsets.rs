//! Processes that die or are told to go while they work.

use crate::{
    fleet::Fleet,
    runs::{equals_the_embedded_run, project},
};
use std::time::{Duration, Instant};

/// A fleet whose job has embedded something and not all.
fn under_way() -> (Fleet, String, [usize; 2], [usize; 2]) {
    let mut fleet = Fleet::new(project()).with("IMAGEFLEET_SLOTS", "1");
    let coordinators = [fleet.coordinator(), fleet.coordinator()];
    let workers = [fleet.worker(), fleet.worker()];
    let job = fleet.submit();
    fleet.until("something is listed", |fleet| fleet.succeeded(&job, "list") > 0);
    (fleet, job, coordinators, workers)
}

#[test]
fn a_worker_that_is_killed_costs_a_lease_and_no_picture() {
    let (mut fleet, job, _, workers) = under_way();
    fleet.signal(workers[0], "KILL");
    fleet.ends(workers[0]);
    equals_the_embedded_run(&fleet, &job);
}

#[test]
fn a_coordinator_that_is_killed_is_not_missed() {
    let (mut fleet, job, coordinators, _) = under_way();
    fleet.signal(coordinators[0], "KILL");
    fleet.ends(coordinators[0]);
    equals_the_embedded_run(&fleet, &job);
}

#[test]
fn a_worker_that_was_stopped_for_longer_than_its_lease_goes_on_under_a_new_one() {
    let (fleet, job, _, workers) = under_way();
    fleet.signal(workers[0], "STOP");
    std::thread::sleep(Duration::from_secs(4));
    fleet.signal(workers[0], "CONT");
    equals_the_embedded_run(&fleet, &job);
}

#[test]
fn a_worker_drains_within_its_grace() {
    let (mut fleet, job, _, workers) = under_way();
    let asked = Instant::now();
    fleet.signal(workers[0], "TERM");
    assert_eq!(fleet.ends(workers[0]), Some(0), "{}", fleet.logs());
    assert!(asked.elapsed() < Duration::from_secs(6), "it took {:?}", asked.elapsed());
    equals_the_embedded_run(&fleet, &job);
}

#[test]
fn everything_started_anew_goes_on_where_it_was() {
    let (mut fleet, job, coordinators, workers) = under_way();
    for process in coordinators.into_iter().chain(workers) {
        fleet.signal(process, "KILL");
        fleet.ends(process);
    }
    fleet.coordinator();
    fleet.worker();
    equals_the_embedded_run(&fleet, &job);
}
