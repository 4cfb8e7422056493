//! An encoder that fails at a picture, or gives it a vector of NaN, harms no other picture.

use imagefleet_common::{Error, ports::jobs::JobState};
use imagefleet_tests::{
    compare::differences,
    corpus::{photos, write_yfcc_shard},
    encoders::{Victim, disturbed},
    points::{newest_job, points},
    project::Project,
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

const PICTURES: usize = 24;

fn project() -> Project {
    let project = Project::new("yfcc", 12);
    write_yfcc_shard(&project.corpus(), "0a1", &photos("0a1", PICTURES));
    project
}

async fn twins() -> (Project, Project) {
    let (undisturbed, other) = (project(), project());
    undisturbed.run().await.unwrap();
    (undisturbed, other)
}

fn nothing() -> Vec<String> {
    Vec::new()
}

/// Runs with an encoder that fails at batches with the victim among others, and the first `alone` times alone too.
async fn run_failing(project: &Project, alone: usize) -> Arc<AtomicUsize> {
    let (victim, failures) = (Victim::default(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&failures);
    let left = AtomicUsize::new(alone);
    let load = disturbed(move |encoder, batch| {
        let here = victim.place_in(batch).is_some();
        let takes_one = |left: usize| left.checked_sub(1);
        if here && (batch.count > 1 || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, takes_one).is_ok()) {
            counted.fetch_add(1, Ordering::SeqCst);
            return Err(Error::transient("encode pictures: out of memory"));
        }
        encoder.encode_pictures(batch)
    });
    let ended = project.run_changed(|run| run.load = load).await.unwrap();
    assert_eq!(ended.state, JobState::Succeeded);
    failures
}

async fn failed_attempts(project: &Project) -> u32 {
    let (world, job) = newest_job(project).await;
    world.jobs.tasks(job.id).await.unwrap().iter().map(|task| task.failures).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_is_halved_down_to_the_picture_that_it_fails_for() {
    let (undisturbed, project) = twins().await;
    let failures = run_failing(&project, 0).await;
    // Batches of eight: eight, four, two, and then the picture alone.
    assert_eq!((failures.load(Ordering::SeqCst), failed_attempts(&project).await), (3, 0));
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_the_encoder_fails_for_alone_fails_its_task_and_is_not_rejected() {
    let (undisturbed, project) = twins().await;
    run_failing(&project, 1).await;
    assert_eq!(failed_attempts(&project).await, 1);
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_that_is_not_finite_is_rejected_and_its_neighbours_are_unharmed() {
    let (undisturbed, project) = twins().await;
    let victim = Victim::default();
    let load = disturbed(move |encoder, batch| {
        let mut vectors = encoder.encode_pictures(batch)?;
        if let Some(place) = victim.place_in(batch) {
            vectors.values[place * vectors.dims + 1] = f32::NAN;
        }
        Ok(vectors)
    });
    let ended = project.run_changed(|run| run.load = load).await.unwrap();
    assert_eq!(ended.state, JobState::Succeeded);
    let ledger = std::fs::read_to_string(project.out().join("ledger.jsonl")).unwrap();
    let rejected: Vec<&str> = ledger.lines().filter(|line| line.contains("\"reason\":\"not-finite\"")).collect();
    assert_eq!(rejected.len(), 1, "{ledger}");
    let (all, kept) = (points(&undisturbed).await, points(&project).await);
    assert_eq!((all.len(), kept.len()), (PICTURES, PICTURES - 1));
    let (gone, _) = all.iter().find(|(key, _)| !kept.contains_key(*key)).unwrap();
    assert!(rejected[0].contains(gone.as_str()), "{gone} is gone, rejected is {}", rejected[0]);
    for (key, point) in &kept {
        assert!(imagefleet_tests::points::distance(&point.vector, &all[key].vector) <= 1e-6, "{key}");
    }
    assert_eq!(project.verify().await.unwrap().wrong, nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_ran_out_of_memory_is_not_asked_for_as_many_again() {
    const FITS: usize = 3;
    let (undisturbed, project) = twins().await;
    let (sizes, seen) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (noted, counted) = (Arc::clone(&sizes), Arc::clone(&seen));
    let load = disturbed(move |encoder, batch| {
        noted.lock().unwrap().push(batch.count);
        if batch.count > FITS {
            let said = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
            return Err(Error::transient("encode pictures").because(said));
        }
        counted.fetch_add(batch.count, Ordering::SeqCst);
        encoder.encode_pictures(batch)
    });
    let ended = project.run_changed(|run| run.load = load).await.unwrap();
    assert_eq!((ended.state, seen.load(Ordering::SeqCst)), (JobState::Succeeded, PICTURES));
    let sizes = sizes.lock().unwrap().clone();
    let failed = sizes.iter().filter(|size| **size > FITS).count();
    // The first batch and its halves; of 24 pictures in eights there would be nine.
    assert!((1..=3).contains(&failed), "{sizes:?}");
    assert!(ended.stats.batch.load(Ordering::SeqCst) <= FITS as u64);
    assert_eq!(failed_attempts(&project).await, 0);
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_panics_is_loaded_anew() {
    let (undisturbed, project) = twins().await;
    let is_first = AtomicUsize::new(0);
    let load = disturbed(move |encoder, batch| {
        assert_ne!(is_first.fetch_add(1, Ordering::SeqCst), 0, "on purpose");
        encoder.encode_pictures(batch)
    });
    let ended = project.run_changed(|run| run.load = load).await.unwrap();
    assert_eq!(ended.state, JobState::Succeeded);
    assert_eq!(failed_attempts(&project).await, 1);
    assert_eq!(differences(&undisturbed.out(), &project.out()), nothing());
}
