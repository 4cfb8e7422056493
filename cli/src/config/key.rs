//! The names of settings.

use imagefleet_common::work::Kind;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    DatabaseUrl,
    BrokerUrl,
    IndexUrl,
    IndexApiKey,
    Sources,
    Artifacts,
    Namespace,
    Lease,
    IndexTimeout,
    CaFile,
    Listen,
    Token,
    WorkerListen,
    Queues,
    Models,
    Device,
    Slots,
    Grace,
}

impl Key {
    pub const ALL: [Self; 18] = [
        Self::DatabaseUrl,
        Self::BrokerUrl,
        Self::IndexUrl,
        Self::IndexApiKey,
        Self::Sources,
        Self::Artifacts,
        Self::Namespace,
        Self::Lease,
        Self::IndexTimeout,
        Self::CaFile,
        Self::Listen,
        Self::Token,
        Self::WorkerListen,
        Self::Queues,
        Self::Models,
        Self::Device,
        Self::Slots,
        Self::Grace,
    ];

    /// In a file and after `--set`.
    pub fn name(self) -> &'static str {
        match self {
            Self::DatabaseUrl => "database_url",
            Self::BrokerUrl => "broker_url",
            Self::IndexUrl => "index_url",
            Self::IndexApiKey => "index_api_key",
            Self::Sources => "sources",
            Self::Artifacts => "artifacts",
            Self::Namespace => "namespace",
            Self::Lease => "lease",
            Self::IndexTimeout => "index_timeout",
            Self::CaFile => "ca_file",
            Self::Listen => "listen",
            Self::Token => "token",
            Self::WorkerListen => "worker_listen",
            Self::Queues => "queues",
            Self::Models => "models",
            Self::Device => "device",
            Self::Slots => "slots",
            Self::Grace => "grace",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// In the environment.
    pub fn variable(self) -> String {
        format!("IMAGEFLEET_{}", self.name().to_ascii_uppercase())
    }

    /// What it is where nobody says.
    pub fn default(self) -> Option<String> {
        let text = match self {
            Self::Namespace => "imagefleet",
            Self::Lease | Self::Grace => "30",
            Self::IndexTimeout => "60",
            Self::Listen => "127.0.0.1:7300",
            Self::Queues => return Some(Kind::ALL.map(Kind::name).join(",")),
            Self::Device => "cpu",
            Self::Slots => "3",
            _ => return None,
        };
        Some(text.to_owned())
    }

    pub fn is_secret(self) -> bool {
        matches!(self, Self::DatabaseUrl | Self::BrokerUrl | Self::IndexApiKey | Self::Token)
    }

    /// All names, for whoever has none of them.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
