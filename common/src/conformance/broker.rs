//! The suite of [`Broker`]. A server may count late, so a depth is waited for; it must be right within [`COUNTED`].
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::eight_at_once,
    ids::{Queue, TaskId},
    ports::broker::{Broker, Message},
};
use futures::future::select_all;
use std::{
    collections::{BTreeSet, HashSet},
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How late a count may be.
const COUNTED: Duration = Duration::from_secs(5);

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
            a_receiver_takes_no_message_but_its_own,
            of_many_publishers_and_receivers_nothing_is_lost_or_done_twice,
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
    assert_depth(&broker, &queue(), 3).await;
    let mut received = Vec::new();
    for left in (0..3).rev() {
        let delivery = broker.receive(&queue()).await.unwrap();
        assert_eq!(delivery.queue, queue());
        assert_depth(&broker, &queue(), left).await;
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
    assert_depth(&broker, &queue(), 0).await;
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
    assert_depth(&broker, &queue(), 0).await;
    broker.give_back(&second).await.unwrap();
    assert_depth(&broker, &queue(), 1).await;
}

pub async fn what_is_acknowledged_does_not_come_again(broker: Arc<dyn Broker>) {
    broker.publish(&queue(), &messages(1)).await.unwrap();
    let delivery = broker.receive(&queue()).await.unwrap();
    broker.ack(&delivery).await.unwrap();
    broker.ack(&delivery).await.unwrap();
    broker.give_back(&delivery).await.unwrap();
    assert_depth(&broker, &queue(), 0).await;
}

/// Worth saying because servers like to send ahead.
pub async fn a_receiver_takes_no_message_but_its_own(broker: Arc<dyn Broker>) {
    broker.publish(&queue(), &messages(9)).await.unwrap();
    let held = eight_at_once(|_| {
        let broker = broker.clone();
        async move { broker.receive(&queue()).await.unwrap() }
    })
    .await;
    assert_depth(&broker, &queue(), 1).await;
    for delivery in &held[..4] {
        broker.ack(delivery).await.unwrap();
    }
    assert_depth(&broker, &queue(), 1).await;
    for delivery in &held[4..] {
        broker.give_back(delivery).await.unwrap();
    }
    assert_depth(&broker, &queue(), 5).await;
}

/// Eight publishers, and eight receivers that ask three queues at once and drop those that lose, as workers do. A third
/// of the messages is handed back by whoever is the first to see them.
pub async fn of_many_publishers_and_receivers_nothing_is_lost_or_done_twice(broker: Arc<dyn Broker>) {
    const EACH: usize = 30;
    let queues = ["list.p1", "seal.p1", "finalize.p1"].map(|name| Queue(name.into()));
    for queue in &queues {
        // A server may refuse messages for a queue that is being made.
        assert_depth(&broker, queue, 0).await;
    }
    let run = Arc::new(Run { broker, queues, handed_back: Mutex::default(), acknowledged: watch::Sender::default() });
    let receivers = tokio::spawn(eight_at_once({
        let run = run.clone();
        move |_| run.clone().receive_until(8 * EACH)
    }));
    eight_at_once(|publisher| {
        let run = run.clone();
        async move {
            for (at, queue) in (0..EACH).step_by(10).zip(&run.queues) {
                let batch = (at..at + 10).map(|number| message(publisher, number)).collect::<Vec<_>>();
                run.broker.publish(queue, &batch).await.unwrap();
            }
        }
    })
    .await;
    receivers.await.unwrap();
    let expected = (0..8).flat_map(|publisher| (0..EACH).map(move |number| message(publisher, number)));
    let acknowledged = run.acknowledged.borrow().clone();
    assert_eq!(acknowledged.len(), 8 * EACH);
    assert_eq!(HashSet::from_iter(acknowledged), expected.collect::<HashSet<_>>());
    for queue in &run.queues {
        assert_depth(&run.broker, queue, 0).await;
    }
}

struct Run {
    broker: Arc<dyn Broker>,
    queues: [Queue; 3],
    handed_back: Mutex<HashSet<Message>>,
    acknowledged: watch::Sender<Vec<Message>>,
}

impl Run {
    async fn receive_until(self: Arc<Self>, total: usize) {
        let mut acknowledged = self.acknowledged.subscribe();
        loop {
            let delivery = tokio::select! {
                (delivery, ..) = select_all(self.queues.iter().map(|queue| self.broker.receive(queue))) => delivery.unwrap(),
                _ = acknowledged.wait_for(|acknowledged| acknowledged.len() == total) => return,
            };
            let message = delivery.message;
            if message.attempt % 3 == 0 && self.handed_back.lock().unwrap().insert(message) {
                self.broker.give_back(&delivery).await.unwrap();
            } else {
                self.broker.ack(&delivery).await.unwrap();
                self.acknowledged.send_modify(|acknowledged| acknowledged.push(message));
            }
        }
    }
}

fn message(publisher: usize, number: usize) -> Message {
    Message { task: TaskId::of_key(&format!("task of {publisher}")), attempt: u32::try_from(number).unwrap() }
}

async fn assert_depth(broker: &Arc<dyn Broker>, queue: &Queue, expected: usize) {
    let began = Instant::now();
    loop {
        let depth = broker.depth(queue).await.unwrap();
        if depth == expected {
            return;
        }
        assert!(began.elapsed() < COUNTED, "queue {queue} holds {depth} messages, not {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asks a future once.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
