//! Long lists, a page at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// Where a page begins, and how much of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// Those after this one: `next` of the page before.
    pub(super) after: Option<String>,
    /// How many at most [default: 50; 1 to 1000].
    pub(super) limit: Option<u32>,
}

impl Paging {
    /// The name to begin after.
    pub(super) fn name(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    /// The number to begin after.
    pub(super) fn number(&self) -> Result<i64> {
        number(self.after.as_deref())
    }
}

/// The number to begin after.
pub(super) fn number(after: Option<&str>) -> Result<i64> {
    after.map_or(Ok(0), |text| text.parse().map_err(|_| Error::usage(format!("{text:?} is no `next` of a page"))))
}

/// How many are wanted: 50 unless it is said, 1,000 at most.
pub(super) fn limit(wanted: Option<u32>) -> Result<u32> {
    match wanted.unwrap_or(50) {
        limit @ 1..=MOST => Ok(limit),
        off => Err(Error::usage(format!("a page has 1 to {MOST} entries, not {off}"))),
    }
}
