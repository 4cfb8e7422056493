//! The suites of tasks, jobs and catalog against Postgres, and what is special about it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use futures::{FutureExt, future::BoxFuture};
use imagefleet_adapters::store::postgres::{PostgresStore, Settings};
use imagefleet_common::{
    conformance::seed::{HOUR, Lab, Made, chunk, cut, job, listing, open_session, rules},
    ports::{
        catalog::Catalog,
        index::{Payload, PointHead, Stored},
        jobs::{Control, JobState, Jobs},
        tasks::{Claim, Outcome, Tasks, Written},
    },
    task::{Refusal, State},
    work::Kind,
};
use sqlx::{ConnectOptions, PgConnection, Row, postgres::PgConnectOptions};
use std::{net::SocketAddr, str::FromStr, sync::Arc, time::Duration};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use uuid::Uuid;

fn url() -> String {
    std::env::var("IMAGEFLEET_TEST_DATABASE_URL").expect(
        "IMAGEFLEET_TEST_DATABASE_URL names a Postgres: run scripts/test, or \
         eval \"$(scripts/services up --bare | sed s/IMAGEFLEET_/IMAGEFLEET_TEST_/)\"",
    )
}

fn settings() -> Settings {
    let namespace = format!("test_{}", Uuid::now_v7().simple());
    Settings { retry: rules(), ..Settings::new(url(), namespace) }
}

async fn connection() -> PgConnection {
    PgConnectOptions::from_str(&url()).unwrap().disable_statement_logging().connect().await.unwrap()
}

/// Drops the schema when the store is dropped.
struct Schema(String);

impl Drop for Schema {
    fn drop(&mut self) {
        let sql = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.0);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = connection().await;
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
            });
        })
        .join()
        .unwrap();
    }
}

async fn make() -> Made {
    let settings = settings();
    PostgresStore::migrate(&settings).await.unwrap();
    let schema = Schema(settings.namespace.clone());
    let store = PostgresStore::connect(settings).await.unwrap();
    Made { store: Arc::new(store), keep: Box::new(schema) }
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

/// A store, its schema, and a connection to look behind it.
async fn behind() -> (Lab, Arc<PostgresStore>, Settings, PgConnection) {
    let settings = settings();
    PostgresStore::migrate(&settings).await.unwrap();
    let store = Arc::new(PostgresStore::connect(settings.clone()).await.unwrap());
    let lab = Lab::new(Made { store: store.clone(), keep: Box::new(Schema(settings.namespace.clone())) }).await;
    let mut connection = connection().await;
    run(&mut connection, format!("SET search_path = {}", settings.namespace)).await;
    (lab, store, settings, connection)
}

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// Is a call still waiting after a good while?
async fn waits<T>(call: &mut tokio::task::JoinHandle<T>) -> bool {
    tokio::time::timeout(Duration::from_millis(300), call).await.is_err()
}

#[tokio::test]
async fn a_beat_that_comes_while_the_reaper_looks_keeps_its_session() {
    let (lab, store, _, mut other) = behind().await;
    let late = open_session(&lab.store, Duration::ZERO).await;
    // The beat has changed the row and has not committed when the reaper comes.
    run(&mut other, "BEGIN".into()).await;
    run(&mut other, format!("UPDATE session SET expires = expires + 60000 WHERE id = '{late}'")).await;
    let mut reap = tokio::spawn(async move { store.reap().await.unwrap() });
    assert!(waits(&mut reap).await, "the reaper waits for the beat");
    run(&mut other, "COMMIT".into()).await;
    assert_eq!(reap.await.unwrap(), []);
    assert!(lab.store.beat(late).await.unwrap().alive);
}

#[tokio::test]
async fn of_two_processes_that_claim_a_task_at_once_the_second_is_refused() {
    let (lab, store, _, mut other) = behind().await;
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let message = lab.message(&job, &job.list(1)).await;
    // Another process has claimed it and has not committed when this one comes.
    run(&mut other, "BEGIN; UPDATE task SET state = 'running', attempt = attempt + 1 WHERE kind = 'list'".into()).await;
    let mut claim = tokio::spawn({
        let session = lab.session;
        async move { store.claim(&message, session, Uuid::now_v7()).await.unwrap() }
    });
    assert!(waits(&mut claim).await, "its row is locked");
    run(&mut other, "COMMIT".into()).await;
    assert_eq!(claim.await.unwrap(), Claim::Refused(Refusal::NotThisAttempt));
}

#[tokio::test]
async fn what_changes_who_may_run_is_alone_and_claims_are_not() {
    let (lab, store, settings, mut other) = behind().await;
    let job = job("a");
    lab.start(&job, &["a.zip", "b.zip"]).await;
    // A claim of the first task is under way, and stays so.
    run(&mut other, "BEGIN".into()).await;
    run(&mut other, format!("SELECT 1 FROM task WHERE id = '{}' FOR UPDATE", job.list(1).id())).await;
    let first = lab.message(&job, &job.list(1)).await;
    let mut claim = tokio::spawn({
        let (store, session) = (store.clone(), lab.session);
        async move { store.claim(&first, session, Uuid::now_v7()).await.unwrap() }
    });
    assert!(waits(&mut claim).await, "its row is locked");
    // Another process claims another task beside it.
    let elsewhere = PostgresStore::connect(settings).await.unwrap();
    let second = lab.message(&job, &job.list(2)).await;
    let granted = elsewhere.claim(&second, lab.session, Uuid::now_v7()).await.unwrap();
    assert!(matches!(granted, Claim::Granted(_)));
    // Whoever cancels waits for the claim, and so do those who come later.
    let mut cancel = tokio::spawn({
        let store = store.clone();
        async move { store.control(job.id, Control::Cancel).await.unwrap() }
    });
    assert!(waits(&mut cancel).await, "a claim is under way");
    assert_eq!(lab.job_state(&job).await, JobState::Running, "nothing of it has happened yet");
    run(&mut other, "COMMIT".into()).await;
    assert!(matches!(claim.await.unwrap(), Claim::Granted(_)));
    cancel.await.unwrap();
}

#[tokio::test]
async fn takedowns_and_removals_wait_for_ends_that_are_under_way() {
    let (lab, store, _, mut other) = behind().await;
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let holding = lab.take(&job, &job.list(1)).await;
    run(&mut other, "BEGIN; SELECT 1 FROM task FOR UPDATE".into()).await;
    let mut end = tokio::spawn({
        let store = store.clone();
        async move { store.hand_back(holding, Duration::ZERO, None).await.unwrap() }
    });
    assert!(waits(&mut end).await, "its row is locked");
    let point =
        Stored { head: PointHead { key: "key".into(), at: chunk(1, 1, 0), epoch: 1 }, payload: Payload::default() };
    let (id, collection) = (job.id, job.collection.id.clone());
    let calls: [(&str, BoxFuture<'_, bool>); 4] = [
        ("a takedown", store.take_down("key", "asked").map(|done| done.is_ok()).boxed()),
        ("its ledgers", store.take_out(&collection, &point).map(|done| done.is_ok()).boxed()),
        ("a job's removal", store.remove(id).map(|done| done.is_ok()).boxed()),
        ("a collection's removal", store.forget(&collection).map(|done| done.is_ok()).boxed()),
    ];
    for (what, mut call) in calls {
        let early = tokio::time::timeout(Duration::from_millis(300), &mut call).await;
        assert!(early.is_err(), "{what} does not wait");
    }
    run(&mut other, "COMMIT".into()).await;
    assert_eq!(end.await.unwrap(), Written::Done);
    assert_eq!(lab.state(&job, &job.list(1)).await, State::Ready);
    // What was dropped on its way gives its connection back first.
    store.close().await;
}

/// An end that is held up in its middle has not begun for anybody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_from_an_end_is_seen_with_it() {
    let (lab, store, _, mut other) = behind().await;
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    let changed = Outcome::Superseded { detail: "the tag differs".into() };
    let (list, embed) = (job.list(1), job.embed(chunk(1, 1, 0)));
    for (work, outcome) in [(&list, Outcome::Listed(listing("etag", vec![cut(0)]))), (&embed, changed)] {
        let holding = lab.take(&job, work).await;
        let before = store.tasks(job.id).await.unwrap();
        run(&mut other, "BEGIN; SELECT 1 FROM shard FOR UPDATE".into()).await;
        let mut end = tokio::spawn({
            let store = store.clone();
            async move { store.succeed(holding, &outcome).await.unwrap() }
        });
        assert!(waits(&mut end).await, "its shard is locked");
        assert_eq!(store.tasks(job.id).await.unwrap(), before);
        run(&mut other, "COMMIT".into()).await;
        assert_eq!(end.await.unwrap(), Written::Done);
        assert_eq!(lab.state(&job, if work == &list { &embed } else { &list }).await, State::Ready);
    }
}

#[tokio::test]
async fn rows_that_a_claim_holds_are_passed_over_by_publishers() {
    let (lab, store, _, mut other) = behind().await;
    let job = job("a");
    lab.start(&job, &["a.zip", "b.zip"]).await;
    let (token, queue) = (Uuid::now_v7(), Kind::List.queue(""));
    run(&mut other, "BEGIN".into()).await;
    run(&mut other, format!("SELECT 1 FROM task WHERE id = '{}' FOR UPDATE", job.list(1).id())).await;
    let marked = store.mark(&queue, 8, token, HOUR).await.unwrap();
    assert_eq!(marked, [lab.message(&job, &job.list(2)).await]);
    run(&mut other, "COMMIT".into()).await;
    // Said while a claim has the row, nobody waits, and the row is only marked.
    run(&mut other, "BEGIN".into()).await;
    run(&mut other, format!("SELECT 1 FROM task WHERE id = '{}' FOR UPDATE", job.list(2).id())).await;
    tokio::time::timeout(Duration::from_secs(5), store.published(token)).await.unwrap().unwrap();
    run(&mut other, "COMMIT".into()).await;
}

#[tokio::test]
async fn what_a_user_may_do_is_told_and_only_a_new_schema_takes_the_right_to_create() {
    let settings = settings();
    let _schema = Schema(settings.namespace.clone());
    PostgresStore::migrate(&settings).await.unwrap();
    let (namespace, role) = (&settings.namespace, format!("role_{}", Uuid::now_v7().simple()));
    let mut admin = connection().await;
    let mut run = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    };
    run(format!("CREATE ROLE {role} LOGIN PASSWORD 'a password'; GRANT USAGE, CREATE ON SCHEMA {namespace} TO {role}"))
        .await;
    let (scheme, rest) = settings.url.split_once("://").unwrap();
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let theirs = Settings { url: format!("{scheme}://{role}:a%20password@{place}"), ..settings.clone() };
    let may_write = async || PostgresStore::examine(&theirs).await.unwrap().may_write;
    let all = format!("ON ALL TABLES IN SCHEMA {namespace}");
    run(format!("GRANT SELECT {all} TO {role}")).await;
    assert!(!may_write().await);
    run(format!("GRANT INSERT, UPDATE, DELETE {all} TO {role}")).await;
    assert!(!may_write().await);
    run(format!("GRANT USAGE, SELECT ON SEQUENCE {namespace}.epoch TO {role}")).await;
    assert!(may_write().await);
    let migrated = PostgresStore::migrate(&theirs).await.unwrap();
    assert_eq!(migrated.from, migrated.to);
    run(format!("REVOKE DELETE ON {namespace}.takedown FROM {role}")).await;
    assert!(!may_write().await);
    run(format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_may_migrate_at_once_and_nobody_works_without_tables() {
    let settings = settings();
    let _schema = Schema(settings.namespace.clone());
    let error = PostgresStore::connect(settings.clone()).await.err().unwrap();
    assert!(error.is_permanent() && error.to_string().contains("imagefleet migrate"), "{error}");
    let migrations = (0..8).map(|_| {
        let settings = settings.clone();
        tokio::spawn(async move { PostgresStore::migrate(&settings).await.unwrap() })
    });
    let mut froms = Vec::new();
    for migration in migrations.collect::<Vec<_>>() {
        froms.push(migration.await.unwrap().from);
    }
    froms.sort_unstable();
    assert_eq!(froms.iter().filter(|from| **from == 0).count(), 1, "{froms:?}");
    PostgresStore::connect(settings).await.unwrap();
}

#[tokio::test]
async fn newer_tables_are_used_as_long_as_they_can_be() {
    let (_lab, _, settings, mut other) = behind().await;
    run(&mut other, "UPDATE schema_version SET version = 99".into()).await;
    PostgresStore::connect(settings.clone()).await.unwrap();
    assert_eq!(PostgresStore::migrate(&settings).await.unwrap().to, 99);
    run(&mut other, "UPDATE schema_version SET needed = 99".into()).await;
    for refused in [
        PostgresStore::connect(settings.clone()).await.err().unwrap(),
        PostgresStore::migrate(&settings).await.err().unwrap(),
    ] {
        assert!(refused.is_permanent() && refused.to_string().contains("newer"), "{refused}");
    }
}

#[tokio::test]
async fn a_commit_of_one_process_wakes_the_others() {
    let (lab, _, settings, _) = behind().await;
    let other = PostgresStore::connect(settings).await.unwrap();
    let mut changed = other.changed();
    // It says so once when it begins to listen.
    tokio::time::timeout(Duration::from_secs(5), changed.changed()).await.unwrap().unwrap();
    lab.submit(&job("a")).await;
    tokio::time::timeout(Duration::from_millis(500), changed.changed()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_store_goes_on_after_its_connections_were_cut() {
    let (lab, store, settings, mut other) = behind().await;
    let job = job("a");
    lab.start(&job, &["a.zip"]).await;
    // Only this store's: the other tests' stores are in the same database.
    let mut killed = 0_i64;
    for _ in 0..3 {
        let row = sqlx::query(
            "SELECT count(pg_terminate_backend(pid)) AS killed FROM pg_stat_activity WHERE application_name = $1",
        )
        .bind(format!("imagefleet {}", settings.namespace))
        .fetch_one(&mut other)
        .await
        .unwrap();
        killed += row.get::<i64, _>("killed");
        // A call may fail once for each connection that it finds cut.
        let mut answer = store.jobs().await;
        for _ in 0..8 {
            if answer.is_ok() {
                break;
            }
            assert!(answer.unwrap_err().is_transient());
            answer = store.jobs().await;
        }
        assert_eq!(answer.unwrap().len(), 1);
        assert!(store.beat(lab.session).await.is_ok_and(|beat| beat.alive));
    }
    assert!(killed > 0);
}

/// Passes connections on to the database. Those that are open when `silence` changes are silent from then on.
async fn passes_on(silence: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let database = PgConnectOptions::from_str(&url()).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect((database.get_host(), database.get_port())).await.unwrap();
            let mut silence = silence.clone();
            silence.mark_unchanged();
            tokio::spawn(async move {
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    _ = silence.changed() => std::future::pending().await,
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_connection_whose_other_end_says_nothing_is_given_up_and_the_next_call_has_another() {
    let (_lab, _, settings, _) = behind().await;
    let (silent, silence) = watch::channel(false);
    let address = passes_on(silence).await;
    let host = PgConnectOptions::from_str(&settings.url).unwrap();
    let url = settings.url.replace(&format!("{}:{}", host.get_host(), host.get_port()), &address.to_string());
    let limit = Duration::from_secs(1);
    let store = PostgresStore::connect(Settings { url, limit, connections: 1, ..settings }).await.unwrap();
    store.jobs().await.unwrap();
    silent.send_replace(true);
    let call = tokio::time::timeout(5 * limit, store.jobs()).await.expect("it does not wait for ever");
    let error = call.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("within 1s"), "{error}");
    let goes_on = async {
        // The pool takes a few seconds to see that the connection is of no use.
        while let Err(error) = store.jobs().await {
            assert!(error.is_transient(), "{error}");
        }
    };
    tokio::time::timeout(20 * limit, goes_on).await.expect("another connection is made");
}

#[tokio::test]
async fn a_server_that_only_reads_is_worth_another_try() {
    let (_lab, _, settings, _) = behind().await;
    let separator = if settings.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{separator}options[default_transaction_read_only]=on", settings.url);
    let store = PostgresStore::connect(Settings { url, ..settings }).await.unwrap();
    let error = store.submit(&job("a")).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_password_is_not_told() {
    for url in ["postgres://me:hunter2@127.0.0.1:1/nowhere", "postgres://me:hunter2@[", "nonsense://hunter2"] {
        let settings = Settings::new(url, "fleet");
        let error = PostgresStore::connect(settings.clone()).await.err().unwrap();
        let told = format!("{error} {error:?} {settings:?}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let error = PostgresStore::connect(Settings::new(url(), "a; DROP SCHEMA public")).await.err().unwrap();
    assert!(error.is_permanent() && error.to_string().contains("namespace"), "{error}");
}
