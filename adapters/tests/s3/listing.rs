use crate::running::{Running, put};
use bytes::Bytes;
use imagefleet_adapters::objects::s3::{S3Objects, Settings};
use imagefleet_common::ports::objects::{Objects, Pinned, list_all};
use imagefleet_test_services::s3::Fault;

async fn paths(objects: &dyn Objects, prefix: &str) -> Vec<String> {
    list_all(objects, prefix).await.unwrap().into_iter().map(|object| object.path).collect()
}

#[tokio::test]
async fn objects_that_stand_for_folders_are_left_out() {
    let server = Running::start().await;
    let objects = server.objects().await;
    put(&objects, "a/b", b"x").await;
    put(&objects, "a/c/d", b"x").await;
    server.put_folder("a/");
    server.put_folder("a/c/");
    server.put_folder("a/empty/");
    assert_eq!(paths(&objects, "").await, ["a/b", "a/c/d"]);
    assert_eq!(paths(&objects, "a/").await, ["a/b", "a/c/d"]);
    assert_eq!(paths(&objects, "a/empty/").await, Vec::<String>::new());
    let below = S3Objects::open(Settings { prefix: "a".to_owned(), ..server.settings() }).await.unwrap();
    assert_eq!(paths(&below, "").await, ["b", "c/d"], "the prefix's own folder is none of its objects");
}

/// A page may hold nothing but folders, and the next one all the rest.
#[tokio::test]
async fn a_page_of_folders_only_does_not_end_a_listing() {
    let server = Running::start().await;
    for n in 0..1_050 {
        server.put_folder(&format!("a{n:04}/"));
    }
    let objects = server.objects().await;
    put(&objects, "z", b"x").await;
    assert_eq!(paths(&objects, "").await, ["z"]);
}

/// A bucket in no order could not be listed page by page without leaving something out.
#[tokio::test]
async fn a_bucket_that_is_not_listed_in_order_is_refused() {
    let server = Running::start().await;
    let objects = server.objects().await;
    put(&objects, "a", b"x").await;
    put(&objects, "b", b"x").await;
    server.faults.once("ListObjectsV2", Fault::Backwards);
    let error = objects.list("", None).await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("not listed in byte order"), "{error}");
}

#[tokio::test]
async fn keys_of_any_characters_are_listed_as_they_are_read() {
    let server = Running::start().await;
    let objects = server.objects().await;
    let mut names: Vec<String> =
        (1_u8..=126).filter(|byte| *byte != b'/').map(|byte| format!("{}x", byte as char)).collect();
    names.extend(
        ["%2F+%20 +", "ä/ö/ü", "写真", "\u{1f5bc}\u{fe0f}", "a\u{7f}", "&amp;<>", "?a=b&c#d", "C:\\x", "~", "..."]
            .map(str::to_owned),
    );
    for name in &names {
        objects.put(name, Bytes::from(name.clone())).await.unwrap();
    }
    names.sort_unstable();
    let listed = list_all(&objects, "").await.unwrap();
    assert_eq!(listed.iter().map(|object| object.path.clone()).collect::<Vec<_>>(), names);
    for meta in &listed {
        assert_eq!(objects.head(&meta.path).await.unwrap().as_ref(), Some(meta));
        assert_eq!(Pinned { objects: &objects, meta }.read_all().await.unwrap(), meta.path);
        let page = objects.list("", Some(&meta.path)).await.unwrap();
        assert!(page.objects.iter().all(|object| object.path > meta.path), "after {:?}", meta.path);
        objects.delete(&meta.path).await.unwrap();
    }
    assert_eq!(paths(&objects, "").await, Vec::<String>::new());
}
