//! A service behind TLS whose certificate only `ca_file` vouches for.

use crate::running::{Running, put};
use imagefleet_adapters::objects::s3::{S3Objects, Settings};
use imagefleet_common::ports::objects::Objects;
use std::{net::SocketAddr, path::Path, process::Command, sync::Arc};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// An authority and, for `localhost`, what it signed.
fn make_certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let run = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
        let run = run.expect("openssl makes the certificates of this test: apt-get install openssl");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    };
    let key = "req -x509 -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("{key} -subj /CN=authority -keyout ca.key -out ca.pem -addext keyUsage=critical,keyCertSign"));
    openssl(&format!(
        "{key} -subj /CN=localhost -keyout server.key -out server.pem -CA ca.pem -CAkey ca.key \
         -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE"
    ));
}

/// A port that speaks TLS and passes on to `server`.
async fn behind_tls(server: SocketAddr, folder: &Path) -> u16 {
    let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut from) = acceptor.accept(stream).await else { return };
                let mut to = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_service_is_trusted_by_its_authority_alone() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let server = Running::start().await;
    let port = behind_tls(server.address, folder.path()).await;
    let settings = Settings { endpoint: Some(format!("https://localhost:{port}")), ..server.settings() };

    let trusting = Settings { ca_file: Some(folder.path().join("ca.pem")), ..settings.clone() };
    let objects = S3Objects::open(trusting).await.unwrap();
    let listed = put(&objects, "a", b"0123456789").await;
    assert_eq!(objects.read("a", &listed.etag, 3..6).await.unwrap(), "345");

    let error = S3Objects::open(settings).await.unwrap().head("a").await.unwrap_err();
    assert!(error.is_permanent(), "{error}");
    assert!(error.to_string().contains("name its authority with ca_file="), "{error}");
}
