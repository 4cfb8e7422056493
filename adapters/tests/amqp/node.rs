//! A RabbitMQ node, and brokers on it that leave nothing behind.

use async_trait::async_trait;
use imagefleet_adapters::broker::amqp::{AmqpBroker, Settings};
use imagefleet_common::{
    Result,
    ids::{Queue, TaskId},
    ports::broker::{Broker, Delivery, Message},
};
use std::{
    collections::BTreeSet,
    ops::Deref,
    path::PathBuf,
    process::Command,
    sync::Mutex,
    time::{Duration, Instant},
};
use uuid::Uuid;

const RABBITMQCTL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

/// Where a node listens, and how `rabbitmqctl` speaks to it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) url: String,
    environment: PathBuf,
}

/// The node that all tests share: none stops it, or counts what is not its own.
pub(crate) fn shared() -> Node {
    let variable = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| {
            panic!(
                "{name} is not set: run scripts/test, or \
                 eval \"$(scripts/services up --bare | sed s/IMAGEFLEET_/IMAGEFLEET_TEST_/)\""
            )
        })
    };
    Node {
        url: variable("IMAGEFLEET_TEST_BROKER_URL"),
        environment: variable("IMAGEFLEET_TEST_RABBITMQ_ENVIRONMENT").into(),
    }
}

impl Node {
    /// Settings that lose no time, for a namespace of their own.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            heartbeat: Duration::from_secs(1),
            max_rest: Duration::from_millis(200),
            ..Settings::new(&self.url, format!("test-{}", Uuid::now_v7()))
        }
    }

    /// Asks again where it fails: what other tests delete may vanish under a listing.
    pub(crate) async fn rabbitmqctl(&self, arguments: &[&str]) -> String {
        let mut failures = String::new();
        for _ in 0..3 {
            let mut command = Command::new("bash");
            command.args(["-c", r#". "$0" && exec "$@""#]).arg(&self.environment).arg(RABBITMQCTL).arg("--quiet");
            command.args(arguments);
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() {
                return text;
            }
            failures += &format!("{text}{}\n", String::from_utf8_lossy(&output.stderr));
        }
        panic!("rabbitmqctl {arguments:?}: {failures}");
    }

    /// Closes the connections of a broker from the server's side.
    pub(crate) async fn close_connections(&self, namespace: &str, purpose: &str) {
        let code = format!(
            r#"length([rabbit_networking:close_connection(Pid, "test")
                || [{{pid, Pid}}, {{client_properties, Properties}}]
                    <- rabbit_networking:connection_info_all([pid, client_properties]),
                   {{<<"connection_name">>, _, Name}} <- Properties,
                   Name =:= <<"imagefleet {namespace} {purpose}">>])."#
        );
        assert_eq!(self.rabbitmqctl(&["eval", &code]).await.trim(), "1");
    }

    /// The prefetch of each consumer of a queue.
    pub(crate) async fn prefetches(&self, name: &str) -> Vec<u32> {
        let listed = self.rabbitmqctl(&["list_consumers", "queue_name", "prefetch_count"]).await;
        let lines = listed.lines().filter_map(|line| line.split_once('\t'));
        lines.filter(|(queue, _)| *queue == name).map(|(_, prefetch)| prefetch.trim().parse().unwrap()).collect()
    }
}

/// A node that one test may break.
pub(crate) struct Private {
    node: Node,
    folder: tempfile::TempDir,
}

impl Private {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let services = folder.path().join("services");
        let output = tokio::task::spawn_blocking({
            let mut command = scripts_services("up");
            command.arg("--bare").arg(&services);
            move || command.output().unwrap()
        });
        let output = output.await.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        let value = |name: &str| {
            let line = printed.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
            line.unwrap().to_owned()
        };
        let node =
            Node { url: value("IMAGEFLEET_BROKER_URL"), environment: value("IMAGEFLEET_RABBITMQ_ENVIRONMENT").into() };
        Self { node, folder }
    }

    /// Sends a signal to the server's process.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("services/rabbitmq/pid")).unwrap();
        assert!(Command::new("kill").arg(signal).arg(pid.trim()).status().unwrap().success());
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Deref for Private {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // A stopped process would not hear that it should end.
        self.signal("-CONT");
        let down = scripts_services("down").arg(self.folder.path().join("services")).status();
        assert!(down.is_ok_and(|down| down.success()) || std::thread::panicking());
    }
}

fn scripts_services(command: &str) -> Command {
    let mut services = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services"));
    services.arg(command);
    services
}

/// A broker that deletes the queues of its namespace in the end.
pub(crate) struct Scoped {
    pub(crate) broker: AmqpBroker,
    pub(crate) namespace: String,
    url: String,
    used: Mutex<BTreeSet<Queue>>,
}

impl Scoped {
    pub(crate) async fn connect(node: Node) -> Self {
        Self::with(node.settings()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let (namespace, url) = (settings.namespace.clone(), settings.url.clone());
        let broker = AmqpBroker::connect(settings).await.unwrap();
        Self { broker, namespace, url, used: Mutex::default() }
    }

    pub(crate) fn queue_name(&self, queue: &Queue) -> String {
        format!("{}.{queue}", self.namespace)
    }

    fn uses(&self, queue: &Queue) {
        self.used.lock().unwrap().insert(queue.clone());
    }
}

#[async_trait]
impl Broker for Scoped {
    async fn publish(&self, queue: &Queue, messages: &[Message]) -> Result<()> {
        self.uses(queue);
        self.broker.publish(queue, messages).await
    }

    async fn depth(&self, queue: &Queue) -> Result<usize> {
        self.uses(queue);
        self.broker.depth(queue).await
    }

    async fn receive(&self, queue: &Queue) -> Result<Delivery> {
        self.uses(queue);
        self.broker.receive(queue).await
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.broker.ack(delivery).await
    }

    async fn give_back(&self, delivery: &Delivery) -> Result<()> {
        self.broker.give_back(delivery).await
    }
}

impl Drop for Scoped {
    fn drop(&mut self) {
        let names: Vec<_> = self.used.lock().unwrap().iter().map(|queue| self.queue_name(queue)).collect();
        let url = self.url.clone();
        // A runtime of its own: the test's cannot wait here.
        let deletion = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let raw = raw_channel(&url).await;
                for name in names {
                    raw.queue_delete(name.as_str().into(), Default::default()).await.unwrap();
                }
            });
        });
        let deleted = deletion.join().is_ok();
        assert!(deleted || std::thread::panicking(), "queues were left behind");
    }
}

/// A channel that knows nothing of this project.
pub(crate) async fn raw_channel(url: &str) -> lapin::Channel {
    let connection = lapin::Connection::connect(url, Default::default()).await.unwrap();
    connection.create_channel().await.unwrap()
}

pub(crate) fn queue() -> Queue {
    Queue("list.p1".into())
}

pub(crate) fn message(attempt: u32) -> Message {
    Message { task: TaskId::of_key("a task"), attempt }
}

pub(crate) fn messages(count: u32) -> Vec<Message> {
    (0..count).map(message).collect()
}

/// Asks until it is so, for at most 30 s.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The same, with a limit that makes a hang a failure.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("an answer within 30 s")
}
