//! Fusion: a reranker's scores and the similarities of retrieval become one order (reference pipeline §5).
//!
//! With `sim` the similarities of one query's candidates, `s` the reranker's scores and `w` its weight:
//!
//! - [`Form::Normalised`] (aesthetics, judges): `(1-w)·sim/Σsim + w·s/Σs`, each sum over the query's candidates; where
//!   a sum is 0, its term is 0.
//! - [`Form::Plain`] (rewritten titles): `(1-w)·sim + w·s`.
//!
//! Sums are plain sums, so where a sum is negative, as SigLIP's similarities can make it, its term turns their order
//! round. That is what the formula says, and the reference does the same.
//!
//! Terms are computed in f64 from f32 inputs, summed in retrieval order; candidates are ordered by the f64 value, and
//! the f32 nearest to it becomes the score.

use crate::candidates::{QueryCandidates, QueryScores};
use imagefleet_common::{Error, Result, ports::index::Hit};

/// How similarities and scores are put on one scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Normalised,
    Plain,
}

/// A candidate and what a reranker says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    pub hit: Hit,
    /// The reranker's own scale. One that is not finite says nothing about the picture: it counts as the lowest finite
    /// score of the query, or as 0 where there is none.
    pub score: f32,
}

/// Each of a title's candidates with what a reranker said of it. Lists of another title or of another length are a
/// permanent error.
pub fn pair(candidates: &QueryCandidates, scores: &QueryScores) -> Result<Vec<Scored>> {
    let (hits, id) = (&candidates.hits, &candidates.article_id);
    if scores.article_id != *id || scores.scores.len() != hits.len() {
        let (other, count) = (&scores.article_id, scores.scores.len());
        let kept = hits.len();
        let problem = format!("pair {kept} candidates of article {id:?} with {count} scores of article {other:?}");
        return Err(Error::permanent(problem));
    }
    Ok(hits.iter().zip(&scores.scores).map(|(hit, score)| Scored { hit: hit.clone(), score: *score }).collect())
}

/// The candidates of one query, best first, each with its fused score in place of its similarity.
///
/// `candidates` come in retrieval order, which is kept among equals. Key, epoch and score stay together.
pub fn fuse(candidates: Vec<Scored>, weight: f64, form: Form) -> Vec<Hit> {
    let similarities = terms(candidates.iter().map(|candidate| candidate.hit.score), form);
    let scores = terms(candidates.iter().map(|candidate| candidate.score), form);
    let fused = similarities.iter().zip(&scores).map(|(sim, score)| (1.0 - weight) * sim + weight * score);
    let mut ranked: Vec<(f64, Hit)> = fused.zip(candidates.into_iter().map(|candidate| candidate.hit)).collect();
    // Stable, and `partial_cmp` so that 0 and -0 are equals; terms are finite.
    ranked.sort_by(|(a, _), (b, _)| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal));
    ranked.into_iter().map(|(fused, hit)| Hit { score: fused as f32, ..hit }).collect()
}

/// The identity reranker: retrieval's order and scores.
pub fn identity(candidates: Vec<Hit>) -> Vec<Hit> {
    candidates
}

fn terms(values: impl Iterator<Item = f32>, form: Form) -> Vec<f64> {
    let mut values: Vec<f64> = values.map(f64::from).collect();
    let lowest = values.iter().copied().filter(|value| value.is_finite()).reduce(f64::min).unwrap_or(0.0);
    for value in &mut values {
        if !value.is_finite() {
            *value = lowest;
        }
    }
    if form == Form::Normalised {
        let sum: f64 = values.iter().sum();
        for value in &mut values {
            *value = if sum == 0.0 { 0.0 } else { *value / sum };
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use std::collections::HashMap;

    fn scored(candidates: &[(&str, f32, f32)]) -> Vec<Scored> {
        let scored = |&(key, sim, score): &(&str, f32, f32)| Scored {
            hit: Hit { key: key.to_owned(), score: sim, epoch: 1 },
            score,
        };
        candidates.iter().map(scored).collect()
    }

    fn keys(ranked: &[Hit]) -> Vec<&str> {
        ranked.iter().map(|hit| hit.key.as_str()).collect()
    }

    #[track_caller]
    fn assert_ranked(ranked: &[Hit], expected: &[(&str, f64)]) {
        assert_eq!(keys(ranked), expected.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        for (hit, (_, score)) in ranked.iter().zip(expected) {
            assert!((f64::from(hit.score) - score).abs() <= 1e-7, "{}: {} is not {score}", hit.key, hit.score);
        }
    }

    const FOUR: [(&str, f32, f32); 4] = [("a", 0.35, 4.0), ("b", 0.3125, 5.5), ("c", 0.25, 6.25), ("d", 0.25, 3.0)];

    // The expected figures of the next two tests were computed in Python, from inputs rounded to f32:
    //   [(1 - w) * a / sum(sim) + w * b / sum(s) for a, b in zip(sim, s)]   and   [(1 - w) * a + w * b for …]

    #[test]
    fn the_normalised_form_equals_the_reference() {
        let light = [("a", 0.283526878854), ("b", 0.273720431210), ("c", 0.238709678301), ("d", 0.204043011635)];
        assert_ranked(&fuse(scored(&FOUR), 0.2, Form::Normalised), &light);
        let heavy = [("c", 0.297849462696), ("b", 0.285978495037), ("a", 0.239655912903), ("d", 0.176516129363)];
        assert_ranked(&fuse(scored(&FOUR), 0.7, Form::Normalised), &heavy);
    }

    #[test]
    fn the_plain_form_equals_the_reference() {
        let captions = [("a", 0.35, 0.21), ("b", 0.3125, 0.3), ("c", 0.25, 0.33), ("d", 0.25, 0.12)];
        let expected = [("b", 0.306250005960), ("c", 0.290000006557), ("a", 0.279999993742), ("d", 0.184999998659)];
        assert_ranked(&fuse(scored(&captions), 0.5, Form::Plain), &expected);
    }

    #[test]
    fn a_sum_of_zero_takes_its_term_out() {
        let zero_scores = fuse(scored(&[("a", 0.75, 1.0), ("b", 0.25, -1.0)]), 0.2, Form::Normalised);
        assert_ranked(&zero_scores, &[("a", 0.6), ("b", 0.2)]);
        let zero_similarities = fuse(scored(&[("a", 0.5, 1.0), ("b", -0.5, 3.0)]), 0.2, Form::Normalised);
        assert_ranked(&zero_similarities, &[("b", 0.15), ("a", 0.05)]);
    }

    #[test]
    fn a_negative_sum_turns_the_order_round_as_the_formula_says() {
        let ranked = fuse(scored(&[("a", -0.1, 1.0), ("b", -0.3, 1.0)]), 0.2, Form::Normalised);
        // 0.8 * 0.75 + 0.1 and 0.8 * 0.25 + 0.1
        assert_ranked(&ranked, &[("b", 0.7), ("a", 0.3)]);
        let plain = fuse(scored(&[("a", -0.1, 1.0), ("b", -0.3, 1.0)]), 0.2, Form::Plain);
        assert_ranked(&plain, &[("a", 0.12), ("b", -0.04)]);
    }

    #[test]
    fn equals_keep_the_order_of_retrieval() {
        let equal = scored(&[("z", 0.5, 2.0), ("a", 0.5, 2.0), ("m", 0.5, 2.0)]);
        for form in [Form::Normalised, Form::Plain] {
            assert_eq!(keys(&fuse(equal.clone(), 0.5, form)), ["z", "a", "m"]);
        }
        // 0 and -0 are equals too.
        assert_eq!(keys(&fuse(scored(&[("a", -0.0, 0.0), ("b", 0.0, 0.0)]), 0.0, Form::Plain)), ["a", "b"]);
    }

    #[test]
    fn a_score_that_is_no_number_counts_as_the_lowest() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for form in [Form::Normalised, Form::Plain] {
                let with = |score| fuse(scored(&[("a", 0.5, score), ("b", 0.4, 2.0), ("c", 0.3, 5.0)]), 0.9, form);
                assert_eq!(with(odd), with(2.0));
            }
        }
        let none = fuse(scored(&[("a", 0.5, f32::NAN), ("b", 0.5, f32::NAN)]), 0.2, Form::Normalised);
        assert_ranked(&none, &[("a", 0.4), ("b", 0.4)]);
    }

    #[test]
    fn scores_are_paired_with_the_candidates_they_were_made_for_or_not_at_all() {
        let hits: Vec<Hit> = scored(&FOUR).into_iter().map(|scored| scored.hit).collect();
        let candidates = QueryCandidates { article_id: "7".into(), title: "t".into(), hits };
        let scores = |id: &str, scores: &[f32]| QueryScores { article_id: id.into(), scores: scores.to_vec() };
        assert_eq!(pair(&candidates, &scores("7", &[4.0, 5.5, 6.25, 3.0])).ok(), Some(scored(&FOUR)));
        for wrong in [scores("8", &[4.0, 5.5, 6.25, 3.0]), scores("7", &[4.0, 5.5, 6.25]), scores("7", &[0.0; 5])] {
            assert!(pair(&candidates, &wrong).is_err_and(|error| error.is_permanent()));
        }
    }

    #[test]
    fn no_candidates_stay_none() {
        assert!(fuse(Vec::new(), 0.2, Form::Normalised).is_empty());
    }

    /// Candidates as retrieval gives them: similarities descending, many of them equal.
    fn drawn(rng: &mut StdRng) -> Vec<Scored> {
        let count = rng.random_range(1..60);
        let mut similarities: Vec<f32> = (0..count).map(|_| rng.random_range(1..40) as f32 / 64.0).collect();
        similarities.sort_by(|a, b| b.total_cmp(a));
        let scored = |(number, sim): (usize, f32)| Scored {
            hit: Hit { key: format!("{number:02}"), score: sim, epoch: 1_000 + number as i64 },
            score: rng.random_range(-4..10) as f32 / 2.0,
        };
        similarities.into_iter().enumerate().map(scored).collect()
    }

    #[test]
    fn key_epoch_and_score_stay_together() {
        let mut rng = StdRng::seed_from_u64(5);
        for _ in 0..500 {
            let candidates = drawn(&mut rng);
            let weight = rng.random_range(0.0..=1.0);
            let form = if rng.random() { Form::Normalised } else { Form::Plain };
            let (sim_sum, score_sum) = match form {
                Form::Plain => (1.0, 1.0),
                Form::Normalised => (
                    candidates.iter().map(|c| f64::from(c.hit.score)).sum::<f64>(),
                    candidates.iter().map(|c| f64::from(c.score)).sum::<f64>(),
                ),
            };
            let part = |value: f32, sum: f64| if sum == 0.0 { 0.0 } else { f64::from(value) / sum };
            let expected: HashMap<&str, (i64, f64)> = candidates
                .iter()
                .map(|Scored { hit, score }| {
                    let fused = (1.0 - weight) * part(hit.score, sim_sum) + weight * part(*score, score_sum);
                    (hit.key.as_str(), (hit.epoch, fused))
                })
                .collect();

            let ranked = fuse(candidates.clone(), weight, form);

            assert_eq!(ranked.len(), candidates.len());
            for hit in &ranked {
                let (epoch, fused) = expected[hit.key.as_str()];
                assert_eq!(hit.epoch, epoch);
                assert!((f64::from(hit.score) - fused).abs() <= 1e-6 * fused.abs().max(1.0));
            }
            assert!(ranked.windows(2).all(|pair| pair[0].score >= pair[1].score), "best first");
            let distinct: std::collections::HashSet<&str> = ranked.iter().map(|hit| hit.key.as_str()).collect();
            assert_eq!(distinct.len(), candidates.len());
        }
    }

    #[test]
    fn without_weight_the_order_is_that_of_retrieval() {
        let mut rng = StdRng::seed_from_u64(6);
        for _ in 0..500 {
            let candidates = drawn(&mut rng);
            let retrieved: Vec<Hit> = candidates.iter().map(|candidate| candidate.hit.clone()).collect();
            assert_eq!(fuse(candidates.clone(), 0.0, Form::Plain), identity(retrieved.clone()));
            assert_eq!(keys(&fuse(candidates, 0.0, Form::Normalised)), keys(&retrieved));
        }
    }

    #[test]
    fn with_all_the_weight_the_order_is_that_of_the_scores() {
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..500 {
            let candidates = drawn(&mut rng);
            let mut by_score = candidates.clone();
            by_score.sort_by(|a, b| b.score.total_cmp(&a.score));
            let by_score: Vec<&str> = by_score.iter().map(|candidate| candidate.hit.key.as_str()).collect();
            assert_eq!(keys(&fuse(candidates.clone(), 1.0, Form::Plain)), by_score);
            // A sum that is not positive turns the order round, or leaves retrieval's.
            if candidates.iter().map(|candidate| candidate.score).sum::<f32>() > 0.0 {
                assert_eq!(keys(&fuse(candidates, 1.0, Form::Normalised)), by_score);
            }
        }
    }
}
