//! Chunks whose attempt ended at its time limit (protocol §5).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{self, Lab, bucket, chunk, cut, embedded, job, listing},
    ledger::Counts,
    ports::{
        jobs::{Control, Jobs, NewJob},
        tasks::{Embedded, Outcome, Rest},
    },
    task::State,
    work::ChunkRef,
};

/// The first four pictures of a chunk that begins at `first`; the rest begins at byte 99.
fn part(first: u64) -> Outcome {
    let counts = Counts { seen: 4, embedded: 4, ..Counts::default() };
    let rest = Some(Rest { at: first + 4, offset: 99 });
    let whole = embedded("part", &[]);
    Outcome::Embedded(Embedded { counts, rest, pictures: whole.pictures[..4].into(), ..whole })
}

async fn split(lab: &Lab, job: &NewJob, at: ChunkRef, first: u64) {
    let holding = lab.take(job, &job.embed(at)).await;
    lab.succeed(holding, part(first)).await;
}

async fn start(lab: &Lab, job: &NewJob) {
    lab.start(job, &["a.zip"]).await;
    lab.list(job, 1, listing("etag", vec![cut(0), cut(1)])).await;
}

pub async fn the_rest_of_a_chunk_is_a_chunk_of_its_own(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    split(lab, &job, chunk(1, 1, 0), 0).await;
    let whole = [(0, 1, 0, Some(4)), (1, 1, 10, Some(20)), (2, 1, 4, Some(10))];
    assert_eq!(lab.chunks(&job, 1).await, whole);
    let chunks = lab.store.chunks(&job.collection.id, 1).await.unwrap();
    assert_eq!((chunks[0].cut.offset, chunks[0].cut.pictures), (0, Some(4)));
    assert_eq!((chunks[2].cut.offset, chunks[2].cut.pictures), (99, Some(6)));
    assert_eq!(lab.state(&job, &job.embed(chunk(1, 1, 0))).await, State::Succeeded);
    assert_eq!(lab.state(&job, &job.embed(chunk(1, 1, 2))).await, State::Ready);
    assert_eq!(lab.advance(&job).await, [], "the rest is still to be embedded");
    assert_eq!(Jobs::progress(&*lab.store, job.id).await.unwrap().pictures, 20);
    // The listing that cut it is the one that is known: it stays split.
    let later = seed::job("later");
    start(lab, &later).await;
    assert_eq!(lab.chunks(&later, 1).await, whole);
    assert_eq!(lab.state(&later, &job.embed(chunk(1, 1, 2))).await, State::Ready);
}

pub async fn the_rest_is_needed_by_the_same_jobs(lab: &Lab) {
    let (first, second, other) = (job("first"), job("second"), job("other").with_model("siglip"));
    start(lab, &first).await;
    start(lab, &second).await;
    start(lab, &other).await;
    split(lab, &first, chunk(1, 1, 0), 0).await;
    for job in [&first, &second] {
        assert_eq!(lab.state(job, &first.embed(chunk(1, 1, 2))).await, State::Ready);
    }
    assert_eq!(lab.find(&other, &first.embed(chunk(1, 1, 2))).await, None);
}

pub async fn a_split_concerns_one_collection_only(lab: &Lab) {
    let (job, other) = (job("a"), job("other").with_model("siglip"));
    start(lab, &job).await;
    split(lab, &job, chunk(1, 1, 0), 0).await;
    start(lab, &other).await;
    assert_eq!(lab.chunks(&other, 1).await, [(0, 1, 0, Some(10)), (1, 1, 10, Some(20))]);
    assert_eq!(lab.find(&other, &other.embed(chunk(1, 1, 2))).await, None);
    split(lab, &other, chunk(1, 1, 1), 10).await;
    assert_eq!(lab.chunks(&other, 1).await, [(0, 1, 0, Some(10)), (1, 1, 10, Some(14)), (3, 1, 14, Some(20))]);
    assert_eq!(lab.chunks(&job, 1).await[1], (1, 1, 10, Some(20)));
}

pub async fn a_rest_can_be_split_again(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    split(lab, &job, chunk(1, 1, 0), 0).await;
    split(lab, &job, chunk(1, 1, 2), 4).await;
    let chunks = [(0, 1, 0, Some(4)), (1, 1, 10, Some(20)), (2, 1, 4, Some(8)), (3, 1, 8, Some(10))];
    assert_eq!(lab.chunks(&job, 1).await, chunks);
    assert_eq!(lab.store.chunks(&job.collection.id, 1).await.unwrap()[3].cut.pictures, Some(2));
}

pub async fn a_bad_split_changes_nothing(lab: &Lab) {
    let job = job("a");
    start(lab, &job).await;
    let work = job.embed(chunk(1, 1, 1));
    let holding = lab.take(&job, &work).await;
    let before = (lab.view(&job, &work).await, lab.ledger(&job).await, lab.chunks(&job, 1).await);
    for at in [3, 10, 20] {
        let Outcome::Embedded(mut embedded) = part(10) else { unreachable!("a part was embedded") };
        embedded.rest = Some(Rest { at, offset: 0 });
        assert!(lab.store.succeed(holding, &Outcome::Embedded(embedded)).await.unwrap_err().is_permanent());
        assert_eq!((lab.view(&job, &work).await, lab.ledger(&job).await, lab.chunks(&job, 1).await), before);
    }
}

pub async fn a_split_that_no_job_wants_waits_for_the_next_listing(lab: &Lab) {
    let (job, later) = (job("a"), job("later"));
    start(lab, &job).await;
    let holding = lab.take(&job, &job.embed(chunk(1, 1, 0))).await;
    lab.store.control(job.id, Control::Cancel).await.unwrap();
    lab.succeed(holding, part(0)).await;
    assert_eq!(lab.chunks(&job, 1).await.len(), 3);
    assert_eq!(lab.find(&job, &job.embed(chunk(1, 1, 2))).await, None);
    start(lab, &later).await;
    assert_eq!(lab.state(&later, &job.embed(chunk(1, 1, 0))).await, State::Succeeded);
    assert_eq!(lab.state(&later, &job.embed(chunk(1, 1, 2))).await, State::Ready);
}

async fn start_buckets(lab: &Lab, job: &NewJob) {
    lab.start(job, &["photos"]).await;
    lab.list(job, 1, listing("first", vec![bucket(0, "x"), bucket(1, "y")])).await;
}

pub async fn a_split_bucket_stays_split_while_its_listing_is_known(lab: &Lab) {
    let (job, later) = (job("a"), job("later"));
    start_buckets(lab, &job).await;
    split(lab, &job, chunk(1, 1, 0), 0).await;
    split(lab, &job, chunk(1, 1, 1), 10).await;
    lab.start(&later, &["photos"]).await;
    lab.list(&later, 1, listing("second", vec![bucket(0, "x"), bucket(1, "changed")])).await;
    let chunks = [(0, 1, 0, Some(4)), (1, 2, 10, Some(20)), (2, 1, 4, Some(10))];
    assert_eq!(lab.chunks(&later, 1).await, chunks);
    assert_eq!(lab.find(&job, &job.embed(chunk(1, 1, 3))).await, None, "the rest of what changed is gone");
    assert_eq!(lab.ledger(&later).await.iter().filter(|row| row.counts.is_some()).count(), 1);
}

pub async fn a_rest_never_takes_the_number_of_a_bucket(lab: &Lab) {
    let (job, later) = (job("a"), job("later"));
    start_buckets(lab, &job).await;
    split(lab, &job, chunk(1, 1, 0), 0).await;
    lab.start(&later, &["photos"]).await;
    // Bucket 2 had no pictures before.
    lab.list(&later, 1, listing("second", vec![bucket(0, "x"), bucket(1, "y"), bucket(2, "z")])).await;
    let chunks = [(0, 2, 0, Some(10)), (1, 1, 10, Some(20)), (2, 2, 20, Some(30))];
    assert_eq!(lab.chunks(&later, 1).await, chunks);
    assert_eq!(lab.state(&later, &job.embed(chunk(1, 2, 0))).await, State::Ready);
}
