//! Embedding as a pipeline: bytes → pixels on decoder threads → batches → vectors on the encoder's thread.
//!
//! All tasks of one model share it, so batches fill across tasks and no stage waits while another has work. Every
//! channel is bounded, and so are the bytes in flight (`BUDGET`). Each item carries what its task needs to know it
//! again, so that nothing is ever told by its position.

mod batch;
mod decode;
pub mod stats;

use bytes::Bytes;
use futures::future::BoxFuture;
use imagefleet_common::{
    Error, Result,
    job::spec::Limits,
    ledger::{Reason, Rejection, Spent},
    ports::index::Attribution,
};
use imagefleet_models::{Encoder, Vectors};
use imagefleet_pictures::{archive::zip::ZipEntry, processor::Processor};
use stats::{StageStats, Stats};
use std::collections::HashSet;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
    mpsc::{Sender, SyncSender, channel, sync_channel},
};
use std::{
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Batches of pictures that one task may have in the pipeline, its unread answers counted.
const BATCHES_A_TASK: usize = 8;

/// Encoded bytes that may wait for a decoder or be decoded, in KiB.
const BUDGET: usize = 128 * 1024;

/// What is known of a picture before it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its place in the shard's directory.
    pub ordinal: u64,
    pub key: String,
    /// The entry's name in its shard.
    pub entry: String,
    /// Object below the corpus root that holds its bytes.
    pub object: String,
    /// `None`: the layout has metadata, but none for this picture, or has none at all.
    pub attribution: Option<Attribution>,
}

/// A picture's bytes, still packed where its archive packs them.
pub enum Packed {
    /// The file's own bytes, at this offset of its object.
    Plain { bytes: Bytes, offset: u64 },
    /// Within a block of a zip that was read at `start`.
    Zipped { block: Bytes, start: u64, entry: ZipEntry },
}

impl Packed {
    fn size(&self) -> usize {
        match self {
            Self::Plain { bytes, .. } => bytes.len(),
            Self::Zipped { entry, .. } => entry.size.max(entry.compressed_size) as usize,
        }
    }
}

/// Where a picture's stored bytes lie, and what it measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub offset: u64,
    pub length: u64,
    pub crc32: u32,
    pub width: u32,
    pub height: u32,
}

/// What became of one picture.
pub struct Answer {
    pub candidate: Candidate,
    pub fate: Fate,
    /// Its place in the pipeline, until the answer is dealt with.
    pub slot: OwnedSemaphorePermit,
}

pub enum Fate {
    Embedded {
        found: Found,
        vector: Vec<f32>,
    },
    Rejected(Rejection),
    /// Not the picture's doing: the task fails.
    Failed(Error),
}

/// A task's end of the pipeline: where its answers go, and what it still has in it.
struct Origin {
    /// Never more than there are [`slots`](Self::slots).
    answers: mpsc::UnboundedSender<Answer>,
    slots: Arc<Semaphore>,
    /// Sent and not yet answered.
    waiting: AtomicUsize,
    all_sent: AtomicBool,
    /// One picture at a time: none waits for others to fill its batch.
    is_alone: bool,
    times: Arc<Times>,
}

/// What the stages took for one task's pictures.
#[derive(Debug, Default)]
struct Times {
    read: StageStats,
    decode: StageStats,
    encode: StageStats,
}

impl Origin {
    fn answer(&self, candidate: Candidate, slot: OwnedSemaphorePermit, fate: Fate) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        // A task that went away wants no answers.
        let _ = self.answers.send(Answer { candidate, fate, slot });
    }

    fn is_gone(&self) -> bool {
        self.answers.is_closed()
    }

    /// Will nothing more come than these `batched` items?
    fn ends_with(&self, batched: usize) -> bool {
        (self.is_alone || self.all_sent.load(Ordering::Acquire)) && self.waiting.load(Ordering::Acquire) == batched
    }
}

/// A picture on its way to a decoder.
struct Raw {
    candidate: Candidate,
    packed: Packed,
    limits: Limits,
    origin: Arc<Origin>,
    slot: OwnedSemaphorePermit,
    /// Its share of `BUDGET`, until its pixels are made.
    budget: OwnedSemaphorePermit,
}

/// A picture ready for the model.
struct Ready {
    candidate: Candidate,
    found: Found,
    pixels: Vec<f32>,
    origin: Arc<Origin>,
    slot: OwnedSemaphorePermit,
}

enum Request {
    Picture(Box<Ready>),
    /// There are texts to encode: wakes an encoder that waits for pictures.
    Texts,
}

/// Titles to be encoded, and where their vectors go.
struct Texts {
    texts: Vec<String>,
    reply: oneshot::Sender<Result<Vectors>>,
}

/// Buffers of one picture's pixels, used again.
#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<f32>>>);

impl Buffers {
    fn take(&self, len: usize) -> Vec<f32> {
        let mut buffer = self.0.lock().expect("nothing panics while it holds this lock").pop().unwrap_or_default();
        buffer.resize(len, 0.0);
        buffer
    }

    fn give(&self, buffer: Vec<f32>) {
        self.0.lock().expect("nothing panics while it holds this lock").push(buffer);
    }
}

/// A model's pipeline. Its threads end when it is dropped and its last item is through.
pub struct Pipeline {
    raw: mpsc::Sender<Raw>,
    requests: SyncSender<Request>,
    /// Looked at before every batch: titles never wait behind the pictures of other tasks.
    texts: Sender<Texts>,
    encoding: JoinHandle<()>,
    batch: usize,
    budget: Arc<Semaphore>,
    stats: Arc<Stats>,
}

impl Pipeline {
    pub fn start(
        encoder: Box<dyn Encoder>,
        processor: Processor,
        batch: usize,
        decoders: usize,
        stats: Arc<Stats>,
    ) -> Result<Self> {
        let decoders = decoders.max(1);
        let (raw, raws) = mpsc::channel(2 * decoders);
        // Two batches: one fills while the other is encoded.
        let (requests, received) = sync_channel(2 * batch);
        let (texts, received_texts) = channel();
        let buffers = Arc::new(Buffers::default());
        stats.decoders.store(decoders as u64, Ordering::Relaxed);
        stats.batch.store(batch as u64, Ordering::Relaxed);
        let raws = Arc::new(Mutex::new(raws));
        let processor = Arc::new(processor);
        for number in 0..decoders {
            let decoder = decode::Decoder {
                raws: Arc::clone(&raws),
                requests: requests.clone(),
                processor: Arc::clone(&processor),
                buffers: Arc::clone(&buffers),
                stats: Arc::clone(&stats),
            };
            spawn(format!("decode-{number}"), move || decoder.run())?;
        }
        let encoding = batch::Encoding {
            encoder,
            requests: received,
            texts: received_texts,
            batch,
            buffers,
            stats: Arc::clone(&stats),
        };
        let encoding = spawn("encode".into(), move || encoding.run())?;
        Ok(Self { raw, requests, texts, encoding, batch, budget: Arc::new(Semaphore::new(BUDGET)), stats })
    }

    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// A task's way in and its answers' way out. The answers end after the feed was dropped and all were given.
    pub fn feed(self: &Arc<Self>, limits: Limits) -> (Feed, Answers) {
        self.feed_as(limits, None)
    }

    /// The same for a task that runs alone, picture by picture.
    pub fn feed_alone(self: &Arc<Self>, limits: Limits, alone: Alone) -> (Feed, Answers) {
        self.feed_as(limits, Some(alone))
    }

    fn feed_as(self: &Arc<Self>, limits: Limits, alone: Option<Alone>) -> (Feed, Answers) {
        let (answers, receiver) = mpsc::unbounded_channel();
        let (is_alone, slots) = (alone.is_some(), if alone.is_some() { 1 } else { BATCHES_A_TASK * self.batch });
        let slots = Arc::new(Semaphore::new(slots));
        let (waiting, all_sent) = (AtomicUsize::new(0), AtomicBool::new(false));
        let times = Arc::new(Times::default());
        let account = Account { times: Arc::clone(&times), stats: Arc::clone(&self.stats) };
        let origin = Arc::new(Origin { answers, slots, waiting, all_sent, is_alone, times });
        (Feed { pipeline: Arc::clone(self), origin, limits, alone }, Answers { receiver, account })
    }

    /// Has its encoder's thread ended? It does so only where it panicked.
    pub fn has_ended(&self) -> bool {
        self.encoding.is_finished()
    }

    /// Unit vectors of texts, in order, before the next batch of pictures.
    pub async fn encode_texts(&self, texts: Vec<String>) -> Result<Vectors> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::transient("encode texts: the encoder's thread has ended");
        self.texts.send(Texts { texts, reply }).map_err(|_| gone())?;
        // Where there is no room the encoder is at work, and looks for texts before its next batch.
        let _ = self.requests.try_send(Request::Texts);
        answer.await.map_err(|_| gone())?
    }
}

/// A task's way out of the pipeline.
pub struct Answers {
    pub receiver: mpsc::UnboundedReceiver<Answer>,
    pub account: Account,
}

/// What the pipeline did for a task so far. Does not keep the answers from ending.
pub struct Account {
    times: Arc<Times>,
    stats: Arc<Stats>,
}

impl Account {
    /// Without the upserts, which the task does itself.
    pub fn spent(&self) -> Spent {
        let micros = |stage: &StageStats| stage.busy().as_micros() as u64;
        let Times { read, decode, encode } = &*self.times;
        let decoders = self.stats.decoders.load(Ordering::Relaxed);
        Spent { read: micros(read), decode: micros(decode), encode: micros(encode), upsert: 0, decoders }
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(run)
        .map_err(|error| Error::transient(format!("start thread {name}")).because(error))
}

/// How a task goes through the pipeline whose process has died before.
pub struct Alone {
    /// Ordinals that are rejected unseen.
    pub poison: HashSet<u64>,
    /// Waited for before a picture of this ordinal is decoded.
    pub before: Box<dyn Fn(u64) -> BoxFuture<'static, Result<()>> + Send + Sync>,
}

/// A task's way into the pipeline.
pub struct Feed {
    pipeline: Arc<Pipeline>,
    origin: Arc<Origin>,
    limits: Limits,
    alone: Option<Alone>,
}

impl Feed {
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts the time that this task waits for a read: none while reads ahead keep up with the decoders.
    pub async fn waits_for<T>(&self, read: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let done = read.await;
        let waited = start.elapsed();
        self.pipeline.stats.read.add(waited, 0);
        self.origin.times.read.add(waited, 0);
        done
    }

    /// Waits for room, then sends a picture on.
    pub async fn send(&self, candidate: Candidate, packed: Packed) -> Result<()> {
        self.pipeline.stats.read.add(Duration::ZERO, 1);
        let gone = || Error::transient("decode a picture: the decoders' threads have ended");
        let share = packed.size().div_ceil(1024).clamp(1, BUDGET) as u32;
        let budget = Arc::clone(&self.pipeline.budget).acquire_many_owned(share).await.map_err(|_| gone())?;
        let slot = Arc::clone(&self.origin.slots).acquire_owned().await.map_err(|_| gone())?;
        let origin = Arc::clone(&self.origin);
        if let Some(alone) = &self.alone {
            // There is one slot: what became of the picture before this one is known.
            if alone.poison.contains(&candidate.ordinal) {
                origin.waiting.fetch_add(1, Ordering::AcqRel);
                let detail = "the process that decodes and encodes it died at it twice";
                origin.answer(candidate, slot, Fate::Rejected(Rejection::new(Reason::Crashes, detail)));
                return Ok(());
            }
            (alone.before)(candidate.ordinal).await?;
        }
        origin.waiting.fetch_add(1, Ordering::AcqRel);
        let raw = Raw { candidate, packed, limits: self.limits, origin, slot, budget };
        self.pipeline.raw.send(raw).await.map_err(|_| gone())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.origin.all_sent.store(true, Ordering::Release);
    }
}
