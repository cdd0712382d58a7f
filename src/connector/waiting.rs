//! Records that wait for another record, for an answer or for a person.

use std::collections::BTreeMap;

use super::Table;
use crate::model::{Page, SiteId, Time};

/// Why a record waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// The database or a rule refuses it.
    Quarantined,
    /// It refers to a record that is not here.
    Parked,
    /// It deletes a record that others here refer to.
    Deletion,
    /// It may be the same thing as a local record under another uid; the sender has to be asked.
    Twin,
    /// Outgoing: it refers to a row that is not there.
    Outgoing,
    /// Outgoing: the site that it was given to refused it.
    Refused,
}

impl Waiting {
    /// The word in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Waiting::Quarantined => "quarantined",
            Waiting::Parked => "parked",
            Waiting::Deletion => "deletion",
            Waiting::Twin => "twin",
            Waiting::Outgoing => "outgoing",
            Waiting::Refused => "refused",
        }
    }

    /// What a word in the journal stands for.
    pub fn from_word(word: &str) -> Option<Waiting> {
        let all = [Waiting::Quarantined, Waiting::Parked, Waiting::Deletion, Waiting::Twin, Waiting::Outgoing, Waiting::Refused];
        all.into_iter().find(|kind| kind.word() == word)
    }
}

/// Why and since when a record waits.
pub struct Wait<'a> {
    /// Why.
    pub kind: Waiting,
    /// In a sentence.
    pub reason: &'a str,
    /// The records it waits for.
    pub missing: &'a [(String, String)],
    /// The site it came from.
    pub peer: SiteId,
    /// The run.
    pub run: u64,
    /// When.
    pub now: Time,
}

/// Which waiting records are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Those of these kinds after a number, from any table.
    Kinds(&'a [Waiting], i64),
    /// Those that wait for one of these records.
    For(&'a [(String, String)]),
    /// The versions of one record.
    Of(&'a Table, &'a str),
    /// The one with this number, outgoing ones not among them.
    One(i64),
}

/// A record that waits.
pub struct Waiter {
    /// Its number.
    pub id: i64,
    /// The resource.
    pub resource: String,
    /// The record, alone in a page.
    pub page: Page,
    /// The run in which it came.
    pub run: u64,
    /// Why it waits.
    pub kind: Waiting,
    /// The site it came from.
    pub site: SiteId,
    /// Why it waits, in a sentence.
    pub reason: String,
}

/// A waiting record as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingEntry {
    /// Its number.
    pub id: i64,
    /// The resource.
    pub resource: String,
    /// Its uid.
    pub uid: String,
    /// Why it waits.
    pub kind: String,
    /// In a sentence.
    pub reason: String,
    /// The site it came from.
    pub site: SiteId,
    /// Since when.
    pub at: Time,
}

/// How much of what came from a site waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// The site.
    pub site: SiteId,
    /// Conflicts that a person has to decide.
    pub conflicts: u64,
    /// Records that could not be stored, and own ones that cannot be sent.
    pub quarantined: u64,
    /// Records that wait for another one, or for an answer of that site.
    pub parked: u64,
}

/// Sums counts of waiting records by site and kind, and of open conflicts by site.
pub(super) fn troubles(
    waiting: impl IntoIterator<Item = (SiteId, String, u64)>,
    open: impl IntoIterator<Item = (SiteId, u64)>,
) -> Vec<Trouble> {
    let mut found: BTreeMap<SiteId, Trouble> = BTreeMap::new();
    let none = |site| Trouble { site, conflicts: 0, quarantined: 0, parked: 0 };
    for (site, kind, count) in waiting {
        let trouble = found.entry(site).or_insert_with(|| none(site));
        if kind == Waiting::Quarantined.word() || kind == Waiting::Outgoing.word() {
            trouble.quarantined += count;
        } else {
            trouble.parked += count;
        }
    }
    for (site, count) in open {
        found.entry(site).or_insert_with(|| none(site)).conflicts += count;
    }
    found.into_values().collect()
}
