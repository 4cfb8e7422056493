//! Decoder threads: packed bytes → RGB → the model's pixels.

use super::{Buffers, Candidate, Fate, Found, Packed, Raw, Ready, Request, stats::Stats};
use bytes::Bytes;
use imagefleet_common::{Error, job::spec::Limits, ledger::Rejection};
use imagefleet_pictures::{
    archive::zip,
    processor::{Processor, Scratch},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, mpsc::SyncSender},
    time::Instant,
};
use tokio::sync::mpsc;

pub(super) struct Decoder {
    pub(super) raws: Arc<Mutex<mpsc::Receiver<Raw>>>,
    pub(super) requests: SyncSender<Request>,
    pub(super) processor: Arc<Processor>,
    pub(super) buffers: Arc<Buffers>,
    pub(super) stats: Arc<Stats>,
}

impl Decoder {
    /// Decodes until the pipeline is dropped.
    pub(super) fn run(self) {
        let mut scratch = Scratch::default();
        while let Some(raw) = self.next() {
            if raw.origin.is_gone() {
                continue;
            }
            let start = Instant::now();
            // What a panic leaves half-made is not used again.
            let decoded =
                catch_unwind(AssertUnwindSafe(|| self.pixels(&raw.candidate, raw.packed, &raw.limits, &mut scratch)));
            let time = start.elapsed();
            self.stats.decode.add(time, 1);
            raw.origin.times.decode.add(time, 1);
            drop(raw.budget);
            let (candidate, origin, slot) = (raw.candidate, raw.origin, raw.slot);
            let Ok(decoded) = decoded else {
                scratch = Scratch::default();
                let fault = Error::permanent(format!("prepare {}: the thread panicked", candidate.key));
                origin.answer(candidate, slot, Fate::Failed(fault));
                continue;
            };
            match decoded {
                Ok((found, pixels)) => {
                    let ready = Box::new(Ready { candidate, found, pixels, origin, slot });
                    if self.requests.send(Request::Picture(ready)).is_err() {
                        return;
                    }
                }
                Err(rejection) => origin.answer(candidate, slot, Fate::Rejected(rejection)),
            }
        }
    }

    fn next(&self) -> Option<Raw> {
        self.raws.lock().expect("decoding happens outside this lock").blocking_recv()
    }

    fn pixels(
        &self,
        candidate: &Candidate,
        packed: Packed,
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<(Found, Vec<f32>), Rejection> {
        let (bytes, offset, length, crc32) = unpack(packed, limits)?;
        let (width, height) = self.processor.size();
        let mut pixels = self.buffers.take(3 * width as usize * height as usize);
        let (width, height) = match self.processor.load(&bytes, limits, scratch, &mut pixels) {
            Ok(size) => size,
            Err(rejection) => {
                self.buffers.give(pixels);
                return Err(rejection);
            }
        };
        tracing::trace!(key = candidate.key, width, height, "decoded");
        Ok((Found { offset, length, crc32, width, height }, pixels))
    }
}

/// Bytes, their offset and length in the object as stored, and the CRC-32 of the bytes.
fn unpack(packed: Packed, limits: &Limits) -> Result<(Bytes, u64, u64, u32), Rejection> {
    match packed {
        Packed::Plain { bytes, offset } => {
            let (length, crc32) = (bytes.len() as u64, imagefleet_pictures::archive::crc32(&bytes));
            Ok((bytes, offset, length, crc32))
        }
        Packed::Zipped { block, start, entry } => {
            let unpacked = zip::unpack(&block, start, &entry, limits)?;
            Ok((unpacked.bytes, unpacked.offset, unpacked.length, unpacked.crc32))
        }
    }
}
