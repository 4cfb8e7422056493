//! The HTTP API over a store, a broker and a folder of this process.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use imagefleet_adapters::{
    broker::local::LocalBroker,
    objects::fs::FsObjects,
    store::sqlite::{Settings, SqliteStore},
};
use imagefleet_common::{
    Error, Result,
    conformance::seed::{HOUR, Lab, Made, cut, job, listing, rules},
    filter::Filter,
    ids::{JobId, Queue},
    job::search::Search,
    ports::{
        broker::{Broker, Delivery, Message},
        jobs::{JobState, NewJob},
        objects::Objects,
        tasks::{Claim, Failure, Outcome, Tasks, Written},
    },
    task::State as TaskState,
    work::Kind,
};
use imagefleet_coordinator::{
    Ports,
    api::{Api, OPENAPI, router, routes, serve},
    search::Searches,
    stats::Stats,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

/// A broker that can be out of reach.
#[derive(Default)]
struct Switched {
    broker: LocalBroker,
    is_off: AtomicBool,
}

#[async_trait::async_trait]
impl Broker for Switched {
    async fn publish(&self, queue: &Queue, messages: &[Message]) -> Result<()> {
        self.broker.publish(queue, messages).await
    }

    async fn depth(&self, queue: &Queue) -> Result<usize> {
        if self.is_off.load(Ordering::SeqCst) {
            return Err(Error::transient("the broker is off"));
        }
        self.broker.depth(queue).await
    }

    async fn receive(&self, queue: &Queue) -> Result<Delivery> {
        self.broker.receive(queue).await
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.broker.ack(delivery).await
    }

    async fn give_back(&self, delivery: &Delivery) -> Result<()> {
        self.broker.give_back(delivery).await
    }
}

/// A coordinator's API, and the store behind it.
struct Server {
    address: SocketAddr,
    lab: Lab,
    store: Arc<SqliteStore>,
    broker: Arc<Switched>,
    artifacts: Arc<FsObjects>,
}

async fn start(token: Option<&str>) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let store =
        Arc::new(SqliteStore::open(&folder.path().join("store.db"), Settings { retry: rules() }).await.unwrap());
    let broker = Arc::new(Switched::default());
    let artifacts = Arc::new(FsObjects::new(folder.path().to_owned()));
    let ports = Ports {
        tasks: store.clone(),
        jobs: store.clone(),
        catalog: store.clone(),
        broker: broker.clone(),
        sources: Arc::new(FsObjects::new(folder.path().to_owned())),
        artifacts: artifacts.clone(),
    };
    let changed = store.changed();
    let api = Api {
        ports,
        changed,
        stats: Arc::new(Stats::default()),
        token: token.map(String::from),
        version: "test".into(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router(api), std::future::pending()));
    let lab = Lab::new(Made { store: store.clone(), keep: Box::new(folder) }).await;
    Server { address, lab, store, broker, artifacts }
}

impl Server {
    /// Status, the answer's head, its body.
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        self.ask_as("localhost:7300", method, path, headers, body).await
    }

    async fn ask_as(&self, host: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        // A server that refuses early may close before it has read all.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.ask("GET", path, "", "").await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn metrics(&self) -> String {
        let (status, head, body) = self.ask("GET", "/metrics", "", "").await;
        assert!(status == 200 && head.contains("text/plain; version=0.0.4"), "{head}");
        body
    }

    /// A job whose corpus is listed, with a dead task and one that runs.
    async fn with_work(&self) -> NewJob {
        let job = job("a");
        let lab = &self.lab;
        lab.start(&job, &["a.zip", "b.zip", "c.zip"]).await;
        lab.list(&job, 1, listing("etag", vec![cut(0), cut(1)])).await;
        lab.kill(&job, &job.list(2)).await;
        lab.take(&job, &job.list(3)).await;
        job
    }

    async fn state(&self, job: JobId) -> JobState {
        use imagefleet_common::ports::jobs::Jobs;
        self.store.job(job).await.unwrap().unwrap().state
    }
}

#[tokio::test]
async fn health_is_of_the_process_and_readiness_names_the_service_that_is_gone() {
    let server = start(None).await;
    assert_eq!(server.ask("GET", "/healthz", "", "").await.0, 200);
    assert_eq!(server.get("/readyz").await, (200, json!({"store": "ok", "broker": "ok"})));
    server.broker.is_off.store(true, Ordering::SeqCst);
    assert_eq!(server.get("/readyz").await, (503, json!({"store": "ok", "broker": "failed"})));
    server.broker.is_off.store(false, Ordering::SeqCst);
    server.store.close().await;
    assert_eq!(server.get("/readyz").await, (503, json!({"store": "failed", "broker": "ok"})));
    assert_eq!(server.ask("GET", "/healthz", "", "").await.0, 200);
}

#[tokio::test]
async fn every_route_under_v1_asks_for_the_token_and_no_other_does() {
    let server = start(Some("a secret of some length")).await;
    let job = server.with_work().await;
    for route in routes() {
        let (method, path) = (route.method.as_str(), route.path.replace("{id}", &job.id.to_string()));
        let status = async |headers: &str| server.ask(method, &path, headers, "").await.0;
        let guarded = path.starts_with("/v1/");
        let without = status("").await;
        assert_eq!(without == 401, guarded, "{method} {path}: {without}");
        for wrong in
            ["Bearer a secret of some lengt", "Bearer ", "Basic a secret of some length", "a secret of some length"]
        {
            let status = status(&format!("Authorization: {wrong}\r\n")).await;
            assert_eq!(status == 401, guarded, "{method} {path} with {wrong:?}: {status}");
        }
        let with = status("Authorization: bearer a secret of some length\r\n").await;
        // A search without a body is one for nothing.
        let fine = if path == "/v1/search" { with == 400 } else { matches!(with, 200 | 202) };
        assert!(fine, "{method} {path}: {with}");
    }
    assert_eq!(server.ask("GET", "/v2", "", "").await.0, 404);
}

#[tokio::test]
async fn no_get_changes_anything_and_a_post_cancels() {
    let server = start(None).await;
    let job = server.with_work().await;
    let cancel = format!("/v1/jobs/{}/cancel", job.id);
    let (status, _, body) = server.ask("GET", &cancel, "", "").await;
    assert!(status == 405 && body.starts_with("{\"error\":"), "{status} {body}");
    assert_eq!(server.state(job.id).await, JobState::Running);
    let (status, _, body) = server.ask("POST", &cancel, "", "").await;
    assert_eq!(
        (status, serde_json::from_str::<Value>(&body).unwrap()),
        (202, json!({"id": job.id, "state": "cancelling", "paused": false}))
    );
    assert_eq!(server.state(job.id).await, JobState::Cancelling);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_does_nothing() {
    let server = start(None).await;
    let job = server.with_work().await;
    for path in [format!("/v1/jobs/{}/cancel", job.id), "/v1/search".to_owned()] {
        let (status, _, body) = server.ask("POST", &path, "", &"x".repeat(20 << 10)).await;
        assert!(status == 413 && body.starts_with("{\"error\":"), "{status} {body}");
    }
    assert_eq!(server.state(job.id).await, JobState::Running);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_in_json() {
    let server = start(None).await;
    let job = server.with_work().await.id;
    for (path, status, said) in [
        ("/v1/jobs/nothing".to_owned(), 404, "none of this id"),
        (format!("/v1/jobs/{}", JobId::random()), 404, "none of this id"),
        ("/v1/jobs?state=asleep".to_owned(), 400, "asleep"),
        ("/v1/jobs?colour=red".to_owned(), 400, "colour"),
        ("/v1/jobs?limit=0".to_owned(), 400, "limit 0"),
        (format!("/v1/jobs/{job}/tasks?kind=paint"), 400, "paint"),
        (format!("/v1/jobs/{job}/tasks?limit=1001"), 400, "1 to 1000"),
        ("/v1/nothing".to_owned(), 404, "openapi.json"),
    ] {
        let (got, body) = server.get(&path).await;
        let error = body["error"].as_str().unwrap();
        assert!(got == status && error.contains(said), "{path}: {got} {error}");
    }
}

#[tokio::test]
async fn jobs_and_tasks_come_in_pages() {
    let server = start(None).await;
    let older = server.with_work().await;
    let newer = NewJob { name: "b".into(), ..job("b") };
    server.lab.submit(&newer).await;
    let (_, jobs) = server.get("/v1/jobs?limit=1").await;
    assert_eq!((&jobs["total"], &jobs["jobs"][0]["id"]), (&json!(2), &json!(newer.id)));
    let (_, jobs) = server.get("/v1/jobs?limit=1&offset=1").await;
    assert_eq!(jobs["jobs"][0]["id"], json!(older.id));
    let (_, jobs) = server.get("/v1/jobs?state=submitted").await;
    assert_eq!((&jobs["total"], &jobs["jobs"][0]["name"]), (&json!(1), &json!("b")));
    let (_, tasks) = server.get(&format!("/v1/jobs/{}/tasks?kind=list&state=dead", older.id)).await;
    assert_eq!((&tasks["total"], &tasks["tasks"][0]["error"]), (&json!(1), &json!("the disk is on fire")));
}

#[tokio::test]
async fn metrics_tell_what_the_store_and_the_broker_hold() {
    let server = start(None).await;
    server.with_work().await;
    let text = server.metrics().await;
    for line in [
        "imagefleet_jobs{state=\"running\"} 1",
        "imagefleet_jobs{state=\"blocked\"} 0",
        "imagefleet_tasks{kind=\"list\",state=\"dead\"} 1",
        "imagefleet_tasks{kind=\"list\",state=\"running\"} 1",
        "imagefleet_tasks{kind=\"embed\",state=\"ready\"} 2",
        "imagefleet_queue_unpublished_tasks{queue=\"embed.clip.p2\"} 2",
        "imagefleet_queue_running_tasks{queue=\"list.p2\"} 1",
        "imagefleet_queue_messages{queue=\"embed.clip.p2\"} 0",
        "imagefleet_sessions 1",
        "imagefleet_duty_failures_total{duty=\"publish\"} 0",
        "imagefleet_published_messages_total 0",
        "imagefleet_service_up{service=\"broker\"} 1",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn figures_of_a_service_that_is_gone_are_left_out() {
    let server = start(None).await;
    server.with_work().await;
    server.broker.is_off.store(true, Ordering::SeqCst);
    let text = server.metrics().await;
    assert!(text.contains("imagefleet_service_up{service=\"broker\"} 0"), "{text}");
    assert!(!text.contains("imagefleet_queue_messages") && text.contains("imagefleet_sessions 1"), "{text}");
}

#[tokio::test]
async fn the_document_has_every_route_and_field_and_no_other() {
    let server = start(None).await;
    let job = server.with_work().await;
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        described.extend(methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    let there: BTreeSet<_> =
        routes().iter().map(|route| (route.method.as_str().to_owned(), route.path.to_owned())).collect();
    assert_eq!(described, there);
    for (method, path) in there {
        let (status, head, body) = server.ask(&method, &path.replace("{id}", &job.id.to_string()), "", "").await;
        let about = &document["paths"][&path][method.to_lowercase()];
        let content = &about["responses"][status.to_string()]["content"];
        assert!(content.is_object(), "{path} answers {status}, which is not described");
        let guarded = about["security"].is_array();
        assert_eq!(guarded, path.starts_with("/v1/"), "{path}");
        let schema = &content["application/json"]["schema"];
        assert_eq!(head.contains("application/json"), schema.is_object(), "{path}: {head}");
        if schema.is_object() && path != "/openapi.json" {
            compare(&document, schema, &serde_json::from_str(&body).unwrap(), &path);
        }
    }
    let error = &document["components"]["schemas"]["Error"];
    compare(&document, error, &server.get("/v1/jobs/nothing").await.1, "an error");
}

/// A value has the fields of its schema and no others, all the way down.
fn compare(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{at}: no {name}"));
        return compare(document, schema, value, at);
    }
    let is_type = |name: &str| {
        schema["type"] == name || schema["type"].as_array().is_some_and(|types| types.contains(&json!(name)))
    };
    match value {
        Value::Object(fields) if schema["properties"].is_object() => {
            let described = schema["properties"].as_object().unwrap();
            let (there, described_names): (Vec<_>, Vec<_>) = (fields.keys().collect(), described.keys().collect());
            let (there, described_names): (BTreeSet<_>, BTreeSet<_>) =
                (there.into_iter().collect(), described_names.into_iter().collect());
            assert_eq!(there, described_names, "{at}");
            for (name, value) in fields {
                compare(document, &described[name], value, &format!("{at}.{name}"));
            }
        }
        Value::Object(_) => assert!(schema["additionalProperties"].is_object(), "{at}"),
        Value::Array(items) => {
            assert!(is_type("array"), "{at}");
            // A list of names may be empty; of objects there must be one to compare.
            assert!(!items.is_empty() || schema["items"]["type"] == "string", "{at}: nothing to compare");
            items.iter().for_each(|item| compare(document, &schema["items"], item, &format!("{at}[]")));
        }
        Value::String(text) => {
            assert!(is_type("string"), "{at}");
            let names = schema["enum"].as_array();
            assert!(names.is_none_or(|names| names.contains(&json!(text))), "{at}: {text} is not described");
        }
        Value::Number(_) => assert!(is_type("integer"), "{at}"),
        Value::Bool(_) => assert!(is_type("boolean"), "{at}"),
        Value::Null => assert!(is_type("null"), "{at}"),
    }
}

#[tokio::test]
async fn a_job_is_paused_and_resumed() {
    let server = start(None).await;
    let job = server.with_work().await;
    for (control, paused) in [("pause", true), ("resume", false), ("retry", false), ("accept-dead", false)] {
        let (status, _, body) = server.ask("POST", &format!("/v1/jobs/{}/{control}", job.id), "", "").await;
        let said: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, said), (202, json!({"id": job.id, "state": "running", "paused": paused})), "{control}");
    }
    assert_eq!(server.lab.state(&job, &job.list(2)).await, TaskState::Ready, "its dead task is retried");
}

#[tokio::test]
async fn a_page_in_a_browser_is_refused_where_there_is_no_token() {
    let page = "Origin: http://example.org\r\n";
    let server = start(None).await;
    assert_eq!(server.ask("GET", "/v1/jobs", page, "").await.0, 403);
    assert_eq!(server.ask("GET", "/healthz", page, "").await.0, 200);
    for (host, status) in
        [("127.0.0.1", 200), ("[::1]:7300", 200), ("LOCALHOST", 200), ("example.org", 403), ("a:b]", 403)]
    {
        assert_eq!(server.ask_as(host, "GET", "/v1/jobs", "", "").await.0, status, "{host}");
    }
    let server = start(Some("a secret of some length")).await;
    let with = format!("{page}Authorization: Bearer a secret of some length\r\n");
    assert_eq!(server.ask("GET", "/v1/jobs", &with, "").await.0, 200);
}

/// Claims the next search and ends it in this way.
async fn answer(server: &Server, outcome: Result<&str>) {
    let queue = Kind::Search.queue("clip");
    let message = loop {
        let marked = server.store.mark(&queue, 1, Uuid::now_v7(), HOUR).await.unwrap();
        if let Some(message) = marked.first() {
            break *message;
        }
        tokio::task::yield_now().await;
    };
    let claim = server.lab.claim(message, server.lab.session).await;
    let Claim::Granted(claimed) = claim else { panic!("it was not granted: {claim:?}") };
    let written = match outcome {
        Ok(found) => {
            server.artifacts.put("found.json", found.to_owned().into()).await.unwrap();
            let done = Outcome::Finished { artifact: Some("found.json".into()) };
            server.store.succeed(claimed.holding, &done).await
        }
        Err(error) => {
            let failure = Failure { permanent: error.is_permanent(), retry_after: None, message: error.to_string() };
            server.store.fail(claimed.holding, &failure).await
        }
    };
    assert_eq!(written.unwrap(), Written::Done);
}

#[tokio::test]
async fn a_search_waits_for_what_a_worker_finds() {
    let server = start(None).await;
    server.with_work().await;
    let body = r#"{"text": "a red bicycle", "top": 3, "filter": {"licence_without": "nc,nd"}}"#;
    let (asked, ()) = tokio::join!(server.ask("POST", "/v1/search", "", body), answer(&server, Ok(r#"[{"rank": 1}]"#)));
    let found: Value = serde_json::from_str(&asked.2).unwrap();
    let expected = json!({"query": {"text": "a red bicycle"}, "collection": "photos-clip", "results": [{"rank": 1}]});
    assert_eq!((asked.0, found), (200, expected));
    let refused = Error::permanent("the model is not there");
    let (asked, ()) = tokio::join!(server.ask("POST", "/v1/search", "", body), answer(&server, Err(refused)));
    assert_eq!((asked.0, asked.2.as_str()), (500, r#"{"error":"the model is not there"}"#));
}

#[tokio::test]
async fn a_search_that_says_nothing_sensible_is_refused_at_once() {
    let server = start(None).await;
    server.with_work().await;
    for (body, said) in [
        ("", "as in {\"text\""),
        ("[]", "as in {\"text\""),
        (r#"{"text": "  "}"#, "the text is empty"),
        (r#"{"text": "a", "top": 0}"#, "expected 1 to 1000"),
        (r#"{"text": "a", "top": 1001}"#, "expected 1 to 1000"),
        (r#"{"text": "a", "colour": "red"}"#, "colour"),
        (r#"{"text": "a", "filter": {"size": "1"}}"#, "no such key"),
        (r#"{"text": "a", "collection": "nothing"}"#, "there are photos-clip"),
    ] {
        let (status, _, answer) = server.ask("POST", "/v1/search", "", body).await;
        let error = serde_json::from_str::<Value>(&answer).unwrap()["error"].as_str().unwrap().to_owned();
        assert!(status == 400 && error.contains(said), "{body}: {status} {error}");
    }
}

#[tokio::test]
async fn a_search_that_no_worker_takes_is_given_up_and_cancelled() {
    let server = start(None).await;
    let job = server.with_work().await;
    let searches =
        Searches { jobs: server.store.clone(), artifacts: server.artifacts.clone(), changed: server.store.changed() };
    let search = Search::new("a red bicycle".into(), 1, Filter::default()).unwrap();
    let error = searches.ask(&job.collection.id, &search, Duration::from_millis(50)).await.unwrap_err();
    assert!(!error.is_permanent() && error.to_string().contains("no worker takes it"), "{error}");
    assert_eq!(server.store.mark(&Kind::Search.queue("clip"), 1, Uuid::now_v7(), HOUR).await.unwrap(), []);
}

/// Requests that no client of ours makes; the server refuses each and goes on.
#[tokio::test]
async fn a_hundred_malformed_requests_are_refused_and_answered() {
    let server = start(None).await;
    let job = server.with_work().await.id;
    let mut tried = 0;
    let ids = ["", "x", "%00", "%2e%2e%2f%2e%2e", "' OR 1=1", "{id}", "-1", "\u{e4}", &"9".repeat(2000)];
    let ids = ids.map(|id| id.replace(' ', "%20"));
    for id in &ids {
        for (method, rest) in [("GET", ""), ("GET", "/tasks"), ("POST", "/cancel"), ("POST", "/pause"), ("DELETE", "")]
        {
            let (status, _, body) = server.ask(method, &format!("/v1/jobs/{id}{rest}"), "", "").await;
            assert!(matches!(status, 400 | 404 | 405 | 414 | 431), "{method} {id}{rest}: {status} {body}");
            tried += 1;
        }
    }
    for query in [
        "limit=",
        "limit=-1",
        "limit=1.5",
        "limit=99999999999999999999",
        "offset=-1",
        "offset=x",
        "state=",
        "state=Running",
        "state=running&state=dead",
        "kind=list",
        "x=1",
        "%ff=1",
        "limit=%00",
        "=",
        "limit",
    ] {
        let (status, _, body) = server.ask("GET", &format!("/v1/jobs?{query}"), "", "").await;
        assert!(status == 400 && body.starts_with("{\"error\":"), "{query}: {status} {body}");
        tried += 1;
    }
    for body in [
        "",
        "{",
        "null",
        "0",
        "\"text\"",
        "[]",
        "{}",
        "{\"text\": null}",
        "{\"text\": 1}",
        "{\"text\": []}",
        "{\"text\": \"\"}",
        "{\"text\": \"\\n\\t\"}",
        "{\"text\": \"\\ud800\"}",
        "{\"text\": \"a\", \"top\": -1}",
        "{\"text\": \"a\", \"top\": 1.5}",
        "{\"text\": \"a\", \"top\": 65536}",
        "{\"text\": \"a\", \"top\": \"1\"}",
        "{\"text\": \"a\", \"collection\": 1}",
        "{\"text\": \"a\", \"collection\": \"\"}",
        "{\"text\": \"a\", \"filter\": []}",
        "{\"text\": \"a\", \"filter\": {\"licence\": 1}}",
        "{\"text\": \"a\", \"filter\": {\"licence\": \"\"}}",
        "{\"text\": \"a\", \"filter\": {\"taken_from\": \"yesterday\"}}",
        "{\"text\": \"a\", \"text\": \"b\"}",
        "{\"text\": \"a\"} {}",
        "{'text': 'a'}",
        "<text>a</text>",
    ] {
        let (status, _, answer) = server.ask("POST", "/v1/search", "", body).await;
        assert!(status == 400 && answer.starts_with("{\"error\":"), "{body}: {status} {answer}");
        tried += 1;
    }
    let deep = "[".repeat(16_000);
    assert_eq!(server.ask("POST", "/v1/search", "", &deep).await.0, 400);
    for path in ["/", "//", "/v1", "/v1/", "/v1/jobs/", "/V1/jobs", "/v1/../metrics", "/v1/jobs%2f", "/%", "/v1/search"]
    {
        let (status, ..) = server.ask("GET", path, "", "").await;
        assert!(matches!(status, 400 | 404 | 405), "{path}: {status}");
        tried += 1;
    }
    for raw in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\0\0\0\0",
        "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(raw.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{raw:?}: {}", String::from_utf8_lossy(&answer));
        tried += 1;
    }
    assert!(tried >= 100, "{tried}");
    assert_eq!(server.ask("GET", "/healthz", "", "").await.0, 200);
    assert_eq!(server.state(job).await, JobState::Running);
}
