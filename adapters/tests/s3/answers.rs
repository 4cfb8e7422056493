//! What becomes of an answer that is not what was asked for.

use crate::running::{Running, ends, put};
use imagefleet_adapters::objects::s3::{S3Objects, Settings};
use imagefleet_common::{
    error::{Error, Next},
    ports::{
        layered::{Layered, Retry},
        objects::Objects,
    },
};
use imagefleet_test_services::s3::Fault;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Longer than the server takes, on a busy machine too.
const SHORT: Duration = Duration::from_secs(1);

/// The error of a read of ten bytes whose answer goes wrong; asked again, it is right.
async fn read_with(fault: Fault) -> Error {
    let server = Running::start().await;
    let settings = Settings { header_timeout: SHORT, body_timeout: SHORT, ..server.settings() };
    let (impatient, objects) = (S3Objects::open(settings).await.unwrap(), server.objects().await);
    let listed = put(&objects, "a", b"0123456789").await;
    server.faults.once("GetObject", fault);
    let error = ends(impatient.read("a", &listed.etag, 0..10)).await.expect_err("the answer is not what was asked for");
    assert_eq!(objects.read("a", &listed.etag, 0..10).await.unwrap(), "0123456789");
    eprintln!("{error}");
    error
}

#[track_caller]
fn assert_transient(error: &Error, says: &str) {
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[tokio::test]
async fn a_body_that_ends_early_is_asked_for_again() {
    assert_transient(&read_with(Fault::Cut(4)).await, "read s3://bucket/a: ");
}

#[tokio::test]
async fn an_answer_to_a_part_of_the_range_is_asked_for_again() {
    assert_transient(&read_with(Fault::Part(4)).await, "4 bytes came and 10 were asked for");
}

#[tokio::test]
async fn a_body_of_no_declared_length_that_is_short_or_long_is_asked_for_again() {
    assert_transient(&read_with(Fault::Undeclared(-1)).await, "9 bytes came and 10 were asked for");
    assert_transient(&read_with(Fault::Undeclared(1)).await, "11 bytes came and 10 were asked for");
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_given_up() {
    assert_transient(&read_with(Fault::Silent).await, "no answer within 1s");
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    assert_transient(&read_with(Fault::Stalled(4)).await, "nothing came for 1s after 4 bytes of 10");
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says() {
    let error = read_with(Fault::SlowDown(Some(7))).await;
    assert_eq!(error.next(), Next::Retry { after: Some(Duration::from_secs(7)) }, "{error}");
    let error = read_with(Fault::SlowDown(None)).await;
    assert_eq!(error.next(), Next::Retry { after: None }, "{error}");
    assert_transient(&read_with(Fault::Lost).await, "500 InternalError");
}

#[tokio::test]
async fn a_listing_that_is_cut_off_is_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings {
        endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
        ..Running::start().await.settings()
    };
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4_096]).await.unwrap() > 0);
        let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n<ListBucketResult><IsTruncated>false</Is";
        stream.write_all(begun).await.unwrap();
    });
    let error = S3Objects::open(settings).await.unwrap().list("", None).await.unwrap_err();
    assert_transient(&error, "list s3://bucket/: ");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Running::start().await;
    let settings = Settings { endpoint: Some(format!("http://{address}")), ..server.settings() };
    drop(listener);
    let error = S3Objects::open(settings).await.unwrap().head("a").await.unwrap_err();
    assert_transient(&error, "look at s3://bucket/a: ");
}

#[tokio::test]
async fn a_read_that_fails_is_done_again_by_the_layer_around() {
    let server = Running::start().await;
    let objects: Arc<dyn Objects> = Arc::new(server.objects().await);
    let objects = Layered::new(objects, Retry { first_delay: Duration::from_millis(1), ..Retry::default() });
    let listed = put(&objects, "a", b"0123456789").await;
    let mut faults = vec![Fault::Cut(3), Fault::SlowDown(None), Fault::Part(1), Fault::Lost];
    server.faults.set(move |_| faults.pop());
    server.faults.take_calls();
    assert_eq!(objects.read("a", &listed.etag, 2..8).await.unwrap(), "234567");
    assert_eq!(server.faults.take_calls().len(), 5, "each request happens once, whatever becomes of it");
}

#[tokio::test]
async fn an_object_that_changed_is_not_read_from_a_server_that_pins() {
    let server = Running::start().await;
    let objects = server.objects().await;
    let listed = put(&objects, "a", b"old").await;
    put(&objects, "a", b"new").await;
    for range in [0..3, 1..2, 1..1] {
        let error = objects.read("a", &listed.etag, range).await.unwrap_err();
        assert_eq!(error.next(), Next::Relist, "{error}");
    }
}

/// Such a server shows what `If-Match` is for: without it, it sends the bytes of what is there now.
#[tokio::test]
async fn the_tag_is_pinned_in_the_request() {
    let server = Running::start().await;
    let objects = server.objects().await;
    let listed = put(&objects, "a", b"old").await;
    put(&objects, "a", b"a longer one").await;
    server.faults.once("GetObject", Fault::Cut(0));
    let error = objects.read("a", &listed.etag, 0..3).await.unwrap_err();
    assert_eq!(error.next(), Next::Relist, "refused before a body that could break was sent: {error}");
}

#[tokio::test]
async fn an_object_that_changed_is_not_read_from_a_server_that_ignores_the_pin() {
    let server = Running::start().await;
    let objects = server.objects().await;
    let listed = put(&objects, "a", b"old").await;
    put(&objects, "a", b"new").await;
    server.faults.set(|_| Some(Fault::Unpinned));
    let error = objects.read("a", &listed.etag, 0..3).await.expect_err("the bytes are those of another object");
    assert_eq!(error.next(), Next::Relist, "{error}");

    put(&objects, "a", b"").await;
    let error = objects.read("a", &listed.etag, 0..3).await.unwrap_err();
    assert_eq!(error.next(), Next::Relist, "a range past the end of what is there now: {error}");
}

#[tokio::test]
async fn an_object_that_is_gone_is_listed_again() {
    let server = Running::start().await;
    let objects = server.objects().await;
    let listed = put(&objects, "a", b"old").await;
    objects.delete("a").await.unwrap();
    for range in [0..3, 0..0] {
        let error = objects.read("a", &listed.etag, range).await.unwrap_err();
        assert_eq!(error.next(), Next::Relist, "{error}");
    }
}
