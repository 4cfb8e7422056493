//! Tar shards (webdataset): one chunk, read in order from its beginning.

use super::{Read, Reading, archive, duplicate, gone};
use crate::{
    Worker,
    pipeline::{Candidate, Packed},
};
use imagefleet_common::{
    Result,
    job::spec::CorpusSpec,
    ports::{
        catalog::Shard,
        objects::Pinned,
        tasks::{ChunkCut, Listing, Rest},
    },
};
use imagefleet_pictures::archive::{
    names,
    tar::{TarPosition, TarReader},
};
use imagefleet_pictures::decode::check_bytes;
use std::collections::HashSet;

pub(super) async fn list(worker: &Worker, corpus: &CorpusSpec, shard: &Shard) -> Result<Listing> {
    let tar = archive(worker.ports.sources.as_ref(), corpus, shard).await?.ok_or_else(|| gone(shard))?;
    let whole = ChunkCut { chunk: 0, first: 0, end: None, offset: 0, pictures: None, listing: String::new() };
    Ok(Listing { listing: tar.etag, keeps_equal_chunks: false, is_unchanged: false, chunks: vec![whole], missing: 0 })
}

pub(super) async fn feed(mut reading: Reading<'_>) -> Result<Read> {
    let sources = reading.worker.ports.sources.as_ref();
    let tar = archive(sources, reading.corpus, reading.shard).await?;
    let Some(tar) = tar.filter(|tar| tar.etag == reading.shard.listing) else { return Err(reading.changed()) };
    let pinned = Pinned { objects: sources, meta: &tar };
    let patterns = names::Patterns::new(&reading.corpus.pictures);
    let (first, end) = (reading.chunk.cut.first, reading.chunk.cut.end.unwrap_or(u64::MAX));
    // From the very beginning even where the chunk begins later: the first of equal names wins.
    let mut reader = TarReader::new(pinned, TarPosition::default());
    let mut keys = HashSet::new();
    loop {
        let position = reader.position();
        if u64::from(position.ordinal) >= end {
            break;
        }
        let Some(entry) = reading.feed.waits_for(reader.next()).await? else { break };
        let ordinal = u64::from(entry.ordinal);
        if !entry.is_file || !names::is_picture(&entry.name, &patterns) {
            continue;
        }
        let key = names::entry_key(&reading.shard.path, &entry.name);
        let is_first = keys.insert(key.clone());
        if ordinal < first {
            continue;
        }
        if reading.is_out_of_time() && reading.seen > 0 {
            let rest = Rest { at: ordinal, offset: position.offset };
            return Ok(reading.ended(Some(rest)));
        }
        reading.seen += 1;
        let object = reading.shard.path.clone();
        let candidate = Candidate { ordinal, key, entry: entry.name.clone(), object, attribution: None };
        let refused = names::check_name(&entry.name)
            .and_then(|()| if is_first { Ok(()) } else { Err(duplicate(&entry.name)) })
            .and_then(|()| reading.check_wanted(&candidate))
            .and_then(|()| check_bytes(entry.size, reading.limits()));
        if let Err(rejection) = refused {
            reading.reject(candidate, rejection);
            continue;
        }
        let bytes = reading.feed.waits_for(reader.read(&entry)).await?;
        reading.feed.send(candidate, Packed::Plain { bytes, offset: entry.data_offset }).await?;
    }
    Ok(reading.ended(None))
}
