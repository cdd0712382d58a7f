//! Rows as records: one way of reading them, for the feed, for deciding, for folding and for journalling what was there.

use std::collections::HashMap;

use super::{
    Found, Locals,
    known::{Numbers, natural_uid},
    outline::{Data, LET_GO, Outline},
    shape::Shape,
    stored,
};
use crate::{
    error::{Error, Kind as Fault, Result},
    model::{Cell, Digest, Identity, Kind, Page, Record, RecordView, SiteId, Span, Time, Uid, Uuids},
};

/// What is read of a list while a record in it has no uid yet.
pub(super) const UNKNOWN: &[u8] = b"!";

/// The most bytes of text in one record: with room for what the wire adds, what a peer takes at all.
const LARGEST: usize = 24 << 20;

/// Where the fields begin in a row of the select that a layout makes; the columns before tell of the state.
const FIRST_FIELD: usize = 15;

/// What the journal knows of a record beside what travels.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) arrival: i64,
    /// A local edit that is not folded yet, at this microsecond.
    pub(super) own: Option<i64>,
    pub(super) received_from: Option<i64>,
    /// An open conflict holds it, or it was let go.
    pub(super) held: bool,
    /// It was let go.
    pub(super) retracted: bool,
    /// The row is in the table.
    pub(super) present: bool,
    /// The journal believes that it lives, but the row is gone.
    pub(super) vanished: bool,
    pub(super) uid_known: bool,
    pub(super) digest: Option<Digest>,
    /// A reference that leads nowhere.
    pub(super) dangling: Option<String>,
}

impl Seen {
    /// What it holds is known in full.
    pub(super) fn whole(&self) -> bool {
        self.dangling.is_none()
    }

    /// Why a record with so many bytes of text cannot travel as it is.
    pub(super) fn unfit(&self, bytes: usize) -> Option<String> {
        if let Some(field) = &self.dangling {
            return Some(format!("its {field} refers to a row that does not exist here"));
        }
        (bytes > LARGEST).then(|| format!("it has {bytes} bytes, and {LARGEST} is the most that a record may have"))
    }

    /// The record as it is found at a place of a page.
    pub(super) fn found(&self, at: usize, record: &Record) -> Found {
        let (living, held) = (!record.deleted, self.held && !self.retracted);
        Found { at, arrival: self.arrival, shared: false, held, living, base: None, retracted: self.retracted }
    }
}

/// Tells where the `wanted` records stand in the page of `locals`, of which each was `seen`; `peer` is the number of the site that is asked about.
pub(super) fn place(locals: &mut Locals, seen: &[Seen], wanted: &[&str], peer: Option<i64>) {
    let bases: HashMap<&str, usize> = locals.bases.views().enumerate().map(|(at, view)| (view.uid(), at)).collect();
    let places: HashMap<&str, usize> = locals.page.views().enumerate().map(|(at, view)| (view.uid(), at)).collect();
    for (found, uid) in locals.found.iter_mut().zip(wanted) {
        *found = places.get(uid).map(|at| {
            let seen = &seen[*at];
            let shared = peer.is_some() && seen.received_from == peer;
            Found { shared, base: bases.get(uid).copied(), ..seen.found(*at, &locals.page.records[*at]) }
        });
    }
}

/// The indexes of a table's names in a page.
pub(super) struct Names {
    data: Vec<u16>,
    /// Of each reference: its field and its resource.
    links: Vec<(u16, u16)>,
}

/// A row of the select that a layout makes: the state, whether the row is there, its fields, for each reference whether it is set and its uid, the key.
pub(super) trait Cells<S: Shape> {
    /// An integer.
    fn int(&self, at: usize) -> Result<Option<i64>>;

    /// Whether something is so.
    fn flag(&self, at: usize) -> Result<bool>;

    /// Text of the journal's own.
    fn text(&self, at: usize) -> Result<Option<&str>>;

    /// Bytes of the journal's own.
    fn bytes(&self, at: usize) -> Result<Option<&[u8]>>;

    /// A uid as it is stored, put into a page.
    fn uid(&self, at: usize, page: &mut Page) -> Result<Option<Span>>;

    /// Appends the value of a field as its next cell; nothing where the uid tells it.
    fn push(&self, at: usize, data: &Data<S::Form>, name: u16, page: &mut Page) -> Result<Pushed>;

    /// The uid that stands in an identity column.
    fn uid_in(&self, at: usize, data: &Data<S::Form>) -> Result<Option<String>>;
}

/// What became of a field that was read.
pub(super) enum Pushed {
    /// It is there as it is.
    Whole,
    /// Its list names a record that has no uid yet.
    Dangling,
}

impl<S: Shape> Outline<S> {
    /// Readies a page for this table's records.
    pub(super) fn prepare(&self, page: &mut Page) -> Result<Names> {
        page.resource.clone_from(&self.table.resource);
        let too_wide = || Error::new(Fault::TooLarge, "a table has too many columns to travel");
        let mut name = |name: &str| page.name(name).ok_or_else(too_wide);
        Ok(Names {
            data: self.data.iter().map(|data| name(&data.field)).collect::<Result<_>>()?,
            links: self.references.iter().map(|link| Ok((name(&link.field)?, name(&link.parent_resource)?))).collect::<Result<_>>()?,
        })
    }

    /// Appends the record of a row.
    pub(super) fn read(&self, row: &impl Cells<S>, names: &Names, sites: &Numbers, me: SiteId, page: &mut Page) -> Result<Seen> {
        let mark = page.mark();
        let (gone, held, present) = (row.flag(2)?, row.int(10)?, row.flag(14)?);
        let mut seen = Seen {
            arrival: row.int(0)?.unwrap_or(0),
            own: row.int(4)?,
            received_from: row.int(9)?,
            held: held.is_some(),
            retracted: held == Some(LET_GO),
            present,
            vanished: !present && !gone,
            uid_known: false,
            digest: row.bytes(13)?.and_then(|bytes| bytes.try_into().ok()).map(Digest),
            dangling: None,
        };
        let deleted = gone || !present;
        if !deleted {
            self.read_fields(row, names, page, &mut seen)?;
            if let Some(extra) = row.text(12)? {
                stored::read_extra(extra, page, |field| self.knows(field))?;
            }
        }
        let uid = row.uid(1, page)?;
        seen.uid_known = uid.is_some();
        let site = |id: Option<i64>| id.and_then(|id| sites.site(id)).unwrap_or(me);
        let mut record = Record::new(uid.unwrap_or_else(|| page.put("")), site(row.int(6)?), Time(row.int(3)?.unwrap_or(0)));
        record.author = site(row.int(7)?);
        if let Some(version) = row.text(5)? {
            record.version = sites.read_version(version)?;
        }
        if let Some(settled) = row.text(8)? {
            record.settled = sites.read_set(settled)?;
        }
        record.deleted = deleted;
        record.heir = if deleted { row.uid(11, page)? } else { None };
        page.finish(record, mark);
        Ok(seen)
    }

    fn read_fields(&self, row: &impl Cells<S>, names: &Names, page: &mut Page, seen: &mut Seen) -> Result<()> {
        for (at, data) in self.data.iter().enumerate() {
            if let Pushed::Dangling = row.push(FIRST_FIELD + at, data, names.data[at], page)? {
                seen.dangling = Some(data.field.clone());
            }
        }
        let first = FIRST_FIELD + self.data.len();
        for (at, link) in self.references.iter().enumerate() {
            let (set, target) = (row.flag(first + 2 * at)?, row.uid(first + 2 * at + 1, page)?);
            let (field, resource) = names.links[at];
            if set && target.is_none() {
                seen.dangling = Some(link.field.clone());
            }
            let kind = if set && target.is_some() { Kind::Reference } else { Kind::Null };
            let text = target.unwrap_or_else(|| page.put(""));
            page.cell(Cell { field, resource, kind, text });
        }
        Ok(())
    }

    /// Where the key columns begin in a row.
    pub(super) fn first_key(&self) -> usize {
        FIRST_FIELD + self.data.len() + 2 * self.references.len()
    }

    /// The uid that stands in the identity column of a row.
    fn uid_in_row(&self, row: &impl Cells<S>) -> Result<Option<String>> {
        let Some(at) = self.data.iter().position(|data| data.is_identity) else { return Ok(None) };
        row.uid_in(FIRST_FIELD + at, &self.data[at])
    }

    /// The uid that stands in a row where it is another than the journal knows: unless it is an alias, the row has become that of another record.
    pub(super) fn other_uid(&self, row: &impl Cells<S>, seen: &Seen, known: &str) -> Result<Option<String>> {
        Ok(if seen.present && seen.uid_known { self.uid_in_row(row)?.filter(|uid| uid != known) } else { None })
    }

    /// The uid that a new local row gets: from its column, from its natural key, or a random one.
    pub(super) fn new_uid(&self, record: RecordView<'_>, row: &impl Cells<S>, uuids: &Uuids) -> Result<String> {
        let made = match &self.table.identity {
            Identity::Column { .. } => self.uid_in_row(row)?,
            Identity::Key { .. } => natural_uid(&self.table.resource, record, &self.natural),
            Identity::Assigned => None,
        };
        Ok(made.unwrap_or_else(|| Uid::of(uuids.next()).to_string()))
    }
}
