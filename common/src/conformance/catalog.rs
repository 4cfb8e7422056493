//! The suite of [`Catalog`](crate::ports::catalog::Catalog): what only reading shows, and sweeping. What tasks and
//! plans write into it stands in their suites.
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{self, Lab, chunk, cut, embedded, job, listing},
    ids::{CollectionId, CorpusId, JobId},
    job::spec::CollectionSpec,
    ledger::Reason,
    ports::{jobs::NewJob, tasks::Outcome},
    task::State,
};

/// A test for each case, against the empty stores that `$make` (an `async fn() -> Made`) makes.
#[macro_export]
macro_rules! catalog_conformance {
    ($make:path) => {
        use $crate::conformance::catalog as suite;
        $crate::conformance_cases!($make:
            what_is_not_there_is_none_or_empty,
            the_ledger_is_ordered_and_reaches_over_the_jobs_shards,
            rejected_pictures_are_those_of_the_chunks_version,
            sweeping_forgets_a_removed_shard_only,
            a_collection_is_taken_in_once_and_never_over_another,
        );
    };
}

pub async fn what_is_not_there_is_none_or_empty(lab: &Lab) {
    let (corpus, collection, job) = (CorpusId("none".into()), CollectionId("none".into()), JobId::random());
    assert_eq!(lab.store.corpus(&corpus).await.unwrap(), None);
    assert_eq!(lab.store.collection(&collection).await.unwrap(), None);
    assert_eq!(lab.store.shards(&corpus).await.unwrap(), []);
    assert_eq!(lab.store.shard(&corpus, 1).await.unwrap(), None);
    assert_eq!(lab.store.job_shards(job).await.unwrap(), []);
    assert_eq!(lab.store.chunks(&collection, 1).await.unwrap(), []);
    assert_eq!(lab.store.ledger(job).await.unwrap(), []);
    assert_eq!(lab.store.rejected(&collection, chunk(1, 1, 0)).await.unwrap(), []);
    assert_eq!(lab.store.job(job).await.unwrap(), None);
    lab.store.swept(&corpus, 1).await.unwrap();
}

pub async fn the_ledger_is_ordered_and_reaches_over_the_jobs_shards(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip", "b.zip", "c.zip"]).await;
    lab.list(&job, 2, listing("etag", vec![cut(10), cut(9)])).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    lab.embed(&job, chunk(2, 1, 9)).await;
    let rows: Vec<_> = lab.ledger(&job).await.into_iter().map(|row| (row.at, row.shard, row.state)).collect();
    let (a, b) = ("a.zip".to_owned(), "b.zip".to_owned());
    assert_eq!(
        rows,
        [
            (chunk(1, 1, 0), a, State::Ready),
            (chunk(2, 1, 9), b.clone(), State::Succeeded),
            (chunk(2, 1, 10), b, State::Ready)
        ]
    );
    // A job over another corpus, or in another collection, has a ledger of its own.
    for other in [seed::job("b").over("others"), seed::job("c").with_model("siglip")] {
        lab.start(&other, &["a.zip"]).await;
        assert_eq!(lab.ledger(&other).await, []);
    }
}

pub async fn rejected_pictures_are_those_of_the_chunks_version(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let holding = lab.take(&job, &job.embed(chunk(1, 1, 0))).await;
    // Two entries of one name are both named.
    let outcome =
        embedded("vectors", &[("a/2", Reason::Duplicate), ("a/10", Reason::Empty), ("a/2", Reason::Duplicate)]);
    lab.succeed(holding, Outcome::Embedded(outcome)).await;
    let keys = async |at| {
        let rows = lab.store.rejected(&job.collection.id, at).await.unwrap();
        rows.into_iter().map(|row| row.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(chunk(1, 1, 0)).await, ["a/10", "a/2", "a/2"]);
    assert_eq!(keys(chunk(1, 2, 0)).await, [] as [&str; 0]);
}

pub async fn sweeping_forgets_a_removed_shard_only(lab: &Lab) {
    let job = NewJob { allow_delete: true, ..job("a") };
    lab.start(&job, &["a.zip", "b.zip"]).await;
    for shard in [1, 2] {
        lab.list(&job, shard, listing("etag", vec![cut(0)])).await;
        let holding = lab.take(&job, &job.embed(chunk(shard, 1, 0))).await;
        lab.succeed(holding, Outcome::Embedded(embedded("vectors", &[("a/1", Reason::Empty)]))).await;
    }
    lab.run_own_tasks(&job).await;
    lab.start_again(&job, &["a.zip"]).await;
    for shard in [1, 2] {
        lab.store.swept(&job.corpus.id, shard).await.unwrap();
    }
    assert_eq!(lab.chunks(&job, 1).await.len(), 1);
    assert_eq!(lab.chunks(&job, 2).await, []);
    for (shard, rejected) in [(1, 1), (2, 0)] {
        let rows = lab.store.rejected(&job.collection.id, chunk(shard, 1, 0)).await.unwrap();
        assert_eq!(rows.len(), rejected);
    }
    let tombstone = lab.shard(&job, 2).await;
    assert_eq!((tombstone.path.as_str(), tombstone.removed), ("b.zip", true), "its number stays given");
}

pub async fn a_collection_is_taken_in_once_and_never_over_another(lab: &Lab) {
    let made = job("a");
    lab.start(&made, &[]).await;
    let taken = CollectionSpec { id: CollectionId("0-from-elsewhere".into()), ..made.collection.clone() };
    for _ in 0..2 {
        // Its answer was lost; it comes again.
        lab.store.adopt(&made.corpus, &taken).await.unwrap();
    }
    assert_eq!(lab.store.collections().await.unwrap(), [taken.clone(), made.collection.clone()]);
    for other in [CollectionSpec { dims: 7, ..taken }, CollectionSpec { dims: 7, ..made.collection.clone() }] {
        assert!(lab.store.adopt(&made.corpus, &other).await.unwrap_err().is_permanent());
    }
    assert_eq!(lab.store.collection(&made.collection.id).await.unwrap(), Some(made.collection));
}
