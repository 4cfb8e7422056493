//! How each layout's shards are cut into chunks ([`list`]) and how a chunk's pictures are read ([`feed`]).

pub mod cache;
mod folder;
mod tar;
mod zip;

use crate::{
    Worker,
    pipeline::{Candidate, Feed},
};
use imagefleet_common::{
    Error, Result,
    filter::Filter,
    job::spec::{CorpusSpec, Layout, Limits},
    ledger::{Reason, RejectedRow, Rejection, Takedown},
    ports::{
        catalog::{Chunk, Shard},
        index::Attribution,
        objects::{ObjectMeta, Objects},
        tasks::{Listing, Rest},
    },
};
use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

/// Cuts a shard into chunks. A shard that is gone, or that is no archive, is a permanent error that names it.
pub async fn list(worker: &Worker, corpus: &CorpusSpec, shard: &Shard) -> Result<Listing> {
    match corpus.layout {
        Layout::Yfcc | Layout::Zip => zip::list(worker, corpus, shard).await,
        Layout::Tar => tar::list(worker, corpus, shard).await,
        Layout::Folder => folder::list(worker, corpus, shard).await,
    }
}

/// What a listing would name the shard's content by now; `None` where it is gone.
pub async fn named(sources: &dyn Objects, corpus: &CorpusSpec, shard: &Shard) -> Result<Option<String>> {
    match corpus.layout {
        Layout::Yfcc | Layout::Zip => zip::named(sources, corpus, shard).await,
        Layout::Tar => Ok(archive(sources, corpus, shard).await?.map(|tar| tar.etag)),
        Layout::Folder => folder::named(sources, corpus, shard).await,
    }
}

/// A chunk that is being read: where its pictures go, and what is known of it so far.
pub struct Reading<'a> {
    pub worker: &'a Worker,
    pub corpus: &'a CorpusSpec,
    pub shard: &'a Shard,
    pub chunk: &'a Chunk,
    pub feed: Feed,
    /// Which pictures the collection holds.
    pub filter: &'a Filter,
    /// Pictures that no collection holds any more, by key.
    pub taken_down: &'a HashMap<String, Takedown>,
    /// The attempt ends at the first picture after this.
    pub until: Instant,
    pub seen: u64,
    pub rejected: Vec<RejectedRow>,
}

impl Reading<'_> {
    fn limits(&self) -> &Limits {
        self.feed.limits()
    }

    /// A picture that was taken down, or that the filter keeps out, is rejected for that, whatever its bytes are, and never
    /// read.
    fn check_wanted(&self, candidate: &Candidate) -> Result<(), Rejection> {
        if let Some(takedown) = self.taken_down.get(&candidate.key) {
            return Err(takedown.rejection());
        }
        let unknown = Attribution::default();
        match self.filter.objection(candidate.attribution.as_ref().unwrap_or(&unknown)) {
            Some(objection) => Err(Rejection::new(Reason::Filtered, objection)),
            None => Ok(()),
        }
    }

    fn is_out_of_time(&self) -> bool {
        Instant::now() >= self.until
    }

    fn reject(&mut self, candidate: Candidate, rejection: Rejection) {
        self.rejected.push(rejected_row(&self.shard.path, candidate, rejection));
    }

    /// The chunk's object is not the one that was listed.
    fn changed(&self) -> Error {
        Error::changed(format!("read {} of {}: it has changed since it was listed", self.chunk.at, self.shard.path))
    }
}

/// The ledger's row of a picture that was refused.
pub fn rejected_row(shard: &str, candidate: Candidate, rejection: Rejection) -> RejectedRow {
    let Rejection { reason, detail } = rejection;
    RejectedRow { key: candidate.key, shard: shard.to_owned(), entry: candidate.entry, reason, detail }
}

/// Sends every picture of the chunk into the pipeline, or rejects it. Returns where it stopped for lack of time.
/// A chunk whose objects have changed is an error whose `next` is "list again".
pub async fn feed(reading: Reading<'_>) -> Result<Read> {
    match reading.corpus.layout {
        Layout::Yfcc | Layout::Zip => zip::feed(reading).await,
        Layout::Tar => tar::feed(reading).await,
        Layout::Folder => folder::feed(reading).await,
    }
}

/// Reads once more what these pictures are made of, which the archive's own checks have refused: bytes are damaged on
/// their way, too, and a picture is rejected for those that the shard holds. Transient error where one is whole now.
pub async fn confirm(
    worker: &Worker,
    corpus: &CorpusSpec,
    shard: &Shard,
    damaged: &HashSet<u64>,
    limits: &Limits,
) -> Result<()> {
    match corpus.layout {
        Layout::Yfcc | Layout::Zip if !damaged.is_empty() => zip::confirm(worker, corpus, shard, damaged, limits).await,
        // Without checksums nothing says which of two reads is right.
        _ => Ok(()),
    }
}

/// What a feed found before any picture was decoded.
#[derive(Debug, Default)]
pub struct Read {
    pub seen: u64,
    pub rejected: Vec<RejectedRow>,
    pub rest: Option<Rest>,
}

impl Reading<'_> {
    fn ended(self, rest: Option<Rest>) -> Read {
        Read { seen: self.seen, rejected: self.rejected, rest }
    }
}

/// An archive of a corpus as it is now; `None` when it is gone.
async fn archive(sources: &dyn Objects, corpus: &CorpusSpec, shard: &Shard) -> Result<Option<ObjectMeta>> {
    sources.head(&corpus.object(&shard.path)).await
}

fn duplicate(name: &str) -> Rejection {
    Rejection::new(Reason::Duplicate, format!("an earlier entry has the same key as {name}"))
}

fn gone(shard: &Shard) -> Error {
    Error::permanent(format!("list shard {}: it is gone", shard.path))
}
