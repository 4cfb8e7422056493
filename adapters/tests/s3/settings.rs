use imagefleet_adapters::objects::s3::{S3Objects, Settings};
use std::{path::PathBuf, time::Duration};

#[test]
fn a_url_names_all_there_is_to_know() {
    let settings = Settings::parse(
        "s3://bucket/some/pre%3Ffix/?endpoint=http://127.0.0.1:9000/&region=eu-central-1&path_style=true\
         &anonymous=true&requester_pays=false&ca_file=/etc/ca%26.pem",
    )
    .unwrap();
    assert_eq!((settings.bucket.as_str(), settings.prefix.as_str()), ("bucket", "some/pre?fix"));
    assert_eq!(settings.endpoint.as_deref(), Some("http://127.0.0.1:9000/"));
    assert_eq!(settings.region.as_deref(), Some("eu-central-1"));
    assert_eq!((settings.path_style, settings.anonymous, settings.requester_pays), (true, true, false));
    assert_eq!(settings.ca_file, Some(PathBuf::from("/etc/ca&.pem")));

    let settings = Settings::parse("s3://my.bucket").unwrap();
    assert_eq!((settings.bucket.as_str(), settings.prefix.as_str(), settings.endpoint), ("my.bucket", "", None));
    assert!(!settings.path_style && !settings.anonymous && !settings.requester_pays);
}

#[test]
fn a_wrong_url_is_refused_with_the_key_and_the_remedy() {
    for (url, key, says) in [
        ("bucket/prefix", "s3://", "does not begin with s3://"),
        ("https://bucket", "s3://", "does not begin with s3://"),
        ("s3://", "bucket", "is no name of a bucket"),
        ("s3://a b", "bucket", "is no name of a bucket"),
        ("s3://key:hidden@bucket", "credentials", "AWS_ACCESS_KEY_ID"),
        ("s3://bucket/a//b", "prefix", "leave out empty parts"),
        ("s3://bucket/../b", "prefix", "leave out empty parts"),
        ("s3://bucket/%ff", "prefix", "UTF-8"),
        ("s3://bucket?endpoint=127.0.0.1:9000", "endpoint", "http://HOST[:PORT]"),
        ("s3://bucket?endpoint=", "endpoint", "http://HOST[:PORT]"),
        ("s3://bucket?endpoint=http://key:hidden@host", "endpoint", "AWS_ACCESS_KEY_ID"),
        ("s3://bucket?region=", "region", "us-east-1"),
        ("s3://bucket?region=eu+west", "region", "us-east-1"),
        ("s3://bucket?path_style=yes", "path_style", "true or false"),
        ("s3://bucket?anonymous", "anonymous", "true or false"),
        ("s3://bucket?requester_pays=1", "requester_pays", "true or false"),
        ("s3://bucket?region=a&region=b", "region", "given twice"),
        ("s3://bucket?pathstyle=true", "pathstyle", "there are endpoint, region, path_style"),
        ("s3://bucket?secret=hidden", "secret", "there are endpoint"),
    ] {
        let error = Settings::parse(url).unwrap_err();
        assert!(error.is_permanent());
        let error = error.to_string();
        assert!(error.contains(key) && error.contains(says), "{url}: {error}");
        assert!(!error.contains("hidden"), "a secret is not repeated: {error}");
    }
}

#[tokio::test]
async fn wrong_settings_are_refused_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, broken) = (folder.path().join("empty.pem"), folder.path().join("broken.pem"));
    std::fs::write(&empty, "nothing").unwrap();
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let settings = || Settings { endpoint: Some("https://127.0.0.1:1".to_owned()), ..Settings::new("bucket") };
    for (settings, key) in [
        (Settings { bucket: "a/b".to_owned(), ..settings() }, "bucket"),
        (Settings { prefix: "/a".to_owned(), ..settings() }, "prefix"),
        (Settings { endpoint: Some("ftp://host".to_owned()), ..settings() }, "endpoint"),
        (Settings { body_timeout: Duration::ZERO, ..settings() }, "body_timeout"),
        (Settings { ca_file: Some(folder.path().join("none.pem")), ..settings() }, "ca_file"),
        (Settings { ca_file: Some(empty), ..settings() }, "ca_file"),
        (Settings { ca_file: Some(broken), ..settings() }, "ca_file"),
    ] {
        let error = S3Objects::open(settings).await.map(drop).unwrap_err();
        assert!(error.is_permanent() && error.to_string().contains(key), "{error}");
    }
}
