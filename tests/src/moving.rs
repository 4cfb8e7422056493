//! A corpus that changes, or can't be read, just when it is read.

use async_trait::async_trait;
use bytes::Bytes;
use imagefleet_common::{
    error::Result,
    ports::objects::{ObjectMeta, Objects, Page},
};
use std::{
    collections::HashSet,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Objects of which one changes just before some of its reads.
pub struct Moving {
    objects: Arc<dyn Objects>,
    /// How the object's path ends.
    which: String,
    change: Box<dyn Fn(usize) -> Result<()> + Send + Sync>,
    /// Changes to come.
    left: AtomicUsize,
    /// What was read before.
    tags: Mutex<HashSet<String>>,
}

impl Moving {
    /// `change` is called before each of the first `times` reads of pictures, with how many such reads are to come;
    /// its error is the read's. The first read of each version of a zip is of its directory and does not count.
    pub fn new(
        objects: Arc<dyn Objects>,
        which: &str,
        times: usize,
        change: impl Fn(usize) -> Result<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            objects,
            which: which.to_owned(),
            change: Box::new(change),
            left: AtomicUsize::new(times),
            tags: Mutex::default(),
        })
    }
}

#[async_trait]
impl Objects for Moving {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        self.objects.list(prefix, after).await
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        self.objects.head(path).await
    }

    async fn read(&self, path: &str, etag: &str, range: Range<u64>) -> Result<Bytes> {
        if path.ends_with(&self.which) {
            let is_first = self.tags.lock().unwrap().insert(etag.to_owned());
            let is_directory = is_first && path.ends_with(".zip");
            let left = || self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).ok();
            if let Some(left) = (!is_directory).then(left).flatten() {
                (self.change)(left - 1)?;
            }
        }
        self.objects.read(path, etag, range).await
    }

    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.objects.put(path, bytes).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.objects.delete(path).await
    }
}
