//! Rows as records: one way of reading them, for the feed, for deciding, for folding and for journalling what was there.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use rusqlite::{Connection, Row, types::ValueRef};

use super::{
    failure::Told,
    layout::Layout,
    lists,
    values::{push, push_uid},
};
use crate::{
    connector::{
        known::{broken, canonical_uuid, natural_uid, read_version, uid_in_text},
        outline::LET_GO,
        stored,
    },
    error::{Error, Result},
    model::{Cell, Digest, Identity, Kind, Page, Record, RecordView, SiteId, Time, Uid, Uuids, Version},
};

/// The numbers that stand for sites in this journal.
#[derive(Debug, Default)]
pub(super) struct Sites {
    by_id: HashMap<i64, SiteId>,
    by_site: HashMap<SiteId, i64>,
    shared: KnownSites,
}

/// The same numbers for functions that SQLite calls.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownSites(Arc<RwLock<HashMap<i64, SiteId>>>);

impl KnownSites {
    pub(super) fn get(&self, id: i64) -> Option<SiteId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }
}

impl Sites {
    pub(super) fn shared(&self) -> KnownSites {
        self.shared.clone()
    }

    /// Reads the numbers anew. On an error none is known.
    pub(super) fn load(&mut self, conn: &Connection) -> Result<()> {
        self.by_id.clear();
        self.by_site.clear();
        let read = self.read(conn);
        self.shared.0.write().unwrap_or_else(PoisonError::into_inner).clone_from(&self.by_id);
        read
    }

    fn read(&mut self, conn: &Connection) -> Result<()> {
        let mut statement = conn.prepare_cached("SELECT id, uuid FROM entente_site").told("read the journal")?;
        let mut rows = statement.query([]).told("read the journal")?;
        while let Some(row) = rows.next().told("read the journal")? {
            let id: i64 = row.get(0).told("read the journal")?;
            self.add(id, row.get::<_, String>(1).told("read the journal")?.parse()?);
        }
        Ok(())
    }

    fn add(&mut self, id: i64, site: SiteId) {
        self.by_id.insert(id, site);
        self.by_site.insert(site, id);
    }

    /// Reads the numbers anew where another connection may have added some.
    pub(super) fn learn(&mut self, conn: &Connection) -> Result<()> {
        let mut statement = conn.prepare_cached("SELECT count(*) FROM entente_site").told("read the journal")?;
        let count: i64 = statement.query_row([], |row| row.get(0)).told("read the journal")?;
        if usize::try_from(count) != Ok(self.by_id.len()) {
            self.load(conn)?;
        }
        Ok(())
    }

    /// As [`Sites::learn`]; while the journal is being installed there is nothing to learn.
    pub(super) fn learn_where_installed(&mut self, conn: &Connection) -> Result<()> {
        if conn.table_exists(None, "entente_site").told("read the schema")? { self.learn(conn) } else { Ok(()) }
    }

    pub(super) fn site(&self, id: i64) -> Option<SiteId> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn known(&self, site: SiteId) -> Option<i64> {
        self.by_site.get(&site).copied()
    }

    /// The number of a site, made where it is new. Only within a transaction; when that is rolled back, [`Sites::load`] again.
    pub(super) fn id(&mut self, conn: &Connection, site: SiteId) -> Result<i64> {
        if let Some(id) = self.known(site) {
            return Ok(id);
        }
        let mut statement = conn.prepare_cached("INSERT INTO entente_site (uuid) VALUES (?1)").told("write the journal")?;
        let id = statement.insert([site.0.to_string()]).told("write the journal")?;
        self.add(id, site);
        self.shared.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, site);
        Ok(id)
    }

    /// `ID.INCARNATION:COUNTER …`
    pub(super) fn write_version(&mut self, conn: &Connection, version: &Version) -> Result<String> {
        let mut text = String::with_capacity(16);
        for (actor, counter) in version.iter() {
            let id = self.id(conn, actor.site)?;
            if !text.is_empty() {
                text.push(' ');
            }
            use std::fmt::Write;
            let written: std::fmt::Result = write!(text, "{id}.{}:{counter}", actor.incarnation);
            written.map_err(|e| Error::internal("a version could not be written").because(e))?;
        }
        Ok(text)
    }

    pub(super) fn read_version(&self, text: &str) -> Result<Version> {
        read_version(text, |id| self.site(id))
    }

    pub(super) fn write_set(&mut self, conn: &Connection, sites: &[SiteId]) -> Result<Option<String>> {
        let ids: Vec<String> = sites.iter().map(|site| self.id(conn, *site).map(|id| id.to_string())).collect::<Result<_>>()?;
        Ok((!ids.is_empty()).then(|| ids.join(" ")))
    }

    fn read_set(&self, text: &str) -> Result<Vec<SiteId>> {
        let mut sites: Vec<SiteId> =
            text.split(' ').map(|id| id.parse().ok().and_then(|id| self.site(id))).collect::<Option<_>>().ok_or_else(broken)?;
        sites.sort_unstable();
        Ok(sites)
    }
}

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

/// The indexes of a table's names in a page.
pub(super) struct Names {
    data: Vec<u16>,
    /// Of each reference: its field and its resource.
    links: Vec<(u16, u16)>,
}

/// Where the columns of [`Layout::select`] stand.
const FIRST_FIELD: usize = 15;

impl Layout {
    /// Readies a page for this table's records.
    pub(super) fn prepare(&self, page: &mut Page) -> Result<Names> {
        page.resource.clone_from(&self.table.resource);
        let mut name = |name: &str| page.name(name).ok_or_else(too_wide);
        Ok(Names {
            data: self.data.iter().map(|data| name(&data.field)).collect::<Result<_>>()?,
            links: self.references.iter().map(|link| Ok((name(&link.field)?, name(&link.parent_resource)?))).collect::<Result<_>>()?,
        })
    }

    /// Appends the record of a row of [`Layout::select`].
    pub(super) fn read(&self, row: &Row<'_>, names: &Names, sites: &Sites, me: SiteId, page: &mut Page) -> Result<Seen> {
        let get = |at: usize| row.get_ref(at).told("read a row");
        let integer = |at: usize| get(at).map(|value| value.as_i64_or_null().unwrap_or(None));
        let mark = page.mark();
        let present = get(14)? == ValueRef::Integer(1);
        let mut seen = Seen {
            arrival: integer(0)?.unwrap_or(0),
            own: integer(4)?,
            received_from: integer(9)?,
            held: integer(10)?.is_some(),
            retracted: integer(10)? == Some(LET_GO),
            present,
            vanished: !present && integer(2)?.unwrap_or(0) == 0,
            uid_known: get(1)? != ValueRef::Null,
            digest: get(13)?.as_blob().ok().and_then(|blob| blob.try_into().ok()).map(Digest),
            dangling: None,
        };
        let deleted = integer(2)?.unwrap_or(0) != 0 || !present;
        if !deleted {
            self.read_fields(row, names, page, &mut seen)?;
            if let ValueRef::Text(extra) = get(12)? {
                let text = std::str::from_utf8(extra).unwrap_or("[]");
                stored::read_extra(text, page, |field| self.knows(field))?;
            }
        }
        let uid = push_uid(get(1)?, page);
        let site = |id: Option<i64>| id.and_then(|id| sites.site(id)).unwrap_or(me);
        let mut record = Record::new(uid, site(integer(6)?), Time(integer(3)?.unwrap_or(0)));
        record.author = site(integer(7)?);
        if let Ok(Some(version)) = get(5)?.as_str_or_null() {
            record.version = sites.read_version(version)?;
        }
        if let Ok(Some(settled)) = get(8)?.as_str_or_null() {
            record.settled = sites.read_set(settled)?;
        }
        record.deleted = deleted;
        record.heir = (deleted && get(11)? != ValueRef::Null).then(|| get(11)).transpose()?.map(|heir| push_uid(heir, page));
        page.finish(record, mark);
        Ok(seen)
    }

    fn read_fields(&self, row: &Row<'_>, names: &Names, page: &mut Page, seen: &mut Seen) -> Result<()> {
        let get = |at: usize| row.get_ref(at).told("read a row");
        for (at, data) in self.data.iter().enumerate() {
            let value = get(FIRST_FIELD + at)?;
            if data.is_identity && told_by_uid(value) {
                continue;
            }
            let unknown = data.list.is_some() && value == ValueRef::Text(lists::UNKNOWN);
            if unknown {
                seen.dangling = Some(data.field.clone());
            }
            push(page, names.data[at], if unknown { ValueRef::Null } else { value });
        }
        let first = FIRST_FIELD + self.data.len();
        for (at, link) in self.references.iter().enumerate() {
            let (set, target) = (get(first + 2 * at)? == ValueRef::Integer(1), get(first + 2 * at + 1)?);
            let (field, resource) = names.links[at];
            if set && target == ValueRef::Null {
                seen.dangling = Some(link.field.clone());
            }
            let kind = if set && target != ValueRef::Null { Kind::Reference } else { Kind::Null };
            let text = push_uid(target, page);
            page.cell(Cell { field, resource, kind, text });
        }
        Ok(())
    }

    /// Where the key columns stand in [`Layout::select`].
    pub(super) fn first_key(&self) -> usize {
        FIRST_FIELD + self.data.len() + 2 * self.references.len()
    }

    /// Whether the table has a column or reference for a field.
    pub(super) fn knows(&self, field: &str) -> bool {
        self.data.iter().any(|data| data.field == field) || self.references.iter().any(|link| link.field == field)
    }

    /// The uid that a new local row gets: from its column, from its natural key, or a random one.
    pub(super) fn new_uid(&self, record: RecordView<'_>, identity: Option<ValueRef<'_>>, uuids: &Uuids) -> String {
        let made = match &self.table.identity {
            Identity::Assigned => None,
            Identity::Column { .. } => identity.and_then(uid_in_column),
            Identity::Key { .. } => natural_uid(&self.table.resource, record, &self.natural),
        };
        made.unwrap_or_else(|| Uid::of(uuids.next()).to_string())
    }

    /// The uid that stands in a row where it is another than the journal knows: unless it is an alias, the row has become that of another record.
    pub(super) fn other_uid(&self, identity: Option<ValueRef<'_>>, seen: &Seen, known: &str) -> Option<String> {
        if seen.present && seen.uid_known { identity.and_then(uid_in_column).filter(|uid| uid != known) } else { None }
    }

    /// Where the identity column stands in [`Layout::select`].
    pub(super) fn identity_at(&self) -> Option<usize> {
        self.data.iter().position(|data| data.is_identity).map(|at| FIRST_FIELD + at)
    }
}

fn too_wide() -> Error {
    Error::new(crate::error::Kind::TooLarge, "a table has too many columns to travel")
}

/// Whether the value of an identity column can be told from the uid, so that it need not travel beside it.
fn told_by_uid(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Text(text) => std::str::from_utf8(text).is_ok_and(|text| canonical_uuid(text).is_some()),
        ValueRef::Blob(bytes) => bytes.len() == 16,
        _ => false,
    }
}

fn uid_in_column(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Blob(bytes) => uuid::Uuid::from_slice(bytes).ok().map(|uuid| uuid.urn().to_string()),
        ValueRef::Text(text) => uid_in_text(std::str::from_utf8(text).ok()?),
        _ => None,
    }
}
