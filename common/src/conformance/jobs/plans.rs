//! Plans and removed shards (protocol §7).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{self, Lab, bucket, chunk, cut, job, listing},
    ports::{
        jobs::{JobState, NewJob, Planned},
        tasks::{Listing, Outcome},
    },
    task::State,
};

async fn numbers(lab: &Lab, job: &NewJob) -> Vec<(i64, String)> {
    let shards = lab.store.job_shards(job.id).await.unwrap();
    shards.into_iter().map(|shard| (shard.number, shard.path)).collect()
}

fn named(shards: &[(i64, &str)]) -> Vec<(i64, String)> {
    shards.iter().map(|(number, path)| (*number, (*path).to_owned())).collect()
}

fn removed(shards: &[&str]) -> Planned {
    Planned { removed: shards.iter().map(|path| (*path).to_owned()).collect(), kept: vec![] }
}

fn kept(shards: &[&str]) -> Planned {
    Planned { kept: removed(shards).removed, removed: vec![] }
}

pub async fn a_plan_numbers_the_shards_and_lists_each(lab: &Lab) {
    let job = job("a");
    lab.submit(&job).await;
    // Bytewise: capital letters come first.
    assert_eq!(lab.plan(&job, &["b.zip", "a.zip", "B.zip"]).await, Planned::default());
    assert_eq!(numbers(lab, &job).await, named(&[(1, "B.zip"), (2, "a.zip"), (3, "b.zip")]));
    for shard in 1..=3 {
        assert_eq!(lab.state(&job, &job.list(shard)).await, State::Ready);
        assert_eq!(lab.shard(&job, shard).await.version, 0);
    }
    assert_eq!(lab.job_state(&job).await, JobState::Running);
    let later = seed::job("later");
    lab.start(&later, &["A.zip", "B.zip", "a.zip", "b.zip"]).await;
    assert_eq!(numbers(lab, &later).await[3], (4, "A.zip".to_owned()), "a number is never given twice");
    assert_eq!(numbers(lab, &job).await.len(), 3, "a running job searches what it planned");
}

pub async fn a_plan_counts_only_for_a_submitted_job(lab: &Lab) {
    let first = job("first");
    lab.start(&first, &["a.zip", "b.zip"]).await;
    let job = job("a");
    lab.submit(&job).await;
    let planned = lab.plan(&job, &["a.zip"]).await;
    assert_eq!(planned, kept(&["b.zip"]));
    assert_eq!(lab.plan(&job, &["c.zip"]).await, planned);
    assert_eq!(lab.store.shards(&job.corpus.id).await.unwrap().len(), 2);
}

pub async fn a_listing_on_its_way_serves_both_jobs(lab: &Lab) {
    let (first, second) = (job("first"), job("second"));
    lab.start(&first, &["a.zip"]).await;
    let holding = lab.take(&first, &first.list(1)).await;
    lab.start(&second, &["a.zip"]).await;
    let outcome = Outcome::Listed(listing("etag", vec![cut(0)]));
    lab.succeed(holding, outcome).await;
    assert_eq!(lab.state(&second, &second.embed(chunk(1, 1, 0))).await, State::Ready);
    // Once it has ended, a plan asks for it anew.
    let third = job("third");
    lab.start(&third, &["a.zip"]).await;
    assert_eq!(lab.state(&third, &third.list(1)).await, State::Ready);
}

pub async fn a_gone_shard_of_few_is_kept_without_leave(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip", "b.zip"]).await;
    let later = seed::job("later");
    lab.submit(&later).await;
    assert_eq!(lab.plan(&later, &["a.zip"]).await, kept(&["b.zip"]));
    assert!(!lab.shard(&job, 2).await.removed);
    assert_eq!(numbers(lab, &later).await, named(&[(1, "a.zip"), (2, "b.zip")]));
    assert_eq!(lab.store.job(later.id).await.unwrap().unwrap().kept_shards, ["b.zip"]);
    assert_eq!(lab.find(&later, &job.list(2)).await, None, "what is gone cannot be listed");
}

pub async fn a_gone_shard_is_removed_with_leave(lab: &Lab) {
    let job = job("a");
    lab.start(&job, &["a.zip", "b.zip", "c.zip"]).await;
    lab.list(&job, 2, listing("etag", vec![cut(0), cut(1)])).await;
    lab.embed(&job, chunk(2, 1, 0)).await;
    let later = NewJob { allow_delete: true, ..seed::job("later") };
    lab.submit(&later).await;
    assert_eq!(lab.plan(&later, &["a.zip"]).await, removed(&["b.zip", "c.zip"]));
    assert!(lab.shard(&job, 2).await.removed);
    assert_eq!(numbers(lab, &later).await, named(&[(1, "a.zip")]));
    for work in [job.embed(chunk(2, 1, 1)), job.list(3)] {
        assert_eq!(lab.state(&job, &work).await, State::Cancelled);
    }
    assert_eq!(lab.state(&job, &job.embed(chunk(2, 1, 0))).await, State::Succeeded);
    // What is removed is not gone once more.
    let third = seed::job("third");
    lab.submit(&third).await;
    assert_eq!(lab.plan(&third, &["a.zip"]).await, Planned::default());
}

/// A corpus of `shards` loses the last `gone` of them; what a job without leave does.
async fn lose(lab: &Lab, shards: usize, gone: usize) -> (Planned, Vec<String>) {
    let names: Vec<_> = (0..shards).map(|shard| format!("{shard:03}.zip")).collect();
    let paths: Vec<_> = names.iter().map(String::as_str).collect();
    lab.start(&job("first"), &paths).await;
    let later = job("later");
    lab.submit(&later).await;
    (lab.plan(&later, &paths[..shards - gone]).await, names[shards - gone..].to_vec())
}

pub async fn one_gone_shard_of_a_hundred_is_removed_without_leave(lab: &Lab) {
    let (planned, gone) = lose(lab, 100, 1).await;
    assert_eq!((planned.removed, planned.kept), (gone, vec![]));
}

pub async fn two_gone_shards_of_a_hundred_are_kept_without_leave(lab: &Lab) {
    let (planned, gone) = lose(lab, 100, 2).await;
    assert_eq!((planned.removed, planned.kept), (vec![], gone));
}

pub async fn one_gone_shard_of_ninety_nine_is_kept_without_leave(lab: &Lab) {
    let (planned, gone) = lose(lab, 99, 1).await;
    assert_eq!((planned.removed, planned.kept), (vec![], gone));
}

/// Listed once, then gone from the corpus, then there again.
async fn comes_back(lab: &Lab, found: Listing) -> NewJob {
    let first = job("first");
    lab.start(&first, &["a.zip", "b.zip"]).await;
    lab.list(&first, 2, found.clone()).await;
    lab.embed(&first, chunk(2, 1, 0)).await;
    let without = NewJob { allow_delete: true, ..job("without") };
    lab.start(&without, &["a.zip"]).await;
    let back = job("back");
    lab.start(&back, &["a.zip", "b.zip"]).await;
    let shard = lab.shard(&back, 2).await;
    assert_eq!((shard.path.as_str(), shard.removed, shard.listing.as_str()), ("b.zip", false, ""));
    lab.list(&back, 2, found).await;
    back
}

pub async fn a_shard_that_comes_back_keeps_its_number_and_is_cut_anew(lab: &Lab) {
    let back = comes_back(lab, listing("etag", vec![cut(0)])).await;
    assert_eq!(lab.shard(&back, 2).await.version, 2);
    assert_eq!(lab.state(&back, &back.embed(chunk(2, 2, 0))).await, State::Ready);
}

pub async fn a_shard_that_comes_back_keeps_no_bucket(lab: &Lab) {
    let back = comes_back(lab, listing("first", vec![bucket(0, "x")])).await;
    assert_eq!(lab.chunks(&back, 2).await, [(0, 2, 0, Some(10))]);
    assert_eq!(lab.state(&back, &back.embed(chunk(2, 2, 0))).await, State::Ready);
}

pub async fn a_job_needs_nothing_of_shards_that_it_does_not_search(lab: &Lab) {
    let job = NewJob { allow_delete: true, ..job("a") };
    lab.start(&job, &["a.zip", "b.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![])).await;
    lab.list(&job, 2, listing("etag", vec![cut(0)])).await;
    lab.kill(&job, &job.embed(chunk(2, 1, 0))).await;
    lab.advance(&job).await;
    assert_eq!(lab.job_state(&job).await, JobState::Blocked);
    lab.start_again(&job, &["a.zip"]).await;
    assert_eq!(lab.find(&job, &job.list(2)).await, None);
    assert_eq!(lab.find(&job, &job.embed(chunk(2, 1, 0))).await, None);
    lab.list(&job, 1, listing("etag", vec![])).await;
    lab.run_own_tasks(&job).await;
}
