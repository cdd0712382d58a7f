//! Everything that a database in memory holds: rows, and the journal beside them.

use std::collections::{BTreeMap, HashMap};

use super::{Held, Schema, kept::Bases};
use crate::{
    connector::{ConflictEntry, HistoryEntry, Journal, Part, Purged, Reference, Share, Table, Wait, Waiting},
    error::{Error, Kind as Fault, Result},
    model::{Identity, Page, RecordView, SiteId, TableSpec, Time, Version},
};

/// The columns of a row that are not null.
pub(super) type Row = BTreeMap<String, Held>;

/// A database at one moment.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) journal: Option<Journal>,
    pub(super) tables: Vec<Stored>,
    pub(super) shares: HashMap<(i64, SiteId, Part), Share>,
    pub(super) answers: HashMap<uuid::Uuid, (Time, String)>,
    /// In the order of their numbers.
    pub(super) waiting: Vec<Waits>,
    pub(super) last_waiting: i64,
    pub(super) history: Vec<HistoryEntry>,
    /// In the order of their numbers.
    pub(super) conflicts: Vec<ConflictEntry>,
    /// The last arrivals of tables at moments of our clock.
    pub(super) marks: Vec<(i64, Time, i64)>,
    /// What peers are known to hold, by table, peer and uid.
    pub(super) notes: HashMap<(i64, SiteId, String), String>,
    /// By table, where agreed contents are kept.
    pub(super) bases: HashMap<i64, Bases>,
}

/// A table, its rows by key, and the states of its records.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) schema: Schema,
    pub(super) rows: BTreeMap<i64, Row>,
    /// How it is attached.
    pub(super) table: Option<Table>,
    /// Edits of the application's are noted.
    pub(super) watched: bool,
    pub(super) entries: Vec<Entry>,
    /// The last arrival that was given; none is given twice.
    pub(super) head: i64,
}

/// The state of one record (SYNC.md 2).
#[derive(Clone)]
pub(super) struct Entry {
    /// The key of its row, or of the row it last had.
    pub(super) key: Option<i64>,
    /// Given when its first edit is folded.
    pub(super) uid: Option<String>,
    pub(super) arrival: i64,
    pub(super) deleted: bool,
    /// When it was edited here, until that is folded.
    pub(super) own: Option<Time>,
    pub(super) version: Version,
    pub(super) origin: Option<SiteId>,
    pub(super) author: Option<SiteId>,
    pub(super) settled: Vec<SiteId>,
    pub(super) modified_on: Time,
    pub(super) received_from: Option<SiteId>,
    pub(super) held: bool,
    /// It was let go: offered to nobody, and as unknown.
    pub(super) retracted: bool,
    pub(super) heir: Option<String>,
    /// Fields that the table has no column for: a record of its own, with only these.
    pub(super) extra: BTreeMap<String, super::journal::Field>,
    pub(super) digest: Option<crate::model::Digest>,
    /// The run that wrote it last, where no edit came after.
    pub(super) run: Option<u64>,
    /// The run that made it.
    pub(super) made: Option<u64>,
}

/// A record that waits.
#[derive(Clone)]
pub(super) struct Waits {
    pub(super) id: i64,
    pub(super) resource: String,
    /// The record, alone in a page.
    pub(super) page: Page,
    pub(super) kind: Waiting,
    pub(super) reason: String,
    pub(super) missing: Vec<(String, String)>,
    pub(super) site: SiteId,
    pub(super) run: u64,
    pub(super) at: Time,
}

impl Waits {
    pub(super) fn uid(&self) -> &str {
        self.page.views().next().map_or("", RecordView::uid)
    }
}

impl State {
    pub(super) fn new(tables: &[Schema]) -> State {
        let empty = |schema: &Schema| Stored {
            schema: schema.clone(),
            rows: BTreeMap::new(),
            table: None,
            watched: false,
            entries: Vec::new(),
            head: 0,
        };
        State { tables: tables.iter().map(empty).collect(), ..State::default() }
    }

    /// Where a table of this name stands.
    pub(super) fn place(&self, name: &str) -> usize {
        self.tables.iter().position(|stored| stored.schema.name == name).unwrap_or_else(|| panic!("there is no table {name}"))
    }

    /// Where an attached table stands.
    pub(super) fn attached(&self, table: &Table) -> Result<usize> {
        let known = |stored: &Stored| stored.table.as_ref().is_some_and(|known| known.id == table.id);
        self.tables.iter().position(known).ok_or_else(|| Error::not_found(format!("table {:?} is not attached", table.name)))
    }

    /// Where the table of a resource stands.
    pub(super) fn of_resource(&self, resource: &str) -> Option<usize> {
        self.tables.iter().position(|stored| stored.table.as_ref().is_some_and(|table| table.resource == resource))
    }

    pub(super) fn by_uid(&self, at: usize, uid: &str) -> Option<usize> {
        self.tables[at].entries.iter().position(|entry| entry.uid.as_deref() == Some(uid))
    }

    pub(super) fn share(&self, table: &Table, peer: SiteId, part: Part) -> Share {
        self.shares.get(&(table.id, peer, part)).cloned().unwrap_or_default()
    }

    /// Stores what was agreed, but for what was found out about it since it was read.
    pub(super) fn set_share(&mut self, of: (i64, SiteId, Part), share: &Share) {
        let stored = self.shares.entry(of).or_default();
        let (compare, refused) = (stored.compare, stored.refused);
        stored.clone_from(share);
        stored.refused |= refused;
        if compare.found != share.compare.found {
            stored.compare = compare;
        }
    }

    /// See [`crate::connector::Connector::purge`].
    pub(super) fn purge(&mut self, at: usize, table: i64, now: Time, before: Time) -> Purged {
        let aged = self.marks.iter().filter(|(id, at, _)| *id == table && *at <= before).map(|(_, _, arrival)| *arrival);
        let (head, upto) = (self.tables[at].entries.iter().map(|entry| entry.arrival).max().unwrap_or(0), aged.max().unwrap_or(0));
        let goes = |entry: &Entry| {
            let kept = entry.held || entry.retracted || entry.heir.is_some() || entry.own.is_some() || entry.uid.is_none();
            entry.deleted && !kept && entry.arrival <= upto && entry.arrival < head
        };
        let gone: Vec<i64> = self.tables[at].entries.iter().filter(|entry| goes(entry)).map(|entry| entry.arrival).collect();
        self.tables[at].entries.retain(|entry| !goes(entry));
        self.marks.push((table, now, head));
        let Some(last) = gone.iter().copied().max() else { return Purged::default() };
        let mut behind: Vec<SiteId> = self.shares.keys().filter(|(id, ..)| *id == table).map(|(_, site, _)| *site).collect();
        behind.sort_unstable();
        behind.dedup();
        behind.retain(|site| {
            let both: Vec<&Share> =
                [Part::Active, Part::Passive].iter().filter_map(|part| self.shares.get(&(table, *site, *part))).collect();
            both.iter().all(|share| share.push < last) && both.iter().any(|share| share.told + share.heard > 0)
        });
        for ((id, site, _), share) in &mut self.shares {
            if *id == table && behind.contains(site) {
                share.compare.due = true;
                share.compare.found += 1;
            }
        }
        Purged { tombstones: gone.len() as u64, behind }
    }

    pub(super) fn next_arrival(&mut self, at: usize) -> i64 {
        self.tables[at].head += 1;
        self.tables[at].head
    }

    /// Whether rows keep the constraints that are checked at each write.
    pub(super) fn check_rows(&self) -> Result<()> {
        for stored in &self.tables {
            let rows: Vec<&Row> = stored.rows.values().collect();
            if let Some(column) = stored.schema.required.iter().find(|column| rows.iter().any(|row| !row.contains_key(**column))) {
                return Err(Error::new(Fault::Constraint, format!("column {column:?} may not be null")));
            }
            for columns in stored.schema.unique {
                let values = |row: &Row| columns.iter().map(|column| row.get(*column).cloned()).collect::<Option<Vec<Held>>>();
                let taken = |at: usize| values(rows[at]).is_some_and(|own| rows[..at].iter().any(|row| values(row).as_ref() == Some(&own)));
                if (0..rows.len()).any(taken) {
                    return Err(Error::new(Fault::Constraint, format!("two rows would have the same {}", columns.join(", "))));
                }
            }
        }
        Ok(())
    }

    /// How many references of rows lead nowhere. A transaction may end with no more of them than it began with.
    pub(super) fn astray(&self) -> usize {
        let of = |stored: &Stored| {
            let links = stored.schema.references.iter();
            let rows = |(column, to): &(&str, &str)| {
                let there = &self.tables[self.place(to)].rows;
                stored.rows.values().filter(|row| matches!(row.get(*column), Some(Held::Row(key)) if !there.contains_key(key))).count()
            };
            links.map(rows).sum::<usize>()
        };
        self.tables.iter().map(of).sum()
    }

    pub(super) fn attach(&mut self, specs: &[TableSpec], site: SiteId, now: Time) -> Result<()> {
        let incarnation = u32::try_from(now.0 / 1_000_000).unwrap_or(u32::MAX);
        let new = || Journal { site, epoch: uuid::Uuid::new_v4().simple().to_string(), incarnation, runs: 0 };
        let owner = self.journal.get_or_insert_with(new).site;
        if owner != site {
            return Err(Error::new(Fault::Exists, format!("this database is already attached to another site, {owner}")));
        }
        for spec in specs {
            let at = self.place(&spec.table);
            self.tables[at].table = Some(self.describe(at, spec, specs)?);
        }
        for at in 0..self.tables.len() {
            if self.tables[at].table.is_some() {
                self.tables[at].watched = true;
                self.note_unwatched(at, now)?;
                self.fold(at)?;
            }
        }
        Ok(())
    }

    /// The table as the engine sees it.
    fn describe(&self, at: usize, spec: &TableSpec, specs: &[TableSpec]) -> Result<Table> {
        let schema = &self.tables[at].schema;
        let resource = |table: &str| {
            let known = self.tables[self.place(table)].table.as_ref().map(|table| table.resource.clone());
            let named = specs.iter().find(|spec| spec.table == table).map(|spec| spec.resource.clone());
            known
                .or(named)
                .ok_or_else(|| Error::new(Fault::Constraint, format!("{} refers to {table}, which is not attached", schema.name)))
        };
        let references: Vec<Reference> = schema
            .references
            .iter()
            .map(|(column, to)| Ok(Reference { field: (*column).to_owned(), resource: resource(to)? }))
            .collect::<Result<_>>()?;
        let plain = |column: &&&str| references.iter().all(|reference| reference.field != **column);
        let owned = |column: &&str| (*column).to_owned();
        Ok(Table {
            id: at as i64 + 1,
            name: schema.name.to_owned(),
            resource: spec.resource.clone(),
            identity: spec.identity.clone().unwrap_or(Identity::Assigned),
            matching: spec.matching.clone(),
            fields: schema.columns.iter().filter(plain).map(owned).collect(),
            required: schema.required.iter().filter(plain).map(owned).collect(),
            references,
            fingerprint: schema.columns.join(" "),
            ready: true,
            bases: false,
            form: super::super::Form::default(),
        })
    }

    /// Forgets everything but the rows.
    pub(super) fn forget_journal(&mut self) {
        let rows = std::mem::take(&mut self.tables);
        let bare = |stored: Stored| Stored { table: None, watched: false, entries: Vec::new(), head: 0, ..stored };
        *self = State { tables: rows.into_iter().map(bare).collect(), ..State::default() };
    }

    /// Lets a record wait.
    pub(super) fn wait(&mut self, resource: &str, record: RecordView<'_>, waits: &Wait<'_>) {
        let mut page = Page::new(resource);
        page.copy(record);
        self.last_waiting += 1;
        self.waiting.push(Waits {
            id: self.last_waiting,
            resource: resource.to_owned(),
            page,
            kind: waits.kind,
            reason: waits.reason.to_owned(),
            missing: waits.missing.to_vec(),
            site: waits.peer,
            run: waits.run,
            at: waits.now,
        });
    }
}
