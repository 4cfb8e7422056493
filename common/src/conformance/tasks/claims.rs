//! Claims (protocol §2).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{HOUR, Lab, chunk, cut, eight_at_once, failure, job, listing, open_session},
    ids::{SessionId, TaskId},
    ports::{
        broker::Message,
        jobs::{Control, NewJob},
        tasks::{Claim, Outcome, Written},
    },
    task::{Refusal, State},
    work::{Kind, Work},
};
use std::time::Duration;
use uuid::Uuid;

/// A store may write what comes together in one statement: every row gets its own values, and all of them.
pub async fn what_is_claimed_and_ended_at_once_is_each_written_whole(lab: &Lab) {
    let job = NewJob { blocks: 8, rerankers: 0, ..job("a") };
    lab.start(&job, &[]).await;
    lab.advance(&job).await;
    lab.finish(&job, &Work::Seal { job: job.id }).await;
    lab.advance(&job).await;
    let work = |block: usize| Work::Retrieve { job: job.id, block: u32::try_from(block).unwrap() };
    let before = lab.store.now().await.unwrap();
    let claims = eight_at_once(|block| {
        let (store, session, task) = (lab.store.clone(), lab.session, work(block).id());
        async move { store.claim(&Message { task, attempt: 0 }, session, Uuid::now_v7()).await.unwrap() }
    })
    .await;
    for block in 0..8 {
        let running = lab.view(&job, &work(block)).await;
        assert_eq!((running.state, running.attempt, running.worker.as_deref()), (State::Running, 1, Some("a worker")));
        assert!(running.claimed.unwrap() >= before && running.finished.is_none());
    }
    let holding = |block: usize| match &claims[block] {
        Claim::Granted(claimed) => claimed.holding,
        refused => panic!("block {block} was not granted: {refused:?}"),
    };
    // Of eight, one fails and one is handed back.
    let ends = eight_at_once(|block| {
        let (store, holding) = (lab.store.clone(), holding(block));
        async move {
            match block {
                0 => store.fail(holding, &failure(false)).await.unwrap(),
                1 => store.hand_back(holding, Duration::ZERO, None).await.unwrap(),
                _ => {
                    let artifact = Some(format!("of block {block}"));
                    store.succeed(holding, &Outcome::Finished { artifact }).await.unwrap()
                }
            }
        }
    })
    .await;
    assert_eq!(ends, [Written::Done; 8]);
    for block in 0..8 {
        let ended = lab.view(&job, &work(block)).await;
        let (state, failures) = [(State::Ready, 1), (State::Ready, 0), (State::Succeeded, 0)][block.min(2)];
        assert_eq!((ended.state, ended.attempt, ended.failures), (state, 1, failures), "block {block}");
        assert_eq!(ended.artifact, (block > 1).then(|| format!("of block {block}")));
        assert_eq!(ended.error.is_some(), block == 0, "block {block}");
        assert_eq!(ended.finished.is_some(), block > 1, "block {block}");
    }
}

pub async fn of_eight_claimers_one_wins(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let message = lab.message(&job, &job.list(1)).await;
    let claims = eight_at_once(|_| {
        let store = lab.store.clone();
        async move {
            let session = open_session(&store, HOUR).await;
            store.claim(&message, session, Uuid::now_v7()).await.unwrap()
        }
    })
    .await;
    let (granted, refused): (Vec<_>, Vec<_>) = claims.iter().partition(|claim| matches!(claim, Claim::Granted(_)));
    assert_eq!(granted.len(), 1);
    assert!(refused.iter().all(|claim| **claim == Claim::Refused(Refusal::NotThisAttempt)), "{refused:?}");
    assert_eq!(lab.view(&job, &job.list(1)).await.attempt, 1);
}

pub async fn a_claim_whose_answer_was_lost_is_granted_again_unchanged(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let message = lab.message(&job, &job.embed(chunk(1, 1, 0))).await;
    let claim = Uuid::now_v7();
    let first = lab.store.claim(&message, lab.session, claim).await.unwrap();
    assert!(matches!(first, Claim::Granted(_)));
    // Even if the job was paused in between: the answer is the one that was lost.
    lab.store.control(job.id, Control::Pause).await.unwrap();
    assert_eq!(lab.store.claim(&message, lab.session, claim).await.unwrap(), first);
    assert_eq!(lab.claim(message, lab.session).await, Claim::Refused(Refusal::NotThisAttempt));
}

pub async fn a_message_of_another_attempt_changes_nothing(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let work = job.list(1);
    let old = lab.message(&job, &work).await;
    let holding = lab.take(&job, &work).await;
    assert_eq!(lab.store.hand_back(holding, Duration::ZERO, None).await.unwrap(), Written::Done);
    let before = lab.view(&job, &work).await;
    let early = Message { attempt: old.attempt + 2, ..old };
    for message in [old, early] {
        assert_eq!(lab.claim(message, lab.session).await, Claim::Refused(Refusal::NotThisAttempt));
        assert_eq!(lab.view(&job, &work).await, before);
    }
    // It was not put off either.
    lab.take(&job, &work).await;
}

pub async fn a_message_for_a_task_that_is_not_there_is_refused(lab: &Lab) {
    let message = Message { task: TaskId::of_key("nothing"), attempt: 0 };
    assert_eq!(lab.claim(message, lab.session).await, Claim::Refused(Refusal::NotThisAttempt));
}

pub async fn a_paused_job_runs_nothing_and_its_tasks_rest_for_a_second(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.store.control(job.id, Control::Pause).await.unwrap();
    let message = lab.message(&job, &job.list(1)).await;
    let refused_after = lab.store.now().await.unwrap();
    assert_eq!(lab.claim(message, lab.session).await, Claim::Refused(Refusal::NotNow));
    lab.store.control(job.id, Control::Resume).await.unwrap();
    while lab.store.queues(HOUR, 10).await.unwrap()[0].unpublished == 0 {
        tokio::task::yield_now().await;
    }
    assert!(lab.store.now().await.unwrap() - refused_after >= 1000);
    assert_eq!(lab.view(&job, &job.list(1)).await.attempt, message.attempt, "a refusal is no attempt");
    lab.take(&job, &job.list(1)).await;
}

pub async fn nothing_is_claimed_in_the_name_of_a_session_that_ended(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let message = lab.message(&job, &job.list(1)).await;
    let ended = open_session(&lab.store, HOUR).await;
    lab.store.close_session(ended).await.unwrap();
    for session in [ended, SessionId::random()] {
        assert_eq!(lab.claim(message, session).await, Claim::SessionGone);
    }
    assert_eq!(lab.state(&job, &job.list(1)).await, State::Ready);
}

pub async fn every_embed_claim_draws_a_larger_epoch(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0), cut(1)])).await;
    let mut last = 0;
    for number in [0, 1, 0, 1] {
        let claimed = lab.take_in(lab.session, &job, &job.embed(chunk(1, 1, number))).await;
        assert!(claimed.epoch > last);
        last = claimed.epoch;
        assert_eq!(lab.ledger(&job).await[usize::try_from(number).unwrap()].epoch, last);
        assert_eq!(lab.store.hand_back(claimed.holding, Duration::ZERO, None).await.unwrap(), Written::Done);
    }
}

pub async fn a_claim_does_not_ask_for_a_mark_and_clears_it(lab: &Lab) {
    let job = NewJob { max_tasks: 2, ..job("a") };
    lab.start(&job, &["a.zip", "b.zip", "c.zip"]).await;
    let queue = Kind::List.queue("");
    let mark = |limit| lab.store.mark(&queue, limit, Uuid::now_v7(), HOUR);
    assert_eq!(mark(1).await.unwrap(), [lab.message(&job, &job.list(1)).await]);
    let holding = lab.take(&job, &job.list(1)).await;
    // It counts as running and no longer as marked.
    assert_eq!(mark(10).await.unwrap(), [lab.message(&job, &job.list(2)).await]);
    let unmarked = lab.take(&job, &job.list(3)).await;
    for holding in [holding, unmarked] {
        assert_eq!(lab.store.hand_back(holding, Duration::ZERO, None).await.unwrap(), Written::Done);
    }
    assert_eq!(mark(10).await.unwrap().len(), 1);
}
