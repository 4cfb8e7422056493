//! How attempts end, and the ledger (protocol §2, §4, §6).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{HOUR, Lab, chunk, cut, embedded, failure, job, listing, open_session},
    ledger::Reason,
    ports::{
        jobs::{Control, NewJob},
        tasks::{Claim, Embedded, Failure, Holding, Outcome, Tasks, Written},
    },
    task::{Holder, Refusal, State},
    work::{Kind, Work},
};
use std::time::Duration;
use uuid::Uuid;

/// One shard with one chunk, listed; the chunk's task.
async fn one_chunk(lab: &Lab) -> (NewJob, Work) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let work = job.embed(chunk(1, 1, 0));
    (job, work)
}

pub async fn a_stale_holder_writes_nothing(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    let old = lab.take(&job, &work).await;
    assert_eq!(lab.store.hand_back(old, Duration::ZERO, None).await.unwrap(), Written::Done);
    let now = lab.take(&job, &work).await;
    let Holder { attempt, session } = now.holder;
    let other = open_session(&lab.store, HOUR).await;
    let before = (lab.view(&job, &work).await, lab.ledger(&job).await);
    for holder in [
        Holder { attempt: attempt - 1, session },
        Holder { attempt: attempt + 1, session },
        Holder { attempt, session: other },
    ] {
        let holding = Holding { holder, ..now };
        let outcomes =
            [Outcome::Embedded(embedded("stale", &[])), Outcome::Superseded { detail: "the tag differs".into() }];
        for outcome in outcomes {
            assert_eq!(lab.store.succeed(holding, &outcome).await.unwrap(), Written::Stale);
        }
        assert_eq!(Tasks::progress(&*lab.store, holding, 5).await.unwrap(), Written::Stale);
        assert_eq!(lab.store.fail(holding, &failure(true)).await.unwrap(), Written::Stale);
        assert_eq!(lab.store.hand_back(holding, Duration::ZERO, None).await.unwrap(), Written::Stale);
        assert_eq!((lab.view(&job, &work).await, lab.ledger(&job).await), before);
    }
    assert_eq!(Tasks::progress(&*lab.store, now, 5).await.unwrap(), Written::Done);
    lab.succeed(now, Outcome::Embedded(embedded("vectors", &[]))).await;
}

pub async fn when_by_whom_and_in_what_time_a_task_was_done_is_kept(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    let before = lab.store.now().await.unwrap();
    let waiting = lab.view(&job, &work).await;
    assert_eq!((waiting.claimed, waiting.worker, waiting.finished), (None, None, None));
    let holding = lab.take(&job, &work).await;
    let running = lab.view(&job, &work).await;
    assert_eq!((running.worker.as_deref(), running.finished), (Some("a worker"), None));
    let claimed = running.claimed.unwrap();
    let done = embedded("vectors", &[]);
    lab.succeed(holding, Outcome::Embedded(done.clone())).await;
    let ended = lab.view(&job, &work).await;
    assert_eq!((ended.claimed, ended.worker.as_deref()), (Some(claimed), Some("a worker")));
    let after = lab.store.now().await.unwrap();
    assert!(before <= claimed && claimed <= ended.finished.unwrap() && ended.finished.unwrap() <= after);
    assert_eq!(lab.ledger(&job).await[0].spent, Some(done.spent));
}

pub async fn an_end_whose_answer_was_lost_is_stale_and_happened_once(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    let holding = lab.take(&job, &work).await;
    let outcome = Outcome::Embedded(embedded("vectors", &[("a/1", Reason::Empty)]));
    lab.succeed(holding, outcome.clone()).await;
    let before = (lab.view(&job, &work).await, lab.ledger(&job).await);
    assert_eq!(lab.store.succeed(holding, &outcome).await.unwrap(), Written::Stale);
    assert_eq!((lab.view(&job, &work).await, lab.ledger(&job).await), before);
    assert_eq!(lab.store.rejected(&job.collection.id, chunk(1, 1, 0)).await.unwrap().len(), 1);
}

pub async fn the_last_failure_is_deadly_and_keeps_its_message(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    for failures in 1..=3 {
        let holding = lab.take(&job, &work).await;
        let failure = Failure { message: format!("failure {failures}"), ..failure(false) };
        assert_eq!(lab.store.fail(holding, &failure).await.unwrap(), Written::Done);
        let task = lab.view(&job, &work).await;
        assert_eq!((task.failures, task.crashes, task.attempt), (failures, 0, failures));
        assert_eq!(task.error, Some(failure.message.clone()));
        assert_eq!(lab.ledger(&job).await[0].error, Some(failure.message));
        assert_eq!(task.state, if failures < 3 { State::Ready } else { State::Dead });
    }
}

pub async fn a_permanent_failure_is_deadly(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    lab.kill(&job, &work).await;
    let message = lab.message(&job, &work).await;
    assert_eq!(lab.claim(message, lab.session).await, Claim::Refused(Refusal::NotThisAttempt));
}

pub async fn a_failed_task_waits_as_long_as_the_other_side_asked(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    let holding = lab.take(&job, &work).await;
    let failure = Failure { retry_after: Some(HOUR), ..failure(false) };
    assert_eq!(lab.store.fail(holding, &failure).await.unwrap(), Written::Done);
    waits(lab, &job, &work).await;
}

/// The row is ready, but not yet.
async fn waits(lab: &Lab, job: &NewJob, work: &Work) {
    let queue = Kind::Embed.queue(job.collection.model());
    assert_eq!(lab.store.mark(&queue, 9, Uuid::now_v7(), Duration::ZERO).await.unwrap(), []);
    let message = lab.message(job, work).await;
    assert_eq!(lab.claim(message, lab.session).await, Claim::Refused(Refusal::NotNow));
    assert_eq!(lab.state(job, work).await, State::Ready);
}

pub async fn a_hand_back_counts_as_nothing(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    for _ in 0..5 {
        let holding = lab.take(&job, &work).await;
        assert_eq!(lab.store.hand_back(holding, Duration::ZERO, None).await.unwrap(), Written::Done);
    }
    let task = lab.view(&job, &work).await;
    assert_eq!((task.state, task.failures, task.crashes), (State::Ready, 0, 0));
    let holding = lab.take(&job, &work).await;
    assert_eq!(lab.store.hand_back(holding, Duration::ZERO, Some("waits: for others")).await.unwrap(), Written::Done);
    assert_eq!(lab.view(&job, &work).await.error.as_deref(), Some("waits: for others"));
    let holding = lab.take(&job, &work).await;
    assert_eq!(lab.store.hand_back(holding, HOUR, None).await.unwrap(), Written::Done);
    waits(lab, &job, &work).await;
}

pub async fn what_no_job_wants_is_cancelled_at_its_end(lab: &Lab) {
    let (first, second) = (job("first"), job("second"));
    lab.start(&first, &["a.zip", "b.zip"]).await;
    lab.start(&second, &["a.zip", "b.zip"]).await;
    let (one, two) = (lab.take(&first, &first.list(1)).await, lab.take(&first, &first.list(2)).await);
    lab.store.control(first.id, Control::Cancel).await.unwrap();
    // A paused job still wants it.
    lab.store.control(second.id, Control::Pause).await.unwrap();
    assert_eq!(lab.store.fail(one, &failure(false)).await.unwrap(), Written::Done);
    assert_eq!(lab.state(&first, &first.list(1)).await, State::Ready);
    lab.store.control(second.id, Control::Cancel).await.unwrap();
    assert_eq!(lab.store.hand_back(two, Duration::ZERO, None).await.unwrap(), Written::Done);
    for shard in [1, 2] {
        assert_eq!(lab.state(&first, &first.list(shard)).await, State::Cancelled);
    }
}

async fn refuses(lab: &Lab, job: &NewJob, work: &Work, outcome: Outcome) {
    let holding = lab.take(job, work).await;
    let before = (lab.view(job, work).await, lab.ledger(job).await, lab.chunks(job, 1).await);
    assert!(lab.store.succeed(holding, &outcome).await.unwrap_err().is_permanent());
    assert_eq!((lab.view(job, work).await, lab.ledger(job).await, lab.chunks(job, 1).await), before);
}

pub async fn a_ledger_that_does_not_add_up_changes_nothing(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    let mut lossy = embedded("vectors", &[("a/1", Reason::Empty)]);
    lossy.counts.seen += 1;
    refuses(lab, &job, &work, Outcome::Embedded(lossy)).await;
}

pub async fn rejected_rows_that_do_not_match_their_counts_change_nothing(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    let whole = embedded("vectors", &[("a/1", Reason::Empty)]);
    refuses(lab, &job, &work, Outcome::Embedded(Embedded { rejected: vec![], ..whole })).await;
}

pub async fn a_task_ends_only_in_a_way_of_its_kind(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    refuses(lab, &job, &work, Outcome::Finished { artifact: None }).await;
}

pub async fn the_ledger_is_the_winners_alone(lab: &Lab) {
    let (job, work) = one_chunk(lab).await;
    let at = chunk(1, 1, 0);
    let claimed = lab.take_in(lab.session, &job, &work).await;
    let first = embedded("first", &[("a/2", Reason::Empty), ("a/1", Reason::Truncated)]);
    lab.succeed(claimed.holding, Outcome::Embedded(first.clone())).await;
    let row = lab.ledger(&job).await.remove(0);
    assert_eq!((row.at, row.task, row.state, row.epoch), (at, work.id(), State::Succeeded, claimed.epoch));
    assert_eq!((row.shard.as_str(), row.pictures, row.artifact.as_deref()), ("a.zip", Some(10), Some("first")));
    assert_eq!(row.counts, Some(first.counts));
    let keys = async || {
        let rows = lab.store.rejected(&job.collection.id, at).await.unwrap();
        rows.into_iter().map(|row| (row.key, row.reason)).collect::<Vec<_>>()
    };
    assert_eq!(keys().await, [("a/1".to_owned(), Reason::Truncated), ("a/2".to_owned(), Reason::Empty)]);

    lab.advance(&job).await;
    let seal = lab.take(&job, &Work::Seal { job: job.id }).await;
    assert!(lab.store.embed_again(seal, at).await.unwrap());
    let claimed = lab.take_in(lab.session, &job, &work).await;
    lab.succeed(claimed.holding, Outcome::Embedded(embedded("second", &[("a/3", Reason::Empty)]))).await;
    let row = lab.ledger(&job).await.remove(0);
    assert_eq!((row.epoch, row.artifact.as_deref()), (claimed.epoch, Some("second")));
    assert_eq!(keys().await, [("a/3".to_owned(), Reason::Empty)]);
}
