//! Names of things. A newtype for each, so that a task's id is never handed to a job's parameter.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// One submitted job file. Time-ordered, so that listing jobs by id lists them by age.
    JobId
);
uuid_id!(
    /// A unit of work. Derived from the task's key, so that spawning it twice makes one row.
    TaskId
);
uuid_id!(
    /// A worker process's life, which holds the lease of all that it runs.
    SessionId
);

impl JobId {
    pub fn random() -> Self {
        Self(Uuid::now_v7())
    }
}

impl SessionId {
    pub fn random() -> Self {
        Self(Uuid::now_v7())
    }
}

impl TaskId {
    /// The id of the task with this key.
    pub fn of_key(key: &str) -> Self {
        const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_2a52_7d0b_4c6e_9a35_11f0_c2d4_8e77);
        Self(Uuid::new_v5(&NAMESPACE, key.as_bytes()))
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id!(
    /// A named set of pictures: the job file's name for it and a hash of where and how it is stored.
    CorpusId
);
text_id!(
    /// One model's vectors of one corpus: a hash of everything that changes a vector (protocol §7).
    CollectionId
);
text_id!(
    /// A queue's name: kind of work and, where it matters, the model.
    Queue
);

/// Milliseconds since the Unix epoch, by the store's clock.
pub type Millis = i64;

/// Fences writes to the index: drawn from one growing sequence at every embed claim.
pub type Epoch = i64;

/// Hex SHA-256 of some bytes: how inputs, directories and identities are named.
pub fn content_hash(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        use fmt::Write;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
