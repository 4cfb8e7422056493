//! A server of Qdrant's gRPC protocol over a store in memory, or in a folder that it outlives its process in.
//!
//! What is confirmed is stored: a change is appended to a log and synced before it is answered. Answers are what a real
//! server gives, as far as the fleet's index adapter asks; `README.md` lists what differs. Nothing is indexed: every
//! search compares with every point. One that does not ask for exactness misses some, as a graph does.

mod answers;
mod collection;
mod command;
mod config;
mod fault;
mod filter;
mod id;
mod log;
mod service;
mod store;
mod value;

pub use command::run;
pub use fault::{Call, Hook, Verdict};
pub use qdrant_client::qdrant::CollectionStatus;
pub use store::Store;

use qdrant_client::qdrant::{
    collections_server::CollectionsServer, points_server::PointsServer, qdrant_server::QdrantServer,
};
use service::{Key, Service};
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Error, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

/// Bytes of a request, as a real server's default has it.
const MAX_REQUEST: usize = 32 << 20;

/// For tests of TLS: an authority, and a certificate of its for `localhost` and `127.0.0.1`. Nobody else trusts them.
pub struct Certificates {
    pub authority: &'static str,
    pub certificate: &'static str,
    pub key: &'static str,
}

/// PEM, good until the year 2126.
pub const CERTIFICATES: Certificates = Certificates {
    authority: include_str!("../fixtures/tls/authority.pem"),
    certificate: include_str!("../fixtures/tls/certificate.pem"),
    key: include_str!("../fixtures/tls/key.pem"),
};

/// How a server meets its clients.
#[derive(Clone)]
pub struct Settings {
    /// Calls without this key are refused; all but the health check.
    pub api_key: Option<String>,
    /// Certificate and key, both PEM: then it speaks TLS.
    pub identity: Option<(String, String)>,
    /// What it says that it is.
    pub version: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { api_key: None, identity: None, version: "1.17.0".to_owned() }
    }
}

/// Serves until it is dropped. Connections that are open then stay so while the runtime lives.
pub async fn serve(listener: TcpListener, store: Arc<Store>, settings: Settings) -> Result<(), Error> {
    let service = Service { store, version: settings.version };
    let key = Key(settings.api_key.map(Arc::from));
    let points = PointsServer::new(service.clone()).max_decoding_message_size(MAX_REQUEST);
    let collections = CollectionsServer::new(service.clone()).max_decoding_message_size(MAX_REQUEST);
    let mut server = Server::builder();
    if let Some((certificate, key)) = settings.identity {
        server = server.tls_config(ServerTlsConfig::new().identity(Identity::from_pem(certificate, key)))?;
    }
    server
        .add_service(InterceptedService::new(points, key.clone()))
        .add_service(InterceptedService::new(collections, key))
        .add_service(QdrantServer::new(service))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
}

/// A server of this process on a free port.
pub struct Running {
    pub address: SocketAddr,
    pub store: Arc<Store>,
    task: JoinHandle<()>,
}

impl Running {
    /// Serves `store` until this is dropped. Panics where no port is free.
    pub async fn start(store: Arc<Store>, settings: Settings) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), store, settings).await
    }

    /// The same at this address. Panics where somebody else has it.
    pub async fn start_at(address: SocketAddr, store: Arc<Store>, settings: Settings) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let served = Arc::clone(&store);
        let task = tokio::spawn(async move {
            if let Err(error) = serve(listener, served, settings).await {
                tracing::error!(%error, "the server of Qdrant's protocol ended");
            }
        });
        Self { address, store, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
