use crate::running::{Running, put};
use bytes::Bytes;
use imagefleet_common::ports::objects::{Objects, Pinned, read_latest};
use imagefleet_test_services::s3::Fault;
use std::path::PathBuf;

/// Five parts, of which the last is short.
const LARGE: usize = (64 << 20) + 12_345;

fn large() -> Bytes {
    let mut bytes = vec![0; LARGE];
    for (n, word) in bytes.chunks_mut(4).enumerate() {
        let value = u32::try_from(n).unwrap().wrapping_mul(2_654_435_761).to_le_bytes();
        word.copy_from_slice(&value[..word.len()]);
    }
    bytes.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_object_goes_up_in_parts_and_is_read_as_it_was() {
    let server = Running::start().await;
    let (objects, bytes) = (server.objects().await, large());
    server.faults.once("UploadPart", Fault::SlowDown(None));
    objects.put("large", bytes.clone()).await.unwrap();
    let parts = server.faults.take_calls().iter().filter(|call| call.operation == "UploadPart").count();
    assert_eq!(parts, 6, "five parts, of which one went twice");
    let meta = objects.head("large").await.unwrap().unwrap();
    assert_eq!(meta.size, LARGE as u64);
    let pinned = Pinned { objects: &objects, meta: &meta };
    let mut start = 0;
    while start < meta.size {
        let end = meta.size.min(start + 9_999_999);
        let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
        assert!(pinned.read(start..end).await.unwrap() == bytes[range], "bytes {start}..{end} are others");
        start = end;
    }
    assert_eq!(server.unfinished(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_fails_leaves_the_object_as_it_was_and_nothing_else() {
    let server = Running::start().await;
    let objects = server.objects().await;
    put(&objects, "large", b"small").await;
    for (operation, fault) in [
        ("UploadPart", Fault::Refused(403, "AccessDenied", None)),
        ("CompleteMultipartUpload", Fault::SlowDown(None)),
        ("CompleteMultipartUpload", Fault::Refused(404, "NoSuchUpload", None)),
    ] {
        server.faults.once(operation, fault);
        let error = objects.put("large", large()).await.unwrap_err();
        assert_eq!(error.is_permanent(), operation == "UploadPart", "{error}");
        assert_eq!(read_latest(&objects, "large").await.unwrap().unwrap(), "small");
        assert_eq!(server.unfinished(), Vec::<PathBuf>::new(), "the parts are removed");
    }
}

/// Whoever is not told of a success does it again: the object is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_success_is_not_told_may_be_done_again() {
    let server = Running::start().await;
    let (objects, bytes) = (server.objects().await, large());
    server.faults.once("CompleteMultipartUpload", Fault::Lost);
    assert!(objects.put("large", bytes.clone()).await.unwrap_err().is_transient());
    objects.put("large", bytes.clone()).await.unwrap();
    assert!(read_latest(&objects, "large").await.unwrap().unwrap() == bytes);
}
