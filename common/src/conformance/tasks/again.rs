//! Chunks of which the index holds too few points (protocol §7).
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{Lab, chunk, cut, job, listing},
    ports::{
        jobs::{Control, NewJob},
        tasks::{Holding, Written},
    },
    task::State,
    work::{ChunkRef, Work},
};
use std::time::Duration;

const AT: ChunkRef = ChunkRef { shard: 1, version: 1, chunk: 0 };

async fn sealing(lab: &Lab) -> (NewJob, Holding) {
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    lab.embed(&job, AT).await;
    lab.advance(&job).await;
    let seal = lab.take(&job, &Work::Seal { job: job.id }).await;
    (job, seal)
}

pub async fn a_seal_has_a_chunk_embedded_again_once(lab: &Lab) {
    let (job, seal) = sealing(lab).await;
    assert!(lab.store.embed_again(seal, AT).await.unwrap());
    assert_eq!(lab.state(&job, &job.embed(AT)).await, State::Ready);
    assert_eq!(lab.store.hand_back(seal, Duration::ZERO, None).await.unwrap(), Written::Done);
    lab.embed(&job, AT).await;
    let seal = lab.take(&job, &Work::Seal { job: job.id }).await;
    assert!(!lab.store.embed_again(seal, AT).await.unwrap());
    assert_eq!(lab.state(&job, &job.embed(AT)).await, State::Succeeded);
}

pub async fn the_same_call_again_says_the_same(lab: &Lab) {
    let (job, seal) = sealing(lab).await;
    assert!(lab.store.embed_again(seal, AT).await.unwrap());
    assert!(lab.store.embed_again(seal, AT).await.unwrap());
    lab.embed(&job, AT).await;
    assert!(lab.store.embed_again(seal, AT).await.unwrap());
    assert_eq!(lab.state(&job, &job.embed(AT)).await, State::Succeeded);
}

pub async fn only_the_seals_holder_may_ask(lab: &Lab) {
    let (job, seal) = sealing(lab).await;
    assert_eq!(lab.store.hand_back(seal, Duration::ZERO, None).await.unwrap(), Written::Done);
    assert!(!lab.store.embed_again(seal, AT).await.unwrap());
    let seal = lab.take(&job, &Work::Seal { job: job.id }).await;
    assert!(!lab.store.embed_again(seal, chunk(1, 1, 9)).await.unwrap(), "there is no such chunk");
    assert_eq!(lab.state(&job, &job.embed(AT)).await, State::Succeeded);
}

pub async fn a_retry_by_a_person_allows_it_once_more(lab: &Lab) {
    let (job, seal) = sealing(lab).await;
    assert!(lab.store.embed_again(seal, AT).await.unwrap());
    lab.embed(&job, AT).await;
    assert_eq!(lab.store.hand_back(seal, Duration::ZERO, None).await.unwrap(), Written::Done);
    lab.kill(&job, &Work::Seal { job: job.id }).await;
    lab.advance(&job).await;
    lab.store.control(job.id, Control::RetryDead).await.unwrap();
    let seal = lab.take(&job, &Work::Seal { job: job.id }).await;
    assert!(lab.store.embed_again(seal, AT).await.unwrap());
    assert_eq!(lab.state(&job, &job.embed(AT)).await, State::Ready);
}
