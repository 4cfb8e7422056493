//! What is looked at in a fleet: each service, whoever works, and what waits.

use super::{Findings, bytes, machine};
use crate::{
    config::{FleetConfig, Key, Place},
    fleet::{broker_settings, index, objects, store_settings},
    times::span,
    world::World,
};
use bytes::Bytes;
use imagefleet_adapters::{broker::amqp::AmqpBroker, store::postgres::PostgresStore};
use imagefleet_common::{
    Result,
    ids::Millis,
    ports::{
        broker::Broker,
        jobs::JobView,
        objects::{Objects, read_latest},
    },
    task::State,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Clocks that differ by more than this make logs of several machines hard to read; leases do not mind.
const SKEW: Duration = Duration::from_secs(5);
/// A coordinator plans a job within seconds of its submission.
const SOON: Millis = 30_000;
/// Ready tasks are in the broker within seconds.
const REPUBLISH: Duration = Duration::from_secs(60);
/// Tasks that are counted.
const COUNT_TO: u32 = 10_000;
/// A database with fewer connections left has none for another process.
const CONNECTIONS: i64 = 20;

pub(super) async fn services(findings: &mut Findings, config: &FleetConfig) {
    let has_tables = database(findings, config).await;
    let broker = broker(findings, config).await;
    match index(config).await {
        Ok(index) => findings.ok("index", format_args!("Qdrant {} at {}", index.server_version(), config.index_url)),
        Err(error) => findings.fail("index", error, format_args!("see to {} and {}", Key::IndexUrl, Key::IndexApiKey)),
    }
    sources(findings, config).await;
    artifacts(findings, config).await;
    if !has_tables {
        return;
    }
    let work = match crate::fleet::look(config).await {
        Ok(world) => work(findings, &world, broker.as_ref()).await,
        // What is away was told above.
        Err(error) => return findings.warn("work", error.to_string(), "mend what fails above first"),
    };
    if let Err(error) = work {
        findings.warn("work", error, "ask again");
    }
    if let Some(broker) = broker {
        broker.close().await;
    }
}

/// Has it tables that this program can work with?
async fn database(findings: &mut Findings, config: &FleetConfig) -> bool {
    let remedy = format!("see to {}, the server, and the way to it", Key::DatabaseUrl);
    let Some(found) = findings.must("database", remedy, PostgresStore::examine(&store_settings(config)).await) else {
        return false;
    };
    findings.ok("database", format_args!("PostgreSQL {}, {} in use", found.server, bytes(found.size)));
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let skew = Duration::from_millis(found.now.abs_diff(here));
    match skew > SKEW {
        true => findings.warn("clock", format_args!("{skew:?} off the database's"), "keep both in time with NTP"),
        false => findings.ok("clock", format_args!("within {SKEW:?} of the database's")),
    }
    let left = found.max_connections - found.connections;
    let connections = format!("{} of {} connections in use", found.connections, found.max_connections);
    match left < CONNECTIONS {
        true => findings.warn("connections", connections, "raise max_connections, or run fewer processes"),
        false => findings.ok("connections", connections),
    }
    let namespace = &config.namespace;
    let migrate = "run `imagefleet migrate`";
    match found.tables {
        None if found.may_create => findings.fail("tables", format_args!("there are none in schema {namespace}"), migrate),
        None => findings.fail(
            "tables",
            format_args!("there are none in schema {namespace}, and this user may not make them"),
            format_args!("grant CREATE on the database, or on that schema where it is there, then {migrate}"),
        ),
        Some((version, needed)) if needed > found.known => findings.fail(
            "tables",
            format_args!("version {version}, made by a newer imagefleet; this one knows {}", found.known),
            "install that one here",
        ),
        Some((version, _)) if version < found.known => {
            findings.fail("tables", format_args!("version {version}; this imagefleet needs {}", found.known), migrate)
        }
        Some((version, _)) if !found.may_write => findings.fail(
            "tables",
            format_args!("version {version}, and this user may not write to them"),
            format_args!(
                "grant it SELECT, INSERT, UPDATE and DELETE on all tables of schema {namespace}, and USAGE and SELECT on its sequence epoch"
            ),
        ),
        Some((version, _)) => {
            findings.ok("tables", format_args!("version {version}, schema {namespace}, may be written to"));
            return true;
        }
    }
    false
}

async fn broker(findings: &mut Findings, config: &FleetConfig) -> Option<AmqpBroker> {
    let remedy = format!("see to {}, the server, and the user's permissions in its virtual host", Key::BrokerUrl);
    let broker = findings.must("broker", remedy, AmqpBroker::connect(broker_settings(config)).await)?;
    findings.ok("broker", format_args!("RabbitMQ {}", broker.server_version()));
    Some(broker)
}

async fn sources(findings: &mut Findings, config: &FleetConfig) {
    let remedy = format!("see to {}, and to the credentials for it", Key::Sources);
    let listed = async {
        let sources = objects(&config.sources, Key::Sources).await?;
        Ok(sources.list("", None).await?.objects.len())
    };
    match findings.must("sources", &remedy, listed.await) {
        Some(0) => findings.warn("sources", format_args!("{}: nothing is there", place(&config.sources)), remedy),
        Some(_) => findings.ok("sources", format_args!("{}, can be listed", place(&config.sources))),
        None => {}
    }
}

/// Writes, reads and deletes an object of its own.
async fn artifacts(findings: &mut Findings, config: &FleetConfig) {
    if let Place::Folder(folder) = &config.artifacts {
        machine::disk(findings, folder);
    }
    let remedy = format!("see to {}, and to the right to list, read, write and delete there", Key::Artifacts);
    let tried = async {
        let artifacts = objects(&config.artifacts, Key::Artifacts).await?;
        probe(artifacts.as_ref()).await
    };
    if findings.must("artifacts", remedy, tried.await).is_some() {
        findings.ok("artifacts", format_args!("{}, can be written, read and deleted", place(&config.artifacts)));
    }
}

async fn probe(artifacts: &dyn Objects) -> Result<()> {
    let path = format!("doctor/{}", std::process::id());
    artifacts.put(&path, Bytes::from_static(b"a probe")).await?;
    let read = read_latest(artifacts, &path).await;
    artifacts.delete(&path).await?;
    read.map(drop)
}

/// Settings of a bucket may stand after its name, and a password where none belongs.
fn place(place: &Place) -> String {
    match place {
        Place::Folder(folder) => folder.display().to_string(),
        Place::Bucket(url) => url.split(['?', '@']).next().unwrap_or_default().to_owned(),
    }
}

async fn work(findings: &mut Findings, world: &World, broker: Option<&AmqpBroker>) -> Result<()> {
    let jobs = machine::jobs(findings, world).await?;
    let (sessions, now) = (world.tasks.sessions().await?, world.tasks.now().await?);
    let silent = sessions.iter().filter(|session| session.expires < now).count();
    let running: u64 = sessions.iter().map(|session| session.running).sum();
    let workers = format!("{} live, {running} tasks run, {jobs} jobs on record", sessions.len() - silent);
    let queues = world.tasks.queues(REPUBLISH, COUNT_TO).await?;
    let waiting: usize = queues.iter().map(|load| load.unpublished).sum();
    let mut messages = 0;
    if let Some(broker) = broker {
        for load in &queues {
            messages += broker.depth(&load.queue).await?;
        }
    }
    if silent > 0 {
        findings.warn("workers", format_args!("{silent} past their lease"), "is a coordinator running? it ends them");
    }
    match sessions.is_empty() && waiting + messages > 0 {
        true => {
            findings.warn("workers", "none lives, and tasks wait", "start `imagefleet worker` for each queue and model")
        }
        false => findings.ok("workers", workers),
    }
    let found = format!("{} queues, {messages} messages, {waiting} tasks that may run and are in none", queues.len());
    let unplanned = world.jobs.submitted().await?;
    let waits = |job: &&JobView| !job.paused && job.error.is_none() && now - job.created > SOON;
    if let Some(job) = unplanned.iter().find(waits) {
        let found = format!("job {} {} is not planned after {}", job.name, job.id, span(now - job.created));
        findings.warn("coordinators", found, "start `imagefleet coordinator`, or wait where one lists a large corpus");
    }
    match waiting > 0 && messages == 0 {
        true => findings.warn("queues", found, "is a coordinator running? it fills them within seconds"),
        false => findings.ok("queues", found),
    }
    let dead: u64 =
        world.tasks.counts().await?.iter().filter(|(_, state, _)| *state == State::Dead).map(|(.., count)| count).sum();
    match dead {
        0 => findings.ok("dead tasks", "none"),
        dead => findings.warn("dead tasks", dead, "see `imagefleet dead ls`"),
    }
    Ok(())
}
