//! Submissions: one job for each spec, however often it is submitted.

use super::{
    Done, control, ledger,
    query::{Conn, query},
    rows,
};
use imagefleet_common::{
    Error,
    ids::{JobId, Millis},
    job::spec::{CollectionSpec, CorpusSpec},
    ports::jobs::{How, JobState, NewJob, Submitted},
    task::{Event, RetryRules, State},
    work::{Stage, Work},
};

pub(super) async fn submit(conn: &mut Conn, job: &NewJob, rules: &RetryRules) -> Done<Submitted> {
    put_corpus(conn, &job.corpus).await?;
    put_collection(conn, &job.collection).await?;
    let now = conn.now().await?;
    let known =
        query("SELECT id, state, allow_delete FROM job WHERE hash = $1").bind(&job.hash).fetch_optional(conn).await?;
    let (id, how) = match known {
        None => {
            insert(conn, job, now).await?;
            (job.id, How::New)
        }
        Some(row) => {
            let id: JobId = row.get("id")?;
            let how = match control::state(&row)? {
                // The same submission again: its answer was lost.
                JobState::Submitted if id == job.id => How::New,
                // What may be deleted is decided by a plan: leave that was given since needs another one.
                JobState::Submitted | JobState::Running if job.allow_delete <= row.get("allow_delete")? => How::Active,
                _ => {
                    again(conn, id, job, rules).await?;
                    How::Again
                }
            };
            // These say nothing of what is to be done: what was submitted last counts, for a job that runs as well.
            query("UPDATE job SET priority = $1, max_tasks = $2 WHERE id = $3")
                .bind(job.priority)
                .bind(job.max_tasks)
                .bind(id)
                .execute(conn)
                .await?;
            (id, how)
        }
    };
    let cancelled = if job.replaces_same_name { cancel_others(conn, id, &job.name).await? } else { Vec::new() };
    Ok(Submitted { job: id, how, cancelled })
}

pub(super) async fn put_corpus(conn: &mut Conn, spec: &CorpusSpec) -> Done<()> {
    query("INSERT INTO corpus (id, spec) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET spec = excluded.spec")
        .bind(&spec.id.0)
        .bind(serde_json::to_string(spec)?)
        .execute(conn)
        .await?;
    Ok(())
}

/// A collection keeps the storage settings that it was created with.
pub(super) async fn put_collection(conn: &mut Conn, spec: &CollectionSpec) -> Done<()> {
    let known = query("SELECT 1 FROM collection WHERE id = $1").bind(&spec.id.0).fetch_optional(conn).await?;
    if known.is_some() {
        let known = ledger::collection(conn, &spec.id).await?;
        if known.corpus != spec.corpus {
            return Err(Error::permanent(format!(
                "the collection {} is one over the corpus {}, not over {}",
                spec.id, known.corpus, spec.corpus
            ))
            .into());
        }
        if known.storage != spec.storage {
            return Err(Error::permanent(format!(
                "the collection {} is stored as {} and cannot be stored as {}: give the index section its first values \
                 again, or the corpus another name",
                spec.id, known.storage, spec.storage
            ))
            .into());
        }
    }
    query(
        "INSERT INTO collection (id, corpus, spec) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET spec = excluded.spec",
    )
    .bind(&spec.id.0)
    .bind(&spec.corpus.0)
    .bind(serde_json::to_string(spec)?)
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert(conn: &mut Conn, job: &NewJob, now: Millis) -> Done<()> {
    query(
        "INSERT INTO job (id, name, spec, hash, corpus, collection, priority, max_tasks, state, stage, allow_delete, created)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(job.id)
    .bind(&job.name)
    .bind(&job.spec)
    .bind(&job.hash)
    .bind(&job.corpus.id.0)
    .bind(&job.collection.id.0)
    .bind(job.priority)
    .bind(job.max_tasks)
    .bind(JobState::Submitted.name())
    .bind(Stage::Embed.name())
    .bind(job.allow_delete)
    .bind(now)
    .execute(conn)
    .await?;
    for work in own_work(job) {
        let row = rows::insert(conn, &work, job.collection.model(), State::Pending, now).await?;
        rows::need(conn, job.id, row.id).await?;
    }
    Ok(())
}

/// What the job does itself, after its shared work.
fn own_work(job: &NewJob) -> Vec<Work> {
    let id = job.id;
    let mut work = vec![Work::Seal { job: id }, Work::Finalize { job: id }];
    for block in 0..job.blocks {
        work.push(Work::Retrieve { job: id, block });
        work.extend((0..job.rerankers).map(|reranker| Work::Rerank { job: id, reranker, block }));
    }
    work
}

/// The job waits for a plan once more. Of its own tasks those that ended stay as they are: they may turn out to be done.
async fn again(conn: &mut Conn, id: JobId, job: &NewJob, rules: &RetryRules) -> Done<()> {
    query(
        "UPDATE job SET state = $1, stage = $2, ended = NULL, paused = FALSE, accept_dead = FALSE, allow_delete = $3
         WHERE id = $4",
    )
    .bind(JobState::Submitted.name())
    .bind(Stage::Embed.name())
    .bind(job.allow_delete)
    .bind(id)
    .execute(conn)
    .await?;
    for row in control::own_tasks(conn, id).await?.into_iter().filter(|row| row.task.state.is_open()) {
        rows::apply_all(conn, vec![row], &Event::Rewound, rules).await?;
    }
    Ok(())
}

async fn cancel_others(conn: &mut Conn, id: JobId, name: &str) -> Done<Vec<JobId>> {
    let found = query(
        "UPDATE job SET state = 'cancelling' WHERE name = $1 AND id <> $2 AND state IN ('submitted', 'running', 'blocked')
         RETURNING id",
    )
    .bind(name)
    .bind(id)
    .fetch_all(conn)
    .await?;
    let mut cancelled = found.iter().map(|row| row.get("id")).collect::<Done<Vec<JobId>>>()?;
    cancelled.sort_unstable();
    Ok(cancelled)
}
