//! What is looked at for a page of the feed (SYNC.md 3), and what becomes of it.

use std::collections::HashSet;

use super::seen::Seen;
use crate::model::{Digest, Page};

/// What a look at a table, in one snapshot, found to send.
pub(super) enum Window {
    Read {
        upto: i64,
        more: bool,
        /// Records that cannot travel as they are: their indexes in the page, and why.
        withheld: Vec<(usize, String)>,
        /// Records that became versions while what they refer to was none yet, and is by now: their digests, still to be noted.
        incomplete: Vec<(i64, Digest)>,
    },
    /// Local edits are no versions yet: an application wrote in between.
    Unfolded,
    /// Rows that went without a trigger noticing.
    Vanished(Vec<i64>),
}

/// A look that goes on, record by record.
#[derive(Default)]
pub(super) struct Look {
    /// The arrival up to which all was looked at.
    pub(super) upto: i64,
    withheld: Vec<(usize, String)>,
    vanished: Vec<i64>,
    incomplete: Vec<(i64, Digest)>,
}

impl Look {
    /// One that begins after an arrival.
    pub(super) fn after(upto: i64) -> Look {
        Look { upto, ..Look::default() }
    }

    /// Takes note of the record that was appended last, with so many bytes of text.
    pub(super) fn take(&mut self, seen: &Seen, bytes: usize, page: &Page) {
        self.upto = seen.arrival;
        if seen.vanished {
            self.vanished.push(seen.arrival);
        } else if let Some(reason) = seen.unfit(bytes) {
            self.withheld.push((page.records.len() - 1, reason));
        } else if seen.present && seen.digest.is_none() {
            self.incomplete.extend(page.records.last().map(|record| (seen.arrival, page.view(record).digest())));
        }
    }

    /// The arrivals of incomplete records, where there are any and the page will be sent.
    pub(super) fn incomplete(&self) -> Option<Vec<i64>> {
        let sent = self.vanished.is_empty() && !self.incomplete.is_empty();
        sent.then(|| self.incomplete.iter().map(|(arrival, _)| *arrival).collect())
    }

    /// Some were edited meanwhile: their digests are not noted.
    pub(super) fn edited(&mut self, arrivals: &HashSet<i64>) {
        self.incomplete.retain(|(arrival, _)| !arrivals.contains(arrival));
    }

    /// What was found of a table whose last arrival is `head`.
    pub(super) fn end(self, head: i64) -> Window {
        match self.vanished.is_empty() {
            true => Window::Read { upto: self.upto, more: self.upto < head, withheld: self.withheld, incomplete: self.incomplete },
            false => Window::Vanished(self.vanished),
        }
    }
}

/// Takes records out of a page that were asked for by name and cannot travel; they begin at `first`.
pub(super) fn leave_out(seen: &[Seen], first: usize, page: &mut Page) {
    let left = seen.iter().enumerate().filter(|(_, seen)| seen.unfit(0).is_some() || seen.vanished || seen.held);
    let left: Vec<usize> = left.map(|(at, _)| first + at).collect();
    page.remove(&left);
}
