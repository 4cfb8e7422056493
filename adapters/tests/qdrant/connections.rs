//! Connections: keys, certificates, versions, and servers that go and come back.

use super::*;
use imagefleet_common::error::Error;
use imagefleet_test_services::qdrant::CERTIFICATES;
use tokio::runtime::Runtime;

async fn refused(settings: Settings) -> Error {
    match QdrantIndex::connect(settings).await {
        Ok(_) => panic!("it should be refused"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_missing_or_wrong_key_is_refused_with_the_remedy_and_never_shown() {
    let key = "sesame-open";
    let protected = server::Settings { api_key: Some(key.to_owned()), ..server::Settings::default() };
    let running = Running::start(Store::in_memory(), protected).await;
    let with = |key: Option<&str>| Settings { api_key: key.map(String::from), ..settings(&running.url()) };
    for wrong in [None, Some("sesame-shut"), Some("sesame-shut\n")] {
        let error = refused(with(wrong)).await;
        assert!(error.is_permanent() && !error.to_string().contains("sesame"), "{error}");
        if wrong != Some("sesame-shut\n") {
            assert!(error.to_string().contains("IMAGEFLEET_INDEX_API_KEY"), "{error}");
        }
    }
    let index = QdrantIndex::connect(with(Some(key))).await.unwrap();
    made(&index, "photos").await;
}

#[tokio::test]
async fn an_older_server_is_refused_with_both_versions() {
    let old = server::Settings { version: "1.15.4".to_owned(), ..server::Settings::default() };
    let running = Running::start(Store::in_memory(), old).await;
    let error = refused(settings(&running.url())).await;
    assert!(error.is_permanent(), "{error}");
    assert!(error.to_string().contains("1.15.4") && error.to_string().contains("1.16"), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_be_meant_are_refused() {
    for url in ["localhost:6334", "ftp://host:6334", "http://", "http://host:6334/collections", "http://me:word@host"] {
        let error = refused(settings(url)).await;
        assert!(error.is_permanent() && error.to_string().contains("http://host:6334"), "{url}: {error}");
        assert!(!error.to_string().contains("word"), "{error}");
    }
    for namespace in ["", "a/b", "ü"] {
        let error = refused(Settings { namespace: namespace.to_owned(), ..settings("http://localhost:1") }).await;
        assert!(error.is_permanent() && error.to_string().contains("namespace"), "{error}");
    }
    // Nobody there: it may come.
    let error = refused(settings("http://127.0.0.1:1")).await;
    assert!(error.is_transient() && error.to_string().contains("127.0.0.1:1"), "{error}");
}

/// A server of its own runtime: when that goes, so do its connections.
fn serve(address: std::net::SocketAddr, store: Arc<Store>) -> (Runtime, Running) {
    let runtime = Runtime::new().unwrap();
    let running = runtime.block_on(Running::start_at(address, store, server::Settings::default()));
    (runtime, running)
}

#[test]
fn a_server_that_comes_back_is_used_again() {
    let store = Store::in_memory();
    let (first, running) = serve(([127, 0, 0, 1], 0).into(), Arc::clone(&store));
    let address = running.address;
    let here = Runtime::new().unwrap();
    let index = here.block_on(connect(&running));
    let id = here.block_on(made(&index, "photos"));
    here.block_on(index.put(&id, at(0), 1, &points("p", 2, DIMS))).unwrap();
    drop(running);
    first.shutdown_timeout(Duration::from_secs(5));
    let error = here.block_on(index.chunk(&id, 1, 0)).unwrap_err();
    assert!(error.is_transient(), "{error}");
    let (_second, _running) = serve(address, store);
    assert_eq!(here.block_on(index.chunk(&id, 1, 0)).unwrap().len(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let (running, _) = served().await;
    let timeout = Duration::from_millis(300);
    let index = QdrantIndex::connect(Settings { timeout, ..settings(&running.url()) }).await.unwrap();
    let id = made(&index, "photos").await;
    running.store.set_hook(Some(Box::new(|_| Box::pin(std::future::pending()))));
    let start = std::time::Instant::now();
    let error = index.put(&id, at(0), 1, &points("p", 1, DIMS)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(start.elapsed() >= timeout && start.elapsed() < 20 * timeout, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_server_is_trusted_by_the_certificates_that_are_given() {
    let identity = Some((CERTIFICATES.certificate.to_owned(), CERTIFICATES.key.to_owned()));
    let safe = server::Settings { identity, ..server::Settings::default() };
    let running = Running::start(Store::in_memory(), safe).await;
    let port = running.address.port();
    let authority = Some(CERTIFICATES.authority.as_bytes().to_vec());
    for host in ["localhost", "127.0.0.1"] {
        let settings = settings(&format!("https://{host}:{port}"));
        let error = refused(settings.clone()).await;
        assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
        let index = QdrantIndex::connect(Settings { ca: authority.clone(), ..settings }).await.unwrap();
        made(&index, &format!("of-{host}")).await;
    }
    assert!(refused(settings(&format!("http://127.0.0.1:{port}"))).await.is_transient(), "it speaks TLS only");
}
