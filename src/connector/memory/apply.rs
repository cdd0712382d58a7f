//! The transaction of one page.

use std::collections::{BTreeMap, HashMap};

use super::{
    Held,
    journal::Field,
    state::{Entry, Past, Row, State},
};
use crate::{
    connector::{
        Apply, Clash, Effect, Found, Key, KeyPart, Locals, Lost, Part, Share, Table, Target, Targets, Wait, Waiter, Waiting, Which, Write,
    },
    error::{Error, Kind as Fault, Result},
    model::{Actor, Kind, RecordView, SiteId, Time, Value},
};

/// A page's transaction: a copy of everything.
pub(super) struct Transaction<'a> {
    home: &'a mut State,
    state: State,
    /// References are checked at the commit only.
    deferred: bool,
    /// Keys promised to new records, by table and uid.
    reserved: HashMap<(usize, String), i64>,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(home: &'a mut State) -> Transaction<'a> {
        let state = home.clone();
        Transaction { home, state, deferred: false, reserved: HashMap::new() }
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
            held: entry.held && !write.release,
            heir: write.heir.map(str::to_owned),
            extra: if write.deleted { BTreeMap::new() } else { entry.extra },
            digest: Some(write.digest),
        };
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
        self.state.shares.insert((table.id, peer, part), share.clone());
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
            locals.found.push(Some(Found { at: page_at, arrival: entry.arrival, shared, held: entry.held, living: !entry.deleted }));
        }
        Ok(locals)
    }

    fn resolve(&mut self, wanted: &[(&str, &str)]) -> Result<Targets> {
        let mut targets = Targets::default();
        for (resource, uid) in wanted {
            let Some(at) = self.state.of_resource(resource) else { continue };
            self.state.fold(at)?;
            let Some(place) = self.state.by_uid(at, &self.last(at, uid)) else { continue };
            let target = match &self.state.tables[at].entries[place] {
                Entry { deleted: false, key: Some(key), .. } => Target::Here(Key(vec![KeyPart::Integer(*key)])),
                _ => Target::Deleted,
            };
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
        Ok(())
    }

    fn remember(&mut self, table: &Table, uid: &str, _: SiteId, _: u64, now: Time, lost: &Lost<'_>) -> Result<()> {
        self.state.history.push(Past { table: table.id, uid: uid.to_owned(), at: now, side: lost.side, rule: lost.rule });
        Ok(())
    }

    fn conflict(&mut self, table: &Table, uid: &str, _: SiteId, _: u64, _: Time, clash: &Clash<'_>) -> Result<()> {
        let at = self.state.attached(table)?;
        if let Some(place) = self.state.by_uid(at, uid) {
            self.state.tables[at].entries[place].held |= clash.open;
        }
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
                Which::For(arrived) => waits.missing.iter().any(|missing| arrived.contains(missing)),
                Which::Of(table, uid) => waits.resource == table.resource && waits.uid() == uid && waits.kind != Waiting::Outgoing,
            }
        };
        Ok((0..self.state.waiting.len()).filter(wanted).take(limit).map(|at| self.waiter(at)).collect())
    }

    fn commit(self: Box<Self>) -> Result<()> {
        if self.state.astray() > self.home.astray() {
            return Err(Error::new(Fault::Constraint, "a reference would lead nowhere"));
        }
        *self.home = self.state;
        Ok(())
    }
}
