//! Objects: named bytes that are read by ranges and replaced as a whole. A folder or a bucket.

use crate::error::{Error, Result};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;

/// What a listing says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Path below the root, `/`-separated, without a leading `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Opaque; equal tags mean equal bytes, and tags have no order.
    pub etag: String,
}

/// One page of a listing, in byte order of the paths.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub objects: Vec<ObjectMeta>,
    /// Pass this as `after` for the next page; `None` when the listing is complete.
    pub next: Option<String>,
}

/// Every method may fail transiently; all may be called again with the same arguments.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Objects whose path starts with `prefix` and sorts after `after`, at any depth.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page>;

    /// `None` when there is no such object.
    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>>;

    /// Exactly the bytes of `range`, of the object as `etag` names it. An object with another tag is an
    /// error whose `next` is [`Relist`](crate::error::Next::Relist); so is one that is gone.
    async fn read(&self, path: &str, etag: &str, range: Range<u64>) -> Result<Bytes>;

    /// Replaces the object. When this returns, the bytes are durable and every reader sees all of them or none.
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()>;

    /// Removes the object; removing what is not there succeeds.
    async fn delete(&self, path: &str) -> Result<()>;
}

/// How often a range is asked for whose answer is short.
const READS: u32 = 4;

/// One pinned object: its path and the ETag and size that a listing gave.
#[derive(Clone, Copy)]
pub struct Pinned<'a> {
    pub objects: &'a dyn Objects,
    pub meta: &'a ObjectMeta,
}

impl Pinned<'_> {
    /// Reads exactly `range`. A short answer is asked for again, and at last a transient error; never a short buffer.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let ObjectMeta { path, etag, size } = self.meta;
        if range.start > range.end || range.end > *size {
            let (start, end) = (range.start, range.end);
            return Err(Error::permanent(format!("read {path}: bytes {start}..{end} are outside its {size} bytes")));
        }
        let wanted = range.end - range.start;
        let mut got = 0;
        for _ in 0..READS {
            let bytes = self.objects.read(path, etag, range.clone()).await?;
            got = bytes.len() as u64;
            if got == wanted {
                return Ok(bytes);
            }
        }
        Err(Error::transient(format!("read {path}: got {got} of {wanted} bytes")))
    }

    pub async fn read_all(&self) -> Result<Bytes> {
        self.read(0..self.meta.size).await
    }
}

/// All of a small object's bytes, whatever its tag; `None` when it is not there.
pub async fn read_latest(objects: &dyn Objects, path: &str) -> Result<Option<Bytes>> {
    match objects.head(path).await? {
        Some(meta) => Pinned { objects, meta: &meta }.read_all().await.map(Some),
        None => Ok(None),
    }
}

/// Every object below `prefix`.
pub async fn list_all(objects: &dyn Objects, prefix: &str) -> Result<Vec<ObjectMeta>> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = objects.list(prefix, after.as_deref()).await?;
        all.extend(page.objects);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}
