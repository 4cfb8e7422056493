//! The tables, as a list of scripts; the file's `user_version` says how many of them it has seen.

use super::Done;
use imagefleet_common::Error;
use sqlx::{Row, SqlitePool};

const SCRIPTS: [&str; 6] = [
    include_str!("../../../../migrations/sqlite/0001_tables.sql"),
    include_str!("../../../../migrations/sqlite/0002_timings.sql"),
    include_str!("../../../../migrations/sqlite/0003_fleet.sql"),
    include_str!("../../../../migrations/sqlite/0004_search.sql"),
    include_str!("../../../../migrations/sqlite/0005_poison.sql"),
    include_str!("../../../../migrations/sqlite/0006_operators.sql"),
];

/// Runs the scripts that the file has not seen, in one transaction.
pub(super) async fn run(writer: &SqlitePool) -> Done<()> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let seen: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut *tx).await?.try_get(0)?;
    let seen = usize::try_from(seen).unwrap_or(usize::MAX);
    if seen > SCRIPTS.len() {
        return Err(Error::permanent(format!(
            "a newer imagefleet wrote it (tables version {seen}): install that one, or begin anew elsewhere with --data"
        ))
        .into());
    }
    for script in &SCRIPTS[seen..] {
        sqlx::raw_sql(*script).execute(&mut *tx).await?;
    }
    // A pragma takes no parameters.
    let version = format!("PRAGMA user_version = {}", SCRIPTS.len());
    sqlx::raw_sql(sqlx::AssertSqlSafe(version)).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}
