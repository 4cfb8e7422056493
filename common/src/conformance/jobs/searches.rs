//! Searches apart from any job file.
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{HOUR, Lab, chunk, cut, failure, job, listing},
    ids::{CollectionId, JobId, Queue},
    ports::{
        broker::Message,
        jobs::{Control, JobState, NewSearch, Step},
        tasks::{Claim, Holding, Outcome, Written},
    },
    task::State,
    work::{Kind, Work},
};
use std::time::Duration;
use uuid::Uuid;

/// A search in the collection of a job that has a chunk to embed.
async fn asked(lab: &Lab) -> NewSearch {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let search = NewSearch { id: JobId::random(), collection: job.collection.id.clone(), spec: "a red bicycle".into() };
    lab.store.search(&search).await.unwrap();
    search
}

async fn mark(lab: &Lab, queue: Queue) -> Vec<Message> {
    lab.store.mark(&queue, 10, Uuid::now_v7(), HOUR).await.unwrap()
}

async fn take(lab: &Lab, search: &NewSearch) -> Holding {
    let marked = mark(lab, Kind::Search.queue("clip")).await;
    let [message] = marked[..] else { panic!("one message was expected: {marked:?}") };
    let Claim::Granted(claimed) = lab.claim(message, lab.session).await else { panic!("it was not granted") };
    assert_eq!(claimed.work, Work::Search { job: search.id });
    claimed.holding
}

/// The answers of what was forgotten.
async fn forget(lab: &Lab, age: Duration) -> Vec<Option<String>> {
    let old = lab.store.old_searches(age).await.unwrap();
    let ids: Vec<JobId> = old.iter().map(|search| search.id).collect();
    lab.store.forget_searches(&ids).await.unwrap();
    old.into_iter().map(|search| search.artifact).collect()
}

pub async fn a_search_is_one_task_that_is_ready_at_once(lab: &Lab) {
    let search = asked(lab).await;
    // Its answer was lost; it comes again.
    lab.store.search(&search).await.unwrap();
    let view = lab.store.job(search.id).await.unwrap().unwrap();
    assert_eq!(
        (view.state, view.spec.as_str(), &view.collection),
        (JobState::Running, "a red bicycle", &search.collection)
    );
    let tasks = lab.store.tasks(search.id).await.unwrap();
    assert_eq!(
        tasks.iter().map(|task| (task.work.kind(), task.state)).collect::<Vec<_>>(),
        [(Kind::Search, State::Ready)]
    );
    take(lab, &search).await;
}

pub async fn searches_are_not_listed_among_the_jobs(lab: &Lab) {
    asked(lab).await;
    let names: Vec<String> = lab.store.jobs().await.unwrap().into_iter().map(|job| job.name).collect();
    assert_eq!(names, ["a"]);
}

pub async fn no_search_begins_in_a_collection_that_is_not_there(lab: &Lab) {
    let search = NewSearch { id: JobId::random(), collection: CollectionId("nowhere".into()), spec: String::new() };
    assert!(lab.store.search(&search).await.unwrap_err().is_permanent());
    assert_eq!(lab.store.job(search.id).await.unwrap(), None);
}

pub async fn an_answered_search_ends_and_is_forgotten_in_its_time(lab: &Lab) {
    let search = asked(lab).await;
    let holding = take(lab, &search).await;
    let answer = || Outcome::Finished { artifact: Some("the answer".into()) };
    assert_eq!(forget(lab, Duration::ZERO).await, [], "it runs");
    lab.store.forget_searches(&[search.id]).await.unwrap();
    assert!(lab.store.job(search.id).await.unwrap().is_some(), "it still runs");
    lab.succeed(holding, answer()).await;
    assert_eq!(lab.store.tasks(search.id).await.unwrap()[0].artifact.as_deref(), Some("the answer"));
    let steps = lab.store.advance().await.unwrap();
    assert_eq!(steps, [(search.id, Step::Succeeded)]);
    assert_eq!(forget(lab, HOUR).await, [], "it is too young");
    assert_eq!(forget(lab, Duration::ZERO).await, [Some("the answer".to_owned())]);
    assert_eq!(lab.store.job(search.id).await.unwrap(), None);
    assert_eq!(lab.store.tasks(search.id).await.unwrap(), []);
    assert_eq!(lab.store.succeed(holding, &answer()).await.unwrap(), Written::Stale, "a late writer is told so");
    let others = lab.store.jobs().await.unwrap();
    assert_eq!(lab.store.tasks(others[0].id).await.unwrap().len(), 6, "other jobs' tasks stay");
    assert!(lab.store.ledger(others[0].id).await.unwrap().iter().any(|row| row.at == chunk(1, 1, 0)));
}

pub async fn a_search_that_nobody_waits_for_any_more_is_not_begun(lab: &Lab) {
    let search = asked(lab).await;
    let task = lab.store.tasks(search.id).await.unwrap().remove(0);
    lab.store.control(search.id, Control::Cancel).await.unwrap();
    let message = Message { task: task.id, attempt: task.attempt };
    assert!(matches!(lab.claim(message, lab.session).await, Claim::Refused(_)));
    lab.store.advance().await.unwrap();
    assert_eq!(lab.store.job(search.id).await.unwrap().unwrap().state, JobState::Cancelled);
    assert_eq!(forget(lab, Duration::ZERO).await, [None]);
    assert_eq!(lab.store.job(search.id).await.unwrap(), None);
}

pub async fn a_search_that_cannot_be_done_says_why(lab: &Lab) {
    let search = asked(lab).await;
    let holding = take(lab, &search).await;
    assert_eq!(lab.store.fail(holding, &failure(true)).await.unwrap(), Written::Done);
    let task = lab.store.tasks(search.id).await.unwrap().remove(0);
    assert_eq!((task.state, task.error.as_deref()), (State::Dead, Some("the disk is on fire")));
}
