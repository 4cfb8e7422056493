//! Settings of a fleet, read and checked once: flags, then the environment, then a file, then defaults.
//!
//! Past [`load`] nothing in a [`Config`] can be wrong. What is wrong is told all at once, a line for each value: the
//! setting, the value unless it is secret, where it came from, and what was expected instead. Secrets are [`Secret`]
//! from the first moment, so that no log or error can show them.

mod given;
mod key;
mod secret;
mod show;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use show::{check, show};
pub use {key::Key, secret::Secret, values::Place};

use crate::{args::Global, logging::say};
use given::Given;
use imagefleet_common::{Error, Result, work::Kind};
use imagefleet_models::Device;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use values::Reader;

/// All settings, whichever process they are for: one file may serve a whole fleet.
#[derive(Debug, Clone)]
pub struct Config {
    /// `None`: no database is named, so commands look into the data directory.
    pub fleet: Option<FleetConfig>,
    pub coordinator: CoordinatorConfig,
    pub worker: WorkerConfig,
}

/// What every process of one fleet must agree on.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    pub database_url: Secret,
    pub broker_url: Secret,
    pub index_url: String,
    pub index_api_key: Option<Secret>,
    /// The object root that corpora lie below.
    pub sources: Place,
    /// Where tasks leave what they made; of this fleet alone.
    pub artifacts: Place,
    /// Names this fleet in services that it shares with others.
    pub namespace: String,
    /// Of worker sessions.
    pub lease: Duration,
    /// How long a call of the index may take, and so for how long a write of a lost worker may still be under way.
    pub index_timeout: Duration,
    /// PEM of authorities that broker and index are trusted by, beside the system's.
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct CoordinatorConfig {
    pub listen: SocketAddr,
    /// What [`listen`](Self::listen) needs where other machines can reach it.
    token: Option<Secret>,
}

#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Where health and metrics are served, if anywhere.
    pub listen: Option<SocketAddr>,
    pub kinds: Vec<Kind>,
    /// Folders, or models of the hub that are in the cache.
    pub models: Vec<String>,
    pub device: Device,
    pub slots: usize,
    pub grace: Duration,
}

/// A setting that the command line gives.
#[derive(Debug, Clone)]
pub struct Flag {
    pub key: Key,
    /// As it is typed: `--slots`.
    pub name: &'static str,
    pub value: String,
}

/// Reads the settings of this process. Errors are permanent; a variable that looks like a setting and is none is
/// warned of.
pub fn load(global: &Global, flags: Vec<Flag>) -> Result<Config> {
    let (config, warnings) = read(global.config.as_deref(), &global.set, flags, given::variables())?;
    for warning in warnings {
        say(format_args!("warning: {warning}"));
    }
    Ok(config)
}

fn read(
    file: Option<&Path>,
    set: &[String],
    flags: Vec<Flag>,
    variables: Vec<(String, String)>,
) -> Result<(Config, Vec<String>)> {
    let mut given = Given::of(file, set, variables)?;
    given.take_flags(flags);
    let warnings = std::mem::take(&mut given.1);
    Ok((Config::of(given)?, warnings))
}

impl Config {
    fn of(given: Given) -> Result<Self> {
        let reader = Reader::new(given);
        // Where a value is missing in spite of its default it is wrong, and nothing comes of it.
        let database_url = reader.secret(Key::DatabaseUrl, values::database_url);
        let broker_url = reader.secret(Key::BrokerUrl, values::broker_url);
        let index_url = reader.value(Key::IndexUrl, values::index_url);
        let index_api_key = reader.secret(Key::IndexApiKey, values::word);
        let sources = reader.value(Key::Sources, values::place);
        let artifacts = reader.value(Key::Artifacts, values::place);
        let namespace = reader.value(Key::Namespace, values::namespace).unwrap_or_default();
        let lease = reader.value(Key::Lease, values::lease).unwrap_or_default();
        let index_timeout = reader.value(Key::IndexTimeout, values::lease).unwrap_or_default();
        let ca_file = reader.value(Key::CaFile, values::file);
        let coordinator = CoordinatorConfig {
            listen: reader.value(Key::Listen, values::address).unwrap_or_else(|| ([127, 0, 0, 1], 7300).into()),
            token: reader.secret(Key::Token, values::word),
        };
        let worker = WorkerConfig {
            listen: reader.value(Key::WorkerListen, values::address),
            kinds: reader.value(Key::Queues, values::kinds).unwrap_or_default(),
            models: reader.value(Key::Models, values::models).unwrap_or_default(),
            device: reader.value(Key::Device, values::device).unwrap_or(Device::Cpu),
            slots: reader.value(Key::Slots, values::slots).unwrap_or(1),
            grace: reader.value(Key::Grace, values::grace).unwrap_or_default(),
        };
        // Without a database there is no fleet, and nothing else of one is missing.
        if reader.is_given(Key::DatabaseUrl) {
            for key in [Key::BrokerUrl, Key::IndexUrl, Key::Sources, Key::Artifacts] {
                reader.must_have(key);
            }
        }
        reader.finish()?;
        let fleet = match (database_url, broker_url, index_url, sources, artifacts) {
            (Some(database_url), Some(broker_url), Some(index_url), Some(sources), Some(artifacts)) => {
                Some(FleetConfig {
                    database_url,
                    broker_url,
                    index_url,
                    index_api_key,
                    sources,
                    artifacts,
                    namespace,
                    lease,
                    index_timeout,
                    ca_file,
                })
            }
            _ => None,
        };
        Ok(Self { fleet, coordinator, worker })
    }

    /// For commands that are a fleet's own.
    pub fn into_fleet(self) -> Result<FleetConfig> {
        let missing = || {
            let remedy = values::remedy(Key::DatabaseUrl);
            Error::permanent(format!("{} is not set, and this command is for a fleet: {remedy}", Key::DatabaseUrl))
        };
        self.fleet.ok_or_else(missing)
    }
}

impl CoordinatorConfig {
    /// What requests must bear. Permanent error where there is none and other machines can reach the API.
    pub fn token(&self) -> Result<Option<&Secret>> {
        if self.token.is_none() && !self.listen.ip().is_loopback() {
            return Err(Error::permanent(format!(
                "{} = {} can be reached from other machines, and {} is not set: {}, or listen on 127.0.0.1",
                Key::Listen,
                self.listen,
                Key::Token,
                values::remedy(Key::Token)
            )));
        }
        Ok(self.token.as_ref())
    }
}
