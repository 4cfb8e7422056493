//! Duties where a service is not as it should be.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use imagefleet_adapters::{
    broker::local::LocalBroker,
    objects::fs::FsObjects,
    store::sqlite::{Settings, SqliteStore},
};
use imagefleet_common::{
    Error, Result,
    conformance::seed::{Lab, Made, cut, job, listing, rules},
    ids::Queue,
    ports::{
        broker::{Broker, Delivery, Message},
        jobs::Jobs,
        objects::{ObjectMeta, Objects, Page},
    },
    work::Kind,
};
use imagefleet_coordinator::{Ports, Settings as Duties, plan::plan_submitted, publish::fill_windows, stats::Stats};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A broker that refuses one queue.
struct Refusing {
    broker: LocalBroker,
    refused: Queue,
}

#[async_trait::async_trait]
impl Broker for Refusing {
    async fn publish(&self, queue: &Queue, messages: &[Message]) -> Result<()> {
        self.broker.publish(queue, messages).await
    }

    async fn depth(&self, queue: &Queue) -> Result<usize> {
        match *queue == self.refused {
            true => Err(Error::permanent(format!("queue {queue} is of another kind"))),
            false => self.broker.depth(queue).await,
        }
    }

    async fn receive(&self, queue: &Queue) -> Result<Delivery> {
        self.broker.receive(queue).await
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.broker.ack(delivery).await
    }

    async fn give_back(&self, delivery: &Delivery) -> Result<()> {
        self.broker.give_back(delivery).await
    }
}

/// A root that can be closed to whoever looks.
struct Closed {
    objects: FsObjects,
    is_closed: AtomicBool,
}

#[async_trait::async_trait]
impl Objects for Closed {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        match self.is_closed.load(Ordering::SeqCst) {
            true => Err(Error::permanent(format!("list {prefix}: access denied"))),
            false => self.objects.list(prefix, after).await,
        }
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        self.objects.head(path).await
    }

    async fn read(&self, path: &str, etag: &str, range: std::ops::Range<u64>) -> Result<bytes::Bytes> {
        self.objects.read(path, etag, range).await
    }

    async fn put(&self, path: &str, bytes: bytes::Bytes) -> Result<()> {
        self.objects.put(path, bytes).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.objects.delete(path).await
    }
}

struct Bench {
    lab: Lab,
    ports: Ports,
    sources: Arc<Closed>,
}

async fn bench(refused: Queue) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store =
        Arc::new(SqliteStore::open(&folder.path().join("store.db"), Settings { retry: rules() }).await.unwrap());
    let sources =
        Arc::new(Closed { objects: FsObjects::new(folder.path().to_owned()), is_closed: AtomicBool::new(false) });
    let ports = Ports {
        tasks: store.clone(),
        jobs: store.clone(),
        catalog: store.clone(),
        broker: Arc::new(Refusing { broker: LocalBroker::default(), refused }),
        sources: sources.clone(),
        artifacts: sources.clone(),
    };
    let lab = Lab::new(Made { store, keep: Box::new(folder) }).await;
    Bench { lab, ports, sources }
}

#[tokio::test]
async fn a_queue_that_is_refused_holds_up_no_other() {
    let refused = Kind::Embed.queue("clip");
    let Bench { lab, ports, .. } = bench(refused.clone()).await;
    let job = job("a");
    lab.start(&job, &["a.zip", "b.zip"]).await;
    lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    let error = fill_windows(&ports, &Duties::default(), &Stats::default()).await.unwrap_err();
    assert!(error.to_string().contains("of another kind"), "{error}");
    assert_eq!(ports.broker.depth(&Kind::List.queue("")).await.unwrap(), 1, "the queue after it is filled");
}

#[tokio::test]
async fn a_job_that_cannot_be_planned_says_why_until_it_is() {
    let Bench { lab, ports, sources } = bench(Queue(String::new())).await;
    let job = job("a");
    lab.submit(&job).await;
    sources.is_closed.store(true, Ordering::SeqCst);
    assert!(plan_submitted(&ports).await.is_err(), "the duty counts as failed");
    let error = async || lab.store.job(job.id).await.unwrap().unwrap().error;
    assert!(error().await.unwrap().contains("access denied"));
    sources.is_closed.store(false, Ordering::SeqCst);
    plan_submitted(&ports).await.unwrap();
    assert_eq!(error().await, None);
    assert_eq!(Jobs::submitted(lab.store.as_ref()).await.unwrap(), []);
}
