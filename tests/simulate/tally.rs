//! What happened in many worlds.

use std::{collections::BTreeMap, fmt};

/// Counts by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(pub(crate) BTreeMap<String, u64>);

impl Tally {
    pub(crate) fn one(&mut self, what: &str) {
        self.many(what, 1);
    }

    pub(crate) fn many(&mut self, what: &str, count: u64) {
        *self.0.entry(what.to_owned()).or_default() += count;
    }

    pub(crate) fn add(&mut self, more: &Tally) {
        more.0.iter().for_each(|(what, count)| self.many(what, *count));
    }

    pub(crate) fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, count)| writeln!(f, "  {count:>9}  {what}"))
    }
}
