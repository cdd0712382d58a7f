//! Long lists, a page at a time.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};

/// The most entries of a page.
pub(super) const MOST: u32 = 1000;

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(super) struct Page<T> {
    /// What is on it.
    pub(super) items: Vec<T>,
    /// Where the next page begins: the value for `before` or `after`. Null on the last page.
    pub(super) next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` of `items`, of which one more than that was asked for where there is a next page.
    pub(super) fn of(mut items: Vec<T>, limit: u32, name: impl FnOnce(&T) -> String) -> Page<T> {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = if more { items.last().map(name) } else { None };
        Page { items, next }
    }
}

/// How many are wanted: 50 unless it is said, 1,000 at most.
pub(super) fn limit(wanted: Option<u32>) -> Result<u32> {
    match wanted.unwrap_or(50) {
        limit @ 1..=MOST => Ok(limit),
        off => Err(Error::usage(format!("a page has 1 to {MOST} entries, not {off}"))),
    }
}
