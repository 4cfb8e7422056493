//! The fleet's adapters, wired to the ports: PostgreSQL, RabbitMQ, Qdrant, and buckets or shared folders; and the
//! processes that work on them.
//!
//! Commands that only look connect to what they look at, so that a broker that is away hides no job.

pub mod coordinator;
pub mod submit;
pub mod worker;

use crate::{
    args::{Global, Output},
    config::{self, FleetConfig, Key, Place},
    exit::Exit,
    logging::print,
    patience::patiently,
    world::World,
};
use imagefleet_adapters::{
    broker::{
        amqp::{self, AmqpBroker},
        local::LocalBroker,
    },
    index::qdrant::{self, QdrantIndex},
    objects::{
        fs::FsObjects,
        s3::{self, S3Objects},
    },
    store::postgres::{self, Migrated, PostgresStore},
};
use imagefleet_common::{
    Context, Error, Result,
    ports::{
        broker::Broker,
        jobs::Jobs,
        layered::{Layered, Retry},
        objects::Objects,
        tasks::Tasks,
    },
    task::RetryRules,
};
use imagefleet_worker::stop::Stop;
use serde_json::json;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Database connections of a process.
const CONNECTIONS: u32 = 8;
/// The least time that a transaction is given, and two and a half leases are: whoever hears nothing for longer than its
/// lease runs has lost it in any case.
const TRANSACTION: Duration = Duration::from_secs(5);

/// How long services are waited for at the end.
const FAREWELL: Duration = Duration::from_secs(4);

/// Everything of a fleet, for a process that works in it.
pub struct Fleet {
    /// With the retries that ship.
    pub world: World,
    store: Arc<PostgresStore>,
    broker: Arc<AmqpBroker>,
}

impl Fleet {
    /// Connects to every service; transient error where one is out of reach.
    pub async fn connect(config: &FleetConfig) -> Result<Self> {
        let store = Arc::new(connect_store(config).await?);
        let broker = Arc::new(AmqpBroker::connect(broker_settings(config)).await?);
        let world = world(config, &store, broker.clone()).await?;
        Ok(Self { world, store, broker })
    }

    /// Waits for services that are away. `None`: stopped before they were there.
    pub async fn connect_patiently(config: &FleetConfig, stop: &Stop) -> Result<Option<Self>> {
        patiently(stop, "connect to the fleet's services", async || Self::connect(config).await).await
    }

    /// In the order of use: what is not acknowledged by now comes again. A service that does not answer is left.
    pub async fn close(self) {
        let closed = async {
            self.broker.close().await;
            self.store.close().await;
        };
        if tokio::time::timeout(FAREWELL, closed).await.is_err() {
            tracing::warn!("broker or database did not answer at the end; they will notice by themselves");
        }
    }
}

/// The world to look at: without a broker, since nobody publishes or works in it.
pub(crate) async fn look(config: &FleetConfig) -> Result<World> {
    let store = Arc::new(connect_store(config).await?);
    world(config, &store, Arc::new(LocalBroker::default())).await
}

/// The jobs alone.
pub(crate) async fn jobs(config: &FleetConfig) -> Result<Arc<dyn Jobs>> {
    let jobs: Arc<dyn Jobs> = Arc::new(connect_store(config).await?);
    Ok(Arc::new(Layered::new(jobs, Retry::default())))
}

/// Tasks and workers alone.
pub(crate) async fn tasks(config: &FleetConfig) -> Result<Arc<dyn Tasks>> {
    let tasks: Arc<dyn Tasks> = Arc::new(connect_store(config).await?);
    Ok(Arc::new(Layered::new(tasks, Retry::default())))
}

/// The artifacts alone.
async fn artifacts(config: &FleetConfig) -> Result<Arc<dyn Objects>> {
    let artifacts = objects(&config.artifacts, Key::Artifacts).await?;
    Ok(Arc::new(Layered::new(artifacts, Retry::default())))
}

/// The object root alone.
async fn sources(config: &FleetConfig) -> Result<Arc<dyn Objects>> {
    let sources = objects(&config.sources, Key::Sources).await?;
    Ok(Arc::new(Layered::new(sources, Retry::default())))
}

/// `imagefleet migrate`
pub(crate) async fn migrate(global: &Global) -> Result<Exit> {
    let config = config::load(global, Vec::new())?.into_fleet()?;
    let Migrated { from, to } = PostgresStore::migrate(&store_settings(&config)).await?;
    if global.output == Output::Json {
        print(format_args!("{:#}", json!({"namespace": config.namespace, "from": from, "to": to})));
        return Ok(Exit::Done);
    }
    match from == to {
        true => print(format_args!("namespace {}: tables version {to}, up to date", config.namespace)),
        false => print(format_args!("namespace {}: tables version {from} → {to}", config.namespace)),
    }
    Ok(Exit::Done)
}

async fn world(config: &FleetConfig, store: &Arc<PostgresStore>, broker: Arc<dyn Broker>) -> Result<World> {
    let index = index(config).await?;
    let world = World {
        tasks: store.clone(),
        jobs: store.clone(),
        catalog: store.clone(),
        broker,
        index: Arc::new(index),
        sources: objects(&config.sources, Key::Sources).await?,
        files: Arc::new(FsObjects::new(PathBuf::from("/"))),
        artifacts: objects(&config.artifacts, Key::Artifacts).await?,
        changed: store.changed(),
    };
    Ok(world.retrying())
}

pub(crate) async fn index(config: &FleetConfig) -> Result<QdrantIndex> {
    QdrantIndex::connect(qdrant::Settings {
        url: config.index_url.clone(),
        api_key: config.index_api_key.as_ref().map(|key| key.reveal().to_owned()),
        namespace: config.namespace.clone(),
        timeout: config.index_timeout,
        ca: config.ca_file.as_ref().map(std::fs::read).transpose().permanent(|| format!("read {}", Key::CaFile))?,
    })
    .await
}

async fn connect_store(config: &FleetConfig) -> Result<PostgresStore> {
    PostgresStore::connect(store_settings(config)).await
}

pub(crate) fn store_settings(config: &FleetConfig) -> postgres::Settings {
    postgres::Settings {
        url: config.database_url.reveal().to_owned(),
        namespace: config.namespace.clone(),
        connections: CONNECTIONS,
        limit: (config.lease * 5 / 2).max(TRANSACTION),
        retry: RetryRules::default(),
    }
}

pub(crate) fn broker_settings(config: &FleetConfig) -> amqp::Settings {
    amqp::Settings {
        authorities: config.ca_file.clone(),
        ..amqp::Settings::new(config.broker_url.reveal(), config.namespace.clone())
    }
}

pub(crate) async fn objects(place: &Place, key: Key) -> Result<Arc<dyn Objects>> {
    let wrong = |error: Error| error.while_doing(format_args!("setting {key}"));
    match place {
        Place::Folder(folder) if !folder.is_dir() => Err(Error::permanent(format!(
            "{key} = {folder:?}: there is no such folder on this machine; make it, or mount it here"
        ))),
        Place::Folder(folder) => Ok(Arc::new(FsObjects::new(folder.clone()))),
        Place::Bucket(url) => {
            let settings = s3::Settings::parse(url).map_err(wrong)?;
            Ok(Arc::new(S3Objects::open(settings).await.map_err(wrong)?))
        }
    }
}
