//! The publisher's window (protocol §2).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{HOUR, Lab, chunk, cut, eight_at_once, job, listing},
    ids::Queue,
    ports::{
        broker::Message,
        jobs::{Control, NewJob},
        tasks::{Outcome, QueueLoad},
    },
    task::State,
    work::Kind,
};
use std::{collections::BTreeSet, time::Duration};
use uuid::Uuid;

const SHARDS: [&str; 5] = ["a.zip", "b.zip", "c.zip", "d.zip", "e.zip"];

fn queue() -> Queue {
    Kind::List.queue("")
}

async fn mark(lab: &Lab, limit: usize, republish_after: Duration) -> Vec<Message> {
    lab.store.mark(&queue(), limit, Uuid::now_v7(), republish_after).await.unwrap()
}

/// The list tasks of these shards, as messages that nobody has claimed yet.
fn messages(job: &NewJob, shards: &[i64]) -> Vec<Message> {
    shards.iter().map(|shard| Message { task: job.list(*shard).id(), attempt: 0 }).collect()
}

pub async fn a_token_finds_the_rows_that_it_marked(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &SHARDS).await;
    let token = Uuid::now_v7();
    let first = lab.store.mark(&queue(), 2, token, HOUR).await.unwrap();
    assert_eq!(first, messages(&job, &[1, 2]));
    assert_eq!(lab.store.mark(&queue(), 2, token, HOUR).await.unwrap(), first);
    assert_eq!(mark(lab, 10, HOUR).await, messages(&job, &[3, 4, 5]));
}

pub async fn of_eight_markers_each_gets_other_rows(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &SHARDS).await;
    let marked = eight_at_once(|_| {
        let store = lab.store.clone();
        async move { store.mark(&queue(), 1, Uuid::now_v7(), HOUR).await.unwrap() }
    })
    .await;
    let tasks: Vec<_> = marked.into_iter().flatten().map(|message| message.task).collect();
    assert_eq!(tasks.len(), SHARDS.len());
    assert_eq!(tasks.iter().collect::<BTreeSet<_>>().len(), SHARDS.len());
}

pub async fn rows_are_marked_by_priority_then_age(lab: &Lab) {
    let low = job("low");
    let high = NewJob { priority: 7, ..job("high").over("others") };
    lab.start(&low, &["a.zip", "b.zip"]).await;
    lab.start(&high, &["x.zip", "y.zip"]).await;
    let wanted = [messages(&high, &[1, 2]), messages(&low, &[1])].concat();
    assert_eq!(mark(lab, 3, HOUR).await, wanted);
}

pub async fn a_shared_row_runs_at_the_highest_priority_of_its_jobs(lab: &Lab) {
    let (low, middle) = (job("low"), NewJob { priority: 3, ..job("middle").over("others") });
    let high = NewJob { priority: 7, ..job("high") };
    lab.start(&low, &["a.zip", "b.zip"]).await;
    lab.start(&middle, &["x.zip"]).await;
    lab.start(&high, &["b.zip"]).await;
    let wanted = [messages(&high, &[2]), messages(&middle, &[1]), messages(&low, &[1])].concat();
    assert_eq!(mark(lab, 9, HOUR).await, wanted);
}

pub async fn a_published_row_goes_again_when_it_was_published_too_long_ago(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let token = Uuid::now_v7();
    let first = lab.store.mark(&queue(), 1, token, HOUR).await.unwrap();
    assert_eq!(lab.store.queues(HOUR, 10).await.unwrap()[0].unpublished, 1, "the broker may refuse it for long");
    lab.store.published(token).await.unwrap();
    assert_eq!(lab.store.queues(HOUR, 10).await.unwrap()[0].unpublished, 0);
    assert_eq!(mark(lab, 1, HOUR).await, []);
    assert_eq!(lab.store.queues(Duration::ZERO, 10).await.unwrap()[0].unpublished, 1);
    assert_eq!(mark(lab, 1, Duration::ZERO).await, first);
    // Marked and never published counts from the mark.
    assert_eq!(mark(lab, 1, HOUR).await, []);
    assert_eq!(lab.store.queues(Duration::ZERO, 10).await.unwrap()[0].unpublished, 1);
    assert_eq!(mark(lab, 1, Duration::ZERO).await, first);
}

pub async fn each_publication_doubles_the_wait_for_the_next(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let publish = async || {
        let token = Uuid::now_v7();
        assert_eq!(lab.store.mark(&queue(), 1, token, Duration::ZERO).await.unwrap().len(), 1);
        lab.store.published(token).await.unwrap();
        // Said twice, it counts once.
        lab.store.published(token).await.unwrap();
    };
    for publications in 1..=3 {
        let before = lab.store.now().await.unwrap();
        publish().await;
        let after = lab.store.now().await.unwrap();
        while mark(lab, 1, Duration::from_millis(100)).await.is_empty() {
            tokio::task::yield_now().await;
        }
        let now = lab.store.now().await.unwrap();
        let doubled = 100 << (publications - 1);
        assert!(now - before >= doubled, "publication {publications} waited {} ms", now - before);
        // Had each counted twice, the third would wait for 3200 ms.
        assert!(now - after < 3000, "publication {publications} waited {} ms", now - after);
    }
}

pub async fn marked_and_running_never_exceed_a_jobs_bound(lab: &Lab) {
    let job = NewJob { max_tasks: 2, ..job("a") };
    lab.start(&job, &SHARDS).await;
    assert_eq!(mark(lab, 10, HOUR).await, messages(&job, &[1, 2]));
    let holding = lab.take(&job, &job.list(1)).await;
    assert_eq!(mark(lab, 10, HOUR).await, []);
    // A row that goes again takes no more room than it has.
    assert_eq!(mark(lab, 10, Duration::ZERO).await, messages(&job, &[2]));
    lab.succeed(holding, Outcome::Listed(listing("etag", vec![]))).await;
    assert_eq!(mark(lab, 10, HOUR).await, messages(&job, &[3]));
}

pub async fn eight_markers_keep_a_jobs_bound(lab: &Lab) {
    let job = NewJob { max_tasks: 3, ..job("a") };
    lab.start(&job, &SHARDS).await;
    let marked = eight_at_once(|_| {
        let store = lab.store.clone();
        async move { store.mark(&queue(), 1, Uuid::now_v7(), HOUR).await.unwrap() }
    })
    .await;
    assert_eq!(marked.into_iter().flatten().count(), 3);
}

pub async fn a_bound_never_holds_up_another_job(lab: &Lab) {
    let bound = NewJob { max_tasks: 1, ..job("bound") };
    let free = job("free");
    lab.start(&bound, &SHARDS).await;
    lab.start(&free, &["b.zip", "c.zip"]).await;
    // Rows 2 and 3 are on the free job's account, one of the others is on the bound job's.
    assert_eq!(mark(lab, 10, HOUR).await, messages(&bound, &[1, 2, 3]));
}

pub async fn rows_of_paused_jobs_are_not_published(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.store.control(job.id, Control::Pause).await.unwrap();
    assert_eq!(mark(lab, 1, HOUR).await, []);
    assert_eq!(lab.store.queues(HOUR, 10).await.unwrap()[0].unpublished, 0);
    lab.store.control(job.id, Control::Resume).await.unwrap();
    assert_eq!(mark(lab, 1, HOUR).await, messages(&job, &[1]));
}

pub async fn queues_count_what_may_run_and_what_runs(lab: &Lab) {
    let job = job("a");
    assert_eq!(lab.store.queues(HOUR, 10).await.unwrap(), []);
    lab.start(&job, &SHARDS).await;
    lab.take(&job, &job.list(4)).await;
    mark(lab, 1, HOUR).await;
    let load = QueueLoad { queue: queue(), unpublished: 4 };
    assert_eq!(lab.store.queues(HOUR, 10).await.unwrap(), [load]);
    assert_eq!(lab.store.running().await.unwrap(), [(queue(), 1)]);
}

pub async fn open_and_dead_tasks_are_counted_by_kind_and_state(lab: &Lab) {
    let job = job("a");
    assert_eq!(lab.store.counts().await.unwrap(), []);
    lab.start(&job, &SHARDS).await;
    lab.list(&job, 1, listing("etag", vec![cut(0), cut(1)])).await;
    lab.take(&job, &job.list(2)).await;
    lab.kill(&job, &job.embed(chunk(1, 1, 1))).await;
    let mut counts = lab.store.counts().await.unwrap();
    counts.sort_by_key(|(kind, state, _)| (*kind, state.name()));
    let expected = [
        (Kind::List, State::Ready, 3),
        (Kind::List, State::Running, 1),
        (Kind::Embed, State::Dead, 1),
        (Kind::Embed, State::Ready, 1),
        (Kind::Seal, State::Pending, 1),
        (Kind::Retrieve, State::Pending, 1),
        (Kind::Rerank, State::Pending, 1),
        (Kind::Finalize, State::Pending, 1),
    ];
    assert_eq!(counts, expected, "the list task that has succeeded is not counted");
}
