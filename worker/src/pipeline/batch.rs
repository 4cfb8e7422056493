//! The encoder's thread: it owns the model, fills batches across tasks, and halves a batch that fails.

use super::{Buffers, Fate, Origin, Ready, Request, Texts, stats::Stats};
use imagefleet_common::{
    Error, Result,
    ledger::{Reason, Rejection},
};
use imagefleet_models::{Encoder, PictureBatch, is_out_of_memory};
use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

/// A batch that is not full goes on this long after its first picture came.
const LINGER: Duration = Duration::from_millis(50);

pub(super) struct Encoding {
    pub(super) encoder: Box<dyn Encoder>,
    pub(super) requests: Receiver<Request>,
    pub(super) texts: Receiver<Texts>,
    /// Pictures a batch; halved for good when the device has no memory for as many.
    pub(super) batch: usize,
    pub(super) buffers: Arc<Buffers>,
    pub(super) stats: Arc<Stats>,
}

impl Encoding {
    /// Encodes until the pipeline and its decoders are gone.
    pub(super) fn run(mut self) {
        let mut pixels = Vec::new();
        while let Ok(request) = self.requests.recv() {
            self.encode_texts();
            if let Request::Picture(first) = request {
                let batch = self.fill(*first);
                self.encode(batch, &mut pixels);
            }
        }
    }

    /// A batch from its first picture on: until it is full, until a contributor has nothing more, or until it lingered.
    fn fill(&mut self, first: Ready) -> Vec<Ready> {
        let until = Instant::now() + LINGER;
        let mut batch = vec![first];
        while batch.len() < self.batch && !completes_a_contributor(&batch) {
            match self.requests.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Request::Picture(next)) => batch.push(*next),
                Ok(Request::Texts) => self.encode_texts(),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        batch
    }

    fn encode_texts(&mut self) {
        while let Ok(Texts { texts, reply }) = self.texts.try_recv() {
            self.stats.texts.fetch_add(texts.len() as u64, Ordering::Relaxed);
            // A task that went away wants no answer.
            let _ = reply.send(self.encoder.encode_texts(&texts));
        }
    }

    fn encode(&mut self, mut batch: Vec<Ready>, pixels: &mut Vec<f32>) {
        batch.retain(|ready| !ready.origin.is_gone());
        let Some(side) = batch.first().map(|_| self.encoder.picture_side()) else { return };
        pixels.clear();
        batch.iter().for_each(|ready| pixels.extend_from_slice(&ready.pixels));
        let count = batch.len();
        let start = Instant::now();
        self.stats.batches.fetch_add(1, Ordering::Relaxed);
        let input = PictureBatch { count, side, pixels: std::mem::take(pixels) };
        let encoded = self.encoder.encode_pictures(&input);
        *pixels = input.pixels;
        let time = start.elapsed();
        self.stats.encode.add(time, count as u64);
        for ready in &batch {
            ready.origin.times.encode.add(time / count as u32, 1);
        }
        match encoded {
            Ok(vectors) if vectors.len() == count => {
                let rows: Vec<Vec<f32>> = vectors.rows().map(<[f32]>::to_vec).collect();
                for (ready, vector) in batch.into_iter().zip(rows) {
                    self.answer(ready, Ok(vector));
                }
            }
            Ok(vectors) => {
                let told = vectors.len();
                for ready in batch {
                    self.answer(ready, Err(Error::permanent(format!("encode {count} pictures: got {told} vectors"))));
                }
            }
            Err(error) if count == 1 => {
                let ready = batch.pop().expect("it is a batch of one");
                let doing = format!("encode {}", ready.candidate.key);
                self.answer(ready, Err(error.while_doing(doing)));
            }
            Err(error) => {
                tracing::warn!(%error, count, "a batch failed and is halved");
                if is_out_of_memory(&error) {
                    self.batch_at_most(count / 2);
                }
                let second = batch.split_off(count / 2);
                self.encode(batch, pixels);
                self.encode(second, pixels);
            }
        }
    }

    /// What did not fit once would fail over and over.
    fn batch_at_most(&mut self, most: usize) {
        if most < self.batch {
            self.batch = most;
            self.stats.batch.store(most as u64, Ordering::Relaxed);
            tracing::warn!(batch = most, "the device is out of memory: batches stay this small until the process ends");
        }
    }

    fn answer(&self, ready: Ready, encoded: Result<Vec<f32>>) {
        let Ready { candidate, found, pixels, origin, slot } = ready;
        self.buffers.give(pixels);
        let fate = match encoded {
            Ok(vector) if vector.iter().all(|value| value.is_finite()) => Fate::Embedded { found, vector },
            Ok(_) => {
                let detail = "the model gave no finite vector of any length";
                Fate::Rejected(Rejection::new(Reason::NotFinite, detail))
            }
            Err(error) => Fate::Failed(error),
        };
        origin.answer(candidate, slot, fate);
    }
}

fn completes_a_contributor(batch: &[Ready]) -> bool {
    let origin: &Arc<Origin> = &batch[batch.len() - 1].origin;
    origin.ends_with(batch.iter().filter(|ready| Arc::ptr_eq(&ready.origin, origin)).count())
}
