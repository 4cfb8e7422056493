//! One object in memory, which counts what is read of it.

use async_trait::async_trait;
use bytes::Bytes;
use imagefleet_common::{
    Error, Result,
    ports::objects::{ObjectMeta, Objects, Page, Pinned},
};
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

pub(crate) struct Memory {
    meta: ObjectMeta,
    bytes: Bytes,
    reads: AtomicU64,
    largest: AtomicU64,
}

impl Memory {
    pub(crate) fn new(path: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let meta = ObjectMeta { path: path.into(), size: bytes.len() as u64, etag: "1".into() };
        Self { meta, bytes, reads: AtomicU64::new(0), largest: AtomicU64::new(0) }
    }

    pub(crate) fn pinned(&self) -> Pinned<'_> {
        Pinned { objects: self, meta: &self.meta }
    }

    /// Count of the reads so far.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Bytes of the largest read so far.
    pub(crate) fn largest(&self) -> u64 {
        self.largest.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Objects for Memory {
    async fn list(&self, _prefix: &str, _after: Option<&str>) -> Result<Page> {
        Ok(Page { objects: vec![self.meta.clone()], next: None })
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        Ok((path == self.meta.path).then(|| self.meta.clone()))
    }

    async fn read(&self, path: &str, etag: &str, range: Range<u64>) -> Result<Bytes> {
        if path != self.meta.path || etag != self.meta.etag {
            return Err(Error::changed(format!("read {path}")));
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.largest.fetch_max(range.end - range.start, Ordering::Relaxed);
        Ok(self.bytes.slice(range.start as usize..range.end as usize))
    }

    async fn put(&self, path: &str, _bytes: Bytes) -> Result<()> {
        Err(Error::permanent(format!("put {path}: read-only")))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        Err(Error::permanent(format!("delete {path}: read-only")))
    }
}
