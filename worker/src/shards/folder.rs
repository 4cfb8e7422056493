//! Folders of picture files. A shard is a folder; its chunks are buckets by hash of the file's name, their number fixed
//! when the folder is first listed, so that a new file changes one bucket and no other.

use super::{Read, Reading, gone};
use crate::{
    Worker,
    pipeline::{Candidate, Packed},
};
use futures::{FutureExt, StreamExt, stream};
use imagefleet_common::{
    Context, Error, Result,
    ids::content_hash,
    job::spec::CorpusSpec,
    ports::{
        catalog::Shard,
        objects::{ObjectMeta, Objects, Pinned, list_all},
        tasks::{ChunkCut, Listing, Rest},
    },
};
use imagefleet_pictures::archive::names;
use imagefleet_pictures::decode::check_bytes;
use std::{collections::BTreeMap, fmt::Write, sync::Arc};

/// Files read at a time.
const READS_AHEAD: usize = 8;

/// A folder's picture files, each bucket by name.
#[derive(Debug)]
pub(super) struct Files {
    /// By the bucket's own listing.
    buckets: BTreeMap<String, Bucket>,
    /// Names the content of all.
    listing: String,
}

#[derive(Debug)]
struct Bucket {
    number: u64,
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    /// Below the shard's folder.
    name: String,
    meta: ObjectMeta,
}

/// Names the content of the shard as it is now; `None` where no picture is left.
pub(super) async fn named(sources: &dyn Objects, corpus: &CorpusSpec, shard: &Shard) -> Result<Option<String>> {
    let files = read_files(sources, corpus, shard).await?;
    Ok((!files.buckets.is_empty()).then_some(files.listing))
}

pub(super) async fn list(worker: &Worker, corpus: &CorpusSpec, shard: &Shard) -> Result<Listing> {
    let files = read_files(worker.ports.sources.as_ref(), corpus, shard).await?;
    // It was planned for a picture of its own. A worker that does not see the folder must not take it for empty.
    if files.buckets.is_empty() {
        return Err(gone(shard));
    }
    let chunks = files
        .buckets
        .iter()
        .map(|(listing, Bucket { number, files })| ChunkCut {
            chunk: *number as i64,
            first: 0,
            end: Some(files.len() as u64),
            offset: 0,
            pictures: Some(files.len() as u64),
            listing: listing.clone(),
        })
        .collect();
    Ok(Listing { listing: files.listing, keeps_equal_chunks: true, is_unchanged: false, chunks, missing: 0 })
}

pub(super) async fn feed(mut reading: Reading<'_>) -> Result<Read> {
    let (worker, corpus, shard) = (reading.worker, reading.corpus, reading.shard);
    let name = format!("{} {} {}", corpus.id, shard.path, shard.listing);
    let files = match worker.shards.folders.get(&name) {
        Some(known) => known,
        None => {
            let found = Arc::new(read_files(worker.ports.sources.as_ref(), corpus, shard).await?);
            // What was found may be newer than what was listed, and then it goes by another name.
            if found.listing == shard.listing {
                worker.shards.folders.put(name, Arc::clone(&found));
            }
            found
        }
    };
    let cut = &reading.chunk.cut;
    // A part of a bucket that was split carries its bucket's listing, not its number.
    let Some(Bucket { files, .. }) = files.buckets.get(&cut.listing) else { return Err(reading.changed()) };
    let (first, end) = (cut.first as usize, cut.end.map_or(files.len(), |end| end as usize).min(files.len()));
    let mut wanted = Vec::new();
    for (ordinal, file) in files.iter().enumerate().take(end).skip(first) {
        let path = below(&shard.path, &file.name);
        let candidate = Candidate {
            ordinal: ordinal as u64,
            key: names::file_key(&path),
            entry: file.name.clone(),
            object: path,
            attribution: None,
        };
        let refused = names::check_name(&file.name)
            .and_then(|()| reading.check_wanted(&candidate))
            .and_then(|()| check_bytes(file.meta.size, reading.limits()));
        wanted.push((candidate, file.meta.clone(), refused));
    }
    let objects = worker.ports.sources.as_ref();
    let feed = &reading.feed;
    let mut reads = stream::iter(wanted)
        .map(|(candidate, meta, refused)| {
            async move {
                if let Err(rejection) = refused {
                    return Ok((candidate, Err(rejection)));
                }
                let bytes = Pinned { objects, meta: &meta }.read_all().await?;
                Ok::<_, Error>((candidate, Ok(bytes)))
            }
            .boxed()
        })
        .buffered(READS_AHEAD);
    let (mut seen, mut refusals, mut rest) = (0, Vec::new(), None);
    while let Some(read) = feed.waits_for(reads.next()).await {
        let (candidate, bytes) = read?;
        if reading.is_out_of_time() && seen > 0 {
            rest = Some(Rest { at: candidate.ordinal, offset: 0 });
            break;
        }
        seen += 1;
        match bytes {
            Ok(bytes) => feed.send(candidate, Packed::Plain { bytes, offset: 0 }).await?,
            Err(rejection) => refusals.push((candidate, rejection)),
        }
    }
    drop(reads);
    reading.seen = seen;
    refusals.into_iter().for_each(|(candidate, rejection)| reading.reject(candidate, rejection));
    Ok(reading.ended(rest))
}

/// The picture files of a shard's folder at any depth, of the root's shard those directly in it, in as many buckets
/// as when it was first listed.
async fn read_files(sources: &dyn Objects, corpus: &CorpusSpec, shard: &Shard) -> Result<Files> {
    let folder = corpus.object(&shard.path);
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let objects = list_all(sources, &prefix).await?;
    let patterns = names::Patterns::new(&corpus.pictures);
    let (shard, known) = (shard.path.clone(), bucket_count(&shard.listing));
    // Up to a million names to hash: too long for a thread that others wait on.
    let made = tokio::task::spawn_blocking(move || {
        let named = objects.into_iter().filter_map(|meta| {
            let name = meta.path.strip_prefix(&prefix)?.to_owned();
            let inside = !shard.is_empty() || !name.contains('/');
            (inside && names::is_picture(&below(&shard, &name), &patterns)).then_some(File { name, meta })
        });
        let files: Vec<File> = named.collect();
        let count = known.unwrap_or_else(|| buckets_for(files.len()));
        Files::new(files, count)
    });
    made.await.permanent(|| format!("list folder {folder}"))
}

impl Files {
    fn new(files: Vec<File>, count: u64) -> Self {
        let mut by_number: BTreeMap<u64, Vec<File>> = BTreeMap::new();
        for file in files {
            by_number.entry(hash(&file.name) % count).or_default().push(file);
        }
        let mut all = String::new();
        let mut buckets = BTreeMap::new();
        for (number, mut files) in by_number {
            files.sort_by(|a, b| a.name.cmp(&b.name));
            let listing = bucket_listing(number, &files);
            all = all + &listing + "\n";
            buckets.insert(listing, Bucket { number, files });
        }
        Self { buckets, listing: format!("{count} buckets {}", content_hash(all.as_bytes())) }
    }
}

/// A file's path below the corpus root.
fn below(shard: &str, name: &str) -> String {
    if shard.is_empty() { name.to_owned() } else { format!("{shard}/{name}") }
}

/// Small folders get small buckets, so that one new picture costs little; large ones no more than they need.
fn buckets_for(files: usize) -> u64 {
    let small = files.div_ceil(64).min(64);
    files.div_ceil(1024).max(small).max(1) as u64
}

/// The number of buckets that a shard was first listed with.
fn bucket_count(listing: &str) -> Option<u64> {
    listing.split_once(" buckets ")?.0.parse().ok().filter(|count| *count > 0)
}

fn bucket_listing(bucket: u64, files: &[File]) -> String {
    let mut text = format!("{bucket}\n");
    for File { name, meta } in files {
        writeln!(text, "{}\0{}\0{}", name, meta.size, meta.etag).expect("writing to a string cannot fail");
    }
    content_hash(text.as_bytes())
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_of_a_small_folder_holds_less_than_a_twentieth_of_it() {
        assert_eq!(buckets_for(0), 1);
        assert_eq!(buckets_for(2_000), 32);
        assert_eq!(buckets_for(1_000_000), 977);
    }

    #[test]
    fn a_listing_remembers_its_number_of_buckets() {
        assert_eq!(bucket_count("32 buckets 00ff"), Some(32));
        assert_eq!(bucket_count(""), None);
    }
}
