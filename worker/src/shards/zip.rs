//! Zip shards, with YFCC's metadata beside them or without. Cut by 1,024 entries of the central directory.

use super::{Read, Reading, archive, duplicate, gone};
use crate::{
    Worker,
    pipeline::{Candidate, Packed},
};
use futures::{FutureExt, StreamExt, stream};
use imagefleet_common::{
    Context, Error, Result,
    job::spec::{CorpusSpec, Layout, Limits},
    ledger::Rejection,
    ports::{
        catalog::Shard,
        objects::{self, ObjectMeta, Pinned},
        tasks::{ChunkCut, Listing, Rest},
    },
};
use imagefleet_pictures::{
    archive::{
        names,
        zip::{ReadBlock, ZipEntry, plan_reads, read_directory, unpack},
    },
    metadata::{ShardMetadata, read_metadata},
};
use std::{
    collections::{BTreeMap, HashSet},
    future::Future,
    sync::Arc,
};

/// Entries a chunk.
const CHUNK: u64 = 1024;
/// Bytes a read; the next one is under way while one is decoded.
const BLOCK: u64 = 8 << 20;
const READS_AHEAD: usize = 2;

/// A zip's pictures, in the order of its directory.
#[derive(Debug)]
pub(super) struct Directory {
    pictures: Vec<Picture>,
    /// Metadata rows of photos without an entry.
    missing: u64,
}

#[derive(Debug)]
struct Picture {
    zip: ZipEntry,
    candidate: Candidate,
    /// Refused for its name or its key, whatever its bytes are.
    refused: Option<Rejection>,
}

/// A zip and its metadata, as they are now.
struct Objects {
    zip: ObjectMeta,
    metadata: Option<ObjectMeta>,
}

impl Objects {
    /// Names the content of both.
    fn listing(&self) -> String {
        format!("{} {}", self.zip.etag, self.metadata.as_ref().map_or("-", |metadata| &metadata.etag))
    }
}

/// Names the content of the shard as it is now; `None` where it is gone.
pub(super) async fn named(
    sources: &dyn objects::Objects,
    corpus: &CorpusSpec,
    shard: &Shard,
) -> Result<Option<String>> {
    Ok(found(sources, corpus, shard).await?.map(|objects| objects.listing()))
}

async fn found(sources: &dyn objects::Objects, corpus: &CorpusSpec, shard: &Shard) -> Result<Option<Objects>> {
    let Some(zip) = archive(sources, corpus, shard).await? else { return Ok(None) };
    let metadata = match &corpus.metadata {
        Some(pattern) => sources.head(&corpus.object(&pattern.replace("{shard}", names::stem(&shard.path)))).await?,
        None => None,
    };
    Ok(Some(Objects { zip, metadata }))
}

pub(super) async fn list(worker: &Worker, corpus: &CorpusSpec, shard: &Shard) -> Result<Listing> {
    let objects = found(worker.ports.sources.as_ref(), corpus, shard).await?.ok_or_else(|| gone(shard))?;
    let listing = objects.listing();
    if listing == shard.listing {
        let missing = shard.missing;
        return Ok(Listing { listing, keeps_equal_chunks: false, is_unchanged: true, chunks: Vec::new(), missing });
    }
    let directory = directory(worker, corpus, shard, &objects).await?;
    let mut pictures: BTreeMap<u64, u64> = BTreeMap::new();
    for picture in &directory.pictures {
        *pictures.entry(picture.candidate.ordinal / CHUNK).or_default() += 1;
    }
    let chunks = pictures
        .into_iter()
        .map(|(chunk, pictures)| ChunkCut {
            chunk: chunk as i64,
            first: chunk * CHUNK,
            end: Some((chunk + 1) * CHUNK),
            offset: 0,
            pictures: Some(pictures),
            listing: String::new(),
        })
        .collect();
    Ok(Listing { listing, keeps_equal_chunks: false, is_unchanged: false, chunks, missing: directory.missing })
}

pub(super) async fn feed(mut reading: Reading<'_>) -> Result<Read> {
    let (worker, corpus, shard) = (reading.worker, reading.corpus, reading.shard);
    let Some(objects) = found(worker.ports.sources.as_ref(), corpus, shard).await? else {
        return Err(reading.changed());
    };
    if objects.listing() != shard.listing {
        return Err(reading.changed());
    }
    let directory = directory(worker, corpus, shard, &objects).await?;
    let (first, end) = (reading.chunk.cut.first, reading.chunk.cut.end.unwrap_or(u64::MAX));
    let pictures = directory.pictures.iter().filter(|picture| (first..end).contains(&picture.candidate.ordinal));
    let mut refusals = Vec::new();
    let mut unsent: BTreeMap<u64, Candidate> = BTreeMap::new();
    let mut entries = Vec::new();
    for picture in pictures.clone() {
        let candidate = picture.candidate.clone();
        let refused = picture.refused.clone().map_or(Ok(()), Err);
        match refused.and_then(|()| reading.check_wanted(&candidate)).and_then(|()| picture.zip.check(reading.limits()))
        {
            Err(rejection) => refusals.push((candidate, rejection)),
            Ok(()) => {
                unsent.insert(candidate.ordinal, candidate);
                entries.push(picture.zip.clone());
            }
        }
    }
    let zip = Pinned { objects: worker.ports.sources.as_ref(), meta: &objects.zip };
    let feed = &reading.feed;
    let mut blocks = stream::iter(plan_reads(entries, BLOCK))
        .map(|block| {
            async move {
                let bytes = zip.read(block.range.clone()).await?;
                Ok::<_, Error>((block, bytes))
            }
            .boxed()
        })
        .buffered(READS_AHEAD);
    let mut rest = None;
    while let Some(read) = feed.waits_for(blocks.next()).await {
        let (ReadBlock { range, entries }, bytes) = read?;
        for entry in entries {
            let ordinal = u64::from(entry.ordinal);
            let Some(candidate) = unsent.remove(&ordinal) else { continue };
            feed.send(candidate, Packed::Zipped { block: bytes.clone(), start: range.start, entry }).await?;
        }
        // Blocks come by offset and the rest begins at an ordinal: it ends here only if something lies before that.
        let next = unsent.keys().next().copied().filter(|_| reading.is_out_of_time());
        if let Some(at) = next.filter(|at| pictures.clone().any(|picture| picture.candidate.ordinal < *at)) {
            rest = Some(Rest { at, offset: 0 });
            break;
        }
    }
    drop(blocks);
    // What lies beyond the cut belongs to the next chunk, refused entries too.
    let end = rest.map_or(end, |rest| rest.at);
    reading.seen = pictures.filter(|picture| picture.candidate.ordinal < end).count() as u64;
    for (candidate, rejection) in refusals.into_iter().filter(|(candidate, _)| candidate.ordinal < end) {
        reading.reject(candidate, rejection);
    }
    Ok(reading.ended(rest))
}

pub(super) async fn confirm(
    worker: &Worker,
    corpus: &CorpusSpec,
    shard: &Shard,
    damaged: &HashSet<u64>,
    limits: &Limits,
) -> Result<()> {
    let changed = || Error::changed(format!("read {} again: it has changed since it was listed", shard.path));
    let objects = found(worker.ports.sources.as_ref(), corpus, shard).await?.ok_or_else(changed)?;
    if objects.listing() != shard.listing {
        return Err(changed());
    }
    let directory = directory(worker, corpus, shard, &objects).await?;
    let entries = directory.pictures.iter().filter(|picture| damaged.contains(&picture.candidate.ordinal));
    let zip = Pinned { objects: worker.ports.sources.as_ref(), meta: &objects.zip };
    for ReadBlock { range, entries } in plan_reads(entries.map(|picture| picture.zip.clone()), BLOCK) {
        let bytes = zip.read(range.clone()).await?;
        if let Some(whole) = entries.iter().find(|entry| unpack(&bytes, range.start, entry, limits).is_ok()) {
            return Err(Error::transient(format!(
                "read {} of {}: its bytes were damaged on their way",
                whole.name, shard.path
            )));
        }
    }
    Ok(())
}

/// What makes no sense is read once more: its bytes may have been damaged on their way.
async fn surely<T, F: Future<Output = Result<T>>>(read: impl Fn() -> F) -> Result<T> {
    match read().await {
        Err(error) if error.is_permanent() => read().await,
        answer => answer,
    }
}

async fn directory(worker: &Worker, corpus: &CorpusSpec, shard: &Shard, objects: &Objects) -> Result<Arc<Directory>> {
    let name = format!("{} {} {}", corpus.id, shard.path, objects.listing());
    if let Some(known) = worker.shards.zips.get(&name) {
        return Ok(known);
    }
    let sources = worker.ports.sources.as_ref();
    let entries = surely(|| read_directory(Pinned { objects: sources, meta: &objects.zip })).await?;
    let metadata = match &objects.metadata {
        Some(meta) => Some(surely(|| read_metadata(Pinned { objects: sources, meta })).await?),
        None => None,
    };
    // Tens of thousands of names: too long for a thread that others wait on.
    let (corpus, path) = (corpus.clone(), shard.path.clone());
    let made = tokio::task::spawn_blocking(move || Directory::new(&corpus, &path, entries, metadata.as_ref())).await;
    let directory = Arc::new(made.permanent(|| format!("read zip directory of {}", shard.path))?);
    worker.shards.zips.put(name, Arc::clone(&directory));
    Ok(directory)
}

impl Directory {
    fn new(corpus: &CorpusSpec, shard: &str, entries: Vec<ZipEntry>, metadata: Option<&ShardMetadata>) -> Self {
        let patterns = names::Patterns::new(&corpus.pictures);
        let mut keys = HashSet::new();
        let mut pictures = Vec::new();
        for zip in entries.into_iter().filter(|entry| !entry.is_directory && names::is_picture(&entry.name, &patterns))
        {
            let yfcc = corpus.layout == Layout::Yfcc;
            let unsafe_name = names::check_name(&zip.name).err();
            let key = match yfcc && unsafe_name.is_none() {
                true => names::stem(&zip.name).to_owned(),
                false => names::entry_key(shard, &zip.name),
            };
            let row = metadata.map_or(Ok(None), |metadata| metadata.of(&key));
            let refused = unsafe_name
                .or_else(|| yfcc.then(|| names::check_placed(&key, shard).err()).flatten())
                .or_else(|| row.as_ref().err().cloned())
                .or_else(|| (!keys.insert(key.clone())).then(|| duplicate(&zip.name)));
            let attribution = row.ok().flatten().cloned();
            let candidate = Candidate {
                ordinal: u64::from(zip.ordinal),
                key,
                entry: zip.name.clone(),
                object: shard.to_owned(),
                attribution,
            };
            pictures.push(Picture { zip, candidate, refused });
        }
        let present: HashSet<&str> = pictures.iter().map(|picture| picture.candidate.key.as_str()).collect();
        let missing = metadata.map_or(0, |metadata| {
            let rows = metadata.photos.keys().chain(metadata.collisions.keys());
            rows.collect::<HashSet<_>>().into_iter().filter(|key| !present.contains(key.as_str())).count()
        });
        Self { pictures, missing: missing as u64 }
    }
}
