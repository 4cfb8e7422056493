//! The suites against SQLite, and what is special about it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::{Settings, SqliteStore};
use imagefleet_common::{
    conformance::seed::{HOUR, Lab, Made, chunk, cut, job, listing, rules},
    ports::{
        catalog::{Catalog, Writers},
        jobs::{Control, Jobs},
        tasks::Tasks,
    },
    task::State,
    work::Kind,
};
use sqlx::Row;
use std::{path::Path, sync::Arc, time::Instant};
use uuid::Uuid;

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Settings { retry: rules() }).await.unwrap()
}

async fn make() -> Made {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("store.db")).await);
    Made { store, keep: Box::new(folder) }
}

mod tasks {
    use super::make;
    imagefleet_common::tasks_conformance!(make);
}

mod jobs {
    use super::make;
    imagefleet_common::jobs_conformance!(make);
}

mod catalog {
    use super::make;
    imagefleet_common::catalog_conformance!(make);
}

mod operators {
    use super::make;
    imagefleet_common::operators_conformance!(make);
}

/// A store whose file outlives it.
async fn lab(path: &Path) -> Lab {
    Lab::new(Made { store: Arc::new(open(path).await), keep: Box::new(()) }).await
}

#[tokio::test]
async fn a_new_process_takes_over_what_the_last_one_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let job = job("a");
    let queue = Kind::List.queue("");
    {
        let lab = lab(&path).await;
        lab.start(&job, &["a.zip", "b.zip", "c.zip"]).await;
        lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
        lab.take(&job, &job.embed(chunk(1, 1, 0))).await;
        let token = Uuid::now_v7();
        lab.store.mark(&queue, 1, token, HOUR).await.unwrap();
        lab.store.published(token).await.unwrap();
    }
    let store = open(&path).await;
    store.take_over().await.unwrap();
    let lost = Tasks::queues(&store, HOUR, 10).await.unwrap();
    assert_eq!(store.running().await.unwrap(), []);
    assert_eq!(lost.iter().map(|load| load.unpublished).sum::<usize>(), 3);
    let row = store.ledger(job.id).await.unwrap().remove(0);
    assert_eq!(row.state, State::Ready);
    assert_eq!(store.writers(job.id).await.unwrap(), Writers::default(), "nobody is left to wait for");
    let tasks = store.tasks(job.id).await.unwrap();
    assert_eq!(tasks.iter().find(|task| task.id == row.task).unwrap().crashes, 1);
    assert_eq!(store.reap().await.unwrap(), []);
}

#[tokio::test]
async fn what_was_committed_is_there_after_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let job = job("a");
    {
        let lab = lab(&path).await;
        lab.start(&job, &["a.zip"]).await;
        lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
        lab.embed(&job, chunk(1, 1, 0)).await;
    }
    let store = open(&path).await;
    assert!(store.ledger(job.id).await.unwrap()[0].counts.is_some());
    store.close().await;
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await;
    sqlx::query("PRAGMA user_version = 99").execute(&store.database.writer).await.unwrap();
    store.close().await;
    let error = SqliteStore::open(&path, Settings::default()).await.err().unwrap();
    assert!(error.is_permanent() && error.to_string().contains("newer"), "{error}");
}

#[tokio::test]
async fn a_file_of_the_first_protocol_goes_on_under_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let job = job("a");
    {
        let lab = lab(&path).await;
        lab.start(&job, &["a.zip", "b.zip"]).await;
        lab.list(&job, 1, listing("etag", vec![cut(0)])).await;
    }
    {
        let store = open(&path).await;
        // As a binary of protocol 1 left it.
        let old = "UPDATE task SET queue = substr(queue, 1, length(queue) - 1) || '1';
                   ALTER TABLE session DROP COLUMN slots; ALTER TABLE session DROP COLUMN drain;
                   DROP INDEX job_search; ALTER TABLE job DROP COLUMN search; ALTER TABLE job DROP COLUMN error;
                   ALTER TABLE task DROP COLUMN stands_at; ALTER TABLE task DROP COLUMN suspect;
                   ALTER TABLE task DROP COLUMN poison; DROP TABLE takedown; DROP TABLE attempt;
                   DROP INDEX ledger_chunk_task; DROP INDEX ledger_rejected_takedown; PRAGMA user_version = 2";
        sqlx::raw_sql(old).execute(&store.database.writer).await.unwrap();
        store.close().await;
    }
    let store = open(&path).await;
    let queues: Vec<_> =
        store.queues(HOUR, 10).await.unwrap().into_iter().map(|load| (load.queue, load.unpublished)).collect();
    assert_eq!(queues, [(Kind::Embed.queue("clip"), 1), (Kind::List.queue(""), 1)]);
    let old = sqlx::query("SELECT count(*) FROM task WHERE queue NOT GLOB '*.p2'")
        .fetch_one(&store.database.writer)
        .await
        .unwrap();
    assert_eq!(old.get::<i64, _>(0), 0, "what has ended may be opened again");
}

#[tokio::test]
async fn the_file_is_written_as_durably_as_promised() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db")).await;
    let pragma = async |query: &'static str| -> String {
        let row = sqlx::query(query).fetch_one(&store.database.writer).await.unwrap();
        row.try_get::<String, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|value| value.to_string())).unwrap()
    };
    assert_eq!(pragma("PRAGMA journal_mode").await, "wal");
    assert_eq!(pragma("PRAGMA synchronous").await, "2");
    assert_eq!(pragma("PRAGMA foreign_keys").await, "1");
}

#[tokio::test]
async fn a_locked_file_is_worth_another_try_and_a_broken_rule_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await;
    let busy = sqlx::query("PRAGMA busy_timeout = 1").execute(&store.database.writer).await;
    busy.unwrap();
    let other = open(&path).await;
    let lock = other.database.writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert!(store.submit(&job("a")).await.unwrap_err().is_transient());
    // Dropped, it would be rolled back some time later.
    lock.rollback().await.unwrap();
    store.submit(&job("a")).await.unwrap();
    let broken = sqlx::query("INSERT INTO task (age) VALUES (1)").execute(&store.database.writer).await.unwrap_err();
    assert!(super::Fault::from(broken).doing("break a rule").is_permanent());
}

#[tokio::test]
async fn a_commit_that_makes_work_is_told_and_the_publishers_own_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("store.db")).await);
    let mut changed = store.changed();
    let lab = Lab::new(Made { store: store.clone(), keep: Box::new(folder) }).await;
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();
    let token = Uuid::now_v7();
    store.mark(&Kind::List.queue(""), 1, token, HOUR).await.unwrap();
    store.published(token).await.unwrap();
    store.beat(lab.session).await.unwrap();
    store.advance().await.unwrap();
    store.reap().await.unwrap();
    assert!(!changed.has_changed().unwrap(), "its listener would wake itself");
    lab.list(&job, 1, listing("etag", vec![])).await;
    assert!(changed.has_changed().unwrap());
}

#[tokio::test]
async fn what_looks_at_open_tasks_reads_no_ended_ones() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db")).await;
    for (query, index) in [
        ("SELECT 1 FROM task t WHERE t.state = 'ready' AND t.queue = 'q' ORDER BY t.run_after, t.age", "task_ready"),
        ("SELECT min(t.queue) FROM task t WHERE t.state = 'ready' AND t.queue > 'q'", "task_ready"),
        ("SELECT 1 FROM task t WHERE t.state = 'running' AND t.session = 's'", "task_running"),
        ("SELECT 1 FROM task t WHERE t.token = 't'", "task_token"),
    ] {
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")));
        let steps = plan.fetch_all(&store.database.writer).await.unwrap();
        let steps: Vec<String> = steps.iter().map(|row| row.get("detail")).collect();
        assert!(steps[0].contains(index), "{query}: {steps:?}");
    }
}

/// Run by hand, with `--nocapture` for the figures: the longest transactions over a corpus of YFCC's size.
#[tokio::test]
#[ignore = "takes a minute or two"]
async fn no_transaction_takes_a_second_over_a_hundred_million_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("store.db")).await);
    let lab = Lab::new(Made { store: store.clone(), keep: Box::new(folder) }).await;
    let mut clock = Instant::now();
    let mut took = |what: &str, limit: f64| {
        let seconds = clock.elapsed().as_secs_f64();
        eprintln!("{what}: {seconds:.3} s");
        assert!(seconds < limit, "{what} took {seconds} s");
        clock = Instant::now();
    };
    let job = job("a");
    let names: Vec<_> = (0..4096).map(|shard| format!("images/{shard:03x}.zip")).collect();
    let paths: Vec<_> = names.iter().map(String::as_str).collect();
    lab.submit(&job).await;
    lab.plan(&job, &paths).await;
    took("submit and plan", 1.0);
    for shard in 1..=4096 {
        lab.list_blind(&job, shard, listing("etag", (0..25).map(cut).collect())).await;
    }
    took("4096 listings of 25 chunks", 600.0);
    let queue = Kind::Embed.queue("clip");
    assert_eq!(store.mark(&queue, 64, Uuid::now_v7(), HOUR).await.unwrap().len(), 64);
    took("mark 64 of 102400 rows", 1.0);
    store.queues(HOUR, 10).await.unwrap();
    took("count the queues", 1.0);
    assert_eq!(lab.advance(&job).await, []);
    took("look for a step to make", 1.0);
    for query in [
        "UPDATE task SET state = 'succeeded', token = NULL WHERE kind = 'embed'",
        "INSERT INTO ledger_chunk SELECT collection, shard, chunk, version, id, 1, age, 10, 10, 0, '{}', 'vectors'
         FROM task WHERE kind = 'embed'",
    ] {
        sqlx::query(query).execute(&store.database.writer).await.unwrap();
    }
    took("embed all, without ceremony", 600.0);
    assert_eq!(lab.advance(&job).await.len(), 1);
    took("step from embed to seal", 1.0);
    assert_eq!(Jobs::progress(&*store, job.id).await.unwrap().counts.seen, 1_024_000);
    took("count the progress", 10.0);
    assert_eq!(store.ledger(job.id).await.unwrap().len(), 102_400);
    took("read the ledger", 10.0);
    sqlx::query("UPDATE task SET state = 'ready' WHERE kind = 'embed'").execute(&store.database.writer).await.unwrap();
    took("open all again, without ceremony", 600.0);
    store.control(job.id, Control::Cancel).await.unwrap();
    took("cancel, in 103 transactions", 103.0);
    lab.advance(&job).await;
    took("end the cancelled job", 1.0);
    lab.start_again(&job, &paths).await;
    took("submit and plan once more", 1.0);
}
