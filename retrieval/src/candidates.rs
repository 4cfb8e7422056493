//! Candidates: what a search found for each title, cut so that every run cuts alike, and stored once.
//!
//! Two runs may compute one score a few units apart in the last place, and an index returns equals in an order of its
//! own. So a search asks for more than is kept, until what follows is clearly worse than the last one kept (protocol §8).

use imagefleet_common::{Context, Result, ports::index::Hit};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::cmp::Ordering;

/// Titles a retrieve task.
pub const BLOCK: usize = 256;

/// Scores that are no further apart may be equal in another run.
pub const MARGIN: f64 = 1e-6;

/// A search for `k` hits asks for at most so many times `k`.
const MOST: usize = 4;

/// Titles that are cut into blocks make this many.
pub fn blocks(titles: usize) -> usize {
    titles.div_ceil(BLOCK)
}

/// The titles of a block, as positions in the articles' file.
pub fn block(number: usize, titles: usize) -> std::ops::Range<usize> {
    let first = number.saturating_mul(BLOCK).min(titles);
    first..first.saturating_add(BLOCK).min(titles)
}

/// How many hits a search for `k` asks for at first.
pub fn first_ask(k: usize) -> usize {
    (k + (k / 4).max(16)).min(k.saturating_mul(MOST))
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cut {
    /// The `k` best, by score and then by key; fewer where there are no more.
    Enough(Vec<Hit>),
    /// Hits that were not asked for may belong to the `k` best: search again, for so many.
    AskMore(usize),
}

/// Cuts `hits`, the answer to a search for `asked` hits, to the `k` best.
///
/// Where as many came as were asked for, more may exist. Then the last must be at least [`MARGIN`] below the `k`-th,
/// unless 4 `k` were asked for.
pub fn cut(mut hits: Vec<Hit>, k: usize, asked: usize) -> Cut {
    hits.sort_by(best_first);
    let kept = k.checked_sub(1).and_then(|at| hits.get(at));
    let gap = kept.zip(hits.last()).map(|(kept, last)| f64::from(kept.score) - f64::from(last.score));
    let most = k.saturating_mul(MOST);
    if hits.len() >= asked && asked < most && gap.is_some_and(|gap| gap < MARGIN) {
        return Cut::AskMore(asked.saturating_mul(2).min(most));
    }
    hits.truncate(k);
    Cut::Enough(hits)
}

/// Higher scores first, then by key.
fn best_first(a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key))
}

/// What a title keeps: a line of a block's artifact. Rerankers and result files read nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryCandidates {
    pub article_id: String,
    pub title: String,
    /// Best first. Scores are finite.
    pub hits: Vec<Hit>,
}

/// What a reranker says of a title's candidates: a line of a block's artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryScores {
    pub article_id: String,
    /// One for each hit of the title's [`QueryCandidates`], in their order. One that is not finite is stored as `null`
    /// and read as NaN.
    #[serde(with = "numbers")]
    pub scores: Vec<f32>,
}

/// A block as it is stored: JSON, a line a title.
pub fn to_lines(block: &[impl Serialize]) -> Vec<u8> {
    let mut lines = Vec::new();
    for query in block {
        serde_json::to_writer(&mut lines, query).expect("strings and numbers serialise, and a Vec takes them");
        lines.push(b'\n');
    }
    lines
}

/// Reads what [`to_lines`] wrote; `name` names the artifact in errors, which are permanent.
pub fn from_lines<T: DeserializeOwned>(bytes: &[u8], name: &str) -> Result<Vec<T>> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    let read = |(number, line): (usize, &[u8])| {
        serde_json::from_slice(line).permanent(|| format!("read {name}, line {}", number + 1))
    };
    lines.map(read).collect()
}

/// Numbers in JSON, which has no NaN.
mod numbers {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(numbers: &[f32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(numbers.iter().map(|number| number.is_finite().then_some(*number)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let numbers = Vec::<Option<f32>>::deserialize(from)?;
        Ok(numbers.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn hit(key: &str, score: f32) -> Hit {
        Hit { key: key.to_owned(), score, epoch: 1 }
    }

    /// The keys of a list that is complete.
    fn kept(cut: Cut) -> Vec<String> {
        match cut {
            Cut::Enough(hits) => hits.into_iter().map(|hit| hit.key).collect(),
            Cut::AskMore(_) => panic!("asks for more"),
        }
    }

    #[test]
    fn equals_are_cut_by_key_in_whatever_order_the_index_returned_them() {
        let hits = vec![hit("x", 0.9), hit("d", 0.5), hit("b", 0.5), hit("c", 0.5), hit("a", 0.4)];
        assert_eq!(kept(cut(hits, 2, 5)), ["x", "b"]);
    }

    #[test]
    fn more_is_asked_for_while_the_last_hit_could_be_equal_to_the_last_kept() {
        let close = || vec![hit("a", 0.5), hit("b", 0.4), hit("c", 0.399_999_7)];
        assert_eq!(cut(close(), 2, 3), Cut::AskMore(6));
        let clear = vec![hit("a", 0.5), hit("b", 0.4), hit("c", 0.399_99)];
        assert_eq!(kept(cut(clear, 2, 3)), ["a", "b"]);
        // The index had only these: there is nothing to ask for.
        assert_eq!(kept(cut(close(), 2, 4)), ["a", "b"]);
    }

    #[test]
    fn four_times_what_is_kept_is_enough_however_many_are_equal() {
        let equal = |count: usize| (0..count).map(|i| hit(&format!("{i:03}"), 0.5)).collect::<Vec<_>>();
        for k in [1, 2, 10, 100] {
            let mut asked = first_ask(k);
            assert!(asked > k);
            while let Cut::AskMore(more) = cut(equal(asked), k, asked) {
                assert!(asked < more && more <= 4 * k);
                asked = more;
            }
            assert_eq!(asked, 4 * k);
            assert_eq!(cut(equal(asked), k, asked), Cut::Enough(equal(k)));
        }
    }

    #[test]
    fn fewer_than_are_kept_is_all_there_is() {
        assert_eq!(kept(cut(vec![hit("a", 0.5)], 2, 8)), ["a"]);
        assert_eq!(kept(cut(Vec::new(), 2, 8)), Vec::<String>::new());
    }

    #[test]
    fn scores_are_stored_to_the_last_bit() {
        let mut rng = StdRng::seed_from_u64(11);
        let finite = std::iter::repeat_with(|| f32::from_bits(rng.random())).filter(|score| score.is_finite());
        let hits: Vec<Hit> = finite.take(20_000).map(|score| hit("k", score)).collect();
        let block = [QueryCandidates { article_id: "1".into(), title: "\"é\"\n\u{1f600}".into(), hits }];
        let back: Vec<QueryCandidates> = from_lines(&to_lines(&block), "a").unwrap();
        let bits = |block: &[QueryCandidates]| block[0].hits.iter().map(|hit| hit.score.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&block));
        assert_eq!(back[0].title, block[0].title);
    }

    #[test]
    fn a_score_that_is_no_number_is_still_none_when_it_is_read_back() {
        let block = [QueryScores { article_id: "1".into(), scores: vec![0.1, f32::NAN, f32::INFINITY, -0.0] }];
        let lines = to_lines(&block);
        assert_eq!(String::from_utf8_lossy(&lines), "{\"article_id\":\"1\",\"scores\":[0.1,null,null,-0.0]}\n");
        let back: Vec<QueryScores> = from_lines(&lines, "a").unwrap();
        assert_eq!((back[0].scores[0], back[0].scores[3].to_bits()), (0.1, (-0.0_f32).to_bits()));
        assert!(back[0].scores[1].is_nan() && back[0].scores[2].is_nan());
    }

    #[test]
    fn a_broken_line_is_named() {
        let lines = b"{\"article_id\":\"1\",\"title\":\"t\",\"hits\":[]}\n{\"article";
        let error = from_lines::<QueryCandidates>(lines, "retrieve/1/0").unwrap_err();
        assert!(error.is_permanent() && error.to_string().starts_with("read retrieve/1/0, line 2"), "{error}");
    }

    #[test]
    fn blocks_cover_every_title_once() {
        for titles in [0, 1, 255, 256, 257, 8_500] {
            let covered: Vec<usize> = (0..blocks(titles)).flat_map(|number| block(number, titles)).collect();
            assert_eq!(covered, (0..titles).collect::<Vec<_>>());
        }
        assert!(block(usize::MAX, 10).is_empty());
    }
}
