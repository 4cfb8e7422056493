//! No-op tasks through a real RabbitMQ and a real Postgres with every guarantee of the product: what `bench/queue` runs.
//!
//!     queue throughput TASKS SLOTS [ROWS]     tasks/s; with ROWS ended tasks in the table before it starts
//!     queue latency TASKS RATE SLOTS          from the commit that makes a row ready to its task's first instruction
//!     queue plans ROWS                        has the server log the plans of what looks for work among ROWS ended tasks
//!
//! IMAGEFLEET_DATABASE_URL and IMAGEFLEET_BROKER_URL say where. The schema and the queue are dropped at the end.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use imagefleet_adapters::{
    broker::amqp::{self, AmqpBroker},
    store::postgres::{self, PostgresStore},
};
use imagefleet_common::{
    filter::Filter,
    ids::{CollectionId, CorpusId, JobId, Queue, SessionId},
    job::spec::{CollectionSpec, CorpusSpec, Decoding, IndexSection, Layout, Limits, Precision},
    ports::{
        broker::Broker,
        jobs::{Jobs, NewJob, Plan, Step},
        objects::{ObjectMeta, Objects, Page},
        tasks::{Claim, Holding, NewSession, Outcome, Tasks, Written},
    },
    work::{Kind, Stage},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use uuid::Uuid;

/// A coordinator needs a place for sources; no-op tasks have none.
struct NoObjects;

#[async_trait::async_trait]
impl Objects for NoObjects {
    async fn list(&self, _: &str, _: Option<&str>) -> imagefleet_common::Result<Page> {
        Ok(Page::default())
    }
    async fn head(&self, _: &str) -> imagefleet_common::Result<Option<ObjectMeta>> {
        Ok(None)
    }
    async fn read(&self, path: &str, _: &str, _: std::ops::Range<u64>) -> imagefleet_common::Result<bytes::Bytes> {
        Err(imagefleet_common::Error::permanent(format!("read {path}: there are no objects")))
    }
    async fn put(&self, _: &str, _: bytes::Bytes) -> imagefleet_common::Result<()> {
        Ok(())
    }
    async fn delete(&self, _: &str) -> imagefleet_common::Result<()> {
        Ok(())
    }
}

struct Bench {
    namespace: String,
    store: Arc<PostgresStore>,
    broker: Arc<AmqpBroker>,
    queue: Queue,
}

fn settings(namespace: &str) -> postgres::Settings {
    let url = std::env::var("IMAGEFLEET_DATABASE_URL").expect("IMAGEFLEET_DATABASE_URL names a Postgres");
    postgres::Settings::new(url, namespace)
}

async fn broker(namespace: &str) -> Arc<AmqpBroker> {
    let url = std::env::var("IMAGEFLEET_BROKER_URL").expect("IMAGEFLEET_BROKER_URL names a RabbitMQ");
    Arc::new(AmqpBroker::connect(amqp::Settings::new(url, namespace)).await.unwrap())
}

impl Bench {
    async fn new() -> Self {
        let namespace = format!("bench_{}", Uuid::now_v7().simple());
        PostgresStore::migrate(&settings(&namespace)).await.unwrap();
        let store = Arc::new(PostgresStore::connect(settings(&namespace)).await.unwrap());
        let broker = broker(&namespace).await;
        Self { namespace, store, broker, queue: Kind::Retrieve.queue("none") }
    }

    /// A coordinator with connections of its own, as in another process.
    async fn coordinate(&self) -> tokio::task::JoinHandle<()> {
        let store = Arc::new(PostgresStore::connect(settings(&self.namespace)).await.unwrap());
        let changed = store.changed();
        let ports = imagefleet_coordinator::Ports {
            tasks: store.clone(),
            jobs: store.clone(),
            catalog: store,
            broker: broker(&self.namespace).await,
            sources: Arc::new(NoObjects),
            artifacts: Arc::new(NoObjects),
        };
        let settings = imagefleet_coordinator::Settings::default();
        tokio::spawn(imagefleet_coordinator::run(ports, settings, Arc::default(), changed, std::future::pending()))
    }

    /// A job in whose retrieve stage there are `tasks` ready rows.
    async fn fill(&self, tasks: u32) {
        let corpus = CorpusSpec {
            id: CorpusId("none".into()),
            name: "none".into(),
            source: "none".into(),
            layout: Layout::Zip,
            shards: "*.zip".into(),
            metadata: None,
            pictures: vec!["*.jpg".into()],
        };
        let collection = CollectionSpec {
            id: CollectionId("none".into()),
            corpus: corpus.id.clone(),
            model_path: "none".into(),
            revision: "none".into(),
            precision: Precision::F32,
            decoding: Decoding::Exact,
            preprocessing: "none".into(),
            limits: Limits::default(),
            filter: Filter::default(),
            dims: 1,
            batch: 1,
            storage: IndexSection::default(),
        };
        let job = NewJob {
            id: JobId::random(),
            name: "no-op".into(),
            spec: "{}".into(),
            hash: "none".into(),
            corpus,
            collection,
            priority: 0,
            max_tasks: 0,
            blocks: tasks,
            rerankers: 0,
            allow_delete: false,
            replaces_same_name: false,
        };
        self.store.submit(&job).await.unwrap();
        self.store.plan(job.id, &Plan { shards: Vec::new() }).await.unwrap();
        self.store.advance().await.unwrap();
        let session = self.session(1).await;
        let seal = self.store.tasks(job.id).await.unwrap().into_iter().find(|task| task.work.kind() == Kind::Seal);
        let seal = seal.unwrap();
        let message = imagefleet_common::ports::broker::Message { task: seal.id, attempt: seal.attempt };
        let Claim::Granted(claimed) = self.store.claim(&message, session, Uuid::now_v7()).await.unwrap() else {
            panic!("the seal was not granted");
        };
        let done = Outcome::Finished { artifact: None };
        assert_eq!(self.store.succeed(claimed.holding, &done).await.unwrap(), Written::Done);
        let steps = self.store.advance().await.unwrap();
        assert_eq!(steps, [(job.id, Step::Began(Stage::Retrieve))]);
    }

    async fn session(&self, slots: u32) -> SessionId {
        let session = NewSession {
            id: SessionId::random(),
            worker: "bench".into(),
            slots,
            lease: Duration::from_secs(3600),
            replaces: None,
        };
        self.store.open_session(&session).await.unwrap();
        session.id
    }

    /// Ended tasks of an ended job: what a table holds after a large run.
    async fn grow(&self, rows: u32) {
        let rows = rows.to_string();
        let sql = include_str!("queue/grow.sql").replace("{schema}", &self.namespace).replace("{rows}", &rows);
        psql(&sql);
        // As autovacuum leaves a table that grew over weeks, instead of while the clock runs.
        for table in ["task", "job_task"] {
            psql(&format!("VACUUM ANALYZE {}.{table}", self.namespace));
        }
    }

    /// What `slots` of a worker do with each message until `done` of them have ended; returns when the first was claimed.
    async fn work(
        &self,
        slots: u32,
        done: u32,
        each: impl Fn(Holding) -> Holding + Send + Sync + Copy + 'static,
    ) -> Instant {
        let session = self.session(slots).await;
        let (ended, all, first) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()), Arc::new(Mutex::new(None)));
        let slots: Vec<_> = (0..slots)
            .map(|_| {
                let (store, broker, queue) = (self.store.clone(), self.broker.clone(), self.queue.clone());
                let (ended, all, first) = (ended.clone(), all.clone(), first.clone());
                tokio::spawn(async move {
                    loop {
                        let delivery = broker.receive(&queue).await.unwrap();
                        let claim = store.claim(&delivery.message, session, Uuid::now_v7()).await.unwrap();
                        if let Claim::Granted(claimed) = claim {
                            first.lock().unwrap().get_or_insert_with(Instant::now);
                            let holding = each(claimed.holding);
                            let outcome = Outcome::Finished { artifact: None };
                            assert_eq!(store.succeed(holding, &outcome).await.unwrap(), Written::Done);
                            if ended.fetch_add(1, SeqCst) + 1 == done as usize {
                                all.notify_one();
                            }
                        }
                        broker.ack(&delivery).await.unwrap();
                    }
                })
            })
            .collect();
        all.notified().await;
        slots.iter().for_each(tokio::task::JoinHandle::abort);
        let first = *first.lock().unwrap();
        first.unwrap()
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.namespace);
        self.broker.close().await;
        self.store.close().await;
        psql(&sql);
    }
}

fn psql(sql: &str) {
    let url = std::env::var("IMAGEFLEET_DATABASE_URL").unwrap();
    let mut command = std::process::Command::new("psql");
    command.env("PGOPTIONS", "-c client_min_messages=error");
    let done =
        command.args(["--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--command", sql, &url]).status();
    assert!(done.unwrap().success());
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u32>().ok());
    match (arguments.first().map(String::as_str), number(1), number(2), number(3)) {
        (Some("throughput"), Some(tasks), Some(slots), rows) => throughput(tasks, slots, rows.unwrap_or(0)).await,
        (Some("latency"), Some(tasks), Some(rate), Some(slots)) => latency(tasks, rate, slots).await,
        (Some("plans"), Some(rows), ..) => plans(rows).await,
        _ => {
            eprintln!("queue throughput TASKS SLOTS [ROWS] | queue latency TASKS RATE SLOTS | queue plans ROWS");
            std::process::exit(2);
        }
    }
}

async fn throughput(tasks: u32, slots: u32, rows: u32) {
    let bench = Bench::new().await;
    if rows > 0 {
        bench.grow(rows).await;
    }
    bench.fill(tasks).await;
    let coordinator = bench.coordinate().await;
    let first = bench.work(slots, tasks, |holding| holding).await;
    let seconds = first.elapsed().as_secs_f64();
    coordinator.abort();
    println!(
        "{{\"tasks\": {tasks}, \"slots\": {slots}, \"rows\": {rows}, \"seconds\": {seconds:.2}, \"tasks_per_second\": {:.0}}}",
        f64::from(tasks) / seconds
    );
    bench.end().await;
}

/// The publisher's choice, the stage query and the reaper's look, each once, by a store whose plans the server logs.
async fn plans(rows: u32) {
    let bench = Bench::new().await;
    bench.grow(rows).await;
    bench.fill(1000).await;
    let mut settings = settings(&bench.namespace);
    let options =
        ["session_preload_libraries]=auto_explain", "auto_explain.log_min_duration]=0", "auto_explain.log_analyze]=on"];
    for option in options {
        settings.url += if settings.url.contains('?') { "&" } else { "?" };
        settings.url += &format!("options[{option}");
    }
    let store = PostgresStore::connect(settings).await.unwrap();
    let hour = Duration::from_secs(3600);
    store.queues(hour, 1).await.unwrap();
    assert_eq!(store.mark(&bench.queue, 64, Uuid::now_v7(), hour).await.unwrap().len(), 64);
    assert_eq!(store.advance().await.unwrap(), []);
    assert_eq!(store.reap().await.unwrap(), []);
    store.close().await;
    bench.end().await;
}

/// Tasks are held, and handed back one at a time at the given rate: each hand-back is a commit that makes a row ready.
async fn latency(tasks: u32, rate: u32, slots: u32) {
    const HELD: u32 = 200;
    let bench = Bench::new().await;
    bench.fill(HELD).await;
    let coordinator = bench.coordinate().await;
    let session = bench.session(slots).await;
    let held: Arc<Mutex<Vec<Holding>>> = Arc::default();
    let ready: Arc<Mutex<std::collections::HashMap<_, Instant>>> = Arc::default();
    let took: Arc<Mutex<Vec<Duration>>> = Arc::default();
    for _ in 0..slots {
        let (store, broker, queue) = (bench.store.clone(), bench.broker.clone(), bench.queue.clone());
        let (held, ready, took) = (held.clone(), ready.clone(), took.clone());
        tokio::spawn(async move {
            // Until the bench ends.
            while let Ok(delivery) = broker.receive(&queue).await {
                if let Claim::Granted(claimed) = store.claim(&delivery.message, session, Uuid::now_v7()).await.unwrap()
                {
                    if let Some(since) = ready.lock().unwrap().remove(&claimed.holding.task) {
                        took.lock().unwrap().push(since.elapsed());
                    }
                    held.lock().unwrap().push(claimed.holding);
                }
                broker.ack(&delivery).await.unwrap();
            }
        });
    }
    while held.lock().unwrap().len() < HELD as usize {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
    for _ in 0..tasks {
        tick.tick().await;
        let Some(holding) = held.lock().unwrap().pop() else { continue };
        let (store, ready) = (bench.store.clone(), ready.clone());
        tokio::spawn(async move {
            // Counted from before the call: the commit lies within it.
            ready.lock().unwrap().insert(holding.task, Instant::now());
            let (Written::Done | Written::Stale) = store.hand_back(holding, Duration::ZERO, None).await.unwrap();
        });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    coordinator.abort();
    let mut took = took.lock().unwrap().clone();
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "{{\"tasks\": {}, \"rate\": {rate}, \"p50_ms\": {:.1}, \"p90_ms\": {:.1}, \"p99_ms\": {:.1}, \"max_ms\": {:.1}}}",
        took.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    bench.end().await;
}
