//! The suite of [`Broker`].
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::eight_at_once,
    ids::{Queue, TaskId},
    ports::broker::{Broker, Message},
};
use std::{
    collections::BTreeSet,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// A test for each case, against the empty brokers that `$make` (an `async fn() -> Arc<dyn Broker>`) makes.
#[macro_export]
macro_rules! broker_conformance {
    ($make:path: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::broker::$case($make().await).await;
            }
        )*
    };
    ($make:path) => {
        $crate::broker_conformance!($make:
            what_is_published_is_received_once,
            of_eight_receivers_each_gets_another_message,
            a_receiver_waits_for_a_message,
            queues_are_apart,
            a_dropped_receiver_takes_nothing,
            what_is_given_back_comes_again,
            what_is_acknowledged_does_not_come_again,
        );
    };
}

fn queue() -> Queue {
    Queue("list.p1".into())
}

fn messages(count: u32) -> Vec<Message> {
    (0..count).map(|attempt| Message { task: TaskId::of_key(&format!("task {attempt}")), attempt }).collect()
}

pub async fn what_is_published_is_received_once(broker: Arc<dyn Broker>) {
    let published = messages(3);
    broker.publish(&queue(), &published).await.unwrap();
    assert_eq!(broker.depth(&queue()).await.unwrap(), 3);
    let mut received = Vec::new();
    for left in (0..3).rev() {
        let delivery = broker.receive(&queue()).await.unwrap();
        assert_eq!((&delivery.queue, broker.depth(&queue()).await.unwrap()), (&queue(), left));
        received.push(delivery.message);
    }
    received.sort_by_key(|message| message.attempt);
    assert_eq!(received, published);
}

pub async fn of_eight_receivers_each_gets_another_message(broker: Arc<dyn Broker>) {
    // Some wait before, some come after.
    let publisher = {
        let broker = broker.clone();
        tokio::spawn(async move {
            for message in messages(8) {
                broker.publish(&queue(), &[message]).await.unwrap();
            }
        })
    };
    let received = eight_at_once(|_| {
        let broker = broker.clone();
        async move { broker.receive(&queue()).await.unwrap() }
    })
    .await;
    publisher.await.unwrap();
    let tags: BTreeSet<_> = received.iter().map(|delivery| delivery.tag).collect();
    let attempts: BTreeSet<_> = received.iter().map(|delivery| delivery.message.attempt).collect();
    assert_eq!((tags.len(), attempts.len()), (8, 8));
}

pub async fn a_receiver_waits_for_a_message(broker: Arc<dyn Broker>) {
    let name = queue();
    let mut receiver = pin!(broker.receive(&name));
    assert!(poll(receiver.as_mut()).is_pending());
    broker.publish(&queue(), &messages(1)).await.unwrap();
    assert_eq!(receiver.await.unwrap().message, messages(1)[0]);
}

pub async fn queues_are_apart(broker: Arc<dyn Broker>) {
    let other = Queue("seal.p1".into());
    broker.publish(&other, &messages(1)).await.unwrap();
    assert_eq!(broker.depth(&queue()).await.unwrap(), 0);
    let name = queue();
    assert!(poll(pin!(broker.receive(&name))).is_pending());
    assert_eq!(broker.receive(&other).await.unwrap().queue, other);
}

pub async fn a_dropped_receiver_takes_nothing(broker: Arc<dyn Broker>) {
    let name = queue();
    {
        let mut dropped = pin!(broker.receive(&name));
        assert!(poll(dropped.as_mut()).is_pending());
        // It was woken, but not asked for its message.
        broker.publish(&queue(), &messages(1)).await.unwrap();
    }
    assert_eq!(broker.receive(&queue()).await.unwrap().message, messages(1)[0]);
}

pub async fn what_is_given_back_comes_again(broker: Arc<dyn Broker>) {
    broker.publish(&queue(), &messages(1)).await.unwrap();
    let first = broker.receive(&queue()).await.unwrap();
    let name = queue();
    let mut waiting = pin!(broker.receive(&name));
    assert!(poll(waiting.as_mut()).is_pending());
    broker.give_back(&first).await.unwrap();
    let second = waiting.await.unwrap();
    assert_eq!(second.message, first.message);
    assert_ne!(second.tag, first.tag);
    // The first delivery is over: nothing about it moves the second.
    broker.give_back(&first).await.unwrap();
    broker.ack(&first).await.unwrap();
    assert_eq!(broker.depth(&queue()).await.unwrap(), 0);
    broker.give_back(&second).await.unwrap();
    assert_eq!(broker.depth(&queue()).await.unwrap(), 1);
}

pub async fn what_is_acknowledged_does_not_come_again(broker: Arc<dyn Broker>) {
    broker.publish(&queue(), &messages(1)).await.unwrap();
    let delivery = broker.receive(&queue()).await.unwrap();
    broker.ack(&delivery).await.unwrap();
    broker.ack(&delivery).await.unwrap();
    broker.give_back(&delivery).await.unwrap();
    assert_eq!(broker.depth(&queue()).await.unwrap(), 0);
}

/// Asks a future once.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
