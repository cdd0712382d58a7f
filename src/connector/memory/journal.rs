//! Local edits become versions, and records are read for the feed (SYNC.md 2 and 3).

use std::collections::BTreeMap;

use super::{
    Held,
    state::{Entry, State},
};
use crate::{
    connector::{Extent, Swept, Wait, Waiting},
    error::{Error, Result},
    model::{Actor, Cell, Digest, Identity, Kind, Page, Record, SiteId, Time, Uid, Version},
};

/// A field as it travels: kind, resource of a reference, text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) kind: Kind,
    pub(super) resource: String,
    pub(super) text: String,
}

impl Entry {
    /// A record of which nothing is known yet.
    pub(super) fn new(arrival: i64) -> Entry {
        Entry {
            key: None,
            uid: None,
            arrival,
            deleted: false,
            own: None,
            version: Version::default(),
            origin: None,
            author: None,
            settled: Vec::new(),
            modified_on: Time(0),
            received_from: None,
            held: false,
            retracted: false,
            heir: None,
            extra: BTreeMap::new(),
            digest: None,
            run: None,
            made: None,
        }
    }
}

impl State {
    /// Notes that the application wrote or removed a row.
    pub(super) fn note(&mut self, at: usize, key: i64, now: Time) {
        let living = self.tables[at].rows.contains_key(&key);
        let known = self.tables[at].entries.iter().position(|entry| entry.key == Some(key));
        if known.is_none() && !living {
            return;
        }
        let arrival = self.next_arrival(at);
        let entries = &mut self.tables[at].entries;
        let place = known.unwrap_or_else(|| {
            entries.push(Entry { key: Some(key), ..Entry::new(arrival) });
            entries.len() - 1
        });
        let entry = &mut entries[place];
        (entry.arrival, entry.own, entry.deleted) = (arrival, Some(now), !living);
        if living {
            entry.heir = None;
        }
    }

    /// Notes what the application wrote while nobody watched.
    pub(super) fn note_unwatched(&mut self, at: usize, now: Time) -> Result<Swept> {
        let mut keys: Vec<i64> = self.tables[at].rows.keys().copied().collect();
        let known = self.tables[at].entries.iter().filter(|entry| !entry.deleted).filter_map(|entry| entry.key);
        keys.extend(known.filter(|key| !self.tables[at].rows.contains_key(key)));
        let mut swept = Swept { rows: self.tables[at].rows.len() as u64, ..Swept::default() };
        for key in keys {
            let known = self.tables[at].entries.iter().find(|entry| entry.key == Some(key));
            let living = self.tables[at].rows.contains_key(&key);
            let was_living = known.is_some_and(|entry| !entry.deleted);
            let noted = match known.filter(|entry| entry.deleted != living) {
                Some(entry) => entry.own.is_some() || entry.digest == self.digest(at, entry)?,
                None => false,
            };
            if !noted {
                self.note(at, key, now);
                match (was_living, living) {
                    (true, true) => swept.changed += 1,
                    (true, false) => swept.removed += 1,
                    (false, _) => swept.added += 1,
                }
            }
        }
        Ok(swept)
    }

    /// Makes versions of the local edits of a table and, first, of those it refers to.
    pub(super) fn fold(&mut self, at: usize) -> Result<()> {
        let mut order = Vec::new();
        self.parents_first(at, &mut Vec::new(), &mut order);
        // Rows may refer to each other in a circle, so all have uids before any content is looked at.
        for at in &order {
            self.give_uids(*at)?;
        }
        for at in &order {
            let entries = &self.tables[*at].entries;
            let mut edited: Vec<i64> = entries.iter().filter(|entry| entry.own.is_some()).map(|entry| entry.arrival).collect();
            edited.sort_unstable();
            for arrival in edited {
                self.fold_one(*at, arrival)?;
            }
        }
        Ok(())
    }

    fn parents_first(&self, at: usize, seen: &mut Vec<usize>, order: &mut Vec<usize>) {
        if seen.contains(&at) || self.tables[at].table.is_none() {
            return;
        }
        seen.push(at);
        for (_, to) in self.tables[at].schema.references {
            self.parents_first(self.place(to), seen, order);
        }
        order.push(at);
    }

    fn give_uids(&mut self, at: usize) -> Result<()> {
        let mut unknown: Vec<i64> = self.tables[at].entries.iter().filter(|entry| entry.uid.is_none()).map(|entry| entry.arrival).collect();
        unknown.sort_unstable();
        for arrival in unknown {
            let place = self.by_arrival(at, arrival)?;
            let natural = self.natural_uid(at, &self.tables[at].entries[place]);
            let former = natural.as_ref().and_then(|uid| self.by_uid(at, uid));
            match former.map(|former| self.tables[at].entries[former].clone()) {
                Some(former) if !former.deleted => self.tables[at].entries[place].uid = Some(Uid::random().to_string()),
                // A re-creation: what was known of the record goes on.
                Some(former) => {
                    let entry = &mut self.tables[at].entries[place];
                    *entry = Entry {
                        key: entry.key,
                        arrival,
                        own: entry.own,
                        deleted: false,
                        retracted: false,
                        heir: None,
                        digest: None,
                        ..former.clone()
                    };
                    self.tables[at].entries.retain(|entry| entry.arrival != former.arrival);
                }
                None => self.tables[at].entries[place].uid = Some(natural.unwrap_or_else(|| Uid::random().to_string())),
            }
        }
        Ok(())
    }

    fn fold_one(&mut self, at: usize, arrival: i64) -> Result<()> {
        let me = self.me()?;
        let place = self.by_arrival(at, arrival)?;
        let digest = self.digest(at, &self.tables[at].entries[place])?;
        let entry = &mut self.tables[at].entries[place];
        let edited = entry.own.take().unwrap_or_default();
        // A version of an edit that changed nothing could beat a real edit made elsewhere.
        if entry.digest.is_some() && entry.digest == digest && !entry.version.is_empty() {
            return Ok(());
        }
        entry.version.set(me, arrival.unsigned_abs());
        entry.origin = entry.origin.or(Some(me.site));
        entry.author = Some(me.site);
        entry.modified_on = edited.max(Time(entry.modified_on.0 + 1));
        entry.settled.clear();
        entry.run = None;
        (entry.received_from, entry.heir) = (None, None);
        if entry.deleted {
            entry.extra.clear();
        }
        entry.digest = digest;
        Ok(())
    }

    /// Who writes here.
    pub(super) fn me(&self) -> Result<Actor> {
        let journal = self.journal.as_ref().ok_or_else(|| Error::not_found("this database has no journal"))?;
        Ok(Actor { site: journal.site, incarnation: journal.incarnation })
    }

    pub(super) fn by_arrival(&self, at: usize, arrival: i64) -> Result<usize> {
        let found = self.tables[at].entries.iter().position(|entry| entry.arrival == arrival);
        found.ok_or_else(|| Error::internal("no record has this arrival"))
    }

    /// UUIDv5 of the resource and the values of the key; `None` where the uid is assigned, or a part of the key is null.
    fn natural_uid(&self, at: usize, entry: &Entry) -> Option<String> {
        let table = self.tables[at].table.as_ref()?;
        let Identity::Key { columns } = &table.identity else { return None };
        let content = self.content(at, entry);
        let mut name = Vec::new();
        for column in columns {
            let field = content.get(column).filter(|field| field.kind != Kind::Null)?;
            name.extend_from_slice(field.kind.word().as_bytes());
            name.extend_from_slice(&(field.text.len() as u64).to_be_bytes());
            name.extend_from_slice(field.text.as_bytes());
        }
        let resource = format!("urn:entente:resource:{}", table.resource);
        let namespace = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, resource.as_bytes());
        Some(uuid::Uuid::new_v5(&namespace, &name).urn().to_string())
    }

    /// The column of a record's reference that leads nowhere.
    pub(super) fn astray_field(&self, at: usize, entry: &Entry) -> Option<&'static str> {
        let row = self.tables[at].rows.get(&entry.key?).filter(|_| !entry.deleted)?;
        let astray = |(column, to): &&(&str, &str)| matches!(row.get(*column), Some(Held::Row(key)) if self.uid_of(to, *key).is_none());
        self.tables[at].schema.references.iter().find(astray).map(|(column, _)| *column)
    }

    fn uid_of(&self, table: &str, key: i64) -> Option<&str> {
        let entries = &self.tables[self.place(table)].entries;
        entries.iter().find(|entry| entry.key == Some(key) && !entry.deleted)?.uid.as_deref()
    }

    /// All fields of a record; none of a deleted one.
    pub(super) fn content(&self, at: usize, entry: &Entry) -> BTreeMap<String, Field> {
        let stored = &self.tables[at];
        let row = entry.key.and_then(|key| stored.rows.get(&key));
        let Some(row) = row.filter(|_| !entry.deleted) else { return BTreeMap::new() };
        let resource = |column: &str| {
            let reference = stored.table.as_ref().and_then(|table| table.references.iter().find(|reference| reference.field == column));
            reference.map_or(String::new(), |reference| reference.resource.clone())
        };
        let field = |column: &&'static str| {
            let to = stored.schema.references.iter().find(|(own, _)| own == column).map_or("", |(_, to)| *to);
            let (kind, text) = match row.get(*column) {
                Some(Held::Value(kind, text)) => (*kind, text.clone()),
                Some(Held::Row(key)) => match self.uid_of(to, *key) {
                    Some(uid) => (Kind::Reference, uid.to_owned()),
                    None => (Kind::Null, String::new()),
                },
                None => (Kind::Null, String::new()),
            };
            ((*column).to_owned(), Field { kind, resource: resource(column), text })
        };
        let mut content = entry.extra.clone();
        content.extend(stored.schema.columns.iter().map(field));
        content
    }

    /// The digest of a record; `None` while it refers to nothing.
    fn digest(&self, at: usize, entry: &Entry) -> Result<Option<Digest>> {
        let mut page = Page::default();
        self.read(at, entry, &mut page)?;
        Ok(self.astray_field(at, entry).is_none().then(|| page.view(&page.records[0]).digest()))
    }

    /// Appends a record to a page.
    pub(super) fn read(&self, at: usize, entry: &Entry, page: &mut Page) -> Result<()> {
        let table = self.tables[at].table.as_ref().ok_or_else(|| Error::internal("the table is not attached"))?;
        page.resource.clone_from(&table.resource);
        let me = self.me()?.site;
        let mark = page.mark();
        for (name, field) in self.content(at, entry) {
            let resource = page.name_or_zero(&field.resource);
            let (name, text) = (page.name(&name).ok_or_else(|| Error::internal("too many columns"))?, page.put(&field.text));
            page.cell(Cell { field: name, resource, kind: field.kind, text });
        }
        let mut record = Record::new(page.put(entry.uid.as_deref().unwrap_or("")), entry.origin.unwrap_or(me), entry.modified_on);
        (record.version, record.author) = (entry.version.clone(), entry.author.unwrap_or(me));
        (record.settled, record.deleted) = (entry.settled.clone(), entry.deleted);
        record.heir = entry.heir.as_deref().filter(|_| entry.deleted).map(|heir| page.put(heir));
        page.finish(record, mark);
        Ok(())
    }

    /// See [`crate::connector::Connector::export`].
    pub(super) fn export(
        &mut self,
        at: usize,
        after: i64,
        peer: SiteId,
        extent: Extent,
        now: Time,
        page: &mut Page,
    ) -> Result<(i64, bool)> {
        let mut entries = self.tables[at].entries.clone();
        entries.retain(|entry| entry.arrival > after && !entry.held && !entry.retracted && entry.received_from != Some(peer));
        entries.sort_by_key(|entry| entry.arrival);
        let first = page.records.len();
        for (place, entry) in entries.iter().enumerate() {
            match self.astray_field(at, entry) {
                Some(field) => self.withhold(at, entry, field, now)?,
                None => self.read(at, entry, page)?,
            }
            if page.records.len() - first >= extent.records || page.text_len() >= extent.bytes {
                return Ok((entry.arrival, place + 1 < entries.len()));
            }
        }
        Ok((self.tables[at].head.max(after), false))
    }

    /// Lets a record that refers to nothing wait; it is not offered until it can be.
    fn withhold(&mut self, at: usize, entry: &Entry, field: &str, now: Time) -> Result<()> {
        let mut page = Page::default();
        self.read(at, entry, &mut page)?;
        let page = Page::tombstone_of(page.view(&page.records[0]));
        self.waiting.retain(|waits| {
            waits.kind != Waiting::Outgoing || waits.resource != page.resource || waits.uid() != page.view(&page.records[0]).uid()
        });
        let reason = format!("its {field} refers to a row that does not exist here");
        let why = Wait { kind: Waiting::Outgoing, reason: &reason, missing: &[], peer: self.me()?.site, run: 0, now };
        self.wait(&page.resource, page.view(&page.records[0]), &why);
        Ok(())
    }

    /// Gives withheld records whose references lead somewhere by now a new arrival.
    pub(super) fn offer_again(&mut self, at: usize) {
        let resource = self.tables[at].table.as_ref().map_or(String::new(), |table| table.resource.clone());
        for waits in std::mem::take(&mut self.waiting) {
            let outgoing = waits.kind == Waiting::Outgoing && waits.resource == resource;
            let place = self.by_uid(at, waits.uid()).filter(|_| outgoing);
            match place.filter(|place| self.astray_field(at, &self.tables[at].entries[*place]).is_none()) {
                Some(place) => {
                    self.tables[at].entries[place].arrival = self.next_arrival(at);
                    self.tables[at].entries[place].digest = self.digest(at, &self.tables[at].entries[place]).unwrap_or(None);
                }
                None => self.waiting.push(waits),
            }
        }
    }
}
