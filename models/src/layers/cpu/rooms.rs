//! Sequences in groups, and groups over the cores.

use super::Workspace;
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Rows that go through the blocks together. They fit the second-level cache, and are enough that each number of
/// the weights that comes from memory is used many times.
const ROWS_AT_ONCE: usize = 256;

/// A workspace for each core. Their memory depends on the longest sequence, not on how many there are.
#[derive(Default)]
pub(crate) struct Rooms(Vec<Workspace>);

impl Rooms {
    /// Does `work` for every group. Groups go to whichever core is free, and a core without a group helps with
    /// the products of others.
    pub(crate) fn share<T: Send>(
        &mut self,
        groups: impl Iterator<Item = T> + Send,
        work: impl Fn(&mut Workspace, T) + Sync,
    ) {
        self.0.resize_with(rayon::current_num_threads(), Workspace::default);
        let groups = Mutex::new(groups);
        let next = || groups.lock().unwrap_or_else(PoisonError::into_inner).next();
        self.0.par_iter_mut().with_max_len(1).for_each(|room| {
            while let Some(group) = next() {
                work(room, group);
            }
        });
    }
}

/// How many of `count` sequences of this length make a group, so that the cores have equally many.
pub(crate) fn group_size(count: usize, length: usize) -> usize {
    let most = (ROWS_AT_ONCE / length).max(1);
    let of_a_core = count.div_ceil(rayon::current_num_threads()).max(1);
    of_a_core.div_ceil(of_a_core.div_ceil(most))
}
