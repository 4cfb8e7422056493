//! What an operator wants to know of a database before anything works in it.

use super::{PostgresStore, Settings, migrations};
use crate::store::sql::fault::Fault;
use imagefleet_common::{error::Result, ids::Millis};
use sqlx::{ConnectOptions, Connection, PgConnection, Row};

/// Found without changing anything, whether there are tables or not.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The server's version.
    pub server: String,
    /// The version of the schema's tables, and the oldest program that may work with them; `None`: there are none.
    pub tables: Option<(i64, i64)>,
    /// The newest version that this program knows.
    pub known: i64,
    /// May this user make a schema?
    pub may_create: bool,
    /// May this user write to the tables?
    pub may_write: bool,
    /// Bytes of the whole database.
    pub size: u64,
    /// The server's clock.
    pub now: Millis,
    /// Connections to the server, and how many it takes.
    pub connections: i64,
    pub max_connections: i64,
}

impl PostgresStore {
    /// Transient error where the server cannot be reached.
    pub async fn examine(settings: &Settings) -> Result<Examined> {
        let options = settings.options()?;
        let found = async {
            let mut connection = options.connect().await?;
            let found = examine(&mut connection, &settings.namespace).await?;
            connection.close().await?;
            Ok(found)
        };
        found
            .await
            .map_err(|error: sqlx::Error| Fault::from(error).doing(format!("look at Postgres at {}", settings.place())))
    }
}

async fn examine(connection: &mut PgConnection, namespace: &str) -> sqlx::Result<Examined> {
    let row = sqlx::query(
        "SELECT current_setting('server_version') AS server,
                CAST(current_setting('max_connections') AS BIGINT) AS max_connections,
                (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
                pg_database_size(current_database()) AS size,
                coalesce(has_schema_privilege(to_regnamespace($2), 'CREATE'),
                         has_database_privilege(current_database(), 'CREATE')) AS may_create,
                CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now,
                to_regclass($1) IS NOT NULL AS there",
    )
    .bind(format!("{namespace}.schema_version"))
    .bind(namespace)
    .fetch_one(&mut *connection)
    .await?;
    let (mut tables, mut may_write) = (None, false);
    if row.try_get("there")? {
        // The search path is the schema's.
        let versions = sqlx::query("SELECT version, needed FROM schema_version").fetch_one(&mut *connection).await?;
        tables = Some((versions.try_get("version")?, versions.try_get("needed")?));
        may_write = sqlx::query(
            "SELECT bool_and(CASE
                 WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'SELECT')
                 WHEN c.relname = 'schema_version' THEN has_table_privilege(c.oid, 'SELECT')
                 ELSE has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                     AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')
             END) AS may
             FROM pg_class c
             WHERE c.relnamespace = to_regnamespace($1) AND (c.relkind = 'r' OR c.relkind = 'S' AND c.relname = 'epoch')",
        )
        .bind(namespace)
        .fetch_one(&mut *connection)
        .await?
        .try_get("may")?;
    }
    Ok(Examined {
        server: row.try_get("server")?,
        tables,
        known: migrations::known(),
        may_create: row.try_get("may_create")?,
        may_write,
        size: u64::try_from(row.try_get::<i64, _>("size")?).unwrap_or_default(),
        now: row.try_get("now")?,
        connections: row.try_get("connections")?,
        max_connections: row.try_get("max_connections")?,
    })
}
