//! A server of S3's protocol over files: each folder of its root is a bucket, each file below it an object.
//!
//! The protocol and its signatures are those of the crate `s3s`. Its companion `s3s-fs` is not used: it keeps an object's
//! ETag in a second file (so a reader can be given the bytes of one content under the tag of another), lists objects
//! without ETags, answers GET without looking at `If-Match`, finds an object where a folder is, and cannot store keys
//! that are longer than about 150 bytes. Here a tag is made of what the file system knows of the one file, which is
//! replaced as a whole; a file that is copied into the root by hand is an object like any other.
//!
//! As with all stores of files, `a` and `a/b` cannot both be objects, and no part of a key may be longer than 255 bytes.
//! Nothing is synced to the disk.

mod faults;
mod files;
mod operations;
mod uploads;

pub use faults::{Call, Fault, Faults};
pub use files::FOLDER_FILE;

use files::Files;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{
    S3Result,
    access::{S3Access, S3AccessContext},
    auth::SimpleAuth,
    host::SingleDomain,
    s3_error,
    service::S3ServiceBuilder,
};
use std::{io, path::PathBuf};
use tokio::{net::TcpListener, task::JoinSet};

/// The access key of every server.
pub const KEY_ID: &str = "imagefleet";
pub const SECRET: &str = "imagefleet-secret";

/// A server that is not listening yet.
pub struct Server {
    root: PathBuf,
    public: bool,
    domain: Option<String>,
    faults: Faults,
}

impl Server {
    /// Objects lie below `root`. Requests must be signed with [`KEY_ID`] and [`SECRET`].
    pub fn new(root: PathBuf) -> Self {
        Self { root, public: false, domain: None, faults: Faults::default() }
    }

    /// Whoever does not sign may read and list.
    #[must_use]
    pub fn public(self) -> Self {
        Self { public: true, ..self }
    }

    /// Answers to hosts `BUCKET.domain` too.
    #[must_use]
    pub fn domain(self, domain: impl Into<String>) -> Self {
        Self { domain: Some(domain.into()), ..self }
    }

    #[must_use]
    pub fn faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Serves until the future is dropped, and all its connections with it.
    ///
    /// # Errors
    ///
    /// Where the listener fails or the domain is none.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let mut service =
            S3ServiceBuilder::new(operations::Store { files: Files::new(self.root), faults: self.faults });
        service.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        service.set_access(Access { public: self.public });
        if let Some(domain) = &self.domain {
            service.set_host(SingleDomain::new(domain).map_err(io::Error::other)?);
        }
        let service = service.build();
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = service.clone();
            connections.spawn(async move {
                let connection = Builder::new(TokioExecutor::new());
                if let Err(error) = connection.http1_only().serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(error, "a connection ended");
                }
            });
            while connections.try_join_next().is_some() {}
        }
    }
}

struct Access {
    public: bool,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let reads = ["GetObject", "HeadObject", "ListObjectsV2", "HeadBucket"].contains(&request.s3_op().name());
        match request.credentials() {
            None if !(self.public && reads) => Err(s3_error!(AccessDenied, "the request is not signed")),
            _ => Ok(()),
        }
    }
}
