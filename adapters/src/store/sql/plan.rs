//! Plans: a complete listing of the corpus root becomes shards, and a list task for each.

use super::{
    Done,
    query::{Conn, query},
    rows::{self, TaskRow, select_task},
};
use imagefleet_common::{
    ids::{CorpusId, JobId},
    ports::jobs::{JobState, Plan, Planned},
    task::{Event, RetryRules, State},
    work::{Stage, Work},
};
use std::collections::BTreeMap;

/// Of at least this many shards …
const MANY: usize = 100;
/// … this share (one in so many) may go without anybody's leave (protocol §7).
const FEW: usize = 100;

pub(super) async fn plan(conn: &mut Conn, job: JobId, plan: &Plan, rules: &RetryRules) -> Done<Planned> {
    let row = query("SELECT state, corpus, allow_delete, removed_shards, kept_shards FROM job WHERE id = $1")
        .bind(job)
        .fetch_one(conn)
        .await?;
    if super::control::state(&row)? != JobState::Submitted {
        return Ok(Planned { removed: row.json("removed_shards")?, kept: row.json("kept_shards")? });
    }
    let corpus = CorpusId(row.get("corpus")?);
    let (live, gone) = gone(conn, &corpus, &plan.shards).await?;
    let may_remove = row.get("allow_delete")? || (live >= MANY && gone.len() * FEW <= live);
    let planned = match may_remove {
        true => Planned { removed: gone.values().cloned().collect(), kept: Vec::new() },
        false => Planned { removed: Vec::new(), kept: gone.values().cloned().collect() },
    };
    if may_remove {
        for shard in gone.keys() {
            remove(conn, &corpus, *shard, rules).await?;
        }
    }
    put_shards(conn, &corpus, &plan.shards).await?;
    set_job_shards(conn, job, &corpus).await?;
    list(conn, job, &corpus, &plan.shards, rules).await?;
    query("UPDATE job SET state = $1, stage = $2, removed_shards = $3, kept_shards = $4, error = NULL WHERE id = $5")
        .bind(JobState::Running.name())
        .bind(Stage::Embed.name())
        .bind(serde_json::to_string(&planned.removed)?)
        .bind(serde_json::to_string(&planned.kept)?)
        .bind(job)
        .execute(conn)
        .await?;
    Ok(planned)
}

pub(super) async fn not_planned(conn: &mut Conn, job: JobId, why: &str) -> Done<()> {
    query("UPDATE job SET error = $1 WHERE id = $2 AND state = 'submitted' AND error IS DISTINCT FROM $1")
        .bind(why)
        .bind(job)
        .execute(conn)
        .await?;
    Ok(())
}

/// How many shards the corpus had, and those of them that the plan does not have.
async fn gone(conn: &mut Conn, corpus: &CorpusId, paths: &[String]) -> Done<(usize, BTreeMap<i64, String>)> {
    let rows = query(
        "SELECT number, path, path IN (SELECT value FROM json_each($1)) AS there FROM shard
         WHERE corpus = $2 AND NOT removed",
    )
    .bind(paths.to_vec())
    .bind(&corpus.0)
    .fetch_all(conn)
    .await?;
    let mut gone = BTreeMap::new();
    for row in &rows {
        if !row.get::<bool>("there")? {
            gone.insert(row.get("number")?, row.get("path")?);
        }
    }
    Ok((rows.len(), gone))
}

/// The tombstone: searches leave the shard out from now on, and nothing of it begins to run.
async fn remove(conn: &mut Conn, corpus: &CorpusId, shard: i64, rules: &RetryRules) -> Done<()> {
    query("UPDATE shard SET removed = TRUE WHERE corpus = $1 AND number = $2")
        .bind(&corpus.0)
        .bind(shard)
        .execute(conn)
        .await?;
    let found = query(select_task!("WHERE t.corpus = $1 AND t.shard = $2 AND t.state IN ('pending', 'ready')"))
        .bind(&corpus.0)
        .bind(shard)
        .fetch_all(conn)
        .await?;
    rows::apply_all(conn, TaskRow::read_all(&found)?, &Event::Unneeded, rules).await
}

/// New shards get the next numbers, in bytewise order of their paths. One that came back keeps its number, but what is
/// known of its content no longer counts.
async fn put_shards(conn: &mut Conn, corpus: &CorpusId, paths: &[String]) -> Done<()> {
    query(
        "UPDATE chunk SET listing = '' WHERE corpus = $1 AND shard IN (
             SELECT number FROM shard WHERE corpus = $1 AND removed AND path IN (SELECT value FROM json_each($2)))",
    )
    .bind(&corpus.0)
    .bind(paths.to_vec())
    .execute(conn)
    .await?;
    query(
        "UPDATE shard SET removed = FALSE, listing = ''
         WHERE corpus = $1 AND removed AND path IN (SELECT value FROM json_each($2))",
    )
    .bind(&corpus.0)
    .bind(paths.to_vec())
    .execute(conn)
    .await?;
    query(
        "INSERT INTO shard (corpus, number, path)
         SELECT $1, row_number() OVER (ORDER BY path) + (SELECT coalesce(max(number), 0) FROM shard WHERE corpus = $1), path
         FROM (SELECT DISTINCT value AS path FROM json_each($2)) named
         WHERE path NOT IN (SELECT path FROM shard WHERE corpus = $1)",
    )
    .bind(&corpus.0)
    .bind(paths.to_vec())
    .execute(conn)
    .await?;
    Ok(())
}

/// The job searches every shard that is there, kept ones too, and needs nothing of others.
async fn set_job_shards(conn: &mut Conn, job: JobId, corpus: &CorpusId) -> Done<()> {
    query("DELETE FROM job_shard WHERE job = $1").bind(job).execute(conn).await?;
    query("INSERT INTO job_shard (job, corpus, shard) SELECT $1, corpus, number FROM shard WHERE corpus = $2 AND NOT removed")
        .bind(job)
        .bind(&corpus.0)
        .execute(conn)
        .await?;
    query(
        "DELETE FROM job_task WHERE job = $1 AND task IN (
             SELECT t.id FROM shard s JOIN task t ON t.corpus = s.corpus AND t.shard = s.number
             WHERE s.corpus = $2 AND s.removed)",
    )
    .bind(job)
    .bind(&corpus.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Every shard of the plan is listed once more; a listing that is on its way serves this job too.
async fn list(conn: &mut Conn, job: JobId, corpus: &CorpusId, paths: &[String], rules: &RetryRules) -> Done<()> {
    let now = conn.now().await?;
    let shards = query(
        "SELECT number FROM shard WHERE corpus = $1 AND path IN (SELECT value FROM json_each($2)) ORDER BY number",
    )
    .bind(&corpus.0)
    .bind(paths.to_vec())
    .fetch_all(conn)
    .await?;
    for row in &shards {
        let work = Work::List { corpus: corpus.clone(), shard: row.get("number")? };
        match rows::task(conn, work.id()).await? {
            // A listing needs no model.
            None => drop(rows::insert(conn, &work, "", State::Ready, now).await?),
            Some(known) => {
                rows::apply_all(conn, vec![known], &Event::Reopened { now }, rules).await?;
                query("UPDATE task SET supersessions = 0 WHERE id = $1").bind(work.id()).execute(conn).await?;
            }
        }
        rows::need(conn, job, work.id()).await?;
    }
    Ok(())
}
