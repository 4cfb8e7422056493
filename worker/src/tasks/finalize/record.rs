//! `run.json`: what the run's results depend on, and what it took.

use super::Finalize;
use crate::machine::this_machine;
use imagefleet_common::{
    Result,
    ids::Millis,
    ledger::{Reason, Spent},
    ports::{catalog::ChunkLedger, jobs::TaskView},
    task::State,
    work::{Kind, Stage},
};
use imagefleet_retrieval::results::{
    CorpusRecord, Embedding, JobRecord, ModelRecord, RunRecord, ShardRecord, StageTiming, Timings,
};
use std::collections::{BTreeMap, BTreeSet};

impl Finalize<'_> {
    /// `results` are the hashes of the files that depend on nothing else of it.
    pub(super) async fn record(&self, timings: Timings, results: BTreeMap<String, String>) -> Result<RunRecord> {
        let corpus = self.worker.corpus(&self.view.corpus).await?;
        let record = |shard: &imagefleet_common::ports::catalog::Shard| ShardRecord {
            path: shard.path.clone(),
            version: shard.version,
            listing: shard.listing.clone(),
        };
        let mut shards: Vec<ShardRecord> = self.shards.iter().map(record).collect();
        shards.sort_by(|a, b| a.path.cmp(&b.path));
        let counts = self.ledger.iter().filter_map(|chunk| chunk.counts.as_ref());
        let taken_down = counts.filter_map(|counts| counts.rejected.get(&Reason::Takedown)).sum();
        let workers: BTreeSet<&String> = self.of_this_job().filter_map(|task| task.worker.as_ref()).collect();
        Ok(RunRecord {
            imagefleet: self.worker.settings.binary.clone(),
            job: JobRecord {
                id: self.view.id.to_string(),
                created: self.view.created,
                spec: self.resolved.spec.clone(),
                articles: self.resolved.articles.clone(),
                heads: self.resolved.heads.clone(),
                accepted_dead: self.dead(),
            },
            model: ModelRecord {
                name: self.resolved.spec.model.files.name().to_owned(),
                revision: self.collection.revision.clone(),
                files: self.resolved.model_files.clone(),
                precision: "f32".to_owned(),
                preprocessing: self.collection.preprocessing.clone(),
                dims: self.collection.dims,
            },
            corpus: CorpusRecord { id: corpus.id.0, source: corpus.source, shards, taken_down },
            collection: self.collection.id.0.clone(),
            storage: self.collection.storage.clone(),
            machine: this_machine(),
            workers: workers.into_iter().cloned().collect(),
            timings,
            results,
        })
    }

    /// Until `now`, which is the end of this task as far as it can be told from within.
    pub(super) fn timings(&self, now: Millis) -> Timings {
        let created = self.view.created;
        let all = self.of_this_job().filter_map(|task| Some((task.claimed?, ended(task, now)?)));
        let at_work = together(all.collect());
        let stages = Stage::ALL.map(|stage| {
            let tasks = self.tasks.iter().filter(|task| task.work.kind().stage() == stage);
            timing(stage, tasks, created, now)
        });
        let ran: BTreeSet<_> =
            self.of_this_job().filter(|task| task.work.kind() == Kind::Embed).map(|task| task.id).collect();
        let (mut pictures, mut spent) = (0, Spent::default());
        for chunk in self.ledger.iter().filter(|chunk| ran.contains(&chunk.task)) {
            let ChunkLedger { counts: Some(counts), spent: Some(took), .. } = chunk else { continue };
            pictures += counts.seen;
            spent.add(took);
        }
        Timings { seconds: at_work, stages: stages.into(), embedding: Embedding::new(pictures, &spent) }
    }

    /// Tasks that were done since the job was submitted, and not for an earlier one.
    fn of_this_job(&self) -> impl Iterator<Item = &TaskView> {
        self.tasks.iter().filter(|task| task.claimed.is_some_and(|claimed| claimed >= self.view.created))
    }
}

fn timing<'a>(stage: Stage, tasks: impl Iterator<Item = &'a TaskView>, created: Millis, now: Millis) -> StageTiming {
    let mut timing = StageTiming { stage: stage.name().to_owned(), ..StageTiming::default() };
    let (mut spans, mut worked) = (Vec::new(), 0);
    for task in tasks {
        let Some((claimed, finished)) = task.claimed.zip(ended(task, now)) else { continue };
        timing.tasks += 1;
        if claimed < created {
            timing.found_done += 1;
            continue;
        }
        worked += (finished - claimed).max(0);
        spans.push((claimed, finished));
    }
    timing.seconds = together(spans);
    timing.task_seconds = seconds(worked);
    timing
}

/// When the task ended; now for the one that asks, which has not.
fn ended(task: &TaskView, now: Millis) -> Option<Millis> {
    if task.state == State::Running { Some(now) } else { task.finished }
}

/// Seconds in which at least one of the spans goes on. A job that was stopped and went on later took no time in between.
fn together(mut spans: Vec<(Millis, Millis)>) -> f64 {
    spans.sort_unstable();
    let (mut sum, mut reached) = (0, Millis::MIN);
    for (from, to) in spans {
        sum += (to.max(reached) - from.max(reached)).max(0);
        reached = reached.max(to);
    }
    seconds(sum)
}

fn seconds(millis: Millis) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_nothing_ran_is_not_counted_and_no_time_twice() {
        assert_eq!(together(vec![(90_000, 91_000), (0, 2_000), (1_000, 3_000), (1_500, 1_600)]), 4.0);
        assert_eq!(together(Vec::new()), 0.0);
    }
}
