//! One picture again, from what its payload says of it: a range of an object, and the checksum of its bytes.

use super::crc32;
use bytes::Bytes;
use flate2::bufread::DeflateDecoder;
use imagefleet_common::{
    Result,
    error::Next,
    job::spec::CorpusSpec,
    ports::{
        index::Payload,
        objects::{Objects, Pinned},
    },
};
use std::io::Read;

/// The picture's bytes; `None` where its object is gone or holds something else by now. `largest` bounds what a
/// deflated entry may become.
pub async fn fetch(
    sources: &dyn Objects,
    corpus: &CorpusSpec,
    payload: &Payload,
    largest: u64,
) -> Result<Option<Bytes>> {
    let Some(meta) = sources.head(&corpus.object(&payload.object)).await? else { return Ok(None) };
    let end = payload.offset.saturating_add(payload.length);
    if end > meta.size || payload.length > largest {
        return Ok(None);
    }
    match (Pinned { objects: sources, meta: &meta }).read(payload.offset..end).await {
        Ok(stored) => Ok(plain(stored, payload.crc32, largest)),
        // Replaced between the two calls.
        Err(error) if error.next() == Next::Relist => Ok(None),
        Err(error) => Err(error),
    }
}

/// Stored bytes are the picture's own, or the same deflated: the checksum tells which.
fn plain(stored: Bytes, checksum: u32, largest: u64) -> Option<Bytes> {
    if crc32(&stored) == checksum {
        return Some(stored);
    }
    let mut bytes = Vec::new();
    DeflateDecoder::new(stored.as_ref()).take(largest).read_to_end(&mut bytes).ok()?;
    (crc32(&bytes) == checksum).then(|| bytes.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use std::io::Write;

    #[test]
    fn stored_and_deflated_bytes_are_told_apart_by_their_checksum() {
        let picture = Bytes::from_static(b"the bytes of a picture, the bytes of a picture");
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
        deflated.write_all(&picture).unwrap();
        let deflated = Bytes::from(deflated.finish().unwrap());
        let checksum = crc32(&picture);
        assert_eq!(plain(picture.clone(), checksum, 100), Some(picture.clone()));
        assert_eq!(plain(deflated.clone(), checksum, 100), Some(picture.clone()));
        assert_eq!(plain(deflated.clone(), checksum, 10), None, "no more than `largest` is inflated");
        assert_eq!(plain(deflated.slice(1..), checksum, 100), None);
        assert_eq!(plain(picture.slice(1..), checksum, 100), None);
    }
}
