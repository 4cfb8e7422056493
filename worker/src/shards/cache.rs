//! The directories that were read last: the chunks of one shard are mostly embedded one after another.

use super::{folder::Files, zip::Directory};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// The most recent values under their names.
#[derive(Debug)]
pub struct Recent<T>(Mutex<VecDeque<(String, Arc<T>)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Recent<T> {
    /// As many as there are slots would be enough; a directory of a full YFCC shard takes some 15 MB.
    const KEPT: usize = 3;

    pub fn get(&self, name: &str) -> Option<Arc<T>> {
        let kept = self.0.lock().expect("nothing panics while it holds this lock");
        kept.iter().find(|(known, _)| known == name).map(|(_, value)| Arc::clone(value))
    }

    pub fn put(&self, name: String, value: Arc<T>) {
        let mut kept = self.0.lock().expect("nothing panics while it holds this lock");
        kept.retain(|(known, _)| *known != name);
        kept.push_back((name, value));
        if kept.len() > Self::KEPT {
            kept.pop_front();
        }
    }
}

/// What a worker remembers of shards; every name carries the shard's content, so nothing here is ever stale.
#[derive(Debug, Default)]
pub struct ShardCache {
    pub(super) zips: Recent<Directory>,
    pub(super) folders: Recent<Files>,
}
