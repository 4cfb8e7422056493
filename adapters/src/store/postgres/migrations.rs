//! The tables, as a list of scripts; `schema_version` says how many of them a schema has seen, and the oldest program
//! that may work with what they made.

use super::{LockKind, lock_key};
use crate::store::sql::Done;
use imagefleet_common::Error;
use sqlx::{Connection, PgConnection, PgPool, Row};

const SCRIPTS: [&str; 4] = [
    include_str!("../../../../migrations/postgres/0001_tables.sql"),
    include_str!("../../../../migrations/postgres/0002_search.sql"),
    include_str!("../../../../migrations/postgres/0003_poison.sql"),
    include_str!("../../../../migrations/postgres/0004_operators.sql"),
];

/// How many scripts a program must know to work with the newest tables. Raised where a script takes away or changes
/// what older programs use, or where they would not heed what it adds: takedowns.
const NEEDED: i64 = 4;

/// The versions that a migration found and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// 0: there were no tables.
    pub from: i64,
    pub to: i64,
}

pub(super) fn known() -> i64 {
    i64::try_from(SCRIPTS.len()).unwrap_or(i64::MAX)
}

/// Runs the scripts that the schema has not seen, in one transaction.
pub(super) async fn run(connection: &mut PgConnection, namespace: &str) -> Done<Migrated> {
    let mut tx = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, $2)")
        .bind(lock_key(namespace))
        .bind(LockKind::Migration as i32)
        .execute(&mut *tx)
        .await?;
    let is_there: bool = sqlx::query("SELECT to_regnamespace($1) IS NOT NULL AS there")
        .bind(namespace)
        .fetch_one(&mut *tx)
        .await?
        .try_get("there")?;
    if !is_there {
        // Only this takes the right to create. A namespace is letters, digits and underscores; names take no parameters.
        let schema = format!("CREATE SCHEMA \"{namespace}\"");
        sqlx::raw_sql(sqlx::AssertSqlSafe(schema)).execute(&mut *tx).await?;
    }
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL, needed BIGINT NOT NULL)")
        .execute(&mut *tx)
        .await?;
    let row = sqlx::query("SELECT version, needed FROM schema_version").fetch_optional(&mut *tx).await?;
    let (from, needed) = match &row {
        Some(row) => (row.try_get("version")?, row.try_get("needed")?),
        None => (0, 0),
    };
    refuse_newer(from, needed)?;
    for script in SCRIPTS.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        sqlx::raw_sql(*script).execute(&mut *tx).await?;
    }
    let to = from.max(known());
    sqlx::query("DELETE FROM schema_version").execute(&mut *tx).await?;
    sqlx::query("INSERT INTO schema_version VALUES ($1, $2)")
        .bind(to)
        .bind(NEEDED.max(needed))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Migrated { from, to })
}

/// May this program work with the schema's tables?
pub(super) async fn check(pool: &PgPool, namespace: &str) -> Done<()> {
    let there: bool = sqlx::query("SELECT to_regclass($1) IS NOT NULL AS there")
        .bind(format!("{namespace}.schema_version"))
        .fetch_one(pool)
        .await?
        .try_get("there")?;
    let (version, needed): (i64, i64) = match there {
        true => {
            let row = sqlx::query("SELECT version, needed FROM schema_version").fetch_one(pool).await?;
            (row.try_get("version")?, row.try_get("needed")?)
        }
        false => (0, 0),
    };
    refuse_newer(version, needed)?;
    if version < known() {
        let (found, known) =
            (if version == 0 { "no tables".into() } else { format!("tables version {version}") }, known());
        return Err(Error::permanent(format!(
            "there are {found}, and this program needs version {known}: run `imagefleet migrate`"
        ))
        .into());
    }
    Ok(())
}

fn refuse_newer(version: i64, needed: i64) -> Done<()> {
    if needed <= known() {
        return Ok(());
    }
    Err(Error::permanent(format!(
        "a newer imagefleet has made tables version {version}, with which this program cannot work: install that one"
    ))
    .into())
}
