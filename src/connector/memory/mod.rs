//! The reference connector: a database and its journal as plain lists in memory, searched from end to end, so that what a connector
//! promises can be read here. A transaction works on a copy of everything, and the copy takes the original's place at the commit.
//!
//! Its tables have an integer key of their own, which does not travel; columns hold any value and travel under their own names.

mod apply;
mod journal;
mod kept;
mod state;

use std::collections::HashMap;

use self::state::State;
use super::{
    Apply, ConflictEntry, Conflicts, Connector, Extent, Forgotten, HistoryEntry, Journal, Living, Named, Part, Place, Progress, Purged,
    Retention, Share, Standing, Survey, Swept, Table, Trouble, Waiting, WaitingEntry, waiting::troubles,
};
use crate::{
    error::{Error, Kind as Fault, Result},
    model::{Identity, Kind, Page, Pending, RecordView, SiteId, Sum, TableSpec, Time},
};

/// A table as its application makes it.
#[derive(Debug, Clone, Default)]
pub(super) struct Schema {
    /// Its name.
    pub(super) name: &'static str,
    /// The columns beside the key, references among them.
    pub(super) columns: &'static [&'static str],
    /// Column sets that no two rows have the same values in.
    pub(super) unique: &'static [&'static [&'static str]],
    /// Columns that may not be null.
    pub(super) required: &'static [&'static str],
    /// Columns that hold the key of a row, and of which table.
    pub(super) references: &'static [(&'static str, &'static str)],
}

/// What a column holds; nothing where it is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// A value and its canonical text.
    Value(Kind, String),
    /// The key of a row that it refers to.
    Row(i64),
}

/// A database in memory, with the application that writes to it.
pub(super) struct Memory {
    state: State,
    /// How often the application wrote.
    edits: i64,
    /// References of the application's are not checked.
    careless: bool,
}

impl Memory {
    /// A database with these empty tables.
    pub(super) fn new(tables: &[Schema]) -> Memory {
        Memory { state: State::new(tables), edits: 0, careless: false }
    }

    /// From now on the application writes references that lead nowhere.
    pub(super) fn be_careless(&mut self) {
        self.careless = true;
    }

    /// Adds a row, or changes the named columns of one that is there.
    pub(super) fn put(&mut self, table: &str, key: i64, columns: &[(&str, Option<Held>)]) -> Result<()> {
        self.edit(table, key, |state, at| {
            let row = state.tables[at].rows.entry(key).or_default();
            for (column, held) in columns {
                match held {
                    Some(held) => row.insert((*column).to_owned(), held.clone()),
                    None => row.remove(*column),
                };
            }
        })
    }

    /// Removes a row.
    pub(super) fn delete(&mut self, table: &str, key: i64) -> Result<()> {
        if !self.state.tables[self.state.place(table)].rows.contains_key(&key) {
            return Ok(());
        }
        self.edit(table, key, |state, at| drop(state.tables[at].rows.remove(&key)))
    }

    /// The values of a column and the keys of their rows, in the order of keys.
    pub(super) fn column(&self, table: &str, column: &str) -> Vec<(i64, Option<Held>)> {
        let at = self.state.place(table);
        self.state.tables[at].rows.iter().map(|(key, row)| (*key, row.get(column).cloned())).collect()
    }

    /// Whether what the application does to attached tables is noticed.
    pub(super) fn watch(&mut self, watched: bool) {
        for stored in self.state.tables.iter_mut().filter(|stored| stored.table.is_some()) {
            stored.watched = watched;
        }
    }

    /// What the history tells of lost versions: uid, side and rule.
    pub(super) fn lost(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.state.history.iter().map(|entry| (entry.uid.as_str(), entry.side.as_str(), entry.rule.as_str()))
    }

    /// An edit of the application's: all of it or nothing. It is noted if the table is attached.
    fn edit(&mut self, table: &str, key: i64, change: impl FnOnce(&mut State, usize)) -> Result<()> {
        let mut after = self.state.clone();
        let at = after.place(table);
        change(&mut after, at);
        after.check_rows()?;
        if !self.careless && after.astray() > self.state.astray() {
            return Err(Error::new(Fault::Constraint, "a reference leads nowhere"));
        }
        self.edits += 1;
        if after.tables[at].watched {
            // A clock of its own: one second an edit.
            after.note(at, key, Time(1_700_000_000_000_000).plus_seconds(self.edits));
        }
        self.state = after;
        Ok(())
    }
}

impl Connector for Memory {
    fn stale(&mut self) -> bool {
        false
    }

    fn survey(&mut self) -> Result<Vec<Survey>> {
        let surveyed = self.state.tables.iter().map(|stored| Survey {
            table: stored.schema.name.to_owned(),
            identity: Ok(stored.table.as_ref().map_or(Identity::Assigned, |table| table.identity.clone())),
            references: stored.schema.references.iter().map(|(_, to)| (*to).to_owned()).collect(),
            attached: stored.table.as_ref().map(|table| table.resource.clone()),
        });
        Ok(surveyed.collect())
    }

    fn attach(&mut self, specs: &[TableSpec], site: SiteId, now: Time, _: Progress<'_>) -> Result<()> {
        let mut after = self.state.clone();
        after.attach(specs, site, now)?;
        self.state = after;
        Ok(())
    }

    fn detach(&mut self, drop_journal: bool) -> Result<()> {
        self.journal()?;
        for stored in &mut self.state.tables {
            stored.watched = false;
        }
        if drop_journal {
            self.state.forget_journal();
        }
        Ok(())
    }

    fn journal(&mut self) -> Result<Journal> {
        self.state.journal.clone().ok_or_else(|| Error::not_found("this database has no journal"))
    }

    fn renew(&mut self, site: SiteId, incarnation: u32, epoch: &str) -> Result<()> {
        let before = self.journal()?;
        let runs = before.runs;
        self.state.journal = Some(Journal { site, epoch: epoch.to_owned(), incarnation, runs });
        for share in self.state.shares.values_mut() {
            if *share != Share::default() {
                (share.compare.due, share.compare.we_went_back) = (true, true);
                share.compare.found += 1;
            }
            if before.site != site {
                (share.told, share.heard) = (0, 0);
            }
        }
        Ok(())
    }

    fn tables(&mut self) -> Result<Vec<Table>> {
        Ok(self.state.tables.iter().filter_map(|stored| stored.table.clone()).collect())
    }

    fn share(&mut self, table: &Table, peer: SiteId, part: Part) -> Result<Share> {
        Ok(self.state.share(table, peer, part))
    }

    fn set_share(&mut self, table: &Table, peer: SiteId, part: Part, share: &Share, added_runs: u64) -> Result<()> {
        self.state.set_share((table.id, peer, part), share);
        if let Some(journal) = &mut self.state.journal {
            journal.runs += added_runs;
        }
        Ok(())
    }

    fn forget_shared(&mut self, table: &Table, peer: SiteId) -> Result<()> {
        let at = self.state.attached(table)?;
        for entry in self.state.tables[at].entries.iter_mut().filter(|entry| entry.received_from == Some(peer)) {
            entry.received_from = None;
        }
        Ok(())
    }

    fn head(&mut self, table: &Table) -> Result<i64> {
        let at = self.state.attached(table)?;
        Ok(self.state.tables[at].head)
    }

    fn living(&mut self, table: &Table, take: &mut dyn FnMut(Living<'_>) -> Result<()>) -> Result<()> {
        self.fold(table)?;
        let at = self.state.attached(table)?;
        let mut entries: Vec<_> = self.state.tables[at].entries.iter().filter(|entry| !entry.deleted).collect();
        entries.sort_by_key(|entry| entry.arrival);
        for entry in entries {
            if let (Some(uid), Some(digest)) = (&entry.uid, entry.digest) {
                take(Living { arrival: entry.arrival, uid, version: &entry.version, digest })?;
            }
        }
        Ok(())
    }

    fn standings(&mut self, table: &Table, peer: SiteId, named: Named<'_>) -> Result<Vec<Standing>> {
        self.fold(table)?;
        let at = self.state.attached(table)?;
        let wanted = |entry: &&state::Entry| match named {
            Named::Uids(uids) => entry.uid.as_ref().is_some_and(|uid| uids.contains(uid)),
            Named::Arrivals(arrivals) => entry.uid.is_some() && arrivals.contains(&entry.arrival),
        };
        let standing = |entry: &state::Entry| Standing {
            uid: entry.uid.clone().unwrap_or_default(),
            arrival: entry.arrival,
            place: match (entry.retracted, entry.deleted, entry.held) {
                (true, ..) => Place::LetGo,
                (_, true, _) => Place::Deleted,
                (_, false, true) => Place::Held,
                (_, false, false) => Place::Living,
            },
            given: entry.received_from == Some(peer),
        };
        Ok(self.state.tables[at].entries.iter().filter(wanted).map(standing).collect())
    }

    fn purge(&mut self, table: &Table, now: Time, before: Time) -> Result<Purged> {
        let at = self.state.attached(table)?;
        Ok(self.state.purge(at, table.id, now, before))
    }

    fn pending(&mut self, table: &Table, after: i64, peer: SiteId, most: u32) -> Result<Pending> {
        let at = self.state.attached(table)?;
        let arrived = self.state.tables[at].entries.iter().filter(|entry| entry.arrival > after);
        let seen: Vec<_> = arrived.take(most as usize).collect();
        let records = seen.iter().filter(|entry| !entry.held && !entry.retracted && entry.received_from != Some(peer)).count() as u64;
        Ok(Pending { records, more: seen.len() >= most as usize })
    }

    fn count(&mut self, table: &Table) -> Result<u64> {
        let at = self.state.attached(table)?;
        Ok(self.state.tables[at].entries.iter().filter(|entry| !entry.deleted).count() as u64)
    }

    fn sweep(&mut self, table: &Table, now: Time, progress: Progress<'_>) -> Result<Swept> {
        let at = self.state.attached(table)?;
        let swept = self.state.note_unwatched(at, now)?;
        progress(&table.resource, swept.rows, swept.rows);
        Ok(swept)
    }

    fn forget(&mut self, keep: Retention) -> Result<Forgotten> {
        let before = self.state.history.len();
        let mut counts: HashMap<(String, String), u32> = HashMap::new();
        let mut kept = Vec::new();
        for past in std::mem::take(&mut self.state.history).into_iter().rev() {
            let count = counts.entry((past.resource.clone(), past.uid.clone())).or_default();
            *count += 1;
            if past.at >= keep.before && *count <= keep.versions {
                kept.push(past);
            }
        }
        kept.reverse();
        self.state.history = kept;
        self.state.answers.retain(|_, (at, _)| *at >= keep.answers);
        let conflicts = self.state.conflicts.len();
        self.state.conflicts.retain(|conflict| conflict.open || conflict.at >= keep.before);
        let conflicts = (conflicts - self.state.conflicts.len()) as u64;
        Ok(Forgotten { versions: (before - self.state.history.len()) as u64, conflicts })
    }

    fn sum(&mut self, table: &Table) -> Result<Option<Sum>> {
        let at = self.state.attached(table)?;
        let entries = &self.state.tables[at].entries;
        if entries.iter().any(|entry| entry.own.is_some()) {
            return Ok(None);
        }
        let mut sum = Sum::default();
        for entry in entries {
            if let (Some(uid), Some(digest)) = (&entry.uid, entry.digest) {
                sum += Sum::of(uid, &entry.version, digest);
            }
        }
        Ok(Some(sum))
    }

    fn fold(&mut self, table: &Table) -> Result<()> {
        let at = self.state.attached(table)?;
        self.state.fold(at)
    }

    fn recheck(&mut self, table: &Table) -> Result<()> {
        self.fold(table)?;
        let at = self.state.attached(table)?;
        self.state.offer_again(at);
        Ok(())
    }

    fn export(&mut self, table: &Table, after: i64, peer: SiteId, extent: Extent, now: Time, page: &mut Page) -> Result<(i64, bool)> {
        self.fold(table)?;
        let at = self.state.attached(table)?;
        self.state.export(at, after, peer, extent, now, page)
    }

    fn lookup(&mut self, table: &Table, uids: &[String], page: &mut Page) -> Result<()> {
        self.fold(table)?;
        let at = self.state.attached(table)?;
        for uid in uids {
            let known = self.state.by_uid(at, uid).map(|place| &self.state.tables[at].entries[place]);
            if let Some(entry) = known.filter(|entry| !entry.held && !entry.retracted && self.state.astray_field(at, entry).is_none()) {
                self.state.read(at, entry, page)?;
            }
        }
        Ok(())
    }

    fn since(&mut self, table: &Table, since: Time) -> Result<Vec<String>> {
        let at = self.state.attached(table)?;
        self.state.fold(at)?;
        let of_then = self.state.tables[at].entries.iter().filter(|entry| entry.modified_on >= since && !entry.held && !entry.retracted);
        Ok(of_then.filter_map(|entry| entry.uid.clone()).collect())
    }

    fn whose(&mut self, _: &Table, _: &[String]) -> Result<Vec<crate::connector::Whose>> {
        // It has no tables of an Eden's.
        Ok(Vec::new())
    }

    fn belonging(&mut self, table: &Table, field: &str, uids: &[String]) -> Result<Vec<String>> {
        let living: Vec<String> = self.sample(table, usize::MAX)?;
        let mut page = Page::new(&table.resource);
        self.lookup(table, &living, &mut page)?;
        let leads = |view: &RecordView<'_>| view.get(field).is_some_and(|value| uids.iter().any(|uid| uid == value.text));
        Ok(page.views().filter(leads).map(|view| view.uid().to_owned()).collect())
    }

    fn notes(&mut self, table: &Table, peer: SiteId, uids: Option<&[String]>) -> Result<HashMap<String, String>> {
        let wanted = |uid: &String| uids.is_none_or(|uids| uids.contains(uid));
        let notes = self.state.notes.iter().filter(|((tab, site, uid), _)| (*tab, *site) == (table.id, peer) && wanted(uid));
        Ok(notes.map(|((_, _, uid), note)| (uid.clone(), note.clone())).collect())
    }

    fn sample(&mut self, table: &Table, limit: usize) -> Result<Vec<String>> {
        self.fold(table)?;
        let at = self.state.attached(table)?;
        let living = self.state.tables[at].entries.iter().filter(|entry| !entry.deleted);
        Ok(living.filter_map(|entry| entry.uid.clone()).take(limit).collect())
    }

    fn waits(&mut self) -> Result<bool> {
        Ok(self.state.waiting.iter().any(|waits| waits.kind != Waiting::Outgoing))
    }

    fn unsettled(&mut self, table: &Table) -> Result<bool> {
        let at = self.state.attached(table)?;
        let held = self.state.tables[at].entries.iter().any(|entry| entry.held);
        Ok(held || self.state.waiting.iter().any(|waits| waits.resource == table.resource))
    }

    fn waiting(&mut self) -> Result<Vec<WaitingEntry>> {
        let told = self.state.waiting.iter().rev().map(|waits| WaitingEntry {
            id: waits.id,
            resource: waits.resource.clone(),
            uid: waits.uid().to_owned(),
            kind: waits.kind.word().to_owned(),
            reason: waits.reason.clone(),
            site: waits.site,
            at: waits.at,
        });
        Ok(told.collect())
    }

    fn troubles(&mut self) -> Result<Vec<Trouble>> {
        let waiting: Vec<_> = self.state.waiting.iter().map(|waits| (waits.site, waits.kind.word().to_owned(), 1)).collect();
        let open = self.conflicts(Conflicts::All { open: true, site: None, before: None, limit: usize::MAX })?;
        Ok(troubles(waiting, open.iter().map(|conflict| (conflict.site, 1))))
    }

    fn keep_bases(&mut self, table: &Table) -> Result<()> {
        self.fold(table)?;
        let at = self.state.attached(table)?;
        let mut page = Page::new(&table.resource);
        for entry in self.state.tables[at].entries.iter().filter(|entry| !entry.deleted && self.state.astray_field(at, entry).is_none()) {
            self.state.read(at, entry, &mut page)?;
        }
        self.state.bases.entry(table.id).or_default();
        self.state.note_bases(table.id, &page);
        if let Some(table) = &mut self.state.tables[at].table {
            table.bases = true;
        }
        Ok(())
    }

    fn conflicts(&mut self, which: Conflicts<'_>) -> Result<Vec<ConflictEntry>> {
        Ok(self.state.conflicts(which))
    }

    fn history(&mut self, table: &Table, uid: &str) -> Result<Vec<HistoryEntry>> {
        let of = |entry: &&HistoryEntry| entry.resource == table.resource && entry.uid == uid;
        Ok(self.state.history.iter().rev().filter(of).cloned().collect())
    }

    fn pulse(&mut self) -> Result<i64> {
        Ok(self.edits)
    }

    fn begin(&mut self) -> Result<Box<dyn Apply + '_>> {
        self.journal()?;
        Ok(Box::new(apply::Transaction::begin(&mut self.state)))
    }
}
