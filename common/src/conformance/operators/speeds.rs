//! How fast jobs go, for people.
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{HOUR, Lab, chunk, cut, embedded, job, listing, open_session},
    ledger::Spent,
    ports::{
        jobs::Pace,
        tasks::{Tasks, Written},
    },
};
use std::time::Duration;

pub async fn a_jobs_pace_is_that_of_its_own_chunks_and_of_who_works_for_it(lab: &Lab) {
    let (job, other) = (job("a"), job("b").over("others"));
    lab.start(&job, &["a.zip"]).await;
    let pace = lab.store.pace(job.id, HOUR).await.unwrap();
    assert_eq!(pace, Pace { now: pace.now, ..Pace::default() }, "nothing was done");
    lab.start(&other, &["a.zip"]).await;
    for job in [&job, &other] {
        lab.list(job, 1, listing("etag", vec![cut(0), cut(1), cut(2), cut(3)])).await;
    }
    let before = lab.store.now().await.unwrap();
    lab.embed(&job, chunk(1, 1, 0)).await;
    lab.embed(&job, chunk(1, 1, 1)).await;
    lab.embed(&other, chunk(1, 1, 0)).await;
    let session = open_session(&lab.store, HOUR).await;
    let here = lab.take(&job, &job.embed(chunk(1, 1, 2))).await;
    let there = lab.take_in(session, &job, &job.embed(chunk(1, 1, 3))).await.holding;
    lab.take_in(session, &other, &other.embed(chunk(1, 1, 2))).await;
    for (holding, done) in [(here, 4), (there, 3)] {
        assert_eq!(Tasks::progress(&*lab.store, holding, done).await.unwrap(), Written::Done);
    }
    let pace = lab.store.pace(job.id, HOUR).await.unwrap();
    assert_eq!((pace.workers, pace.under_way, pace.chunks, pace.pictures), (2, 7, 2, 20));
    let mut spent = Spent::default();
    (0..2).for_each(|_| spent.add(&embedded("", &[]).spent));
    assert_eq!(pace.spent, spent);
    assert!((before..=pace.now).contains(&pace.since.unwrap()));
    while lab.store.now().await.unwrap() == pace.now {
        tokio::task::yield_now().await;
    }
    let lately = lab.store.pace(job.id, Duration::ZERO).await.unwrap();
    assert_eq!((lately.chunks, lately.since, lately.workers), (0, None, 2), "that was a while ago");
}
