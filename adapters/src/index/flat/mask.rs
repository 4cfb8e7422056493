//! Which rows of a segment a search may give: a bit a row.
//!
//! A segment's rows never change, but what is stored beside them may before the next seal. A mask says what was stored
//! when its filter was first used on the segment, and stands until the segment goes out of use: a row whose point was
//! gone then is not let through, one whose point had been put again was judged by its newer payload.

use super::segment::Segment;
use imagefleet_common::filter::Filter;
use std::{
    collections::{BTreeSet, HashSet},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// Filters whose masks a segment keeps: a mask has 3 KiB for the 23,000 rows of a zip of YFCC100M.
const KEPT: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mask {
    words: Vec<u64>,
    rows: usize,
}

impl FromIterator<bool> for Mask {
    fn from_iter<I: IntoIterator<Item = bool>>(rows: I) -> Self {
        let mut mask = Self { words: Vec::new(), rows: 0 };
        for is_let_through in rows {
            if mask.rows.is_multiple_of(64) {
                mask.words.push(0);
            }
            mask.words[mask.rows / 64] |= u64::from(is_let_through) << (mask.rows % 64);
            mask.rows += 1;
        }
        mask
    }
}

impl Mask {
    fn has(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Rows next to each other that are let through, ascending.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let mut row = 0;
        std::iter::from_fn(move || {
            let start = (row..self.rows).find(|row| self.has(*row))?;
            let end = (start..self.rows).find(|row| !self.has(*row)).unwrap_or(self.rows);
            row = end;
            Some(start..end)
        })
    }

    fn and(&self, other: &Self) -> Self {
        let words = self.words.iter().zip(&other.words).map(|(one, other)| one & other).collect();
        Self { words, rows: self.rows }
    }
}

/// Restricts `by_payload`, a mask for each segment, to these keys. `None` lets everything through.
pub(super) fn with_keys(
    segments: &[Arc<Segment>],
    by_payload: Option<Vec<Arc<Mask>>>,
    keys: Option<&BTreeSet<String>>,
) -> Option<Vec<Arc<Mask>>> {
    let Some(keys) = keys else { return by_payload };
    let keys: HashSet<&[u8]> = keys.iter().map(String::as_bytes).collect();
    let by_key = segments
        .iter()
        .map(|segment| -> Mask { (0..segment.rows()).map(|row| keys.contains(segment.key(row))).collect() });
    Some(match by_payload {
        None => by_key.map(Arc::new).collect(),
        Some(masks) => by_key.zip(masks).map(|(by_key, mask)| Arc::new(by_key.and(&mask))).collect(),
    })
}

/// A segment's masks of the filters that were used last, the latest at the end.
#[derive(Default)]
pub(super) struct Masks(Mutex<Vec<(Filter, Arc<Mask>)>>);

impl Masks {
    pub(super) fn get(&self, filter: &Filter) -> Option<Arc<Mask>> {
        let mut masks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = masks.iter().position(|(known, _)| known == filter)?;
        let found = masks.remove(at);
        let mask = Arc::clone(&found.1);
        masks.push(found);
        Some(mask)
    }

    pub(super) fn put(&self, filter: Filter, mask: Arc<Mask>) {
        let mut masks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        masks.retain(|(known, _)| *known != filter);
        masks.push((filter, mask));
        if masks.len() > KEPT {
            masks.remove(0);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn mask(rows: &[usize], of: usize) -> Mask {
        (0..of).map(|row| rows.contains(&row)).collect()
    }

    #[test]
    fn runs_hold_the_rows_that_are_let_through_and_no_other() {
        for (rows, of) in
            [(vec![], 0), (vec![], 70), (vec![0, 1, 5], 6), ((0..130).collect(), 130), (vec![63, 64, 127, 129], 130)]
        {
            let runs: Vec<Range<usize>> = mask(&rows, of).runs().collect();
            assert!(runs.is_sorted_by(|one, next| one.end < next.start) && runs.iter().all(|run| !run.is_empty()));
            assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), rows);
        }
    }

    #[test]
    fn what_both_let_through_is_let_through() {
        assert_eq!(mask(&[1, 2, 64, 69], 70).and(&mask(&[2, 3, 64], 70)), mask(&[2, 64], 70));
    }

    #[test]
    fn the_masks_that_were_used_last_are_kept() {
        let masks = Masks::default();
        let filter = |number: usize| {
            let mut filter = Filter::default();
            filter.set("text", &format!("word{number}")).unwrap();
            filter
        };
        for number in 0..KEPT {
            masks.put(filter(number), Arc::new(mask(&[number], 70)));
        }
        assert_eq!(*masks.get(&filter(0)).unwrap(), mask(&[0], 70));
        masks.put(filter(KEPT), Arc::new(mask(&[], 70)));
        assert!(masks.get(&filter(1)).is_none());
        assert!(masks.get(&filter(0)).is_some() && masks.get(&filter(2)).is_some());
    }
}
