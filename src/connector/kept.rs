//! What the journal keeps so that nothing is lost: conflicts, the history, what a run did.

use crate::model::{Page, RecordView, Relation, SiteId, Time, Version};

/// A version that is lost by a decision.
pub struct Lost<'a> {
    /// The version.
    pub record: RecordView<'a>,
    /// `local` or `incoming`.
    pub side: &'static str,
    /// The rule that decided.
    pub rule: &'static str,
}

/// Both versions of a conflict.
pub struct Clash<'a> {
    /// What was here.
    pub ours: RecordView<'a>,
    /// What came.
    pub theirs: RecordView<'a>,
    /// The rule that decided, or MANUAL.
    pub rule: &'static str,
    /// A person has yet to decide; the record is held.
    pub open: bool,
}

impl Clash<'_> {
    /// Of the open conflicts of the record, the numbers of those whose place this one takes; `None` where they say what this one would.
    pub(super) fn replaces(&self, known: Vec<ConflictEntry>) -> Option<Vec<i64>> {
        let mut replaced = Vec::new();
        for known in known {
            match known.theirs.records[0].version.relation(&self.theirs.record.version) {
                Relation::Ahead => return None,
                Relation::Same if known.theirs.views().all(|view| view.digest() == self.theirs.digest()) => return None,
                Relation::Same | Relation::Behind => replaced.push(known.id),
                Relation::Concurrent => {}
            }
        }
        Some(replaced)
    }
}

/// A conflict as the journal keeps it.
#[derive(Debug, Clone)]
pub struct ConflictEntry {
    /// Its number.
    pub id: i64,
    /// The resource.
    pub resource: String,
    /// The record's uid.
    pub uid: String,
    /// When it arose.
    pub at: Time,
    /// The site that the other version came from.
    pub site: SiteId,
    /// The run in which it came.
    pub run: u64,
    /// The rule that decided, or MANUAL.
    pub rule: String,
    /// A person has yet to decide.
    pub open: bool,
    /// What a person chose: `ours`, `theirs`, a list of fields, or `undone`.
    pub choice: Option<String>,
    /// When.
    pub decided: Option<Time>,
    /// The record's version after the decision, by which one sees whether it changed since.
    pub after: Option<Version>,
    /// What was here, alone in a page.
    pub ours: Page,
    /// What came, alone in a page.
    pub theirs: Page,
}

impl ConflictEntry {
    /// Whether a version of the record has seen what came: then there is nothing left to decide.
    pub(super) fn ends_with(&self, version: &Version) -> bool {
        matches!(version.relation(&self.theirs.records[0].version), Relation::Ahead | Relation::Same)
    }
}

/// Which conflicts are wanted; newest first.
#[derive(Debug, Clone, Copy)]
pub enum Conflicts<'a> {
    /// All, or those that are open, at most so many.
    All {
        /// Only those that a person has yet to decide.
        open: bool,
        /// Only those that came from this site.
        site: Option<SiteId>,
        /// Only those with a smaller number.
        before: Option<i64>,
        /// The most.
        limit: usize,
    },
    /// The one with this number.
    One(i64),
    /// The open ones of a record.
    Of(&'a super::Table, &'a str),
}

/// What a person decided of a conflict.
#[derive(Debug, Clone, Copy)]
pub enum Verdict<'a> {
    /// Decided: what was chosen.
    Chosen(&'a str),
    /// To be decided again: the record is held.
    Reopened,
}

impl<'a> Verdict<'a> {
    /// As the journal keeps it: whether the conflict is open, what was chosen, and when.
    pub(super) fn kept(self, now: Time) -> (bool, Option<&'a str>, Option<i64>) {
        match self {
            Verdict::Chosen(choice) => (false, Some(choice), Some(now.0)),
            Verdict::Reopened => (true, None, None),
        }
    }
}

/// A version that was replaced or deleted.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// Its number.
    pub id: i64,
    /// The resource.
    pub resource: String,
    /// The record's uid.
    pub uid: String,
    /// When it was replaced.
    pub at: Time,
    /// The site whose version replaced it, or that was refused; ourselves where a person put something back.
    pub site: SiteId,
    /// The run.
    pub run: u64,
    /// `local` or `incoming`.
    pub side: String,
    /// The rule that decided.
    pub rule: String,
    /// The version, alone in a page.
    pub page: Page,
}

/// What a run did to a record.
#[derive(Debug, Clone)]
pub struct Effected {
    /// The record's uid.
    pub uid: String,
    /// Where [`super::Apply::effects`] goes on after it.
    pub place: i64,
    /// What was here before; `None` = nothing.
    pub before: Option<Page>,
    /// Somebody changed the record since.
    pub since: bool,
}

/// Which effects of a run are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effects {
    /// Records that it changed or deleted.
    Replaced,
    /// Records that it made.
    Made,
}
