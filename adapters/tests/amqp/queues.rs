//! Queues, messages, and what a consumer may hold.

use super::node::{Scoped, message, messages, queue, raw_channel, shared, soon, until};
use imagefleet_adapters::broker::amqp::{AmqpBroker, Settings};
use imagefleet_common::ports::broker::Broker;
use lapin::{BasicProperties, types::FieldTable};
use std::{sync::Arc, time::Duration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_persistent_json_with_a_name() {
    let broker = Scoped::connect(shared()).await;
    soon(broker.publish(&queue(), &messages(1))).await.unwrap();
    let raw = raw_channel(&shared().url).await;
    let name = broker.queue_name(&queue());
    let sent = raw.basic_get(name.as_str().into(), Default::default()).await.unwrap().unwrap();
    let properties = &sent.delivery.properties;
    assert_eq!(properties.delivery_mode(), &Some(2));
    assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), format!("{}.0", message(0).task));
    let body: serde_json::Value = serde_json::from_slice(&sent.delivery.data).unwrap();
    assert_eq!(body, serde_json::json!({ "task": message(0).task.to_string(), "attempt": 0 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_read_is_dropped_and_the_next_one_comes() {
    let broker = Scoped::connect(shared()).await;
    assert_eq!(soon(broker.depth(&queue())).await.unwrap(), 0);
    let raw = raw_channel(&shared().url).await;
    let name = broker.queue_name(&queue());
    for body in [&b"{\"task\": 7}"[..], b"", b"\xff"] {
        let properties = BasicProperties::default().with_message_id("broken".into());
        let sent = raw.basic_publish("".into(), name.as_str().into(), Default::default(), body, properties).await;
        sent.unwrap();
    }
    until("three messages wait", || async { broker.depth(&queue()).await.unwrap() == 3 }).await;
    soon(broker.publish(&queue(), &messages(1))).await.unwrap();
    let delivery = soon(broker.receive(&queue())).await.unwrap();
    assert_eq!(delivery.message, message(0));
    soon(broker.ack(&delivery)).await.unwrap();
    until("nothing is left", || async { held_and_ready(&broker).await == (0, 0) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_nobody_waits_for_is_handed_back() {
    let broker = Scoped::connect(shared()).await;
    {
        // The consumer that this receiver opened gets the message; the receiver is gone.
        let name = queue();
        let mut gone = std::pin::pin!(broker.receive(&name));
        let waited = tokio::time::timeout(Duration::from_millis(200), gone.as_mut()).await;
        assert!(waited.is_err());
    }
    soon(broker.publish(&queue(), &messages(1))).await.unwrap();
    let other = AmqpBroker::connect(Settings { namespace: broker.namespace.clone(), ..shared().settings() }).await;
    let delivery = soon(other.as_ref().unwrap().receive(&queue())).await.unwrap();
    assert_eq!(delivery.message, message(0));
    soon(other.unwrap().close()).await;
    until("no consumer is left", || async { shared().prefetches(&broker.queue_name(&queue())).await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_are_as_many_as_receivers_and_held_messages_with_a_prefetch_of_one() {
    let broker = Scoped::connect(shared()).await;
    let name = broker.queue_name(&queue());
    soon(broker.publish(&queue(), &messages(2))).await.unwrap();
    let first = soon(broker.receive(&queue())).await.unwrap();
    let _second = soon(broker.receive(&queue())).await.unwrap();
    let waiting_for = queue();
    let waiting = broker.receive(&waiting_for);
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_millis(100), waiting.as_mut()).await.is_err());
    assert_eq!(shared().prefetches(&name).await, [1, 1, 1]);
    // One to hold the second, one to wait: the first one's leaves.
    soon(broker.ack(&first)).await.unwrap();
    until("two consumers are left", || async { shared().prefetches(&name).await == [1, 1] }).await;
    soon(broker.publish(&queue(), &[message(7)])).await.unwrap();
    assert_eq!(soon(waiting).await.unwrap().message, message(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_consumer_serves_the_next_receiver() {
    let broker = patient().await;
    for attempt in 0..3 {
        soon(broker.publish(&queue(), &[message(attempt)])).await.unwrap();
        let delivery = soon(broker.receive(&queue())).await.unwrap();
        soon(broker.ack(&delivery)).await.unwrap();
        assert!(tokio::time::timeout(Duration::ZERO, broker.receive(&queue())).await.is_err());
    }
    assert_eq!(shared().prefetches(&broker.queue_name(&queue())).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_back_is_not_sent_to_the_consumer_that_gave_it_back() {
    let broker = patient().await;
    soon(broker.publish(&queue(), &messages(1))).await.unwrap();
    let delivery = soon(broker.receive(&queue())).await.unwrap();
    soon(broker.give_back(&delivery)).await.unwrap();
    until("anyone may take it", || async { held_and_ready(&broker).await == (0, 1) }).await;
}

/// Its consumers stay for longer than any test.
async fn patient() -> Scoped {
    Scoped::with(Settings { linger: Duration::from_secs(600), ..shared().settings() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_another_kind_is_refused_by_name() {
    let broker = Scoped::connect(shared()).await;
    let raw = raw_channel(&shared().url).await;
    let name = broker.queue_name(&queue());
    let options = lapin::options::QueueDeclareOptions::durable();
    raw.queue_declare(name.as_str().into(), options, FieldTable::default()).await.unwrap();
    for error in [
        soon(broker.publish(&queue(), &messages(1))).await.unwrap_err(),
        soon(broker.depth(&queue())).await.unwrap_err(),
    ] {
        assert!(error.is_permanent() && error.to_string().contains("list.p1"), "{error}");
        assert!(error.to_string().contains("delete it"), "{error}");
    }
    // A receiver's consumer tries again, but not after the receiver has left.
    let rests = shared().settings().max_rest * 3;
    assert!(tokio::time::timeout(rests, broker.receive(&queue())).await.is_err());
    tokio::time::sleep(rests).await;
    let raw = raw_channel(&shared().url).await;
    raw.queue_delete(name.as_str().into(), Default::default()).await.unwrap();
    tokio::time::sleep(rests).await;
    let there = raw.queue_declare(name.as_str().into(), options.passive(), FieldTable::default()).await;
    assert!(there.is_err(), "the queue was made for nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_connecting_say_what_to_do_and_never_show_the_password() {
    let good = shared().url;
    let (_, server) = good.rsplit_once('@').unwrap();
    for (url, permanent, says) in [
        (format!("amqp://imagefleet:secret@{server}"), true, "ACCESS_REFUSED"),
        (format!("{good}/no-such-host"), true, "no-such-host"),
        ("amqp://user:secret@127.0.0.1:1".into(), false, "127.0.0.1:1"),
        ("amqp://user:secret@[::1]:1/a%2fb".into(), false, "::1:1 (virtual host a/b)"),
        ("data:secret".into(), true, "not of the form"),
        ("amqp://user:secret@host:99999".into(), true, "not of the form"),
        ("http://user:secret@host".into(), true, "not of the form"),
    ] {
        let Err(error) = soon(AmqpBroker::connect(Settings::new(&url, "test"))).await else { panic!("{url} connects") };
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(says) && !shown.contains("secret"), "{shown}");
        assert_eq!(error.is_permanent(), permanent, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_version_are_known_until_it_is_closed() {
    let broker = Arc::new(Scoped::connect(shared()).await);
    assert!(broker.broker.is_connected());
    let version = shared().rabbitmqctl(&["eval", "rabbit_misc:version()."]).await;
    assert_eq!(version.trim().trim_matches('"'), broker.broker.server_version());
    let receiver = tokio::spawn({
        let broker = Arc::clone(&broker);
        async move { broker.receive(&queue()).await }
    });
    until("a receiver waits", || async { !shared().prefetches(&broker.queue_name(&queue())).await.is_empty() }).await;
    soon(broker.broker.close()).await;
    assert!(!broker.broker.is_connected());
    assert!(soon(receiver).await.unwrap().unwrap_err().is_permanent());
    assert!(soon(broker.receive(&queue())).await.unwrap_err().is_permanent());
    assert!(soon(broker.publish(&queue(), &messages(1))).await.unwrap_err().is_permanent());
}

/// A broker may be called from a runtime that did not connect it.
#[test]
fn another_runtime_may_call() {
    let runtime =
        |threads| tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    let home = runtime(1);
    let broker = Arc::new(home.block_on(Scoped::connect(shared())));
    let away = runtime(1);
    let delivery = away.block_on(soon(async {
        broker.publish(&queue(), &messages(1)).await.unwrap();
        broker.receive(&queue()).await.unwrap()
    }));
    drop(away);
    home.block_on(soon(broker.ack(&delivery))).unwrap();
    home.block_on(until("nothing is left", || async { held_and_ready(&broker).await == (0, 0) }));
}

/// What the server counts as sent and not acknowledged, and as ready.
async fn held_and_ready(broker: &Scoped) -> (u64, usize) {
    let listed = shared().rabbitmqctl(&["list_queues", "name", "messages_unacknowledged"]).await;
    let name = broker.queue_name(&queue());
    let held = listed.lines().find_map(|line| line.strip_prefix(&format!("{name}\t")));
    (held.unwrap().trim().parse().unwrap(), broker.depth(&queue()).await.unwrap())
}
