//! What every object store must do.
//!
//! Each function is one promise below a prefix of its own, so that all of them may share one bucket. Reads go
//! through [`Pinned`], as all readers do.

use crate::{
    error::Next,
    ports::objects::{ObjectMeta, Objects, Pinned, list_all, read_latest},
};
use bytes::Bytes;
use futures::StreamExt;
use std::sync::Arc;
use tokio::sync::Barrier;

/// Runs every promise; `make` opens the same store each time.
pub async fn all(make: impl AsyncFn() -> Arc<dyn Objects>) {
    what_is_put_is_read(&make).await;
    ranges_are_exact(&make).await;
    listings_are_in_byte_order_and_complete_over_pages(&make).await;
    a_prefix_is_a_beginning_of_the_path(&make).await;
    a_listing_goes_on_where_it_is_told(&make).await;
    an_object_that_changed_is_not_read(&make).await;
    a_replacement_is_seen_whole_or_not_at_all(&make).await;
    deleting_twice_is_deleting_once(&make).await;
    odd_names_are_names(&make).await;
    paths_out_of_the_root_are_refused(&make).await;
    everything_outlasts_the_process(&make).await;
}

async fn put(objects: &dyn Objects, path: &str, bytes: &'static [u8]) {
    objects.put(path, Bytes::from_static(bytes)).await.expect("an object is put");
}

async fn head(objects: &dyn Objects, path: &str) -> ObjectMeta {
    objects.head(path).await.expect("an object is looked at").expect("the object is there")
}

async fn paths(objects: &dyn Objects, prefix: &str) -> Vec<String> {
    let found = list_all(objects, prefix).await.expect("objects are listed");
    found.into_iter().map(|object| object.path).collect()
}

pub async fn what_is_put_is_read(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    let objects = make().await;
    let objects = &*objects;
    assert_eq!(objects.head("put/a").await.expect("a missing object is no error"), None);
    for content in [b"first".as_slice(), b"", b"a longer content"] {
        put(objects, "put/a", content).await;
        let meta = head(objects, "put/a").await;
        assert_eq!((meta.path.as_str(), meta.size), ("put/a", content.len() as u64));
        assert_eq!(Pinned { objects, meta: &meta }.read_all().await.expect("an object is read"), content);
        let listed = list_all(objects, "put/").await.expect("objects are listed");
        assert_eq!(listed, [meta], "a listing says what a look at the object says");
    }
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    objects.put("put/deep/er/large", Bytes::from(large.clone())).await.expect("a large object is put");
    assert_eq!(read_latest(objects, "put/deep/er/large").await.expect("it is read").expect("it is there"), large);
    assert_eq!(objects.head("put/deep").await.expect("a folder is no error"), None, "a folder is no object");
    assert_eq!(objects.head("put/a/b").await.expect("no error"), None, "there is nothing below an object");
}

pub async fn ranges_are_exact(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    let objects = make().await;
    let objects = &*objects;
    put(objects, "range/a", b"0123456789").await;
    let meta = head(objects, "range/a").await;
    let pinned = Pinned { objects, meta: &meta };
    for (range, expected) in [(0..10, "0123456789"), (3..6, "345"), (9..10, "9"), (4..4, ""), (10..10, "")] {
        assert_eq!(pinned.read(range.clone()).await.expect("a range is read"), expected, "{range:?}");
    }
    for range in [0..11, 10..12, 30..40] {
        let error = objects.read("range/a", &meta.etag, range).await.expect_err("there is no such range");
        assert!(error.is_permanent(), "{error}");
    }
}

pub async fn listings_are_in_byte_order_and_complete_over_pages(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    const MANY: usize = 2_300;
    let objects = make().await;
    let objects = &*objects;
    let mut expected: Vec<String> = (0..MANY).map(|n| format!("pages/f{}/{n}.jpg", n % 7)).collect();
    for n in ["pages/f1.zip", "pages/f1-x/a", "pages/F1/a", "pages/f", "pages/f10", "pages/é/a", "pages/~"] {
        expected.push(n.to_owned());
    }
    let puts = expected.iter().map(|path| put(objects, path, b"x"));
    futures::stream::iter(puts).buffer_unordered(32).collect::<()>().await;
    expected.sort_unstable();
    assert_eq!(paths(objects, "pages/").await, expected);
    let mut pages = 0;
    let mut after: Option<String> = None;
    loop {
        let page = objects.list("pages/", after.as_deref()).await.expect("a page is listed");
        assert!(page.objects.is_sorted_by(|a, b| a.path < b.path));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert!(pages > 1, "a page is not everything");
}

pub async fn a_prefix_is_a_beginning_of_the_path(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    let objects = make().await;
    let objects = &*objects;
    for path in ["prefix/a/1", "prefix/a/2", "prefix/ab/1", "prefix/a.txt", "prefix/b", "prefixed"] {
        put(objects, path, b"x").await;
    }
    assert_eq!(paths(objects, "prefix/a/").await, ["prefix/a/1", "prefix/a/2"]);
    assert_eq!(paths(objects, "prefix/a").await, ["prefix/a.txt", "prefix/a/1", "prefix/a/2", "prefix/ab/1"]);
    assert_eq!(paths(objects, "prefix/b").await, ["prefix/b"]);
    assert_eq!(paths(objects, "prefix/c").await, Vec::<String>::new());
    assert_eq!(paths(objects, "prefix/b/").await, Vec::<String>::new(), "an object is no folder");
    assert_eq!(paths(objects, "nowhere/at/all/").await, Vec::<String>::new());
    assert_eq!(paths(objects, "prefixe").await, ["prefixed"]);
}

pub async fn a_listing_goes_on_where_it_is_told(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    let objects = make().await;
    let objects = &*objects;
    let all = ["after/a", "after/b.txt", "after/b/1", "after/b/2/3", "after/b0", "after/c"];
    for path in all {
        put(objects, path, b"x").await;
    }
    let starts = all.into_iter().chain(["", "after/", "after/b", "after/b/", "after/b/2/", "after/b/9", "after/zzz"]);
    for start in starts {
        let page = objects.list("after/", Some(start)).await.expect("a page is listed");
        let found: Vec<&str> = page.objects.iter().map(|object| object.path.as_str()).collect();
        let expected: Vec<&str> = all.into_iter().filter(|path| *path > start).collect();
        assert_eq!(found, expected, "after {start:?}");
    }
}

pub async fn an_object_that_changed_is_not_read(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    let objects = make().await;
    let objects = &*objects;
    put(objects, "changed/a", b"one").await;
    let listed = head(objects, "changed/a").await;
    // Of the same length, and at once: neither size nor a coarse clock tells them apart.
    put(objects, "changed/a", b"two").await;
    let error = Pinned { objects, meta: &listed }.read_all().await.expect_err("it is another object now");
    assert_eq!(error.next(), Next::Relist, "{error}");
    let listed = head(objects, "changed/a").await;
    assert_eq!(Pinned { objects, meta: &listed }.read_all().await.expect("it is read"), "two");
    objects.delete("changed/a").await.expect("an object is deleted");
    let error = Pinned { objects, meta: &listed }.read_all().await.expect_err("it is gone");
    assert_eq!(error.next(), Next::Relist, "{error}");
}

pub async fn a_replacement_is_seen_whole_or_not_at_all(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    const READERS: usize = 4;
    const VERSIONS: u8 = 12;
    const SIZE: usize = 300_000;
    let objects = make().await;
    objects.put("whole/a", Bytes::from(vec![0; SIZE])).await.expect("an object is put");
    let start = Arc::new(Barrier::new(READERS + 1));
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let (objects, start) = (Arc::clone(&objects), Arc::clone(&start));
        readers.push(tokio::spawn(async move {
            start.wait().await;
            loop {
                let bytes = match read_latest(&*objects, "whole/a").await {
                    Ok(bytes) => bytes.expect("the object is there at every moment"),
                    Err(error) if error.next() == Next::Relist => continue,
                    Err(error) => panic!("a read fails: {error}"),
                };
                assert_eq!(bytes.len(), SIZE);
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "bytes of two contents");
                if bytes[0] == VERSIONS {
                    return;
                }
            }
        }));
    }
    start.wait().await;
    for version in 1..=VERSIONS {
        objects.put("whole/a", Bytes::from(vec![version; SIZE])).await.expect("an object is replaced");
    }
    for reader in readers {
        reader.await.expect("every read was of one content");
    }
    assert_eq!(paths(&*objects, "whole/").await, ["whole/a"], "a put leaves nothing else behind");
}

pub async fn deleting_twice_is_deleting_once(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    let objects = make().await;
    let objects = &*objects;
    for path in ["delete/a", "delete/b", "delete/c/d"] {
        put(objects, path, b"x").await;
    }
    for path in ["delete/a", "delete/a", "delete/c", "delete/b/below", "delete/never/there"] {
        objects.delete(path).await.expect("what is not there can be deleted");
    }
    assert_eq!(objects.head("delete/a").await.expect("no error"), None);
    assert_eq!(paths(objects, "delete/").await, ["delete/b", "delete/c/d"]);
}

pub async fn odd_names_are_names(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    let objects = make().await;
    let objects = &*objects;
    let mut names =
        ["odd/ spaces  ", "odd/%2F%", "odd/写真/é.jpg", "odd/a\"b'c", "odd/...", "odd/.hidden", "odd/a?b&c=#+"];
    names.sort_unstable();
    for name in names {
        objects.put(name, Bytes::from(name)).await.expect("an odd name is put");
    }
    assert_eq!(paths(objects, "odd/").await, names);
    for name in names {
        assert_eq!(read_latest(objects, name).await.expect("it is read").expect("it is there"), name);
    }
}

pub async fn paths_out_of_the_root_are_refused(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    let objects = make().await;
    for path in ["../a", "a/../../b", "/etc/passwd", "..", "a\0b", "", "a//b", "./a", "a/"] {
        let put = objects.put(path, Bytes::from_static(b"x")).await;
        let deleted = objects.delete(path).await;
        for refused in [put, deleted, objects.head(path).await.map(drop), objects.read(path, "", 0..1).await.map(drop)]
        {
            assert!(refused.expect_err("it is no path").is_permanent(), "{path:?}");
        }
    }
    for prefix in ["../", "/", "a/../../"] {
        assert!(objects.list(prefix, None).await.expect_err("it is no prefix").is_permanent(), "{prefix:?}");
    }
}

pub async fn everything_outlasts_the_process(make: &impl AsyncFn() -> Arc<dyn Objects>) {
    let before = {
        let objects = make().await;
        put(&*objects, "reopened/a", b"still here").await;
        head(&*objects, "reopened/a").await
    };
    let objects = make().await;
    let pinned = Pinned { objects: &*objects, meta: &before };
    assert_eq!(pinned.read_all().await.expect("an object is read"), "still here");
}
