//! How fast messages go through one queue: `cargo test … --test amqp -- --ignored --nocapture speed`.

use super::node::{Scoped, message, queue, shared};
use futures::future::select_all;
use imagefleet_common::{ids::Queue, ports::broker::Broker};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and asserts little"]
async fn speed_of_slots_that_receive_and_acknowledge() {
    const MESSAGES: u32 = 20_000;
    for slots in [1, 16, 32] {
        let broker = Arc::new(Scoped::connect(shared()).await);
        let began = Instant::now();
        for batch in 0..MESSAGES / 1000 {
            let batch: Vec<_> = (batch * 1000..(batch + 1) * 1000).map(message).collect();
            broker.publish(&queue(), &batch).await.unwrap();
        }
        let published = f64::from(MESSAGES) / began.elapsed().as_secs_f64();
        let began = Instant::now();
        let left = Arc::new(AtomicU32::new(MESSAGES));
        let mut running = JoinSet::new();
        for _ in 0..slots {
            let (broker, left) = (Arc::clone(&broker), Arc::clone(&left));
            running.spawn(async move {
                while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                    let delivery = broker.receive(&queue()).await.unwrap();
                    broker.ack(&delivery).await.unwrap();
                }
            });
        }
        running.join_all().await;
        let received = f64::from(MESSAGES) / began.elapsed().as_secs_f64();
        eprintln!("{slots} slots: {published:.0} messages/s published, {received:.0} messages/s received");
        assert!(slots < 16 || received > 1000.0);
    }
}

/// The worker's own loop: one receive for all queues, the losers dropped, at most so many messages held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and asserts little"]
async fn speed_of_a_pull_loop_over_six_queues() {
    const MESSAGES: u32 = 6_000;
    for slots in [16, 32] {
        let broker = Arc::new(Scoped::connect(shared()).await);
        let queues: Vec<_> = (0..6).map(|number| Queue(format!("kind{number}.p1"))).collect();
        for (number, queue) in (0..).zip(&queues) {
            let batch: Vec<_> = (0..MESSAGES / 6).map(|at| message(number * MESSAGES + at)).collect();
            broker.publish(queue, &batch).await.unwrap();
        }
        let began = Instant::now();
        let mut running = JoinSet::new();
        for _ in 0..MESSAGES {
            if running.len() == slots {
                running.join_next().await.unwrap().unwrap();
            }
            let (delivery, ..) = select_all(queues.iter().map(|queue| broker.receive(queue))).await;
            let (broker, delivery) = (Arc::clone(&broker), delivery.unwrap());
            running.spawn(async move { broker.ack(&delivery).await.unwrap() });
        }
        running.join_all().await;
        let received = f64::from(MESSAGES) / began.elapsed().as_secs_f64();
        eprintln!("{slots} slots over six queues: {received:.0} messages/s");
        assert!(received > 1000.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and asserts little"]
async fn speed_from_publish_to_a_waiting_receiver() {
    let broker = Arc::new(Scoped::connect(shared()).await);
    let (mut whole, mut confirmed) = (Vec::new(), Vec::new());
    for number in 0..500 {
        let waiting = tokio::spawn({
            let broker = Arc::clone(&broker);
            async move {
                let delivery = broker.receive(&queue()).await.unwrap();
                let received = Instant::now();
                broker.ack(&delivery).await.unwrap();
                received
            }
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let began = Instant::now();
        broker.publish(&queue(), &[message(number)]).await.unwrap();
        confirmed.push(began.elapsed());
        whole.push(waiting.await.unwrap() - began);
    }
    for (what, mut times) in [("publish to receive", whole), ("publish to confirmation", confirmed)] {
        times.sort();
        eprintln!("{what}: p50 {:?}, p99 {:?}", times[250], times[495]);
    }
}
