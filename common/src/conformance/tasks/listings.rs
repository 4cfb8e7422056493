//! Listings and what follows from them (protocol §4, §5).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{Lab, bucket, chunk, cut, embedded, job, listing},
    ports::{
        jobs::{Control, JobState, NewJob, Step},
        tasks::{Claim, Holding, Listing, Outcome},
    },
    task::State,
    work::Stage,
};

fn two() -> Listing {
    listing("etag", vec![cut(0), cut(1)])
}

/// One shard with two chunks, listed.
async fn start(lab: &Lab, job: &NewJob) {
    lab.start(job, &["a.zip"]).await;
    lab.list(job, 1, two()).await;
}

/// A later job over the same corpus finds the shard changed.
async fn relist(lab: &Lab, name: &str, found: Listing) -> NewJob {
    let later = job(name);
    lab.start(&later, &["a.zip"]).await;
    lab.list(&later, 1, found).await;
    later
}

async fn states(lab: &Lab, job: &NewJob, version: i64) -> [Option<State>; 2] {
    let state = async |number| lab.find(job, &job.embed(chunk(1, version, number))).await.map(|task| task.state);
    [state(0).await, state(1).await]
}

pub async fn a_listing_spawns_a_task_for_each_chunk_in_one_step(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    assert_eq!((lab.shard(&job, 1).await.version, states(lab, &job, 1).await), (0, [None, None]));
    lab.list(&job, 1, Listing { missing: 3, ..two() }).await;
    let shard = lab.shard(&job, 1).await;
    assert_eq!((shard.version, shard.listing.as_str(), shard.missing), (1, "etag", 3));
    assert_eq!(lab.chunks(&job, 1).await, [(0, 1, 0, Some(10)), (1, 1, 10, Some(20))]);
    assert_eq!(states(lab, &job, 1).await, [Some(State::Ready); 2]);
    assert_eq!(lab.ledger(&job).await.len(), 2);
    assert_eq!(lab.advance(&job).await, [], "embedding follows listing within the stage");
}

pub async fn a_listing_that_is_refused_changes_nothing(lab: &Lab) {
    let (job, later) = (job("a"), job("later"));
    start(lab, &job).await;
    lab.start(&later, &["a.zip"]).await;
    let holding = lab.take(&later, &later.list(1)).await;
    let seen = async || (lab.store.tasks(later.id).await.unwrap(), lab.shard(&job, 1).await, lab.chunks(&job, 1).await);
    let before = seen().await;
    let twice = listing("new etag", vec![cut(0), cut(0)]);
    assert!(lab.store.succeed(holding, &Outcome::Listed(twice)).await.unwrap_err().is_permanent());
    assert_eq!(seen().await, before);
}

pub async fn a_known_listing_changes_nothing(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    lab.embed(&job, chunk(1, 1, 0)).await;
    let ledger = lab.ledger(&job).await;
    let later = relist(lab, "later", Listing { missing: 1, ..two() }).await;
    assert_eq!((lab.shard(&job, 1).await.version, lab.shard(&job, 1).await.missing), (1, 1));
    assert_eq!(lab.ledger(&job).await, ledger);
    assert_eq!(states(lab, &later, 1).await, [Some(State::Succeeded), Some(State::Ready)]);
}

pub async fn a_changed_listing_replaces_version_chunks_ledger_and_tasks(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    lab.embed(&job, chunk(1, 1, 0)).await;
    let message = lab.message(&job, &job.embed(chunk(1, 1, 1))).await;
    let later = relist(lab, "later", listing("new etag", vec![cut(0)])).await;
    assert_eq!(lab.shard(&job, 1).await.version, 2);
    assert_eq!(lab.chunks(&job, 1).await, [(0, 2, 0, Some(10))]);
    for job in [&job, &later] {
        assert_eq!(states(lab, job, 1).await, [None, None]);
        assert_eq!(states(lab, job, 2).await, [Some(State::Ready), None]);
        let ledger = lab.ledger(job).await;
        assert_eq!(ledger.iter().map(|row| (row.at, row.counts.clone())).collect::<Vec<_>>(), [(chunk(1, 2, 0), None)]);
    }
    assert!(matches!(lab.claim(message, lab.session).await, Claim::Refused(_)));
}

pub async fn an_attempt_on_a_replaced_chunk_ends_superseded_and_lists_nothing(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    let (one, two) =
        (lab.take(&job, &job.embed(chunk(1, 1, 0))).await, lab.take(&job, &job.embed(chunk(1, 1, 1))).await);
    relist(lab, "later", listing("new etag", vec![cut(0)])).await;
    let unneeded = lab.store.beat(lab.session).await.unwrap().unneeded;
    assert_eq!(unneeded.len(), 2);
    lab.succeed(one, Outcome::Embedded(embedded("of the old version", &[]))).await;
    lab.succeed(two, Outcome::Superseded { detail: "the tag differs".into() }).await;
    assert_eq!(lab.state(&job, &job.list(1)).await, State::Succeeded);
    assert_eq!(lab.ledger(&job).await[0].counts, None);
    assert_eq!(lab.store.beat(lab.session).await.unwrap().unneeded, []);
}

pub async fn a_bucket_whose_listing_is_known_keeps_its_version(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("first", vec![bucket(0, "x"), bucket(1, "y"), bucket(2, "z")])).await;
    for number in 0..3 {
        lab.embed(&job, chunk(1, 1, number)).await;
    }
    let later =
        relist(lab, "later", listing("second", vec![bucket(0, "x"), bucket(1, "changed"), bucket(3, "new")])).await;
    let chunks = [(0, 1, 0, Some(10)), (1, 2, 10, Some(20)), (3, 2, 30, Some(40))];
    assert_eq!(lab.chunks(&later, 1).await, chunks);
    let done: Vec<_> = lab.ledger(&later).await.iter().map(|row| (row.at, row.counts.is_some())).collect();
    assert_eq!(done, [(chunk(1, 1, 0), true), (chunk(1, 2, 1), false), (chunk(1, 2, 3), false)]);
    assert_eq!(lab.find(&job, &job.embed(chunk(1, 1, 2))).await, None);
    // A bucket that keeps its version can change after that too.
    let holding = lab.take(&later, &later.embed(chunk(1, 2, 1))).await;
    lab.succeed(holding, Outcome::Superseded { detail: "the tag differs".into() }).await;
    assert_eq!(lab.state(&later, &later.list(1)).await, State::Ready);
}

pub async fn two_jobs_share_one_listing_and_one_embedding(lab: &Lab) {
    let (first, second) = (job("first"), job("second"));
    lab.start(&first, &["a.zip"]).await;
    lab.start(&second, &["a.zip"]).await;
    lab.list(&first, 1, two()).await;
    assert_eq!(lab.state(&second, &first.list(1)).await, State::Succeeded);
    for number in [0, 1] {
        lab.embed(&first, chunk(1, 1, number)).await;
    }
    assert_eq!(states(lab, &second, 1).await, [Some(State::Succeeded); 2]);
    assert_eq!(lab.ledger(&first).await, lab.ledger(&second).await);
    // Another model shares the listing only.
    let other = job("other").with_model("siglip");
    lab.start(&other, &["a.zip"]).await;
    lab.list(&other, 1, two()).await;
    assert_eq!(states(lab, &other, 1).await, [Some(State::Ready); 2]);
}

pub async fn a_listing_that_no_job_wants_spawns_nothing(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let holding = lab.take(&job, &job.list(1)).await;
    lab.store.control(job.id, Control::Cancel).await.unwrap();
    lab.succeed(holding, Outcome::Listed(two())).await;
    assert_eq!((lab.shard(&job, 1).await.version, lab.chunks(&job, 1).await.len()), (1, 2));
    assert_eq!(states(lab, &job, 1).await, [None, None]);
}

pub async fn a_later_job_finds_nothing_to_do(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    for number in [0, 1] {
        lab.embed(&job, chunk(1, 1, number)).await;
    }
    let later = relist(lab, "later", two()).await;
    assert_eq!(lab.advance(&later).await, [Step::Began(Stage::Seal)]);
}

pub async fn a_dead_chunk_is_tried_again_for_a_new_job_only(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    lab.kill(&job, &job.embed(chunk(1, 1, 0))).await;
    lab.embed(&job, chunk(1, 1, 1)).await;
    lab.advance(&job).await;
    lab.start_again(&job, &["a.zip"]).await;
    lab.list(&job, 1, two()).await;
    assert_eq!(states(lab, &job, 1).await, [Some(State::Dead), Some(State::Succeeded)]);
    let later = relist(lab, "later", two()).await;
    assert_eq!(states(lab, &later, 1).await, [Some(State::Ready), Some(State::Succeeded)]);
    assert_eq!(lab.view(&later, &later.embed(chunk(1, 1, 0))).await.failures, 0);
}

pub async fn a_cancelled_chunk_is_revived_by_the_next_listing(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    lab.store.control(job.id, Control::Cancel).await.unwrap();
    assert_eq!(states(lab, &job, 1).await, [Some(State::Cancelled); 2]);
    lab.advance(&job).await;
    lab.start_again(&job, &["a.zip"]).await;
    lab.list(&job, 1, two()).await;
    assert_eq!(states(lab, &job, 1).await, [Some(State::Ready); 2]);
}

pub async fn a_blocked_job_gets_the_new_chunks_too(lab: &Lab) {
    let job = job("a").with_model("siglip");
    start(lab, &job).await;
    for number in [0, 1] {
        lab.kill(&job, &job.embed(chunk(1, 1, number))).await;
    }
    lab.advance(&job).await;
    assert_eq!(lab.job_state(&job).await, JobState::Blocked);
    relist(lab, "later", listing("new etag", vec![cut(0)])).await;
    assert_eq!(states(lab, &job, 2).await, [Some(State::Ready), None]);
    let message = lab.message(&job, &job.embed(chunk(1, 2, 0))).await;
    assert!(matches!(lab.claim(message, lab.session).await, Claim::Refused(_)));
}

async fn found_changed(lab: &Lab, holding: Holding) {
    lab.succeed(holding, Outcome::Superseded { detail: "the tag differs".into() }).await;
}

pub async fn a_changed_object_is_listed_again_in_one_step(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    let holding = lab.take(&job, &job.embed(chunk(1, 1, 0))).await;
    found_changed(lab, holding).await;
    assert_eq!(states(lab, &job, 1).await, [Some(State::Superseded), Some(State::Ready)]);
    assert_eq!(lab.state(&job, &job.list(1)).await, State::Ready);
    lab.list(&job, 1, listing("new etag", vec![cut(0), cut(1)])).await;
    assert_eq!(states(lab, &job, 1).await, [None, None]);
    assert_eq!(states(lab, &job, 2).await, [Some(State::Ready); 2]);
}

pub async fn only_the_first_of_several_changed_chunks_lists_again(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    for round in 1..=2 {
        let one = lab.take(&job, &job.embed(chunk(1, round, 0))).await;
        let two = lab.take(&job, &job.embed(chunk(1, round, 1))).await;
        found_changed(lab, one).await;
        // The listing is open already; this is the same change, and counts once.
        found_changed(lab, two).await;
        lab.list(&job, 1, listing(&format!("etag {round}"), vec![cut(0), cut(1)])).await;
        assert_eq!(states(lab, &job, round + 1).await, [Some(State::Ready); 2]);
    }
}

pub async fn the_third_change_within_a_job_is_deadly(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    let change = async |version: i64| {
        let holding = lab.take(&job, &job.embed(chunk(1, version, 0))).await;
        found_changed(lab, holding).await;
    };
    for version in 1..=2 {
        change(version).await;
        lab.list(&job, 1, listing(&format!("etag {version}"), vec![cut(0)])).await;
    }
    change(3).await;
    let dead = lab.view(&job, &job.embed(chunk(1, 3, 0))).await;
    assert_eq!(dead.state, State::Dead);
    assert!(dead.error.unwrap().starts_with("unstable"));
    assert_eq!(lab.state(&job, &job.list(1)).await, State::Succeeded);
    // Planned anew, the shard has its three changes again.
    lab.advance(&job).await;
    lab.start_again(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag 3", vec![cut(0)])).await;
    change(4).await;
    assert_eq!(lab.state(&job, &job.list(1)).await, State::Ready);
}

pub async fn a_chunk_found_changed_is_cut_anew_even_if_the_listing_is_as_before(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    let holding = lab.take(&job, &job.embed(chunk(1, 1, 0))).await;
    found_changed(lab, holding).await;
    lab.list(&job, 1, two()).await;
    assert_eq!(states(lab, &job, 2).await, [Some(State::Ready); 2]);
}

pub async fn a_reader_that_saw_no_change_where_there_was_one_reads_again(lab: &Lab) {
    let (a, b) = (job("a"), job("b"));
    lab.start(&a, &["a.zip"]).await;
    lab.list(&a, 1, listing("etag", vec![cut(0), cut(1)])).await;
    let embedding = lab.take(&a, &a.embed(chunk(1, 1, 0))).await;
    lab.start(&b, &["a.zip"]).await;
    // Its reader has seen the listing that is on record, and does not look for the chunks.
    let listed = lab.take(&b, &b.list(1)).await;
    lab.succeed(embedding, Outcome::Superseded { detail: "it was gone for a moment".into() }).await;
    lab.succeed(listed, Outcome::Listed(Listing { is_unchanged: true, ..listing("etag", vec![]) })).await;
    assert_eq!(lab.state(&b, &b.list(1)).await, State::Ready);
    assert_eq!(lab.chunks(&b, 1).await.len(), 2, "nothing is dropped for want of chunks");
    lab.list(&b, 1, listing("etag", vec![cut(0), cut(1)])).await;
    for work in [b.embed(chunk(1, 2, 0)), b.embed(chunk(1, 2, 1))] {
        assert_eq!(lab.state(&b, &work).await, State::Ready);
        assert_eq!(lab.state(&a, &work).await, State::Ready);
    }
}

pub async fn a_reader_that_saw_no_change_changes_nothing(lab: &Lab) {
    let (a, b) = (job("a"), job("b"));
    lab.start(&a, &["a.zip"]).await;
    lab.list(&a, 1, listing("etag", vec![cut(0)])).await;
    lab.embed(&a, chunk(1, 1, 0)).await;
    lab.start(&b, &["a.zip"]).await;
    lab.list(&b, 1, Listing { is_unchanged: true, ..listing("etag", vec![]) }).await;
    assert_eq!(lab.state(&b, &b.embed(chunk(1, 1, 0))).await, State::Succeeded);
}
