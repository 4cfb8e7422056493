//! Each stage alone, and all of them together.

use super::broken;
use bytes::Bytes;
use imagefleet_adapters::index::flat::FlatIndex;
use imagefleet_common::{
    Context, Error, Result,
    filter::Filter,
    ids::{CollectionId, CorpusId},
    job::spec::{CollectionSpec, Decoding, IndexSection, Limits, Precision},
    ports::index::{Index, Payload, Point},
    work::ChunkRef,
};
use imagefleet_models::{Encoder, PictureBatch};
use imagefleet_pictures::processor::{Processor, Scratch};
use imagefleet_worker::pipeline::{Answers, Candidate, Fate, Packed, Pipeline, stats::Stats};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// Points a put, as embedding has it.
const PUT: usize = 256;

/// Pictures a second that `decoders` threads make ready for the model.
pub(super) fn decode(processor: &Processor, samples: &[Vec<u8>], decoders: usize, time: Duration) -> Result<f64> {
    let (start, next) = (Instant::now(), AtomicUsize::new(0));
    let (width, height) = processor.size();
    let work = || -> Result<usize> {
        let (mut scratch, mut count) = (Scratch::default(), 0);
        let mut values = vec![0.0; 3 * width as usize * height as usize];
        while start.elapsed() < time {
            let sample = &samples[next.fetch_add(1, Relaxed) % samples.len()];
            // What is refused has been looked at as well.
            let _ = processor.load(sample, &Limits::default(), &mut scratch, &mut values);
            count += 1;
        }
        Ok(count)
    };
    let counts: Result<Vec<usize>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..decoders).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| broken("decoding"))?).collect()
    });
    Ok(counts?.into_iter().sum::<usize>() as f64 / start.elapsed().as_secs_f64())
}

/// Pictures a second in batches of one size.
pub(super) struct Batch {
    pub(super) size: usize,
    pub(super) rate: f64,
}

/// Doubles the batch until the device has no room, or larger ones have stopped to help.
pub(super) fn encode(
    mut encoder: Box<dyn Encoder>,
    max: usize,
    time: Duration,
) -> Result<(Box<dyn Encoder>, Vec<Batch>)> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut size = 1;
    while size <= max {
        match encode_size(encoder.as_mut(), size, time) {
            Ok(rate) => batches.push(Batch { size, rate }),
            Err(error) if !error.is_permanent() && !batches.is_empty() => break,
            Err(error) => return Err(error),
        }
        // Twice doubled without a gain: what comes is slower for want of caches, and takes ever longer to measure.
        if let [.., before, _, _] = &batches[..]
            && batches[batches.len() - 2..].iter().all(|batch| batch.rate < 1.02 * before.rate)
        {
            break;
        }
        size *= 2;
    }
    Ok((encoder, batches))
}

fn encode_size(encoder: &mut dyn Encoder, size: usize, time: Duration) -> Result<f64> {
    let side = encoder.picture_side();
    // Values as normalised pixels have them, without a pattern that a cache could like.
    let pixels = (0..size * 3 * side * side).map(|at| ((at * 7919) % 1009) as f32 / 252.0 - 2.0).collect();
    let batch = PictureBatch { count: size, side, pixels };
    encoder.encode_pictures(&batch)?;
    let (start, mut count) = (Instant::now(), 0);
    while count == 0 || start.elapsed() < time {
        encoder.encode_pictures(&batch)?;
        count += size;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever clears the folder of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Points a second that the embedded index takes, on the disk of temporary files.
pub(super) async fn upsert(dims: usize, time: Duration) -> Result<f64> {
    let folder = Folder(std::env::temp_dir().join(format!("imagefleet-bench-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).permanent(|| format!("make {}", folder.0.display()))?;
    let index = FlatIndex::open(&folder.0).await?;
    let collection = collection(dims);
    index.ensure(&collection).await?;
    let mut vector = vec![0.0; dims];
    vector[0] = 1.0;
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < time {
        let point = |number: usize| Point {
            key: format!("picture-{}", count + number),
            vector: vector.clone(),
            payload: Payload { shard_path: "images/000.zip".into(), ..Payload::default() },
        };
        let points: Vec<Point> = (0..PUT).map(point).collect();
        index.put(&collection.id, ChunkRef { shard: 1, version: 1, chunk: 0 }, 1, &points).await?;
        count += PUT;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn collection(dims: usize) -> CollectionSpec {
    CollectionSpec {
        id: CollectionId("bench".into()),
        corpus: CorpusId("bench".into()),
        model_path: String::new(),
        revision: String::new(),
        precision: Precision::default(),
        decoding: Decoding::default(),
        preprocessing: String::new(),
        limits: Limits::default(),
        filter: Filter::default(),
        dims,
        batch: 1,
        storage: IndexSection::default(),
    }
}

/// What the pipeline does when every stage is at work.
pub(super) struct Together {
    pub(super) rate: f64,
    /// Each stage's busy share.
    pub(super) busy: [(&'static str, f64); 4],
}

impl Together {
    /// The stage that is busy for the largest share of the time.
    pub(super) fn bottleneck(&self) -> &'static str {
        let busiest = self.busy.iter().max_by(|(_, one), (_, other)| one.total_cmp(other));
        busiest.map_or("encode", |(stage, _)| stage)
    }
}

/// Bytes are at hand and vectors are let go: what is left is the pipeline.
pub(super) async fn together(
    encoder: Box<dyn Encoder>,
    processor: Processor,
    samples: Vec<Vec<u8>>,
    batch: usize,
    decoders: usize,
    time: Duration,
) -> Result<Together> {
    let stats = Arc::new(Stats::default());
    let pipeline = Arc::new(Pipeline::start(encoder, processor, batch, decoders, Arc::clone(&stats))?);
    let (feed, Answers { mut receiver, .. }) = pipeline.feed(Limits::default());
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        let samples: Vec<Bytes> = samples.into_iter().map(Bytes::from).collect();
        for (ordinal, bytes) in (0..).zip(samples.iter().cloned().cycle()) {
            if start.elapsed() >= time {
                break;
            }
            let candidate = Candidate {
                ordinal,
                key: ordinal.to_string(),
                entry: String::new(),
                object: String::new(),
                attribution: None,
            };
            feed.send(candidate, Packed::Plain { bytes, offset: 0 }).await?;
        }
        Ok::<_, Error>(())
    });
    let mut embedded = 0;
    while let Some(answer) = receiver.recv().await {
        match answer.fate {
            Fate::Embedded { .. } => embedded += 1,
            Fate::Rejected(_) => {}
            Fate::Failed(error) => return Err(error),
        }
    }
    sending.await.map_err(|_| broken("sending"))??;
    let wall = start.elapsed();
    Ok(Together { rate: f64::from(embedded) / wall.as_secs_f64(), busy: stats.shares(wall) })
}
