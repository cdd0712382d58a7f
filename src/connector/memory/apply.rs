//! The transaction of one page.

use std::collections::{BTreeMap, HashMap};

use super::{
    Held,
    journal::Field,
    state::{Entry, Row, State},
};
use crate::{
    connector::{
        Apply, Attempt, Clash, ConflictEntry, Conflicts, Effect, Effected, Effects, Found, HistoryEntry, Key, KeyPart, Locals, Lost, Part,
        Share, Table, Target, Targets, Verdict, Wait, Waiter, Waiting, Which, Write,
    },
    error::{Error, Kind as Fault, Result},
    model::{Actor, Kind, Page, RecordView, SiteId, Time, Value},
};

/// A page's transaction: a copy of everything.
pub(super) struct Transaction<'a> {
    home: &'a mut State,
    state: State,
    /// References are checked at the commit only.
    deferred: bool,
    /// What was there when an attempt began.
    before: Option<State>,
    /// Keys promised to new records, by table and uid.
    reserved: HashMap<(usize, String), i64>,
    /// Records that were written, whose agreed content is noted at the commit.
    based: Vec<(usize, String)>,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(home: &'a mut State) -> Transaction<'a> {
        let state = home.clone();
        Transaction { home, state, deferred: false, before: None, reserved: HashMap::new(), based: Vec::new() }
    }

    /// The uid at the end of the aliases that begin with this one. An heir is always smaller, so they end.
    fn last(&self, at: usize, uid: &str) -> String {
        let entry = self.state.by_uid(at, uid).map(|place| &self.state.tables[at].entries[place]);
        match entry.and_then(|entry| entry.heir.as_ref()).filter(|heir| heir.as_str() < uid) {
            Some(heir) => self.last(at, heir),
            None => uid.to_owned(),
        }
    }

    /// A key that no row, tombstone or promise has.
    fn next_key(&self, at: usize) -> i64 {
        let stored = &self.state.tables[at];
        let known = stored.rows.keys().copied().chain(stored.entries.iter().filter_map(|entry| entry.key));
        let promised = self.reserved.iter().filter(|((table, _), _)| *table == at).map(|(_, key)| *key);
        known.chain(promised).max().unwrap_or(0) + 1
    }

    /// What a column holds for a value that came; `None` for null.
    fn held(&self, at: usize, column: &str, value: Value<'_>, targets: &Targets) -> Result<Option<Held>> {
        let table = self.state.tables[at].table.as_ref();
        let reference = table.and_then(|table| table.references.iter().find(|reference| reference.field == column));
        let refuse = |why: &str| Err(Error::new(Fault::Constraint, format!("its field {column:?} {why}")));
        match (reference, value.kind) {
            (_, Kind::Null) => Ok(None),
            (None, Kind::Reference) => refuse("is no reference here"),
            (None, kind) => Ok(Some(Held::Value(kind, value.text.to_owned()))),
            (Some(reference), _) if value.kind != Kind::Reference || value.resource != reference.resource => {
                refuse("is no reference to what it refers to here")
            }
            (Some(_), _) => match targets.get(value.resource, value.text) {
                Target::Here(Key(parts)) => match parts.as_slice() {
                    [KeyPart::Integer(key)] => Ok(Some(Held::Row(*key))),
                    _ => refuse("refers to a record with a key of another kind"),
                },
                Target::Deleted | Target::Missing => refuse("refers to a record that is not here"),
            },
        }
    }

    /// Puts fields into the row of a record, and those without a column beside it. Returns the row's key.
    fn put(&mut self, at: usize, entry: &mut Entry, record: RecordView<'_>, only: Option<&[String]>, targets: &Targets) -> Result<i64> {
        let promised = self.reserved.get(&(at, record.uid().to_owned())).copied().filter(|_| entry.deleted || entry.key.is_none());
        let key = promised.or(entry.key).unwrap_or_else(|| self.next_key(at));
        let mut row: Row = self.state.tables[at].rows.get(&key).cloned().unwrap_or_default();
        for (name, value) in record.fields().filter(|(name, _)| only.is_none_or(|only| only.iter().any(|wanted| wanted == name))) {
            if self.state.tables[at].schema.columns.contains(&name) {
                match self.held(at, name, value, targets)? {
                    Some(held) => row.insert(name.to_owned(), held),
                    None => row.remove(name),
                };
            } else {
                let field = Field { kind: value.kind, resource: value.resource.to_owned(), text: value.text.to_owned() };
                entry.extra.insert(name.to_owned(), field);
            }
        }
        self.state.tables[at].rows.insert(key, row);
        Ok(key)
    }

    fn try_write(&mut self, table: &Table, write: &Write<'_>, peer: SiteId, targets: &Targets) -> Result<Option<Key>> {
        let at = self.state.attached(table)?;
        let astray = self.state.astray();
        let arrival = self.state.next_arrival(at);
        let place = match write.local {
            Some(found) => self.state.by_arrival(at, found.arrival)?,
            None if self.state.by_uid(at, write.uid).is_some() => {
                return Err(Error::new(Fault::Constraint, "another record has this uid"));
            }
            None => {
                self.state.tables[at].entries.push(Entry { uid: Some(write.uid.to_owned()), ..Entry::new(arrival) });
                self.state.tables[at].entries.len() - 1
            }
        };
        let mut entry = self.state.tables[at].entries[place].clone();
        let key = match write.effect {
            Effect::Keep => None,
            Effect::Delete => {
                entry.key.map(|key| self.state.tables[at].rows.remove(&key));
                None
            }
            Effect::Put(record) => Some(self.put(at, &mut entry, record, None, targets)?),
            Effect::Some(record, only) => Some(self.put(at, &mut entry, record, Some(only), targets)?),
        };
        self.state.check_rows()?;
        if !self.deferred && self.state.astray() > astray {
            return Err(Error::new(Fault::Constraint, "a reference would lead nowhere"));
        }
        let mut version = write.state.version.clone();
        if write.state.tick {
            version.set(self.state.me()?, arrival.unsigned_abs());
        }
        let (seen, uid) = (version.clone(), write.uid);
        if self.state.bases.contains_key(&table.id) {
            self.based.push((at, write.uid.to_owned()));
        }
        self.state.tables[at].entries[place] = Entry {
            key: key.or(entry.key),
            uid: entry.uid,
            arrival,
            deleted: write.deleted,
            own: None,
            version,
            origin: Some(write.state.origin),
            author: Some(write.state.author),
            settled: write.state.settled.clone(),
            modified_on: write.state.modified_on,
            received_from: write.state.shared.then_some(peer),
            held: entry.held,
            retracted: false,
            heir: write.heir.map(str::to_owned),
            extra: if write.deleted { BTreeMap::new() } else { entry.extra },
            digest: Some(write.digest),
            run: Some(write.run),
            made: if write.local.is_none() { Some(write.run) } else { entry.made },
        };
        if write.release {
            self.state.release(at, table, uid, &seen);
        }
        Ok(key.map(|key| Key(vec![KeyPart::Integer(key)])))
    }

    fn waiter(&self, at: usize) -> Waiter {
        let waits = &self.state.waiting[at];
        Waiter {
            id: waits.id,
            resource: waits.resource.clone(),
            page: waits.page.clone(),
            run: waits.run,
            kind: waits.kind,
            site: waits.site,
            reason: waits.reason.clone(),
        }
    }
}

impl Apply for Transaction<'_> {
    fn table(&mut self, resource: &str) -> Result<Option<Table>> {
        Ok(self.state.of_resource(resource).and_then(|at| self.state.tables[at].table.clone()))
    }

    fn share(&mut self, table: &Table, peer: SiteId, part: Part) -> Result<Share> {
        Ok(self.state.share(table, peer, part))
    }

    fn set_share(&mut self, table: &Table, peer: SiteId, part: Part, share: &Share) -> Result<()> {
        self.state.set_share((table.id, peer, part), share);
        Ok(())
    }

    fn set_notes(&mut self, table: &Table, peer: SiteId, notes: &[(String, String)]) -> Result<()> {
        self.state.notes.extend(notes.iter().map(|(uid, note)| ((table.id, peer, uid.clone()), note.clone())));
        Ok(())
    }

    fn set_accounts(&mut self, _: &Table, _: &[crate::connector::Whose]) -> Result<()> {
        // It has no tables of an Eden's.
        Ok(())
    }

    fn answer(&mut self, batch: uuid::Uuid) -> Result<Option<String>> {
        Ok(self.state.answers.get(&batch).map(|(_, answer)| answer.clone()))
    }

    fn set_answer(&mut self, batch: uuid::Uuid, _: SiteId, now: Time, answer: &str) -> Result<()> {
        self.state.answers.insert(batch, (now, answer.to_owned()));
        self.state.answers.retain(|_, (at, _)| *at >= now.plus_seconds(-86_400));
        Ok(())
    }

    fn fold(&mut self, table: &Table) -> Result<()> {
        let at = self.state.attached(table)?;
        self.state.fold(at)
    }

    fn locals(&mut self, table: &Table, uids: &[&str], peer: SiteId) -> Result<Locals> {
        let at = self.state.attached(table)?;
        let mut locals = Locals::default();
        for uid in uids {
            let place = self.state.by_uid(at, &self.last(at, uid));
            let Some(entry) = place.map(|place| &self.state.tables[at].entries[place]) else {
                locals.found.push(None);
                continue;
            };
            let page_at = locals.page.records.len();
            self.state.read(at, entry, &mut locals.page)?;
            let shared = entry.received_from == Some(peer);
            let base = self.state.bases.get(&table.id).and_then(|bases| bases.get(entry.uid.as_deref()?)).map(|base| {
                locals.bases.copy(base.view(&base.records[0]));
                locals.bases.records.len() - 1
            });
            let (arrival, held, living, retracted) = (entry.arrival, entry.held, !entry.deleted, entry.retracted);
            locals.found.push(Some(Found { at: page_at, arrival, shared, held, living, base, retracted }));
        }
        Ok(locals)
    }

    fn resolve(&mut self, wanted: &[(&str, &str)]) -> Result<Targets> {
        let mut targets = Targets::default();
        for (resource, uid) in wanted {
            let Some(at) = self.state.of_resource(resource) else { continue };
            self.state.fold(at)?;
            let Some(place) = self.state.by_uid(at, &self.last(at, uid)) else { continue };
            let last = self.state.tables[at].entries[place].uid.clone().unwrap_or_default();
            let target = match &self.state.tables[at].entries[place] {
                Entry { deleted: false, key: Some(key), .. } => Target::Here(Key(vec![KeyPart::Integer(*key)])),
                _ => Target::Deleted,
            };
            if last != **uid {
                targets.set_heir(resource, uid, &last);
                targets.set(resource, &last, target.clone());
            }
            targets.set(resource, uid, target);
        }
        Ok(targets)
    }

    fn reserve(&mut self, table: &Table, record: RecordView<'_>, _: &Targets) -> Result<Key> {
        let at = self.state.attached(table)?;
        let key = self.next_key(at);
        self.reserved.insert((at, record.uid().to_owned()), key);
        Ok(Key(vec![KeyPart::Integer(key)]))
    }

    fn twin(&mut self, table: &Table, record: RecordView<'_>, targets: &Targets) -> Result<Option<String>> {
        let at = self.state.attached(table)?;
        let mut wanted = Vec::new();
        for column in &table.matching {
            let value = record.get(column).unwrap_or(Value::NULL);
            let Some(held) = self.held(at, column, value, targets).unwrap_or(None) else { return Ok(None) };
            wanted.push((column, held));
        }
        let stored = &self.state.tables[at];
        let same = |row: &Row| !wanted.is_empty() && wanted.iter().all(|(column, held)| row.get(*column) == Some(held));
        let key = stored.rows.iter().find(|(_, row)| same(row)).map(|(key, _)| *key);
        Ok(key.and_then(|key| stored.entries.iter().find(|entry| entry.key == Some(key) && !entry.deleted)?.uid.clone()))
    }

    fn referred(&mut self, table: &Table, found: Found) -> Result<bool> {
        let at = self.state.attached(table)?;
        let place = self.state.by_arrival(at, found.arrival)?;
        let Some(key) = self.state.tables[at].entries[place].key else { return Ok(false) };
        let refers = self.state.tables.iter().enumerate().filter(|(_, stored)| stored.table.is_some()).any(|(other, stored)| {
            let columns = stored.schema.references.iter().filter(|(_, to)| *to == table.name);
            let itself = |row: i64| other == at && row == key;
            let to_it = |column: &str| stored.rows.iter().any(|(own, row)| !itself(*own) && row.get(column) == Some(&Held::Row(key)));
            columns.into_iter().any(|(column, _)| to_it(column))
        });
        Ok(refers)
    }

    fn retract(&mut self, table: &Table, found: Found) -> Result<()> {
        if self.referred(table, found)? {
            return Err(Error::new(Fault::Constraint, "other rows refer to it"));
        }
        let at = self.state.attached(table)?;
        let place = self.state.by_arrival(at, found.arrival)?;
        let entry = &mut self.state.tables[at].entries[place];
        let key = entry.key.take();
        (entry.deleted, entry.retracted, entry.received_from, entry.digest) = (true, true, None, None);
        entry.extra.clear();
        key.map(|key| self.state.tables[at].rows.remove(&key));
        Ok(())
    }

    fn sharers(&mut self, table: &Table) -> Result<Vec<SiteId>> {
        Ok(self.state.shares.keys().filter(|(id, ..)| *id == table.id).map(|(_, site, _)| *site).collect())
    }

    fn defer(&mut self) -> Result<()> {
        self.deferred = true;
        Ok(())
    }

    fn write(&mut self, table: &Table, write: &Write<'_>, peer: SiteId, targets: &Targets) -> Result<Option<Key>> {
        let before = self.state.clone();
        let done = self.try_write(table, write, peer, targets);
        if done.is_err() {
            self.state = before;
        }
        done
    }

    fn head(&mut self, table: &Table) -> Result<(i64, Actor)> {
        let at = self.state.attached(table)?;
        Ok((self.state.tables[at].head, self.state.me()?))
    }

    fn broken(&self) -> bool {
        false
    }

    fn rekey(&mut self, table: &Table, from: &str, to: &str) -> Result<()> {
        let at = self.state.attached(table)?;
        self.state.tables[at].entries.retain(|entry| entry.uid.as_deref() != Some(to) || !entry.deleted);
        if self.state.by_uid(at, to).is_some() {
            return Err(Error::new(Fault::Constraint, format!("{to} lives")));
        }
        if let Some(place) = self.state.by_uid(at, from) {
            self.state.tables[at].entries[place].uid = Some(to.to_owned());
            self.state.tables[at].entries[place].arrival = self.state.next_arrival(at);
        }
        let of = |resource: &str, uid: &str| resource == table.resource && uid == from;
        self.state.history.iter_mut().filter(|kept| of(&kept.resource, &kept.uid)).for_each(|kept| kept.uid = to.to_owned());
        self.state.conflicts.iter_mut().filter(|kept| of(&kept.resource, &kept.uid)).for_each(|kept| kept.uid = to.to_owned());
        Ok(())
    }

    fn exactly(&mut self, table: &Table, uid: &str) -> Result<Locals> {
        let at = self.state.attached(table)?;
        let mut locals = Locals { found: vec![None], ..Locals::default() };
        if let Some(entry) = self.state.by_uid(at, uid).map(|place| &self.state.tables[at].entries[place]) {
            self.state.read(at, entry, &mut locals.page)?;
            let (arrival, held, living, retracted) = (entry.arrival, entry.held, !entry.deleted, entry.retracted);
            locals.found[0] = Some(Found { at: 0, arrival, shared: false, held, living, base: None, retracted });
        }
        Ok(locals)
    }

    fn repoint(&mut self, table: &Table, from: Found, to: Found) -> Result<()> {
        let at = self.state.attached(table)?;
        let key = |state: &State, found: Found| Ok::<_, Error>(state.tables[at].entries[state.by_arrival(at, found.arrival)?].key);
        let (Some(from), Some(to)) = (key(&self.state, from)?, key(&self.state, to)?) else {
            return Err(Error::new(Fault::Constraint, "its row is not there"));
        };
        for child in 0..self.state.tables.len() {
            let columns: Vec<&str> = self.state.tables[child]
                .schema
                .references
                .iter()
                .filter(|(_, parent)| *parent == table.name)
                .map(|(column, _)| *column)
                .collect();
            let refers = |row: &Row| columns.iter().any(|column| row.get(*column) == Some(&Held::Row(from)));
            let keys: Vec<i64> = self.state.tables[child].rows.iter().filter(|(_, row)| refers(row)).map(|(key, _)| *key).collect();
            for key in keys {
                let row = self.state.tables[child].rows.entry(key).or_default();
                for column in &columns {
                    if row.get(*column) == Some(&Held::Row(from)) {
                        row.insert((*column).to_owned(), Held::Row(to));
                    }
                }
                self.state.note(child, key, Time(0));
            }
        }
        self.state.check_rows()
    }

    fn attempt(&mut self, attempt: Attempt) -> Result<()> {
        match (attempt, self.before.take()) {
            (Attempt::Begin, _) => self.before = Some(self.state.clone()),
            (Attempt::Undo, Some(before)) => self.state = before,
            (Attempt::Undo | Attempt::Keep, _) => {}
        }
        Ok(())
    }

    fn remember(&mut self, table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, lost: &Lost<'_>) -> Result<()> {
        self.state.remember(table, uid, peer, run, now, lost);
        Ok(())
    }

    fn conflict(&mut self, table: &Table, uid: &str, peer: SiteId, run: u64, now: Time, clash: &Clash<'_>) -> Result<bool> {
        self.state.list_conflict(table, uid, peer, run, now, clash)
    }

    fn conflicts(&mut self, which: Conflicts<'_>) -> Result<Vec<ConflictEntry>> {
        Ok(self.state.conflicts(which))
    }

    fn judge(&mut self, table: &Table, id: i64, verdict: Verdict<'_>, ours: RecordView<'_>, now: Time) -> Result<()> {
        self.state.judge(table, id, verdict, ours, now)
    }

    fn past(&mut self, id: i64) -> Result<Option<HistoryEntry>> {
        Ok(self.state.history.iter().find(|entry| entry.id == id).cloned())
    }

    fn effects(&mut self, table: &Table, run: u64, effects: Effects, after: i64, limit: usize) -> Result<Vec<Effected>> {
        self.state.effects(table, run, effects, after, limit)
    }

    fn set_bases(&mut self, table: &Table, page: &Page) -> Result<()> {
        self.state.note_bases(table.id, page);
        Ok(())
    }

    fn wait(&mut self, table: &Table, record: RecordView<'_>, waits: &Wait<'_>) -> Result<()> {
        self.state.wait(&table.resource, record, waits);
        Ok(())
    }

    fn unwait(&mut self, id: i64) -> Result<()> {
        self.state.waiting.retain(|waits| waits.id != id);
        Ok(())
    }

    fn waiters(&mut self, which: Which<'_>, limit: usize) -> Result<Vec<Waiter>> {
        let wanted = |at: &usize| {
            let waits = &self.state.waiting[*at];
            match which {
                Which::Kinds(kinds, after) => waits.id > after && kinds.contains(&waits.kind),
                Which::One(id) => waits.id == id && waits.kind != Waiting::Outgoing,
                Which::For(arrived) => waits.missing.iter().any(|missing| arrived.contains(missing)),
                Which::Of(table, uid) => waits.resource == table.resource && waits.uid() == uid && waits.kind != Waiting::Outgoing,
            }
        };
        Ok((0..self.state.waiting.len()).filter(wanted).take(limit).map(|at| self.waiter(at)).collect())
    }

    fn commit(mut self: Box<Self>) -> Result<()> {
        for (at, uid) in std::mem::take(&mut self.based) {
            let mut page = Page::default();
            if let Some(place) = self.state.by_uid(at, &uid) {
                self.state.read(at, &self.state.tables[at].entries[place], &mut page)?;
            }
            self.state.note_bases(at as i64 + 1, &page);
        }
        if self.state.astray() > self.home.astray() {
            return Err(Error::new(Fault::Constraint, "a reference would lead nowhere"));
        }
        *self.home = self.state;
        Ok(())
    }
}
