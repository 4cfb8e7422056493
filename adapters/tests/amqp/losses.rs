//! Connections, channels and queues that go away under a broker.

use super::node::{Scoped, message, messages, queue, raw_channel, shared, soon, until};
use imagefleet_adapters::broker::amqp::Settings;
use imagefleet_common::{
    conformance::seed::eight_at_once,
    ids::Queue,
    ports::broker::{Broker, Delivery},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// A receiver that is known to wait: its consumer is open.
async fn waiting_receiver(broker: &Arc<Scoped>) -> tokio::task::JoinHandle<u32> {
    let receiver = tokio::spawn({
        let broker = Arc::clone(broker);
        async move {
            let delivery = broker.receive(&queue()).await.unwrap();
            broker.ack(&delivery).await.unwrap();
            delivery.message.attempt
        }
    });
    let name = broker.queue_name(&queue());
    until("a receiver waits", || async { shared().prefetches(&name).await == [1] }).await;
    receiver
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_receiver_outlives_its_connection_and_the_prefetch_is_as_before() {
    let broker = Arc::new(Scoped::connect(shared()).await);
    let receiver = waiting_receiver(&broker).await;
    shared().close_connections(&broker.namespace, "consuming").await;
    let name = broker.queue_name(&queue());
    until("it waits again", || async { shared().prefetches(&name).await == [1] }).await;
    soon(broker.publish(&queue(), &messages(1))).await.unwrap();
    assert_eq!(soon(receiver).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_held_when_the_connection_was_lost_comes_again_and_its_old_delivery_does_nothing() {
    let broker = Scoped::connect(shared()).await;
    soon(broker.publish(&queue(), &messages(3))).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(soon(broker.receive(&queue())).await.unwrap());
    }
    shared().close_connections(&broker.namespace, "consuming").await;
    let mut again = Vec::new();
    for _ in 0..3 {
        again.push(soon(broker.receive(&queue())).await.unwrap());
    }
    let attempts = |deliveries: &[_]| -> BTreeSet<u32> {
        deliveries.iter().map(|delivery: &Delivery| delivery.message.attempt).collect()
    };
    assert_eq!(attempts(&again), attempts(&held));
    soon(broker.ack(&held[0])).await.unwrap();
    soon(broker.give_back(&held[1])).await.unwrap();
    assert_eq!(shared().prefetches(&broker.queue_name(&queue())).await, [1, 1, 1]);
    // Still held, all three: the next connection brings them a third time.
    shared().close_connections(&broker.namespace, "consuming").await;
    for _ in 0..3 {
        let delivery = soon(broker.receive(&queue())).await.unwrap();
        soon(broker.ack(&delivery)).await.unwrap();
    }
    until("all are acknowledged", || async { broker.depth(&queue()).await.unwrap() == 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_confirmed_while_connections_are_closed_is_not_lost() {
    const BATCHES: u32 = 150;
    let broker = Arc::new(Scoped::connect(shared()).await);
    let publisher = tokio::spawn({
        let broker = Arc::clone(&broker);
        async move {
            let mut failures = 0;
            for batch in 0..BATCHES {
                let batch: Vec<_> = (batch * 10..batch * 10 + 10).map(message).collect();
                while let Err(error) = broker.publish(&queue(), &batch).await {
                    assert!(error.is_transient(), "{error}");
                    failures += 1;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            failures
        }
    });
    let receiver = tokio::spawn({
        let broker = Arc::clone(&broker);
        async move {
            let mut seen = BTreeSet::new();
            while seen.len() < 10 * BATCHES as usize {
                let delivery = broker.receive(&queue()).await.unwrap();
                broker.ack(&delivery).await.unwrap();
                seen.insert(delivery.message.attempt);
            }
        }
    });
    for purpose in ["publishing", "consuming", "publishing"] {
        shared().close_connections(&broker.namespace, purpose).await;
        until("connected again", || async { broker.broker.is_connected() }).await;
    }
    let failures = soon(publisher).await.unwrap();
    eprintln!("{failures} calls failed and were made again");
    soon(receiver).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_made_again_for_publishers() {
    let broker = Arc::new(Scoped::connect(shared()).await);
    open_eight_channels(&broker, &queue()).await;
    delete(&broker, &queue()).await;
    let error = soon(broker.publish(&queue(), &messages(2))).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("the queue is gone"), "{error}");
    soon(broker.publish(&queue(), &messages(2))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_made_again_for_receivers() {
    let broker = Arc::new(Scoped::connect(shared()).await);
    let receiver = waiting_receiver(&broker).await;
    delete(&broker, &queue()).await;
    let name = broker.queue_name(&queue());
    until("the receiver waits again", || async { shared().prefetches(&name).await == [1] }).await;
    soon(broker.publish(&queue(), &[message(7)])).await.unwrap();
    assert_eq!(soon(receiver).await.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_answers_nobody_is_made_again() {
    let settings = Settings { timeout: Duration::from_secs(2), ..shared().settings() };
    let broker = Arc::new(Scoped::with(settings).await);
    soon(broker.publish(&queue(), &messages(1))).await.unwrap();
    // The process that keeps the queue lives and says nothing.
    let suspend = format!("sys:suspend(whereis('%2F_{}')).", broker.queue_name(&queue()));
    assert_eq!(shared().rabbitmqctl(&["eval", &suspend]).await.trim(), "ok");
    let error = soon(broker.publish(&queue(), &messages(1))).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    until("it takes messages again", || async { broker.publish(&queue(), &[message(7)]).await.is_ok() }).await;
    assert_eq!(soon(broker.receive(&queue())).await.unwrap().message.attempt, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_stores_nothing_is_made_again() {
    let settings = Settings { timeout: Duration::from_secs(1), ..shared().settings() };
    let broker = Arc::new(Scoped::with(settings).await);
    soon(broker.publish(&queue(), &messages(1))).await.unwrap();
    nobody_keeps(&broker, &queue()).await;
    let error = soon(broker.publish(&queue(), &messages(1))).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    until("it takes messages again", || async { broker.publish(&queue(), &[message(7)]).await.is_ok() }).await;
    assert_eq!(soon(broker.receive(&queue())).await.unwrap().message.attempt, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_nobody_keeps_takes_no_other_along_and_is_made_again_though_nobody_publishes_to_it() {
    let settings = Settings { timeout: Duration::from_secs(3), ..shared().settings() };
    let broker = Arc::new(Scoped::with(settings).await);
    let sound = Queue("seal.p1".into());
    for queue in [&queue(), &sound] {
        assert_eq!(soon(broker.depth(queue)).await.unwrap(), 0);
    }
    nobody_keeps(&broker, &queue()).await;
    let receivers = eight_waiting(&broker);
    // Without its connection being ended it is there for a while, settled once, and does not come again.
    until("a message is held for a while", || async {
        broker.publish(&sound, &messages(1)).await.unwrap();
        let held = broker.receive(&sound).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        broker.ack(&held).await.unwrap();
        broker.depth(&sound).await.unwrap() == 0
    })
    .await;
    let name = broker.queue_name(&queue());
    until("all wait again", || async { shared().prefetches(&name).await == [1; 8] }).await;
    let many: Vec<_> = (0..8).map(message).collect();
    soon(broker.publish(&queue(), &many)).await.unwrap();
    let received: BTreeSet<u32> = soon(receivers).await.unwrap().into_iter().collect();
    assert_eq!(received.len(), 8);
}

/// Eight receivers of the queue, and what they got.
fn eight_waiting(broker: &Arc<Scoped>) -> tokio::task::JoinHandle<Vec<u32>> {
    let broker = Arc::clone(broker);
    tokio::spawn(eight_at_once(move |_| {
        let broker = Arc::clone(&broker);
        async move {
            let delivery = broker.receive(&queue()).await.unwrap();
            broker.ack(&delivery).await.unwrap();
            delivery.message.attempt
        }
    }))
}

/// As after a restart that did not find what the queue had written: it is on record, and nobody keeps it.
async fn nobody_keeps(broker: &Scoped, queue: &Queue) {
    let stop = format!("ra:stop_server(quorum_queues, {{'%2F_{}', node()}}).", broker.queue_name(queue));
    assert_eq!(shared().rabbitmqctl(&["eval", &stop]).await.trim(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_somebody_else_is_making_stores_what_comes() {
    let broker = Arc::new(Scoped::connect(shared()).await);
    for round in 0..10 {
        eight_at_once(|caller| {
            let (broker, queue) = (Arc::clone(&broker), Queue(format!("list.p{round}{}", caller / 4)));
            async move {
                match caller % 4 {
                    0 => drop(broker.receive(&queue).await.unwrap()),
                    _ => broker.publish(&queue, &messages(1)).await.unwrap(),
                }
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_told_of_its_own_messages_only() {
    let broker = Arc::new(Scoped::connect(shared()).await);
    let (kept, gone) = (queue(), Queue("gone.p1".into()));
    for queue in [&kept, &gone] {
        open_eight_channels(&broker, queue).await;
    }
    delete(&broker, &gone).await;
    eight_at_once(|caller| {
        let (broker, kept, gone) = (Arc::clone(&broker), kept.clone(), gone.clone());
        async move {
            let queue = if caller % 2 == 0 { &kept } else { &gone };
            let published = broker.publish(queue, &messages(20)).await;
            assert_eq!(published.is_ok(), *queue == kept, "{queue}: {published:?}");
        }
    })
    .await;
}

/// Calls at once have a channel each, which then believes that the queue is there.
async fn open_eight_channels(broker: &Arc<Scoped>, queue: &Queue) {
    assert_eq!(soon(broker.depth(queue)).await.unwrap(), 0);
    eight_at_once(|_| {
        let (broker, queue) = (Arc::clone(broker), queue.clone());
        async move { broker.publish(&queue, &messages(1)).await.unwrap() }
    })
    .await;
}

async fn delete(broker: &Scoped, queue: &Queue) {
    let name = broker.queue_name(queue);
    raw_channel(&shared().url).await.queue_delete(name.as_str().into(), Default::default()).await.unwrap();
}
