//! What the journal keeps so that nothing is lost: conflicts, the history, agreed contents, what a run did.

use std::collections::{BTreeMap, btree_map};

use super::state::State;
use crate::{
    connector::{Clash, ConflictEntry, Conflicts, Effected, Effects, HistoryEntry, Lost, Table, Verdict},
    error::Result,
    model::{Page, RecordView, Relation, SiteId, Time, Version},
};

/// Records as they were when they were last exchanged, by uid.
pub(super) type Bases = BTreeMap<String, Page>;

fn alone(record: RecordView<'_>) -> Page {
    let mut page = Page::new(&record.page.resource);
    page.copy(record);
    page
}

impl State {
    pub(super) fn conflicts(&self, which: Conflicts<'_>) -> Vec<ConflictEntry> {
        let wanted = |entry: &&ConflictEntry| match which {
            Conflicts::All { open, site, before, .. } => {
                (entry.open || !open) && site.is_none_or(|site| entry.site == site) && before.is_none_or(|before| entry.id < before)
            }
            Conflicts::One(id) => entry.id == id,
            Conflicts::Of(table, uid) => entry.open && entry.resource == table.resource && entry.uid == uid,
        };
        let limit = if let Conflicts::All { limit, .. } = which { limit } else { usize::MAX };
        self.conflicts.iter().rev().filter(wanted).take(limit).cloned().collect()
    }

    pub(super) fn list_conflict(&mut self, table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, clash: &Clash<'_>) -> Result<bool> {
        let theirs = &clash.theirs.record.version;
        let mut replaced = Vec::new();
        for known in self.conflicts(Conflicts::Of(table, uid)).into_iter().filter(|_| clash.open) {
            let same = known.theirs.views().all(|view| view.digest() == clash.theirs.digest());
            match known.theirs.records[0].version.relation(theirs) {
                Relation::Ahead => return Ok(false),
                Relation::Same if same => return Ok(false),
                Relation::Same | Relation::Behind => replaced.push(known.id),
                Relation::Concurrent => {}
            }
        }
        let id = replaced.first().copied().unwrap_or(self.conflicts.iter().map(|entry| entry.id).max().unwrap_or(0) + 1);
        self.conflicts.retain(|entry| !replaced.contains(&entry.id));
        let at = self.attached(table)?;
        let place = self.by_uid(at, uid);
        let after = place.filter(|_| !clash.open).map(|place| self.tables[at].entries[place].version.clone());
        self.conflicts.push(ConflictEntry {
            id,
            resource: table.resource.clone(),
            uid: uid.to_owned(),
            at: now,
            site: peer,
            run,
            rule: clash.rule.to_owned(),
            open: clash.open,
            choice: None,
            decided: None,
            after,
            ours: alone(clash.ours),
            theirs: alone(clash.theirs),
        });
        self.conflicts.sort_by_key(|entry| entry.id);
        self.hold(at, uid);
        Ok(true)
    }

    /// A record is held by its open conflicts.
    fn hold(&mut self, at: usize, uid: &str) {
        let resource = self.tables[at].table.as_ref().map_or("", |table| table.resource.as_str());
        let held = self.conflicts.iter().any(|entry| entry.open && entry.resource == resource && entry.uid == uid);
        if let Some(place) = self.by_uid(at, uid) {
            self.tables[at].entries[place].held = held;
        }
    }

    pub(super) fn release(&mut self, at: usize, table: &Table, uid: &str, version: &Version) {
        for entry in self.conflicts.iter_mut().filter(|entry| entry.open && entry.resource == table.resource && entry.uid == uid) {
            if matches!(version.relation(&entry.theirs.records[0].version), Relation::Ahead | Relation::Same) {
                (entry.open, entry.after) = (false, Some(version.clone()));
            }
        }
        self.hold(at, uid);
    }

    pub(super) fn judge(&mut self, table: &Table, id: i64, verdict: Verdict<'_>, ours: RecordView<'_>, now: Time) -> Result<()> {
        let at = self.attached(table)?;
        let after = self.by_uid(at, ours.uid()).map(|place| self.tables[at].entries[place].version.clone());
        for entry in self.conflicts.iter_mut().filter(|entry| entry.id == id) {
            (entry.open, entry.choice, entry.decided) = match verdict {
                Verdict::Chosen(choice) => (false, Some(choice.to_owned()), Some(now)),
                Verdict::Reopened => (true, None, None),
            };
            entry.after.clone_from(&after);
            entry.ours = alone(ours);
        }
        self.hold(at, ours.uid());
        Ok(())
    }

    pub(super) fn remember(&mut self, table: &Table, uid: &str, site: SiteId, run: u64, at: Time, lost: &Lost<'_>) {
        let id = self.history.last().map_or(0, |entry| entry.id) + 1;
        let (side, rule) = (lost.side.to_owned(), lost.rule.to_owned());
        let (resource, uid, page) = (table.resource.clone(), uid.to_owned(), alone(lost.record));
        self.history.push(HistoryEntry { id, resource, uid, at, site, run, side, rule, page });
    }

    pub(super) fn effects(&self, table: &Table, run: u64, effects: Effects, after: i64, limit: usize) -> Result<Vec<Effected>> {
        let at = self.attached(table)?;
        let entries = &self.tables[at].entries;
        let since = |uid: &str| {
            let entry = self.by_uid(at, uid).map(|place| &entries[place]);
            entry.is_none_or(|entry| entry.run != Some(run) || entry.own.is_some())
        };
        let mut found = Vec::new();
        match effects {
            Effects::Made => {
                for entry in entries.iter().filter(|entry| entry.made == Some(run) && entry.arrival > after) {
                    let uid = entry.uid.clone().unwrap_or_default();
                    found.push(Effected { since: since(&uid), uid, place: entry.arrival, before: None });
                }
                found.sort_by_key(|effected| effected.place);
            }
            Effects::Replaced => {
                let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
                let of_run = |entry: &&HistoryEntry| entry.run == run && entry.side == "local" && entry.resource == table.resource;
                for entry in self.history.iter().filter(of_run) {
                    let made = self.by_uid(at, &entry.uid).is_some_and(|place| entries[place].made == Some(run));
                    let first = matches!(seen.entry(&entry.uid), btree_map::Entry::Vacant(_));
                    seen.insert(&entry.uid, ());
                    if first && !made && entry.id > after {
                        let before = Some(entry.page.clone());
                        found.push(Effected { uid: entry.uid.clone(), place: entry.id, before, since: since(&entry.uid) });
                    }
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    pub(super) fn note_bases(&mut self, table: i64, page: &Page) {
        let Some(bases) = self.bases.get_mut(&table) else { return };
        for view in page.views().filter(|view| !view.record.retracted) {
            match view.record.deleted {
                true => bases.remove(view.uid()),
                false => bases.insert(view.uid().to_owned(), alone(view)),
            };
        }
    }
}
