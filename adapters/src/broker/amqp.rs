//! RabbitMQ: a durable quorum queue for each queue of the table, with nothing but its kind in the arguments.
//!
//! - Publishing and consuming have a connection each (an alarm of the server blocks publishers alone), and each is
//!   reopened for ever by the one loop in `link`.
//! - Every consumer has a channel of its own with a prefetch of 1, so that its state is a line: idle, offering its
//!   message, held by a receiver, idle again (`consumer`). A queue has as many as receivers wait and messages are held,
//!   and for a moment ([`Settings::linger`]) those that were just needed (`line`).
//! - Nothing is rejected or dead-lettered: a message is acknowledged, or handed back for anyone to take.
//! - A queue that the server cannot serve takes no other along (`trial`), and is made again.
//! - A channel that is lost takes its deliveries along: they come again, and settling them does nothing.

mod consumer;
mod line;
mod link;
mod publisher;
mod server;
mod trial;

use async_trait::async_trait;
use imagefleet_common::{
    error::{Error, Result},
    ids::Queue,
    ports::broker::{Broker, Delivery, Message},
};
use lapin::{
    Channel, ErrorKind,
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use line::{Line, Settlement};
use link::Link;
use publisher::Publisher;
use server::Server;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

/// Where the server is and how patient its clients are.
#[derive(Clone)]
pub struct Settings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. Without a path the virtual host is `/`; in a path it
    /// is percent-escaped.
    pub url: String,
    /// Queues are named `{namespace}.{queue}`, so that two fleets share a server.
    pub namespace: String,
    /// A PEM file of authorities to trust beside the system's.
    pub authorities: Option<PathBuf>,
    /// How long one exchange with the server may take.
    pub timeout: Duration,
    /// In whole seconds. A server that is silent for two of them is lost.
    pub heartbeat: Duration,
    /// How long a consumer, or a message that it was sent, waits for a receiver.
    pub linger: Duration,
    /// The longest rest between two tries to connect. The first is a tenth of a second.
    pub max_rest: Duration,
}

impl Settings {
    pub fn new(url: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: namespace.into(),
            authorities: None,
            timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            linger: Duration::from_millis(500),
            max_rest: Duration::from_secs(10),
        }
    }

    /// Permanent error where no connection could be made with this URL.
    pub fn check_url(url: &str) -> Result<()> {
        server::uri(url).map(drop)
    }
}

/// A client of one server. It lives on the runtime that connected it, and may be called from any.
pub struct AmqpBroker {
    server: Arc<Server>,
    publisher: Publisher,
    consuming: Arc<Link>,
    lines: Mutex<HashMap<Queue, Arc<Line>>>,
    runtime: Handle,
    stop: watch::Sender<bool>,
    links: Mutex<Vec<JoinHandle<()>>>,
}

impl AmqpBroker {
    /// Connects once: what fails here says whether another try may help (the server is down) or not (it refuses the
    /// password). Later losses are mended by reconnecting for ever.
    pub async fn connect(settings: Settings) -> Result<Self> {
        let server = Arc::new(Server::new(settings)?);
        let (stop, stopped) = watch::channel(false);
        let (publishing, publishing_task) = Link::open(Arc::clone(&server), "publishing", stopped.clone()).await?;
        let (consuming, consuming_task) = Link::open(Arc::clone(&server), "consuming", stopped).await?;
        Ok(Self {
            publisher: Publisher::new(Arc::clone(&server), publishing),
            server,
            consuming: Arc::new(consuming),
            lines: Mutex::default(),
            runtime: Handle::current(),
            stop,
            links: Mutex::new(vec![publishing_task, consuming_task]),
        })
    }

    /// Ends both connections; what was received and not settled comes again to others. Waiting receivers are told.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let links = std::mem::take(&mut *self.links.lock().expect("nothing panics while it holds this lock"));
        for link in links {
            if let Err(error) = link.await {
                tracing::error!(%error, "a connection's task ended badly");
            }
        }
    }

    /// Are both connections open at this moment?
    pub fn is_connected(&self) -> bool {
        self.publisher.link().is_open() && self.consuming.is_open()
    }

    /// The server's version, such as `3.10.8`, as it told it when it was last connected to.
    pub fn server_version(&self) -> String {
        self.consuming.version()
    }

    fn line(&self, queue: &Queue) -> Arc<Line> {
        let mut lines = self.lines.lock().expect("nothing panics while it holds this lock");
        let line = lines.entry(queue.clone()).or_insert_with(|| {
            Arc::new(Line::new(queue.clone(), self.server.queue_name(queue), self.server.settings.linger))
        });
        Arc::clone(line)
    }

    /// What becomes of a delivery. `Ok` too where its channel was lost, or where it was settled before.
    async fn settle(&self, delivery: &Delivery, how: Settlement, doing: &str) -> Result<()> {
        let Some(settled) = self.line(&delivery.queue).settle(delivery.tag, how) else { return Ok(()) };
        match tokio::time::timeout(self.server.settings.timeout, settled).await {
            // An error says that the consumer ended first: the channel was lost.
            Ok(Ok(()) | Err(_)) => Ok(()),
            Err(_) => Err(Error::transient(format!(
                "{doing} task {} of queue {}: {} did not answer in time",
                delivery.message.task, delivery.queue, self.server
            ))),
        }
    }
}

impl Drop for AmqpBroker {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    async fn publish(&self, queue: &Queue, messages: &[Message]) -> Result<()> {
        self.publisher.publish(queue, messages).await
    }

    async fn depth(&self, queue: &Queue) -> Result<usize> {
        let doing = || format!("count the messages of queue {queue}");
        self.server
            .in_time(doing, async {
                // Consuming is never blocked by an alarm of the server.
                let channel = self.consuming.channel(doing).await?;
                let declared = declare(&channel, &self.server.queue_name(queue)).await;
                let declared = declared.map_err(|error| failed(doing(), error))?;
                close(&channel).await;
                Ok(declared.message_count() as usize)
            })
            .await
    }

    async fn receive(&self, queue: &Queue) -> Result<Delivery> {
        let line = self.line(queue);
        let (mut waiting, short) = line.wait();
        if short {
            let consumer = consumer::run(Arc::clone(&line), Arc::clone(&self.server), Arc::clone(&self.consuming));
            self.runtime.spawn(consumer);
        }
        let mut stop = self.stop.subscribe();
        tokio::select! {
            biased;
            delivery = waiting.delivery() => Ok(delivery),
            _ = stop.wait_for(|stop| *stop) => {
                Err(Error::permanent(format!("receive from queue {queue}: the connection to {} was closed", self.server)))
            }
        }
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.settle(delivery, Settlement::Ack, "acknowledge").await
    }

    async fn give_back(&self, delivery: &Delivery) -> Result<()> {
        self.settle(delivery, Settlement::GiveBack, "give back").await
    }
}

/// Makes the queue where it is not there yet. The arguments hold nothing that an operator may want to change later: the
/// server would refuse the queue.
async fn declare(channel: &Channel, name: &str) -> lapin::Result<lapin::Queue> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await
}

/// Removes a queue that fails; says whether it did. The server gives up asking one that does not answer after five
/// seconds, and removes it then.
async fn remove(name: &str, channel: impl Future<Output = Result<Channel>>) -> bool {
    const PATIENCE: Duration = Duration::from_secs(20);
    let removed = tokio::time::timeout(PATIENCE, async {
        let channel = channel.await?;
        let removed = channel.queue_delete(name.into(), QueueDeleteOptions::default()).await;
        close(&channel).await;
        removed.map_err(|error| failed(format!("remove queue {name}, which fails"), error))
    });
    let removed = removed.await;
    match &removed {
        Ok(Ok(_)) => {
            tracing::warn!(queue = name, "a queue that answered nobody or stored nothing was removed; it is made again")
        }
        Ok(Err(error)) => tracing::warn!(%error, "a queue fails and could not be removed"),
        Err(_) => tracing::warn!(queue = name, "neither a queue nor its removal is answered"),
    }
    matches!(removed, Ok(Ok(_)))
}

/// Closes a channel before it is dropped: closing it by dropping would race with the server's own closing of it, which
/// the client answers by ending the connection.
async fn close(channel: &Channel) {
    if let Err(error) = channel.close(200, "OK".into()).await {
        tracing::debug!(%error, "a channel was closed already");
    }
}

/// Did the server end the connection over a fault of its own?
fn is_internal(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(end) if end.get_id() == 541)
}

/// Says whether trying again may help: not where the server refuses the user, the virtual host or the queue as declared.
fn failed(doing: String, error: lapin::Error) -> Error {
    let refusal = match error.kind() {
        ErrorKind::ProtocolError(refusal) => refusal.get_id(),
        _ => 0,
    };
    match refusal {
        403 | 530 => Error::permanent(doing).because(error),
        406 => Error::permanent(format!("{doing}: the queue is of another kind, delete it")).because(error),
        _ => Error::transient(doing).because(error),
    }
}
