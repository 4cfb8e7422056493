//! Tasks, jobs and the catalog in one schema of a Postgres database, for any number of processes.
//!
//! Transactions run side by side at READ COMMITTED; what each must be alone with is an advisory lock that ends with it:
//! shared by those that only change tasks' rows (each locked when it is read), exclusive for those that change which
//! tasks there are or which may run. The lock is taken by the transaction's first statement, so that every later one
//! sees what the locks before it have committed. Locks are of the schema: fleets in one database don't wait for each
//! other.
//!
//! Whoever waits for a change is told by NOTIFY, on a connection of its own after the commit: inside a transaction it
//! would make commits wait for each other. A notification that is lost costs the second until the next look.

mod examine;
mod listen;
mod migrations;

use super::sql::{
    Database, Done, Lock, Store,
    fault::Fault,
    query::{Conn, Db},
};
use async_trait::async_trait;
use imagefleet_common::{
    Error,
    error::{Context, Result},
    ids::content_hash,
    task::RetryRules,
};
use sqlx::{
    ConnectOptions, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{fmt, str::FromStr, time::Duration};
use tokio::sync::watch;
pub use {examine::Examined, migrations::Migrated};

#[derive(Clone)]
pub struct Settings {
    /// `postgres://user:password@host:port/database`, with `sslmode=verify-full` and `sslrootcert` where TLS is wanted.
    pub url: String,
    /// The schema; the name of the fleet.
    pub namespace: String,
    /// Connections that this process opens at most, besides one that beats and one that listens.
    pub connections: u32,
    /// How long a transaction may take before it is given up. The server ends a statement after four fifths of it.
    pub limit: Duration,
    pub retry: RetryRules,
}

impl fmt::Debug for Settings {
    /// The URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, namespace, connections, limit, retry } = self;
        f.debug_struct("Settings")
            .field("namespace", namespace)
            .field("connections", connections)
            .field("limit", limit)
            .field("retry", retry)
            .finish_non_exhaustive()
    }
}

impl Settings {
    pub fn new(url: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: namespace.into(),
            connections: 8,
            limit: Duration::from_secs(75),
            retry: RetryRules::default(),
        }
    }

    /// Permanent error where no connection could be made with this URL.
    pub fn check_url(url: &str) -> Result<()> {
        connect_options(url).map(drop)
    }

    fn options(&self) -> Result<PgConnectOptions> {
        let options = connect_options(&self.url)?;
        let is_name = |name: &str| {
            name.len() <= 40
                && name.starts_with(|first: char| first.is_ascii_lowercase())
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        if !is_name(&self.namespace) {
            return Err(Error::permanent(format!(
                "use the namespace {:?}: expected up to 40 of a-z, 0-9 and _, the first a letter",
                self.namespace
            )));
        }
        let statement = (self.limit.as_millis() * 4 / 5).to_string();
        Ok(options
            .application_name(&format!("imagefleet {}", self.namespace))
            .options([
                ("search_path", self.namespace.as_str()),
                ("idle_in_transaction_session_timeout", statement.as_str()),
                ("statement_timeout", statement.as_str()),
                // A server whose other end is gone, or whose answer takes for ever, lets go of its locks.
                ("tcp_keepalives_idle", "10"),
                ("tcp_keepalives_interval", "5"),
                ("tcp_keepalives_count", "3"),
            ])
            .statement_cache_capacity(256)
            .disable_statement_logging())
    }

    /// For errors: where the database is, without who asks.
    fn place(&self) -> String {
        match PgConnectOptions::from_str(&self.url) {
            Ok(options) => {
                let database = options.get_database().unwrap_or_default();
                format!("{}:{}/{database}, schema {}", options.get_host(), options.get_port(), self.namespace)
            }
            Err(_) => format!("schema {}", self.namespace),
        }
    }
}

/// What a URL may say behind its `?`. The client passes over all else, so that `sslmod=require` would be no TLS.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "dbname",
    "application_name",
    "options",
    "statement-cache-capacity",
    "ssl-mode",
    "ssl-root-cert",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
];

fn parameters(url: &str) -> impl Iterator<Item = &str> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty())
}

fn connect_options(url: &str) -> Result<PgConnectOptions> {
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    // Not named: where a `?` stands in a password, it is a part of that.
    if parameters(url).any(|name| !PARAMETERS.contains(&name) && !name.starts_with("options[")) {
        let known = PARAMETERS.join(", ");
        return Err(Error::permanent(format!("the database's URL has an unknown parameter: there are {known}")));
    }
    // A cause would repeat the URL with its password.
    PgConnectOptions::from_str(url)
        .ok()
        .filter(|_| is_postgres)
        .ok_or_else(|| Error::permanent("read the database's URL: expected postgres://user:password@host:port/name"))
}

/// Implements `Tasks`, `Jobs` and `Catalog`.
pub type PostgresStore = Store<Postgres>;

pub struct Postgres {
    pool: PgPool,
    /// One connection, made by the runtime that beats: no other work delays a beat.
    beats: PgPool,
    /// The schema's locks.
    locks: i32,
    changes: listen::Changes,
    limit: Duration,
}

/// What an advisory lock is for; the second half of its key.
#[derive(Clone, Copy)]
enum LockKind {
    Structure = 1,
    Publishing = 2,
    Migration = 3,
}

impl PostgresStore {
    /// Connects to a schema whose tables are there. Permanent error where they are not, or are of a version that this
    /// program does not know.
    pub async fn connect(settings: Settings) -> Result<Self> {
        let options = settings.options()?;
        let doing = || format!("connect to Postgres at {}", settings.place());
        let pool = pool_of(settings.connections, Duration::from_secs(10))
            .connect_with(options.clone())
            .await
            .map_err(|error| Fault::from(error).doing(doing()))?;
        migrations::check(&pool, &settings.namespace).await.map_err(|error| error.doing(doing()))?;
        let beats = pool_of(1, Duration::from_secs(5)).connect_lazy_with(options.clone());
        let changes = listen::Changes::start(options, &settings.namespace);
        let locks = lock_key(&settings.namespace);
        Ok(Self::new(Postgres { pool, beats, locks, changes, limit: settings.limit }, settings.retry))
    }

    /// Makes the schema and its tables, or brings them up to date. Any number may ask at once.
    pub async fn migrate(settings: &Settings) -> Result<Migrated> {
        let doing = || format!("migrate Postgres at {}", settings.place());
        // A large table's index takes its time.
        let options = settings.options()?.options([("statement_timeout", "0")]);
        let mut connection = options.connect().await.map_err(|error| Fault::from(error).doing(doing()))?;
        migrations::run(&mut connection, &settings.namespace).await.map_err(|error| error.doing(doing()))
    }

    /// Counts what was heard of commits, by any process, after which there may be something to publish, to advance or to
    /// show.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.database.changes.subscribe()
    }

    /// The server's version, for people.
    pub async fn version(&self) -> Result<String> {
        let doing = || "ask Postgres for its version".to_owned();
        let row = sqlx::query("SHOW server_version").fetch_one(&self.database.pool).await.transient(doing)?;
        row.try_get(0).permanent(doing)
    }

    pub async fn close(&self) {
        self.database.changes.stop();
        self.database.beats.close().await;
        self.database.pool.close().await;
    }
}

/// A connection goes back into it only where its server answers and takes writes: one that is gone, or was demoted to a
/// standby, is left for whatever the name stands for by then.
fn pool_of(connections: u32, patience: Duration) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(patience).after_release(|connection, _| {
        Box::pin(async move {
            let asked = sqlx::query_scalar::<_, String>("SHOW transaction_read_only").fetch_one(connection);
            // Without a limit of ours each connection whose other end is gone would be one fewer for good.
            match tokio::time::timeout(Duration::from_secs(1), asked).await {
                Ok(answer) => Ok(answer? == "off"),
                Err(late) => Err(sqlx::Error::Io(late.into())),
            }
        })
    })
}

/// The first half of the schema's lock keys. Two schemas with one key would wait for each other, no more.
fn lock_key(namespace: &str) -> i32 {
    let hash = content_hash(namespace.as_bytes());
    u32::from_str_radix(&hash[..8], 16).map_or(0, u32::cast_signed)
}

#[async_trait]
impl Database for Postgres {
    async fn begin(&self, lock: Lock) -> Done<Conn> {
        use LockKind::{Publishing, Structure};
        let pool = if lock == Lock::Beat { &self.beats } else { &self.pool };
        let mut tx = pool.begin().await?;
        // Functions of one list are called from left to right: the clock is read when the locks are held.
        let row = match lock {
            Lock::Nothing | Lock::Beat => sqlx::query(concat!("SELECT ", clock!())),
            Lock::Rows => sqlx::query(concat!("SELECT pg_advisory_xact_lock_shared($1, $2), ", clock!()))
                .bind(self.locks)
                .bind(Structure as i32),
            Lock::Publishing => sqlx::query(concat!(
                "SELECT pg_advisory_xact_lock_shared($1, $2), pg_advisory_xact_lock($1, $3), ",
                clock!()
            ))
            .bind(self.locks)
            .bind(Structure as i32)
            .bind(Publishing as i32),
            Lock::Structure => sqlx::query(concat!("SELECT pg_advisory_xact_lock($1, $2), ", clock!()))
                .bind(self.locks)
                .bind(Structure as i32),
        }
        .fetch_one(&mut *tx)
        .await?;
        let now = row.try_get("now")?;
        Ok(Conn { db: Db::Postgres(tx), now: Some(now) })
    }

    async fn snapshot(&self) -> Done<Conn> {
        Ok(Conn::new(Db::Postgres(self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?)))
    }

    fn tell(&self) {
        self.changes.tell();
    }

    fn limit(&self) -> Duration {
        self.limit
    }
}

macro_rules! clock {
    () => {
        "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now"
    };
}
use clock;
