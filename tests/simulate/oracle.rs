//! Who wrote what, and what that write had in view: kept beside the sites, by looking at the tables before and after each statement.

use std::collections::{BTreeMap, BTreeSet};

use entente::model::SiteId;

use crate::{house::House, raw::Journal};

/// A row as the application sees it: its columns by name, nulls left out.
pub(crate) type Fields = BTreeMap<String, String>;
/// All rows of a database by table and key.
pub(crate) type Rows = BTreeMap<(&'static str, String), Fields>;

/// One accepted write of one row.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) site: SiteId,
    pub(crate) table: &'static str,
    /// The note by which it is known; `None` = a deletion.
    pub(crate) note: Option<String>,
    /// What the row became, without its references.
    pub(crate) fields: Fields,
    /// Its references: column, table, key at that site, and the uid once it is known.
    pub(crate) references: Vec<(&'static str, &'static str, String, Option<String>)>,
    /// A backup was put back, and it was nowhere else.
    pub(crate) lost: bool,
}

/// Every write of a world.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) writes: Vec<Write>,
    by_note: BTreeMap<String, usize>,
    /// For each write: those that replaced it.
    after: BTreeMap<usize, Vec<usize>>,
    /// Uids of records that were deleted elsewhere and are kept because others refer to them.
    pub(crate) asserted: BTreeSet<String>,
    notes: usize,
    /// Notes of versions that a person put back.
    pub(crate) raised: BTreeSet<String>,
    /// Notes of versions that a person made of two.
    pub(crate) pieced: BTreeSet<String>,
}

/// What a person's decision makes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// A version that was there before.
    Whole,
    /// Fields of two versions.
    Parts,
}

/// What is said of deletions at a site whose backup was put back since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletions {
    AreGone,
    /// Somebody else may have heard of them, so that what they replaced is nowhere.
    MayBeKnown,
}

impl Oracle {
    /// A note that nobody used.
    pub(crate) fn note(&mut self) -> String {
        self.notes += 1;
        format!("w{}", self.notes)
    }

    /// Notes what a committed statement changed.
    pub(crate) fn watch(&mut self, site: SiteId, before: &Rows, after: &Rows) -> usize {
        let known = self.writes.len();
        for (place, fields) in after {
            let former = before.get(place);
            if former.map(|row| &row["note"]) != Some(&fields["note"]) {
                self.add(site, place.0, Some(fields), former);
            }
        }
        for (place, former) in before.iter().filter(|(place, _)| !after.contains_key(place)) {
            self.add(site, place.0, None, Some(former));
        }
        self.writes.len() - known
    }

    /// Notes what a person did with the tools of a site: what was put back is no new write, what was mended is one.
    pub(crate) fn by_hand(&mut self, site: SiteId, before: &Rows, after: &Rows, by: By) {
        for (place, fields) in after.iter().filter(|(place, fields)| before.get(*place) != Some(*fields)) {
            let note = &fields["note"];
            if !self.by_note.contains_key(note) {
                self.add(site, place.0, Some(fields), before.get(place));
            } else if before.get(place).is_none_or(|former| &former["note"] != note) {
                self.raised.insert(note.clone());
            }
            if by == By::Parts {
                self.pieced.insert(note.clone());
            }
        }
    }

    /// Whether each field of a record is what somebody wrote into it.
    pub(crate) fn wrote_each(&self, table: &str, fields: &Fields) -> bool {
        // OR REPLACE gives a company of one key everything anew.
        let one = |write: &&Write| ["born", "code"].iter().all(|key| write.fields.get(*key) == fields.get(*key));
        let same = |write: &&Write| write.table == table && (table == "org" || one(write));
        let writes: Vec<&Write> = self.writes.iter().filter(same).collect();
        fields.iter().all(|(name, value)| {
            writes.iter().any(|write| {
                let refers = |reference: &(&str, &str, String, Option<String>)| {
                    reference.0 == name && reference.3.as_ref().is_none_or(|uid| uid == value)
                };
                write.fields.get(name) == Some(value) || write.references.iter().any(refers)
            })
        })
    }

    fn add(&mut self, site: SiteId, table: &'static str, fields: Option<&Fields>, former: Option<&Fields>) {
        let (note, at) = (fields.map(|fields| fields["note"].clone()), self.writes.len());
        let over = former.and_then(|row| self.by_note.get(&row["note"]).copied());
        self.after.entry(over.unwrap_or(usize::MAX)).or_default().push(at);
        self.by_note.extend(note.clone().map(|note| (note, at)));
        let mut fields = fields.cloned().unwrap_or_default();
        let columns: &[(&str, &str)] = if table == "person" { &[("org", "org"), ("chief", "person")] } else { &[] };
        let references = columns.iter().filter_map(|(column, to)| Some((*column, *to, fields.remove(*column)?, None))).collect();
        self.writes.push(Write { site, table, note, fields, references, lost: false });
    }

    /// Learns the uids of what rows refer to; a new row has none before it is folded.
    pub(crate) fn learn(&mut self, house: &House) {
        let site = house.id();
        let of_site = self.writes.iter_mut().filter(|write| write.site == site);
        let mut open = of_site.flat_map(|write| &mut write.references).filter(|reference| reference.3.is_none()).peekable();
        if open.peek().is_none() {
            return;
        }
        let known = house.uids();
        for (_, table, key, uid) in open {
            *uid = known.get(&(*table, key.clone())).cloned();
        }
    }

    pub(crate) fn write(&self, note: &str) -> Option<&Write> {
        self.by_note.get(note).map(|at| &self.writes[*at])
    }

    /// The writes that replaced the one with this note, knowing it, and were not lost.
    pub(crate) fn replaced_by(&self, note: &str) -> Vec<&Write> {
        let after = self.by_note.get(note).and_then(|at| self.after.get(at));
        after.into_iter().flatten().map(|at| &self.writes[*at]).filter(|write| !write.lost).collect()
    }

    /// Whether somebody deleted the record with this note, or one that was born as the same.
    pub(crate) fn was_deleted(&self, note: &str) -> bool {
        let Some(first) = self.by_note.get(note).copied() else { return false };
        let born = self.writes[first].fields.get("born");
        let same = |at: &usize| born.is_some() && self.writes[*at].fields.get("born") == born;
        let (mut open, mut seen) = ((0..self.writes.len()).filter(same).chain([first]).collect::<Vec<_>>(), BTreeSet::new());
        while let Some(at) = open.pop() {
            if self.writes[at].note.is_none() {
                return true;
            }
            if seen.insert(at) {
                open.extend(self.after.get(&at).into_iter().flatten());
            }
        }
        false
    }

    /// The writes that are nowhere: neither in a row nor in a history, a conflict or among what waits, nor replaced by one that had seen them
    /// and is somewhere.
    pub(crate) fn nowhere(&self, journals: &[Journal], lost: Deletions) -> Vec<usize> {
        let mut alive = vec![false; self.writes.len()];
        for (at, write) in self.writes.iter().enumerate().rev() {
            let found = write.note.as_ref().is_none_or(|note| journals.iter().any(|journal| journal.notes.contains(note)));
            let later = self.after.get(&at).is_some_and(|after| after.iter().any(|at| alive[*at]));
            let heard = write.lost && write.note.is_none() && lost == Deletions::MayBeKnown;
            alive[at] = heard || !write.lost && (found || later);
        }
        (0..alive.len()).filter(|at| !alive[*at] && !self.writes[*at].lost).collect()
    }

    /// A backup of a site was put back, made when there were so many writes: what is nowhere now is gone. Of its later deletions nobody can
    /// say who heard of them.
    pub(crate) fn forgive(&mut self, site: SiteId, since: usize, journals: &[Journal]) -> usize {
        for write in self.writes[since..].iter_mut().filter(|write| write.site == site && write.note.is_none()) {
            write.lost = true;
        }
        let gone = self.nowhere(journals, Deletions::AreGone);
        gone.iter().for_each(|at| self.writes[*at].lost = true);
        gone.len()
    }
}
