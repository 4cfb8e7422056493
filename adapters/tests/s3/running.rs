//! A server that runs as long as its test.

use bytes::Bytes;
use imagefleet_adapters::objects::s3::{Keys, S3Objects, Settings};
use imagefleet_common::ports::objects::{ObjectMeta, Objects};
use imagefleet_test_services::s3::{FOLDER_FILE, Faults, KEY_ID, SECRET, Server};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

/// What hangs for as long hangs forever.
const FOREVER: Duration = Duration::from_secs(20);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) faults: Faults,
    root: TempDir,
    serving: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_with(|server| server).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(Server) -> Server) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("bucket")).unwrap();
        let faults = Faults::default();
        let server = change(Server::new(root.path().into()).faults(faults.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { server.serve(listener).await.unwrap() });
        Self { address, faults, root, serving }
    }

    /// Of the bucket.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            endpoint: Some(format!("http://{}", self.address)),
            path_style: true,
            keys: Some(Keys { id: KEY_ID.to_owned(), secret: SECRET.to_owned() }),
            ..Settings::new("bucket")
        }
    }

    pub(crate) async fn objects(&self) -> S3Objects {
        S3Objects::open(self.settings()).await.unwrap()
    }

    /// Puts an empty object whose key is no path of the port: one that ends in `/`, as consoles make for folders.
    pub(crate) fn put_folder(&self, key: &str) {
        let folder = self.root.path().join("bucket").join(key);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(FOLDER_FILE), "").unwrap();
    }

    /// What the server has not made an object of, or not yet.
    pub(crate) fn unfinished(&self) -> Vec<PathBuf> {
        let entries = self.root.path().join(".unfinished").read_dir();
        entries.map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default()
    }
}

/// Puts an object and says what a listing would say of it.
pub(crate) async fn put(objects: &dyn Objects, path: &str, bytes: &'static [u8]) -> ObjectMeta {
    objects.put(path, Bytes::from_static(bytes)).await.unwrap();
    objects.head(path).await.unwrap().unwrap()
}

/// A test that hangs says so.
pub(crate) async fn ends<T>(effect: impl Future<Output = T>) -> T {
    tokio::time::timeout(FOREVER, effect).await.expect("it hangs")
}
