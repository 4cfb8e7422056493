//! The tables, as a list of scripts; the file's `user_version` says how many of them it has seen.

use super::{Conn, Done};
use imagefleet_common::Error;
use sqlx::Row;

const SCRIPTS: [&str; 2] = [
    include_str!("../../../../migrations/sqlite/0001_tables.sql"),
    include_str!("../../../../migrations/sqlite/0002_timings.sql"),
];

/// Runs the scripts that the file has not seen, inside the caller's transaction.
pub(super) async fn run(conn: &mut Conn) -> Done<()> {
    let seen: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut *conn).await?.try_get(0)?;
    let seen = usize::try_from(seen).unwrap_or(usize::MAX);
    if seen > SCRIPTS.len() {
        return Err(Error::permanent(format!("a newer imagefleet wrote it (tables version {seen})")).into());
    }
    for script in &SCRIPTS[seen..] {
        sqlx::raw_sql(*script).execute(&mut *conn).await?;
    }
    // A pragma takes no parameters.
    let version = format!("PRAGMA user_version = {}", SCRIPTS.len());
    sqlx::raw_sql(sqlx::AssertSqlSafe(version)).execute(conn).await?;
    Ok(())
}
