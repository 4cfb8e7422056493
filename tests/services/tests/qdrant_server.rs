//! The server as a process: it outlasts being killed, and keeps what is not for everyone.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use qdrant_client::{
    Qdrant,
    qdrant::{
        CreateAlias, CreateCollection, Distance, GetPointsBuilder, PointId, PointStruct, UpsertPoints, VectorParams,
        VectorsConfig, point_id::PointIdOptions, vectors_config,
    },
};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_imagefleet-test-services"))
            .args(["qdrant", "--listen", "127.0.0.1:0", "--api-key", "sesame", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("qdrant ").unwrap();
        Self { url: format!("http://{address}"), process }
    }

    fn client(&self, key: Option<&str>) -> Qdrant {
        Qdrant::from_url(&self.url).api_key(key).skip_compatibility_check().build().unwrap()
    }
}

impl Drop for Server {
    /// SIGKILL.
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn collection(name: &str) -> CreateCollection {
    let params = VectorParams { size: 2, distance: Distance::Dot as i32, ..VectorParams::default() };
    CreateCollection {
        collection_name: name.to_owned(),
        vectors_config: Some(VectorsConfig { config: Some(vectors_config::Config::Params(params)) }),
        ..CreateCollection::default()
    }
}

async fn put(client: &Qdrant, id: u64) {
    let request = UpsertPoints {
        collection_name: "kept".to_owned(),
        wait: Some(true),
        points: vec![PointStruct::new(id, vec![0.5, id as f32], [("number", (id as i64).into())])],
        ..UpsertPoints::default()
    };
    client.upsert_points(request).await.unwrap();
}

async fn ids(client: &Qdrant) -> Vec<u64> {
    let asked: Vec<PointId> = (0..100).map(PointId::from).collect();
    let found = client.get_points(GetPointsBuilder::new("alias", asked)).await.unwrap().result;
    let number = |id: PointId| match id.point_id_options.unwrap() {
        PointIdOptions::Num(number) => number,
        PointIdOptions::Uuid(text) => panic!("{text}"),
    };
    found.into_iter().map(|point| number(point.id.unwrap())).collect()
}

#[tokio::test]
async fn what_was_confirmed_outlasts_the_process_and_half_a_change_is_none() {
    let folder = tempfile::tempdir().unwrap();
    {
        let server = Server::start(folder.path());
        let client = server.client(Some("sesame"));
        client.create_collection(collection("kept")).await.unwrap();
        let alias = CreateAlias { collection_name: "kept".to_owned(), alias_name: "alias".to_owned() };
        client.create_alias(alias).await.unwrap();
        put(&client, 1).await;
        put(&client, 2).await;
    }
    {
        let server = Server::start(folder.path());
        let client = server.client(Some("sesame"));
        assert_eq!(ids(&client).await, [1, 2]);
        put(&client, 3).await;
    }
    // A change that was being written when the process died: its length says more than there is.
    let log = std::fs::OpenOptions::new().append(true).open(folder.path().join("changes.log"));
    log.unwrap().write_all(&[4, 200, 0, 0, 0, 10, 4]).unwrap();
    for _ in 0..2 {
        let server = Server::start(folder.path());
        let client = server.client(Some("sesame"));
        assert_eq!(ids(&client).await, [1, 2, 3]);
        put(&client, 3).await;
    }
}

#[tokio::test]
async fn without_the_key_only_the_health_check_answers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    for key in [None, Some("other")] {
        let client = server.client(key);
        assert_eq!(client.health_check().await.unwrap().version, "1.17.0");
        let error = client.list_collections().await.unwrap_err().to_string();
        assert!(error.contains("authentication"), "{error}");
    }
    server.client(Some("sesame")).list_collections().await.unwrap();
}
