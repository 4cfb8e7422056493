//! Takedowns: in the ledger before the end of an attempt, at it, and after it (protocol §7).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{Lab, chunk, cut, embedded, job, listing},
    ids::Epoch,
    ledger::{Counts, EmbeddedRow, Reason, RejectedRow},
    ports::{
        index::{Attribution, Payload, PointHead, Stored},
        jobs::{JobState, Jobs, NewJob, Step},
        tasks::{Embedded, Holding, Outcome},
    },
    task::State,
    work::{ChunkRef, Stage, Work},
};

const KEY: &str = "a/embedded-3";

/// A job with one chunk, and the claim on it.
async fn embedding(lab: &Lab) -> (NewJob, Holding, Epoch) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let claimed = lab.take_in(lab.session, &job, &job.embed(chunk(1, 1, 0))).await;
    (job, claimed.holding, claimed.epoch)
}

async fn counts(lab: &Lab, job: &NewJob) -> Counts {
    let counts = lab.ledger(job).await.remove(0).counts.unwrap();
    assert!(counts.adds_up(), "{counts:?}");
    assert_eq!(Jobs::progress(&*lab.store, job.id).await.unwrap().counts, counts);
    counts
}

async fn rejected(lab: &Lab, job: &NewJob) -> Vec<RejectedRow> {
    lab.store.rejected(&job.collection.id, chunk(1, 1, 0)).await.unwrap()
}

fn taken_down() -> RejectedRow {
    let entry = "embedded-3.jpg".to_owned();
    RejectedRow { key: KEY.into(), shard: "a.zip".into(), entry, reason: Reason::Takedown, detail: "asked".into() }
}

fn point(at: ChunkRef, epoch: Epoch) -> Stored {
    let payload = Payload {
        shard_path: "a.zip".into(),
        entry: "embedded-3.jpg".into(),
        attribution: Attribution { title: "a boat".into(), ..Attribution::default() },
        ..Payload::default()
    };
    Stored { head: PointHead { key: KEY.into(), at, epoch }, payload }
}

pub async fn a_picture_is_taken_down_once_and_keeps_its_first_reason(lab: &Lab) {
    assert_eq!(lab.store.takedowns(0).await.unwrap(), []);
    let first = lab.store.take_down(KEY, "asked").await.unwrap();
    assert_eq!((first.key.as_str(), first.why.as_str()), (KEY, "asked"));
    assert_eq!(lab.store.take_down(KEY, "asked again").await.unwrap(), first);
    let second = lab.store.take_down("a/other", "").await.unwrap();
    assert!(second.number > first.number);
    assert_eq!(lab.store.takedowns(0).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(lab.store.takedowns(first.number).await.unwrap(), [second]);
    assert_eq!(lab.store.taken_from(KEY).await.unwrap(), [], "no ledger has it");
}

pub async fn an_end_counts_what_was_taken_down_meanwhile_as_rejected(lab: &Lab) {
    let (job, holding, _) = embedding(lab).await;
    lab.store.take_down(KEY, "asked").await.unwrap();
    lab.store.take_down("b/of another chunk", "asked").await.unwrap();
    lab.succeed(holding, Outcome::Embedded(embedded("vectors", &[("a/1", Reason::Empty)]))).await;
    let counted = counts(lab, &job).await;
    assert_eq!((counted.seen, counted.embedded), (10, 8));
    assert_eq!(counted.rejected, [(Reason::Empty, 1), (Reason::Takedown, 1)].into());
    assert_eq!(rejected(lab, &job).await[1], taken_down());
    assert_eq!(lab.store.taken_from(KEY).await.unwrap(), [(job.collection.id, chunk(1, 1, 0))]);
}

pub async fn an_end_that_heeded_a_takedown_is_written_as_it_stands(lab: &Lab) {
    let (job, holding, _) = embedding(lab).await;
    let takedown = lab.store.take_down(KEY, "asked").await.unwrap();
    let outcome = Embedded { takedowns: takedown.number, ..embedded("vectors", &[(KEY, Reason::Takedown)]) };
    // Were the takedown looked at once more, this picture of the same key would be counted as rejected.
    assert!(outcome.pictures.iter().any(|picture| picture.key == KEY));
    lab.succeed(holding, Outcome::Embedded(outcome)).await;
    assert_eq!(counts(lab, &job).await.embedded, 9);
}

pub async fn what_was_embedded_before_is_taken_out_of_the_ledger_once(lab: &Lab) {
    let (job, holding, epoch) = embedding(lab).await;
    lab.succeed(holding, Outcome::Embedded(embedded("vectors", &[]))).await;
    let point = point(chunk(1, 1, 0), epoch);
    let refused = lab.store.take_out(&job.collection.id, &point).await.unwrap_err();
    assert!(refused.is_permanent() && refused.to_string().contains("was not taken down"), "{refused}");
    lab.store.take_down(KEY, "asked").await.unwrap();
    assert!(lab.store.take_out(&job.collection.id, &point).await.unwrap());
    assert!(!lab.store.take_out(&job.collection.id, &point).await.unwrap(), "it is out already");
    let counted = counts(lab, &job).await;
    assert_eq!((counted.embedded, counted.rejected), (9, [(Reason::Takedown, 1)].into()));
    assert_eq!(rejected(lab, &job).await, [taken_down()]);
    assert_eq!(lab.store.taken_from(KEY).await.unwrap(), [(job.collection.id, chunk(1, 1, 0))]);
}

pub async fn only_the_winners_point_is_taken_out(lab: &Lab) {
    let (job, holding, epoch) = embedding(lab).await;
    lab.store.take_down(KEY, "asked").await.unwrap();
    let collection = &job.collection.id;
    assert!(!lab.store.take_out(collection, &point(chunk(1, 1, 0), epoch)).await.unwrap(), "nobody has won yet");
    let outcome = Embedded { takedowns: i64::MAX, ..embedded("vectors", &[]) };
    lab.succeed(holding, Outcome::Embedded(outcome)).await;
    for stray in [point(chunk(1, 1, 0), epoch - 1), point(chunk(1, 2, 0), epoch), point(chunk(1, 1, 7), epoch)] {
        assert!(!lab.store.take_out(collection, &stray).await.unwrap(), "{:?}", stray.head);
    }
    assert_eq!(counts(lab, &job).await.embedded, 10);
    assert!(lab.store.take_out(collection, &point(chunk(1, 1, 0), epoch)).await.unwrap());
}

pub async fn an_unattributed_picture_is_no_longer_counted_as_such(lab: &Lab) {
    let (job, holding, epoch) = embedding(lab).await;
    let whole = embedded("vectors", &[]);
    let unattributed =
        |picture: &EmbeddedRow| EmbeddedRow { unattributed: picture.key.ends_with(['3', '4']), ..picture.clone() };
    let pictures = whole.pictures.iter().map(unattributed).collect();
    let outcome = Embedded { counts: Counts { unattributed: 2, ..whole.counts.clone() }, pictures, ..whole };
    lab.store.take_down("a/embedded-4", "asked").await.unwrap();
    lab.succeed(holding, Outcome::Embedded(outcome)).await;
    assert_eq!(counts(lab, &job).await.unattributed, 1);
    lab.store.take_down(KEY, "asked").await.unwrap();
    let known = point(chunk(1, 1, 0), epoch);
    let unknown = Stored { payload: Payload { attribution: Attribution::default(), ..known.payload }, ..known };
    assert!(lab.store.take_out(&job.collection.id, &unknown).await.unwrap());
    assert_eq!(counts(lab, &job).await.unattributed, 0);
}

pub async fn a_job_does_anew_what_comes_after_a_takedown(lab: &Lab) {
    let (job, holding, epoch) = embedding(lab).await;
    lab.succeed(holding, Outcome::Embedded(embedded("vectors", &[]))).await;
    lab.run_own_tasks(&job).await;
    let again = async || {
        lab.start_again(&job, &["a.zip"]).await;
        lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
        lab.advance(&job).await
    };
    assert_eq!(again().await, [Step::Succeeded], "nothing has changed");
    lab.store.take_down(KEY, "asked").await.unwrap();
    assert!(lab.store.take_out(&job.collection.id, &point(chunk(1, 1, 0), epoch)).await.unwrap());
    assert_eq!(again().await, [Step::Began(Stage::Seal)]);
    assert_eq!(lab.state(&job, &Work::Finalize { job: job.id }).await, State::Pending);
    lab.run_own_tasks(&job).await;
    assert_eq!(again().await, [Step::Succeeded]);
    assert_eq!(lab.job_state(&job).await, JobState::Succeeded);
}
