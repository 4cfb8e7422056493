//! What a node does that a test cannot ask of one that others use: it runs out of memory, says nothing, loses patience
//! with a consumer. One node at a time, they are large.

use super::node::{Private, Scoped, message, messages, queue, soon, until};
use imagefleet_adapters::broker::amqp::{AmqpBroker, Settings};
use imagefleet_common::ports::broker::Broker;
use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

static ONE_NODE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_outlasts_the_consumer_timeout_comes_again_on_a_new_channel() {
    let _one = ONE_NODE.lock().await;
    let node = Private::start().await;
    let patience = "application:set_env(rabbit, consumer_timeout, 2000), \
        application:set_env(rabbit, channel_tick_interval, 100).";
    node.rabbitmqctl(&["eval", patience]).await;
    let broker = Scoped::connect(node.clone()).await;
    soon(broker.publish(&queue(), &messages(1))).await.unwrap();
    let first = soon(broker.receive(&queue())).await.unwrap();
    let second = soon(broker.receive(&queue())).await.unwrap();
    assert_eq!(second.message, first.message);
    assert!(broker.broker.is_connected());
    soon(broker.ack(&first)).await.unwrap();
    soon(broker.ack(&second)).await.unwrap();
    until("nothing is left", || async {
        let listed = node.rabbitmqctl(&["list_queues", "messages"]).await;
        listed.lines().last() == Some("0")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_fails_publishers_in_time_and_nobody_else() {
    let _one = ONE_NODE.lock().await;
    let node = Private::start().await;
    let broker = Scoped::with(Settings { timeout: Duration::from_secs(1), ..node.settings() }).await;
    soon(broker.publish(&queue(), &messages(1))).await.unwrap();
    node.rabbitmqctl(&["set_vm_memory_high_watermark", "0"]).await;
    for says in ["no answer from amqp://127.0.0.1", "takes no messages, an alarm is set"] {
        let began = Instant::now();
        let error = soon(broker.publish(&queue(), &[message(1)])).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains(says), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(soon(broker.depth(&queue())).await.unwrap(), 1);
    let delivery = soon(broker.receive(&queue())).await.unwrap();
    soon(broker.ack(&delivery)).await.unwrap();
    node.rabbitmqctl(&["set_vm_memory_high_watermark", "0.4"]).await;
    until("it takes messages again", || async { broker.publish(&queue(), &[message(2)]).await.is_ok() }).await;
    // What was sent before the alarm was known may have arrived in the end.
    while soon(broker.receive(&queue())).await.unwrap().message != message(2) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_left_and_found_again() {
    let _one = ONE_NODE.lock().await;
    let node = Private::start().await;
    let broker = Arc::new(Scoped::with(Settings { timeout: Duration::from_secs(1), ..node.settings() }).await);
    let receiver = tokio::spawn({
        let broker = Arc::clone(&broker);
        async move { broker.receive(&queue()).await.unwrap().message }
    });
    until("a receiver waits", || async { node.prefetches(&broker.queue_name(&queue())).await == [1] }).await;
    node.signal("-STOP");
    let error = soon(broker.publish(&queue(), &messages(1))).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    until("the silence is noticed", || async { !broker.broker.is_connected() }).await;
    // It accepts connections all the time, and says nothing on them: none is kept.
    let until_then = Instant::now() + Duration::from_secs(8);
    let mut most = 0;
    while Instant::now() < until_then {
        most = most.max(established(&node.url));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(most <= 4, "{most} connections to a server that says nothing");
    node.signal("-CONT");
    until("it is found again", || async { broker.broker.is_connected() }).await;
    until("it takes messages again", || async { broker.publish(&queue(), &[message(7)]).await.is_ok() }).await;
    assert!([message(0), message(7)].contains(&soon(receiver).await.unwrap()));
}

/// Connections to this server that are open at the client's end.
fn established(url: &str) -> usize {
    const ESTABLISHED: &str = "01";
    let port: u16 = url.rsplit_once(':').unwrap().1.parse().unwrap();
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[2].ends_with(&format!(":{port:04X}")) && row[3] == ESTABLISHED).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_needs_an_authority_that_is_trusted() {
    let _one = ONE_NODE.lock().await;
    let node = Private::start().await;
    let folder = node.folder();
    certificates(folder);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listener = format!(
        r#"rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}, inet}},
            [{{cacertfile, "{0}/ca.pem"}}, {{certfile, "{0}/server.pem"}}, {{keyfile, "{0}/server.key"}}], 4)."#,
        folder.display()
    );
    node.rabbitmqctl(&["eval", &listener]).await;
    let url = format!("amqps://imagefleet:imagefleet@localhost:{port}");
    let settings = Settings { url, ..node.settings() };
    let Err(error) = soon(AmqpBroker::connect(settings.clone())).await else {
        panic!("an unknown authority is trusted")
    };
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");

    let trusting = Settings { authorities: Some(folder.join("ca.pem")), ..settings };
    let other_name = trusting.url.replace("localhost", "127.0.0.1");
    let misnamed = soon(AmqpBroker::connect(Settings { url: other_name, ..trusting.clone() })).await;
    assert!(misnamed.is_err(), "a certificate of another host is taken");
    let broker = soon(AmqpBroker::connect(trusting)).await.unwrap();
    soon(broker.publish(&queue(), &messages(1))).await.unwrap();
    let delivery = soon(broker.receive(&queue())).await.unwrap();
    soon(broker.ack(&delivery)).await.unwrap();
    soon(broker.close()).await;
}

/// An authority, and a certificate for localhost that it signed. PostgreSQL's packages bring openssl.
fn certificates(folder: &Path) {
    let script = "
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=test authority'
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost
        echo subjectAltName=DNS:localhost >names
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem
        chmod a+r *";
    let made = Command::new("bash").args(["-ec", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
