//! Who may ask, for what, and where.

use crate::running::{Running, put};
use imagefleet_adapters::objects::s3::{Keys, S3Objects, Settings};
use imagefleet_common::{
    error::Error,
    ports::objects::{Objects, list_all},
};
use imagefleet_test_services::s3::{Fault, KEY_ID};
use std::process::Command;

#[track_caller]
fn assert_permanent(error: &Error, says: &[&str]) {
    eprintln!("{error}");
    assert!(error.is_permanent(), "{error}");
    for says in says {
        assert!(error.to_string().contains(says), "{says:?} is not in: {error}");
    }
}

/// What each method says.
async fn refusals(objects: &S3Objects) -> [Error; 5] {
    [
        objects.list("a/", None).await.unwrap_err(),
        objects.head("a/b").await.unwrap_err(),
        objects.read("a/b", "tag", 0..1).await.unwrap_err(),
        objects.put("a/b", "x".into()).await.unwrap_err(),
        objects.delete("a/b").await.unwrap_err(),
    ]
}

#[tokio::test]
async fn wrong_credentials_are_refused_with_a_remedy() {
    let server = Running::start().await;
    for (id, secret) in [(KEY_ID, "another secret"), ("nobody", "a secret")] {
        let keys = Keys { id: id.to_owned(), secret: secret.to_owned() };
        let objects = S3Objects::open(Settings { keys: Some(keys), ..server.settings() }).await.unwrap();
        for error in refusals(&objects).await {
            assert_permanent(
                &error,
                &["s3://bucket/a/", "bucket bucket is denied", "AWS_ACCESS_KEY_ID", "anonymous=true"],
            );
            assert!(!error.to_string().contains(secret), "{error}");
        }
    }
}

/// The environment is the process's, so this is looked at in one of its own.
#[tokio::test]
async fn where_there_are_no_credentials_the_remedy_is_named() {
    const CHILD: &str = "S3_WITHOUT_CREDENTIALS";
    if std::env::var_os(CHILD).is_some() {
        let settings = Settings { endpoint: Some("http://127.0.0.1:1".to_owned()), ..Settings::new("bucket") };
        for error in refusals(&S3Objects::open(settings).await.unwrap()).await {
            assert_permanent(&error, &["there are no credentials", "AWS_ACCESS_KEY_ID", "anonymous=true"]);
        }
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "access::where_there_are_no_credentials_the_remedy_is_named"]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        child.env_remove(name);
    }
    let nowhere = tempfile::tempdir().unwrap();
    child.env("HOME", nowhere.path()).env("AWS_EC2_METADATA_DISABLED", "true").env(CHILD, "1");
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn a_public_bucket_is_read_unsigned_and_not_written() {
    let server = Running::start_with(|server| server.public()).await;
    let listed = put(&server.objects().await, "a/b", b"0123456789").await;
    let settings = Settings { anonymous: true, keys: None, ..server.settings() };
    let objects = S3Objects::open(settings).await.unwrap();
    server.faults.take_calls();
    assert_eq!(list_all(&objects, "").await.unwrap(), std::slice::from_ref(&listed));
    assert_eq!(objects.head("a/b").await.unwrap().unwrap(), listed);
    assert_eq!(objects.read("a/b", &listed.etag, 2..5).await.unwrap(), "234");
    let calls = server.faults.take_calls();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| !call.signed), "{calls:?}");
    let error = objects.put("a/b", "x".into()).await.unwrap_err();
    assert_permanent(&error, &["bucket bucket does not let anyone do this unsigned", "leave out anonymous=true"]);
}

#[tokio::test]
async fn a_bucket_that_is_not_public_is_not_read_unsigned() {
    let server = Running::start().await;
    let settings = Settings { anonymous: true, keys: None, ..server.settings() };
    for error in refusals(&S3Objects::open(settings).await.unwrap()).await {
        assert_permanent(&error, &["bucket bucket does not let anyone do this unsigned", "leave out anonymous=true"]);
    }
}

#[tokio::test]
async fn who_reads_says_that_he_pays() {
    for pays in [true, false] {
        let server = Running::start().await;
        let settings = Settings { requester_pays: pays, ..server.settings() };
        let objects = S3Objects::open(settings).await.unwrap();
        let listed = put(&objects, "a", b"x").await;
        objects.list("", None).await.unwrap();
        objects.read("a", &listed.etag, 0..1).await.unwrap();
        objects.delete("a").await.unwrap();
        let calls = server.faults.take_calls();
        assert_eq!(calls.len(), 5);
        assert!(calls.iter().all(|call| call.requester_pays == pays), "{calls:?}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let server = Running::start().await;
    let objects = S3Objects::open(Settings { bucket: "missing".to_owned(), ..server.settings() }).await.unwrap();
    for error in refusals(&objects).await {
        assert_permanent(&error, &["there is no bucket missing", "create it, or correct the name"]);
    }
}

#[tokio::test]
async fn a_bucket_of_another_region_is_refused_with_its_name() {
    let server = Running::start().await;
    let objects = server.objects().await;
    for fault in [
        Fault::Refused(301, "PermanentRedirect", Some("eu-central-1")),
        Fault::Refused(400, "AuthorizationHeaderMalformed", Some("eu-central-1")),
        Fault::Refused(400, "BadRequest", Some("eu-central-1")),
    ] {
        server.faults.set(move |_| Some(fault));
        for error in refusals(&objects).await {
            assert_permanent(&error, &["bucket bucket is in another region", "set region=eu-central-1"]);
        }
    }
}

#[tokio::test]
async fn what_no_retry_mends_is_permanent_and_what_one_may_is_not() {
    let server = Running::start().await;
    let objects = server.objects().await;
    for (status, code, permanent) in [
        (400, "InvalidRequest", true),
        (400, "RequestTimeout", false),
        (400, "ExpiredToken", true),
        (403, "RequestTimeTooSkewed", true),
        (405, "MethodNotAllowed", true),
        (409, "OperationAborted", false),
        (429, "TooManyRequests", false),
        (500, "InternalError", false),
        (501, "NotImplemented", true),
        (503, "ServiceUnavailable", false),
        (504, "GatewayTimeout", false),
    ] {
        server.faults.set(move |_| Some(Fault::Refused(status, code, None)));
        let error = objects.read("a", "tag", 0..1).await.unwrap_err();
        assert_eq!(error.is_permanent(), permanent, "{error}");
        assert_eq!(error.is_transient(), !permanent, "{error}");
    }
}
