//! Rows as SQLite gives them, and the numbers of sites.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, PoisonError, RwLock},
};

use rusqlite::{Connection, Row, types::ValueRef};

use super::{
    failure::Told,
    layout::Data,
    shape::Shape,
    values::{push, push_uid},
};
use crate::{
    connector::{
        known::{Numbers, canonical_uuid, uid_in_text, write_set, write_version},
        seen::{Cells, Pushed, UNKNOWN},
    },
    error::Result,
    model::{Page, SiteId, Span, Version},
};

/// The numbers that stand for sites in this journal.
#[derive(Debug, Default)]
pub(super) struct Sites {
    numbers: Numbers,
    shared: KnownSites,
}

impl Deref for Sites {
    type Target = Numbers;

    fn deref(&self) -> &Numbers {
        &self.numbers
    }
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
        self.numbers.clear();
        let read = self.read(conn);
        self.shared.0.write().unwrap_or_else(PoisonError::into_inner).clone_from(self.numbers.by_id());
        read
    }

    fn read(&mut self, conn: &Connection) -> Result<()> {
        let mut statement = conn.prepare_cached("SELECT id, uuid FROM entente_site").told("read the journal")?;
        let mut rows = statement.query([]).told("read the journal")?;
        while let Some(row) = rows.next().told("read the journal")? {
            let id: i64 = row.get(0).told("read the journal")?;
            self.numbers.add(id, row.get::<_, String>(1).told("read the journal")?.parse()?);
        }
        Ok(())
    }

    /// Reads the numbers anew where another connection may have added some.
    pub(super) fn learn(&mut self, conn: &Connection) -> Result<()> {
        let mut statement = conn.prepare_cached("SELECT count(*) FROM entente_site").told("read the journal")?;
        let count: i64 = statement.query_row([], |row| row.get(0)).told("read the journal")?;
        if usize::try_from(count) != Ok(self.by_id().len()) {
            self.load(conn)?;
        }
        Ok(())
    }

    /// As [`Sites::learn`]; while the journal is being installed there is nothing to learn.
    pub(super) fn learn_where_installed(&mut self, conn: &Connection) -> Result<()> {
        if conn.table_exists(None, "entente_site").told("read the schema")? { self.learn(conn) } else { Ok(()) }
    }

    /// The number of a site, made where it is new. Only within a transaction; when that is rolled back, [`Sites::load`] again.
    pub(super) fn id(&mut self, conn: &Connection, site: SiteId) -> Result<i64> {
        if let Some(id) = self.known(site) {
            return Ok(id);
        }
        let mut statement = conn.prepare_cached("INSERT INTO entente_site (uuid) VALUES (?1)").told("write the journal")?;
        let id = statement.insert([site.0.to_string()]).told("write the journal")?;
        self.numbers.add(id, site);
        self.shared.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, site);
        Ok(id)
    }

    /// See [`write_version`].
    pub(super) fn write_version(&mut self, conn: &Connection, version: &Version) -> Result<String> {
        write_version(version, |site| self.id(conn, site))
    }

    /// See [`write_set`].
    pub(super) fn write_set(&mut self, conn: &Connection, sites: &[SiteId]) -> Result<Option<String>> {
        write_set(sites, |site| self.id(conn, site))
    }
}

impl Cells<Shape> for Row<'_> {
    fn int(&self, at: usize) -> Result<Option<i64>> {
        self.get_ref(at).told("read a row").map(|value| value.as_i64_or_null().unwrap_or(None))
    }

    fn flag(&self, at: usize) -> Result<bool> {
        Ok(self.int(at)?.unwrap_or(0) != 0)
    }

    fn text(&self, at: usize) -> Result<Option<&str>> {
        self.get_ref(at).told("read a row").map(|value| value.as_str_or_null().unwrap_or(None))
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>> {
        self.get_ref(at).told("read a row").map(|value| value.as_blob_or_null().unwrap_or(None))
    }

    fn uid(&self, at: usize, page: &mut Page) -> Result<Option<Span>> {
        let stored = self.get_ref(at).told("read a row")?;
        Ok((stored != ValueRef::Null).then(|| push_uid(stored, page)))
    }

    fn push(&self, at: usize, data: &Data, name: u16, page: &mut Page) -> Result<Pushed> {
        let value = self.get_ref(at).told("read a row")?;
        if data.is_identity && told_by_uid(value) {
            return Ok(Pushed::Whole);
        }
        if data.list.is_some() && value == ValueRef::Text(UNKNOWN) {
            push(page, name, ValueRef::Null);
            return Ok(Pushed::Dangling);
        }
        push(page, name, value);
        Ok(Pushed::Whole)
    }

    fn uid_in(&self, at: usize, _: &Data) -> Result<Option<String>> {
        Ok(match self.get_ref(at).told("read a row")? {
            ValueRef::Blob(bytes) => uuid::Uuid::from_slice(bytes).ok().map(|uuid| uuid.urn().to_string()),
            ValueRef::Text(text) => std::str::from_utf8(text).ok().and_then(uid_in_text),
            _ => None,
        })
    }
}

/// Whether the value of an identity column can be told from the uid, so that it need not travel beside it.
fn told_by_uid(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Text(text) => std::str::from_utf8(text).is_ok_and(|text| canonical_uuid(text).is_some()),
        ValueRef::Blob(bytes) => bytes.len() == 16,
        _ => false,
    }
}
