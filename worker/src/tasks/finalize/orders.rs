//! One reranker's order of every title's candidates, beside retrieval's, in the files that say so.

use super::{Finalize, report::Shown};
use imagefleet_common::{
    Context, Error, Result,
    job::spec::RerankSection,
    ports::index::{Hit, Stored},
    work::Work,
};
use imagefleet_retrieval::{
    articles::Article,
    candidates::{QueryCandidates, QueryScores, blocks},
    evaluation::{
        metrics::is_right,
        report::{Comparison, Report as Evaluated},
        sweep::Sweep,
    },
    fusion::{self, Form, Scored},
    report::{Found, Picture, Query, RightRank},
    results::{
        ATTRIBUTION, Attributions, INFERENCE_RESULTS, INITIAL_RETRIEVAL, InferenceResults, RERANKING, RankedPicture,
        Rankings, ResultRow, metrics_files, picture_path,
    },
};
use std::collections::HashMap;

/// What a reranker made of the job's candidates.
pub(super) struct Ordered {
    /// Each with its name.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// Results whose picture is not the one that was retrieved any more.
    pub(super) changed: u64,
    /// Rankings against the pictures that the articles were published with.
    pub(super) evaluated: Option<Evaluated>,
    /// What the report shows, where it shows this reranker.
    pub(super) shown: Vec<Shown>,
}

/// Files that grow title by title.
struct Writing {
    inference: InferenceResults<Vec<u8>>,
    attributions: Attributions,
    changed: u64,
    evaluation: Option<Evaluation>,
    /// Pictures of each title that the report shows.
    show: usize,
    /// Whether candidates have scores beside their similarities.
    has_scores: bool,
    /// Whether somebody can be named.
    has_metadata: bool,
    shown: Vec<Shown>,
}

struct Evaluation {
    initial: Rankings<Vec<u8>>,
    reranked: Rankings<Vec<u8>>,
    comparison: Comparison,
    sweep: Option<Sweep>,
}

impl Finalize<'_> {
    /// Reads a reranker's scores and puts every title's candidates into its order.
    pub(super) async fn order(&self, number: u32, reranker: &RerankSection) -> Result<Ordered> {
        let (job, spec) = (self.view.id, &self.resolved.spec);
        let candidates = spec.retrieval.candidates;
        let has_scores = *reranker != RerankSection::Identity;
        let evaluation = spec.evaluation.as_ref().map(|section| Evaluation {
            initial: Rankings::new(Vec::new()),
            reranked: Rankings::new(Vec::new()),
            comparison: Comparison::new(candidates),
            sweep: (section.sweep && has_scores).then(|| Sweep::new(Form::Normalised, candidates)),
        });
        let mut writing = Writing {
            inference: InferenceResults::new(Vec::new()),
            attributions: Attributions::default(),
            changed: 0,
            evaluation,
            show: if number == 0 { spec.report.pictures } else { 0 },
            has_scores,
            has_metadata: self.worker.corpus(&self.view.corpus).await?.metadata.is_some(),
            shown: Vec::new(),
        };
        for block in 0..blocks(self.resolved.titles as usize) as u32 {
            let retrieve = Work::Retrieve { job, block };
            let rerank = Work::Rerank { job, reranker: number, block };
            let queries: Vec<QueryCandidates> = self.worker.lines_of(&self.tasks, &retrieve).await?;
            let scores: Vec<QueryScores> = self.worker.lines_of(&self.tasks, &rerank).await?;
            if queries.len() != scores.len() {
                let (lists, scored) = (queries.len(), scores.len());
                return Err(Error::permanent(format!("fuse {}: {lists} lists and {scored} scored", rerank.key())));
            }
            for (query, scores) in queries.into_iter().zip(scores) {
                let scored = fusion::pair(&query, &scores)?;
                let after = match reranker {
                    RerankSection::Identity => fusion::identity(query.hits.clone()),
                    RerankSection::Aesthetics { weight, .. } => fusion::fuse(scored.clone(), *weight, Form::Normalised),
                };
                let keys: Vec<String> = after.iter().map(|hit| hit.key.clone()).collect();
                let stored = self.worker.ports.index.payloads(&self.collection.id, &keys).await?;
                let article = self.articles.get(&query.article_id).ok_or_else(|| {
                    let id = &query.article_id;
                    Error::permanent(format!("find article {id:?} of {}: it is not among the queries", rerank.key()))
                })?;
                writing.add(article, &query.hits, &scored, after, stored)?;
            }
        }
        writing.finish()
    }
}

impl Writing {
    /// One title: retrieval's candidates, the reranker's scores of them, its order, and what the index has of that.
    fn add(
        &mut self,
        article: &Article,
        before: &[Hit],
        scored: &[Scored],
        after: Vec<Hit>,
        stored: Vec<Option<Stored>>,
    ) -> Result<()> {
        let doing = || format!("write the results of article {:?}", article.id);
        if let Some(evaluation) = &mut self.evaluation {
            let truth = &article.image_id;
            evaluation.initial.row(&article.title, truth, before).permanent(doing)?;
            evaluation.reranked.row(&article.title, truth, &after).permanent(doing)?;
            evaluation.comparison.add(truth, before, &after);
            if let Some(sweep) = &mut evaluation.sweep {
                sweep.add(truth, scored);
            }
        }
        let ranks = self.evaluation.as_ref().filter(|_| !article.image_id.is_empty()).map(|_| RightRank {
            before: rank_of_right(article, before.iter()),
            after: rank_of_right(article, after.iter()),
        });
        let pictures: Vec<RankedPicture> =
            after.into_iter().zip(&stored).map(|(hit, stored)| ranked(hit, stored.as_ref())).collect();
        if self.show > 0 {
            self.shown.push(self.shown(article, ranks, scored, &pictures, &stored));
        }
        self.changed += pictures.iter().filter(|picture| picture.changed).count() as u64;
        for (picture, stored) in pictures.iter().zip(stored) {
            self.attributions.add(&picture.key, stored.as_ref().map(|stored| &stored.payload));
        }
        let row = ResultRow { article_id: article.id.clone(), query: article.title.clone(), pictures };
        self.inference.row(&row).permanent(doing)
    }

    fn shown(
        &self,
        article: &Article,
        right: Option<RightRank>,
        scored: &[Scored],
        pictures: &[RankedPicture],
        stored: &[Option<Stored>],
    ) -> Shown {
        let retrieved: HashMap<&str, (u32, &Scored)> =
            (1..).zip(scored).map(|(rank, scored)| (scored.hit.key.as_str(), (rank, scored))).collect();
        let mut payloads = HashMap::new();
        let mut found = Vec::new();
        for (after, (picture, stored)) in (1..).zip(pictures.iter().zip(stored)).take(self.show) {
            // Every one of them was retrieved.
            let Some((before, scored)) = retrieved.get(picture.key.as_str()) else { continue };
            let known = stored.as_ref().filter(|_| self.has_metadata).map(|stored| &stored.payload.attribution);
            found.push(Found {
                picture: match known {
                    Some(attribution) => Picture::credited(&picture.key, &picture.path, attribution),
                    None => Picture::own(&picture.key, &picture.path),
                },
                before: *before,
                after,
                similarity: scored.hit.score,
                score: self.has_scores.then_some(scored.score).filter(|score| score.is_finite()),
                fused: self.has_scores.then_some(picture.score),
                is_right: right.is_some() && is_right(&article.image_id, &picture.key),
                changed: picture.changed,
            });
            if let Some(stored) = stored {
                payloads.insert(picture.key.clone(), stored.payload.clone());
            }
        }
        let Article { id, url, title, tags, .. } = article.clone();
        Shown { query: Query { id, title, url, tags, picture: None, right, found }, payloads }
    }

    fn finish(self) -> Result<Ordered> {
        let doing = || "write the results".to_owned();
        let Self { inference, attributions, changed, evaluation, shown, .. } = self;
        let mut credits = Vec::new();
        attributions.write(&mut credits).permanent(doing)?;
        let mut files = vec![
            (INFERENCE_RESULTS.to_owned(), inference.finish().permanent(doing)?),
            (ATTRIBUTION.to_owned(), credits),
        ];
        let Some(Evaluation { initial, reranked, comparison, sweep }) = evaluation else {
            return Ok(Ordered { files, changed, evaluated: None, shown });
        };
        let evaluated = comparison.report(sweep.as_ref());
        files.push((INITIAL_RETRIEVAL.to_owned(), initial.finish().permanent(doing)?));
        files.push((RERANKING.to_owned(), reranked.finish().permanent(doing)?));
        files.extend(metrics_files(&evaluated));
        Ok(Ordered { files, changed, evaluated: Some(evaluated), shown })
    }
}

/// From 1 on; `None` where the right picture is not in the list.
fn rank_of_right<'a>(article: &Article, mut hits: impl Iterator<Item = &'a Hit>) -> Option<u32> {
    hits.position(|hit| is_right(&article.image_id, &hit.key)).map(|at| at as u32 + 1)
}

/// A candidate at its place in the order, with what the index has of it now.
fn ranked(hit: Hit, stored: Option<&Stored>) -> RankedPicture {
    let Hit { key, score, epoch } = hit;
    match stored {
        Some(stored) => RankedPicture {
            path: picture_path(&stored.payload.shard_path, &stored.payload.entry),
            changed: stored.head.epoch != epoch,
            key,
            score,
        },
        // It keeps its place; where it stood is not known any more.
        None => RankedPicture { path: key.clone(), key, score, changed: true },
    }
}
