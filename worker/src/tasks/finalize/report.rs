//! `report.html`: the run for people, with thumbnails that are made here from the corpus's own bytes.
//!
//! A picture that cannot be read any more has no thumbnail; nothing of a report fails a run but the store of its files.

use super::{Finalize, orders::Ordered};
use crate::{
    Worker,
    thumbnails::{small, thumbnails},
};
use imagefleet_common::{
    Result,
    job::spec::{CorpusSpec, EvaluationSection, Layout, Limits, Part, RerankSection, Searched},
    ledger::{Reason, RejectedRow},
    ports::{
        index::Payload,
        objects::{Objects, Pinned},
    },
};
use imagefleet_pictures::{
    archive::{names, zip},
    decode::Format,
    metadata::read_metadata,
};
use imagefleet_retrieval::{
    evaluation::report::Report as Evaluated,
    report::{
        Change, Evaluation, EvaluationRow, LIMIT, Ledger, Picture, PipelineTime, Preview, Query, RejectedExample,
        Report, Reranker, ResultFile, StageTime, Sweep, SweepPoint, Timings as Times, Writer,
    },
    results::{ATTRIBUTION, INFERENCE_RESULTS, LEDGER, METRICS, RUN, SUMMARY, ShardRow, Timings, picture_path},
};
use std::collections::{BTreeMap, HashMap};

/// Queries whose thumbnails are made together.
const TOGETHER: usize = 32;
/// Rejected pictures that are shown of each reason.
const EXAMPLES: usize = 4;
/// A rejected picture that is not decoded here is handed to the browser as it is, up to this size.
const LARGEST_PREVIEW: usize = 64 << 10;

/// A query of the report and what the index knows of its pictures.
pub(super) struct Shown {
    pub(super) query: Query,
    pub(super) payloads: HashMap<String, Payload>,
}

impl Finalize<'_> {
    /// Writes the page and what stands beside it.
    pub(super) async fn write_report(&mut self, report: Report, shown: Vec<Shown>) -> Result<()> {
        let corpus = self.worker.corpus(&self.view.corpus).await?;
        let limits = self.collection.limits;
        let mut writer = Writer::new(LIMIT);
        for together in shown.chunks(TOGETHER) {
            let mut wanted: BTreeMap<&str, &Payload> = BTreeMap::new();
            for shown in together {
                let new = shown.payloads.iter().filter(|(key, _)| writer.wants(key));
                wanted.extend(new.map(|(key, payload)| (key.as_str(), payload)));
            }
            let thumbnails = thumbnails(self.worker.ports.sources.as_ref(), &corpus, wanted, limits).await;
            for shown in together {
                for file in writer.query(&shown.query, &thumbnails) {
                    self.put(file.name, file.bytes.into()).await?;
                }
            }
        }
        for file in writer.finish(&report) {
            self.put(file.name, file.bytes.into()).await?;
        }
        Ok(())
    }

    pub(super) fn report_of(
        &self,
        rerankers: &[RerankSection],
        all: &[Ordered],
        timings: &Timings,
        shards: Vec<ShardRow>,
        rejected: Vec<RejectedExample>,
    ) -> Report {
        let spec = &self.resolved.spec;
        let binary = &self.worker.settings.binary;
        let pictures = self.pictures();
        let evaluated = || {
            let both = rerankers.iter().zip(all);
            both.filter_map(|(reranker, ordered)| Some((reranker, ordered.evaluated.as_ref()?)))
        };
        let changed = all.first().map_or(0, |primary| primary.changed);
        Report {
            title: spec.name.clone(),
            model: spec.model.files.name().to_owned(),
            corpus: spec.corpus.name.clone(),
            collection: self.collection.id.0.clone(),
            rerankers: rerankers.iter().map(reranker).collect(),
            candidates: spec.retrieval.candidates as u64,
            queries: u64::from(self.resolved.titles),
            index_size: pictures.embedded,
            created: day(self.view.created),
            version: format!("{} ({})", binary.version, binary.commit),
            notes: self.notes(changed),
            files: self.result_files(),
            evaluations: evaluated().map(|(reranker, found)| evaluation(reranker, found)).collect(),
            sweeps: evaluated().filter_map(|(reranker, found)| sweep(reranker, found)).collect(),
            timings: times(timings),
            ledger: Ledger { pictures, shards, rejected },
        }
    }

    /// What a reader must know before the numbers are believed.
    fn notes(&self, changed: u64) -> Vec<String> {
        let dead = self.dead();
        let mut notes = Vec::new();
        let spec = &self.resolved.spec;
        if let Some(EvaluationSection { split, index, seed, .. }) = &spec.evaluation {
            if *split != Part::All {
                notes.push(format!("the queries are the {split} part of the articles (seed {seed})"));
            }
            if *index == Searched::Split {
                notes.push("only the pictures of the queries' own articles could be found".to_owned());
            }
        }
        if !spec.retrieval.filter.is_empty() {
            notes.push("only pictures that the job's filter lets through could be found".to_owned());
        }
        if dead > 0 {
            notes.push(format!("{dead} dead tasks were left out: what they would have done is not in the results"));
        }
        if changed > 0 {
            notes.push(format!("{changed} results show a picture that has changed since it was retrieved"));
        }
        if !self.view.kept_shards.is_empty() {
            let kept = self.view.kept_shards.len();
            notes.push(format!("{kept} shards that are gone from the corpus were kept"));
        }
        notes
    }

    /// Those that were put so far.
    fn result_files(&self) -> Vec<ResultFile> {
        let about = [
            (SUMMARY, "the run in figures"),
            (INFERENCE_RESULTS, "the pictures of every title, best first"),
            (METRICS, "what the evaluation measured, every digit"),
            (ATTRIBUTION, "whom to credit for each picture"),
            (LEDGER, "what became of every picture"),
            (RUN, "what the results depend on; compare two with imagefleet diff"),
        ];
        let there = about.into_iter().filter(|(name, _)| self.manifest.files.iter().any(|file| file == name));
        there.map(|(path, about)| ResultFile { path: path.to_owned(), about: about.to_owned() }).collect()
    }

    /// A few rejected pictures of each reason.
    pub(super) async fn examples(&self, rejected: &[RejectedRow]) -> Result<Vec<RejectedExample>> {
        let corpus = self.worker.corpus(&self.view.corpus).await?;
        let mut taken: BTreeMap<_, usize> = BTreeMap::new();
        let mut examples = Vec::new();
        for row in rejected {
            let taken = taken.entry(row.reason).or_default();
            if *taken < EXAMPLES {
                *taken += 1;
                let preview =
                    preview(self.worker, &corpus, row, self.collection.limits).await.unwrap_or_else(|error| {
                        tracing::debug!(%error, key = row.key, "a rejected picture is shown without a preview");
                        None
                    });
                examples.push(RejectedExample::new(row.clone(), preview));
            }
        }
        Ok(examples)
    }
}

/// What a browser may be able to show of a picture that was rejected.
async fn preview(worker: &Worker, corpus: &CorpusSpec, row: &RejectedRow, limits: Limits) -> Result<Option<Preview>> {
    if !may_be_shown(row.reason) {
        return Ok(None);
    }
    let sources = worker.ports.sources.as_ref();
    let bytes = match corpus.layout {
        Layout::Folder => {
            let path = corpus.object(&picture_path(&row.shard, &row.entry));
            let Some(meta) = sources.head(&path).await?.filter(|meta| meta.size <= limits.max_bytes) else {
                return Ok(None);
            };
            Some(Pinned { objects: sources, meta: &meta }.read_all().await?)
        }
        Layout::Yfcc | Layout::Zip => {
            let Some(meta) = sources.head(&corpus.object(&row.shard)).await? else { return Ok(None) };
            let archive = Pinned { objects: sources, meta: &meta };
            let entries = zip::read_directory(archive).await?;
            let Some(entry) = entries.into_iter().rev().find(|entry| entry.name == row.entry) else { return Ok(None) };
            let start = entry.header_offset.min(entry.end);
            // What an archive says of its entries is not to be believed.
            if entry.end - start > limits.max_bytes {
                return Ok(None);
            }
            let block = archive.read(start..entry.end).await?;
            zip::unpack(&block, start, &entry, &limits).ok().map(|unpacked| unpacked.bytes)
        }
        // Its entries have no directory to be found in.
        Layout::Tar => None,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let shown = match small(bytes.clone(), limits).await {
        Some(jpeg) => jpeg,
        None if bytes.len() <= LARGEST_PREVIEW && Format::of(&bytes).is_some() => bytes.to_vec(),
        None => return Ok(None),
    };
    Ok(Some(Preview { bytes: shown, of: rejected_picture(sources, corpus, row).await? }))
}

/// Not what was kept out or taken down on purpose, nor what asks too much of a browser too.
fn may_be_shown(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::Filtered
            | Reason::Takedown
            | Reason::Crashes
            | Reason::TooManyBytes
            | Reason::TooManyPixels
            | Reason::SideTooLong
    )
}

/// A rejected picture with whom to credit for it.
async fn rejected_picture(sources: &dyn Objects, corpus: &CorpusSpec, row: &RejectedRow) -> Result<Picture> {
    let path = picture_path(&row.shard, &row.entry);
    let Some(pattern) = &corpus.metadata else { return Ok(Picture::own(&row.key, &path)) };
    let known = match sources.head(&corpus.object(&pattern.replace("{shard}", names::stem(&row.shard)))).await? {
        Some(meta) => {
            let metadata = read_metadata(Pinned { objects: sources, meta: &meta }).await?;
            metadata.of(&row.key).ok().flatten().cloned()
        }
        None => None,
    };
    Ok(Picture::credited(&row.key, &path, &known.unwrap_or_default()))
}

fn reranker(section: &RerankSection) -> Reranker {
    let weight = match section {
        RerankSection::Identity => None,
        RerankSection::Aesthetics { weight, .. } => Some(*weight),
    };
    Reranker { name: section.name().to_owned(), weight }
}

fn evaluation(reranker: &RerankSection, found: &Evaluated) -> Evaluation {
    let change = |before, after| Change { before, after };
    let rows = found.before.iter().zip(&found.after).map(|(before, after)| EvaluationRow {
        k: before.k as u32,
        hits: change(before.hits, after.hits),
        mrr: change(before.mrr, after.mrr),
        precision: change(before.precision, after.precision),
    });
    Evaluation { reranker: reranker.name().to_owned(), queries: found.queries, rows: rows.collect() }
}

/// The first length's hits at every weight.
fn sweep(reranker: &RerankSection, found: &Evaluated) -> Option<Sweep> {
    let weights = found.sweep.as_ref()?;
    let k = found.k.first()?;
    let points = weights.iter().filter_map(|at| Some(SweepPoint { weight: at.weight, value: at.at.first()?.hits }));
    Some(Sweep {
        reranker: reranker.name().to_owned(),
        metric: format!("Hits@{k}"),
        points: points.collect(),
        used: Some(reranker.weight()),
    })
}

fn times(timings: &Timings) -> Times {
    let embedding = &timings.embedding;
    let embed = timings.stages.first().map_or(0.0, |stage| stage.seconds);
    let stages = timings.stages.iter().map(|stage| {
        let is_embed = stage.stage == "embed";
        StageTime {
            name: stage.stage.clone(),
            wall_seconds: stage.seconds,
            items: if is_embed { embedding.pictures } else { stage.tasks },
            unit: if is_embed { "pictures" } else { "tasks" }.to_owned(),
        }
    });
    let all_threads = [embedding.read, embedding.decode, embedding.encode, embedding.upsert];
    let pipeline =
        embedding.by_the_clock().into_iter().zip(all_threads).map(|((name, took), busy_seconds)| PipelineTime {
            name: name.to_owned(),
            busy: if embed > 0.0 { (took / embed).min(1.0) } else { 0.0 },
            busy_seconds,
            items: embedding.pictures,
        });
    let pipeline = if embedding.pictures == 0 { Vec::new() } else { pipeline.collect() };
    Times { wall_seconds: timings.seconds, stages: stages.collect(), pipeline }
}

/// As people write a moment: the day and the minute, in UTC.
fn day(millis: i64) -> String {
    let moment = chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default();
    moment.format("%Y-%m-%d %H:%M UTC").to_string()
}
