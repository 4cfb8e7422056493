//! Splits, fused orders, metrics and sweeps beside those that numpy and pandas computed: `scripts/fixtures/evaluation.py`.
//!
//! Orders are equal. Fused scores are f32 here and f64 there: within 1e-6 of each other, relatively. Metrics are within 1e-12.

#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use imagefleet_common::{ids::content_hash, job::spec::Part, ports::index::Hit};
use imagefleet_retrieval::{
    evaluation::{metrics::AtK, report::Comparison, split::split, sweep::Sweep},
    fusion::{Form, Scored, fuse},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    splits: Vec<Permuted>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Permuted {
    seed: u32,
    rows: usize,
    sha256: String,
    first: Vec<usize>,
    last: Vec<usize>,
    order: Option<Vec<usize>>,
    parts: [usize; 3],
}

#[derive(Deserialize)]
struct Case {
    kind: String,
    form: String,
    candidates: usize,
    queries: Vec<Query>,
    measured: u64,
    without_truth: u64,
    before: Vec<Row>,
    weights: Vec<Weighted>,
    sweep: Vec<Vec<Row>>,
}

#[derive(Deserialize)]
struct Query {
    image_id: String,
    keys: Vec<String>,
    similarities: Vec<f32>,
    scores: Vec<f32>,
}

#[derive(Deserialize)]
struct Weighted {
    weight: f64,
    orders: Vec<Vec<usize>>,
    fused: Vec<Vec<f64>>,
    after: Vec<Row>,
    difference: Vec<Row>,
}

/// k, Hits, MRR and precision.
type Row = (usize, f64, f64, f64);

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/evaluation.json")).unwrap()
}

impl Case {
    fn form(&self) -> Form {
        match self.form.as_str() {
            "normalised" => Form::Normalised,
            "plain" => Form::Plain,
            other => panic!("{other} is no form"),
        }
    }

    fn name(&self) -> String {
        format!("{} {} {}", self.kind, self.form, self.candidates)
    }
}

impl Query {
    /// Each candidate's epoch is its place in the order of retrieval.
    fn scored(&self) -> Vec<Scored> {
        let hits = self.keys.iter().zip(&self.similarities).zip(0..);
        let hits = hits.map(|((key, score), epoch)| Hit { key: key.clone(), score: *score, epoch });
        hits.zip(&self.scores).map(|(hit, score)| Scored { hit, score: *score }).collect()
    }

    fn retrieved(&self) -> Vec<Hit> {
        self.scored().into_iter().map(|scored| scored.hit).collect()
    }
}

#[track_caller]
fn assert_measured(at: &[AtK], expected: &[Row], of: &str) {
    assert_eq!(at.len(), expected.len(), "{of}");
    for (at, (k, hits, mrr, precision)) in at.iter().zip(expected) {
        assert_eq!(at.k, *k, "{of}");
        for (ours, theirs) in [(at.hits, hits), (at.mrr, mrr), (at.precision, precision)] {
            assert!((ours - theirs).abs() <= 1e-12, "{of}: {at:?} is not {:?}", (k, hits, mrr, precision));
        }
    }
}

#[test]
fn rows_are_permuted_and_cut_as_pandas_does_it() {
    for permuted in fixture().splits {
        let split = split(permuted.rows, permuted.seed);
        let parts = [Part::Train, Part::Validation, Part::Test].map(|part| split.part(part));
        let of = format!("{} rows, seed {}", permuted.rows, permuted.seed);
        assert_eq!(parts.each_ref().map(Vec::len), permuted.parts, "{of}");
        let order = parts.concat();
        assert!(order.starts_with(&permuted.first) && order.ends_with(&permuted.last), "{of}");
        if let Some(expected) = permuted.order {
            assert_eq!(order, expected, "{of}");
        }
        let decimals: Vec<String> = order.iter().map(usize::to_string).collect();
        assert_eq!(content_hash(decimals.join(" ").as_bytes()), permuted.sha256, "{of}");
    }
}

#[test]
fn fused_orders_and_scores_are_numpys() {
    for case in fixture().cases {
        for weighted in &case.weights {
            for ((query, order), fused) in case.queries.iter().zip(&weighted.orders).zip(&weighted.fused) {
                let ranked = fuse(query.scored(), weighted.weight, case.form());
                let of = format!("{}, weight {}, {:?}", case.name(), weighted.weight, query.image_id);
                assert_eq!(ranked.iter().map(|hit| hit.epoch as usize).collect::<Vec<_>>(), *order, "{of}");
                for ((hit, place), fused) in ranked.iter().zip(order).zip(fused) {
                    assert_eq!(hit.key, query.keys[*place], "{of}");
                    let off = (f64::from(hit.score) - fused).abs();
                    assert!(off <= 1e-6 * fused.abs(), "{of}: {} is not {fused}", hit.score);
                }
            }
        }
    }
}

#[test]
fn metrics_before_and_after_reranking_are_numpys() {
    for case in fixture().cases {
        for weighted in &case.weights {
            let mut comparison = Comparison::new(case.candidates);
            for query in &case.queries {
                let ranked = fuse(query.scored(), weighted.weight, case.form());
                comparison.add(&query.image_id, &query.retrieved(), &ranked);
            }
            let of = format!("{}, weight {}", case.name(), weighted.weight);
            let report = comparison.report(None);
            assert_eq!((report.queries, report.without_truth), (case.measured, case.without_truth), "{of}");
            assert_measured(&report.before, &case.before, &of);
            assert_measured(&report.after, &weighted.after, &of);
            assert_measured(&report.difference, &weighted.difference, &of);
        }
    }
}

const WEIGHTS: [f64; 11] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

#[test]
fn the_sweep_is_numpys_at_every_weight() {
    for case in fixture().cases {
        let mut sweep = Sweep::new(case.form(), case.candidates);
        for query in &case.queries {
            sweep.add(&query.image_id, &query.scored());
        }
        let measured = sweep.at_weights();
        assert_eq!(measured.iter().map(|at| at.weight).collect::<Vec<_>>(), WEIGHTS);
        assert_eq!(measured.len(), case.sweep.len());
        for (at, expected) in measured.iter().zip(&case.sweep) {
            assert_measured(&at.at, expected, &format!("{}, weight {}", case.name(), at.weight));
        }
    }
}
