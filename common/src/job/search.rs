//! A search apart from any job file: one text against one collection, now.

use crate::{
    error::{Error, Result},
    filter::Filter,
};
use serde::{Deserialize, Serialize};

/// The most pictures that one search finds.
pub const MOST: u16 = 1000;

/// What is searched for. As JSON it is the spec of the job that a fleet makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    pub text: String,
    /// How many pictures are wanted, from 1 to [`MOST`].
    pub top: u16,
    #[serde(default)]
    pub filter: Filter,
}

impl Search {
    /// Permanent error where there is nothing to search for, or `top` is out of its range.
    pub fn new(text: String, top: u16, filter: Filter) -> Result<Self> {
        if text.trim().is_empty() {
            return Err(Error::permanent("search: the text is empty; say what is to be seen on the pictures"));
        }
        if !(1..=MOST).contains(&top) {
            return Err(Error::permanent(format!("search: top {top}: expected 1 to {MOST}")));
        }
        Ok(Self { text, top, filter })
    }
}
