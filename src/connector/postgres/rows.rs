//! Rows as records: one way of reading them, for the feed, for deciding, for folding and for journalling what was there.

use std::{collections::HashMap, fmt::Write};

use postgres::Row;

use super::{
    args::{Arg, Columns},
    form::Form,
    layout::Layout,
    link::Link,
    sql::UNKNOWN,
};
use crate::{
    connector::{
        KeyPart,
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
}

impl Sites {
    /// Reads the numbers anew. On an error none is known.
    pub(super) fn load(&mut self, link: &mut Link) -> Result<()> {
        self.by_id.clear();
        self.by_site.clear();
        for row in link.query("SELECT id, uuid FROM entente.site", &[], "read the journal")? {
            self.add(row.int(0)?.unwrap_or(0), row.owned(1)?.parse()?);
        }
        Ok(())
    }

    fn add(&mut self, id: i64, site: SiteId) {
        self.by_id.insert(id, site);
        self.by_site.insert(site, id);
    }

    pub(super) fn site(&self, id: i64) -> Option<SiteId> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn known(&self, site: SiteId) -> Option<i64> {
        self.by_site.get(&site).copied()
    }

    /// The number of a site, made where it is new. Only within a transaction; when that is rolled back, [`Sites::load`] again.
    pub(super) fn id(&mut self, link: &mut Link, site: SiteId) -> Result<i64> {
        if let Some(id) = self.known(site) {
            return Ok(id);
        }
        let sql = "INSERT INTO entente.site (uuid) VALUES ($1) RETURNING id";
        let id = link.one(sql, &[site.0.to_string().into()], "write the journal")?.int(0)?.unwrap_or(0);
        self.add(id, site);
        Ok(id)
    }

    /// `ID.INCARNATION:COUNTER …`
    pub(super) fn write_version(&mut self, link: &mut Link, version: &Version) -> Result<String> {
        let mut text = String::with_capacity(16);
        for (actor, counter) in version.iter() {
            let id = self.id(link, actor.site)?;
            let space = if text.is_empty() { "" } else { " " };
            let written: std::fmt::Result = write!(text, "{space}{id}.{}:{counter}", actor.incarnation);
            written.map_err(|e| Error::internal("a version could not be written").because(e))?;
        }
        Ok(text)
    }

    pub(super) fn read_version(&self, text: &str) -> Result<Version> {
        read_version(text, |id| self.site(id))
    }

    pub(super) fn write_set(&mut self, link: &mut Link, sites: &[SiteId]) -> Result<Option<String>> {
        let ids: Vec<String> = sites.iter().map(|site| self.id(link, *site).map(|id| id.to_string())).collect::<Result<_>>()?;
        Ok((!ids.is_empty()).then(|| ids.join(" ")))
    }

    fn read_set(&self, text: &str) -> Result<Vec<SiteId>> {
        let known = text.split(' ').map(|id| id.parse().ok().and_then(|id| self.site(id)));
        let mut sites: Vec<SiteId> = known.collect::<Option<_>>().ok_or_else(broken)?;
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

impl Seen {
    /// What it holds is known in full.
    pub(super) fn whole(&self) -> bool {
        self.dangling.is_none()
    }
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
    pub(super) fn read(&self, row: &Row, names: &Names, sites: &Sites, me: SiteId, page: &mut Page) -> Result<Seen> {
        let mark = page.mark();
        let (present, held) = (row.flag(14)?, row.int(10)?);
        let mut seen = Seen {
            arrival: row.int(0)?.unwrap_or(0),
            own: row.int(4)?,
            received_from: row.int(9)?,
            held: held.is_some(),
            retracted: held == Some(LET_GO),
            present,
            vanished: !present && !row.flag(2)?,
            uid_known: row.raw(1)?.is_some(),
            digest: row.raw(13)?.and_then(|raw| raw.try_into().ok()).map(Digest),
            dangling: None,
        };
        let deleted = row.flag(2)? || !present;
        if !deleted {
            self.read_fields(row, names, page, &mut seen)?;
            if let Some(extra) = row.text(12)? {
                stored::read_extra(extra, page, |field| self.knows(field))?;
            }
        }
        let uid = page.put(row.text(1)?.unwrap_or_default());
        let site = |id: Option<i64>| id.and_then(|id| sites.site(id)).unwrap_or(me);
        let mut record = Record::new(uid, site(row.int(6)?), Time(row.int(3)?.unwrap_or(0)));
        record.author = site(row.int(7)?);
        if let Some(version) = row.text(5)? {
            record.version = sites.read_version(version)?;
        }
        if let Some(settled) = row.text(8)? {
            record.settled = sites.read_set(settled)?;
        }
        record.deleted = deleted;
        record.heir = row.text(11)?.filter(|_| deleted).map(|heir| page.put(heir));
        page.finish(record, mark);
        Ok(seen)
    }

    fn read_fields(&self, row: &Row, names: &Names, page: &mut Page, seen: &mut Seen) -> Result<()> {
        for (at, data) in self.data.iter().enumerate() {
            let raw = row.raw(FIRST_FIELD + at)?;
            if data.is_identity && told_by_uid(&data.form, raw) {
                continue;
            }
            let unknown = data.list.is_some() && raw == Some(UNKNOWN);
            if unknown {
                seen.dangling = Some(data.field.clone());
            }
            data.form.push(page, names.data[at], raw.filter(|_| !unknown))?;
        }
        let first = FIRST_FIELD + self.data.len();
        for (at, link) in self.references.iter().enumerate() {
            let (set, target) = (row.flag(first + 2 * at)?, row.text(first + 2 * at + 1)?);
            let (field, resource) = names.links[at];
            if set && target.is_none() {
                seen.dangling = Some(link.field.clone());
            }
            let kind = if set && target.is_some() { Kind::Reference } else { Kind::Null };
            let text = page.put(target.unwrap_or_default());
            page.cell(Cell { field, resource, kind, text });
        }
        Ok(())
    }

    /// The key of a row of [`Layout::select`].
    pub(super) fn key_at(&self, row: &Row) -> Result<Vec<KeyPart>> {
        self.key_from(row, FIRST_FIELD + self.data.len() + 2 * self.references.len())
    }

    /// The key whose columns stand from here on.
    pub(super) fn key_from(&self, row: &Row, first: usize) -> Result<Vec<KeyPart>> {
        self.key.iter().enumerate().map(|(at, column)| Ok(key_part(&column.form, row.raw(first + at)?))).collect()
    }

    /// The uid that stands in the identity column of a row of [`Layout::select`].
    fn uid_in_row(&self, row: &Row) -> Result<Option<String>> {
        let Some(at) = self.data.iter().position(|data| data.is_identity) else { return Ok(None) };
        Ok(match (&self.data[at].form, row.raw(FIRST_FIELD + at)?) {
            (Form::Uuid | Form::Bytes, Some(raw)) => uuid::Uuid::from_slice(raw).ok().map(|uuid| uuid.urn().to_string()),
            (_, Some(raw)) => std::str::from_utf8(raw).ok().and_then(uid_in_text),
            (_, None) => None,
        })
    }

    /// The uid that stands in a row where it is another than the journal knows: unless it is an alias, the row has become that of another record.
    pub(super) fn other_uid(&self, row: &Row, seen: &Seen, known: &str) -> Result<Option<String>> {
        Ok(if seen.present && seen.uid_known { self.uid_in_row(row)?.filter(|uid| uid != known) } else { None })
    }

    /// The uid that a new local row gets: from its column, from its natural key, or a random one.
    pub(super) fn new_uid(&self, record: RecordView<'_>, row: &Row, uuids: &Uuids) -> Result<String> {
        let made = match &self.table.identity {
            Identity::Column { .. } => self.uid_in_row(row)?,
            Identity::Key { .. } => natural_uid(&self.table.resource, record, &self.natural),
            Identity::Assigned => None,
        };
        Ok(made.unwrap_or_else(|| Uid::of(uuids.next()).to_string()))
    }

    /// What an identity column holds for a uid.
    pub(super) fn identity_value(&self, uid: &str) -> Result<Arg<'static>> {
        let form = self.identity.as_ref().map(|column| &column.form);
        match (uid.strip_prefix("urn:uuid:").and_then(canonical_uuid), form) {
            (Some(uuid), Some(Form::Bytes)) => Ok(Arg::Bytes(uuid.as_bytes().to_vec().into())),
            (Some(uuid), _) => Ok(uuid.to_string().into()),
            (None, Some(Form::Uuid | Form::Bytes)) => {
                let message = format!("its uid {uid:?} is no UUID, which its identity column wants");
                Err(Error::new(crate::error::Kind::Constraint, message))
            }
            (None, _) => Ok(uid.to_owned().into()),
        }
    }
}

fn too_wide() -> Error {
    Error::new(crate::error::Kind::TooLarge, "a table has too many columns to travel")
}

/// Whether the value of an identity column can be told from the uid, so that it need not travel beside it.
fn told_by_uid(form: &Form, raw: Option<&[u8]>) -> bool {
    match (form, raw) {
        (Form::Uuid, Some(_)) => true,
        (Form::Bytes, Some(raw)) => raw.len() == 16,
        (_, Some(raw)) => std::str::from_utf8(raw).is_ok_and(|text| canonical_uuid(text).is_some()),
        (_, None) => false,
    }
}

/// A key part as it was read by [`Form::read`].
fn key_part(form: &Form, raw: Option<&[u8]>) -> KeyPart {
    let Some(raw) = raw else { return KeyPart::Null };
    match form {
        Form::Integer => super::args::integer(raw).map_or(KeyPart::Null, KeyPart::Integer),
        Form::Bytes => KeyPart::Bytes(raw.to_vec()),
        Form::Boolean => KeyPart::Text(if raw == [1] { b"true".to_vec() } else { b"false".to_vec() }),
        Form::Uuid => KeyPart::Text(uuid::Uuid::from_slice(raw).unwrap_or_default().to_string().into_bytes()),
        Form::Real8 => raw.try_into().map_or(KeyPart::Null, |raw| KeyPart::Real(f64::from_be_bytes(raw))),
        Form::Real4 => raw.try_into().map_or(KeyPart::Null, |raw| KeyPart::Text(f32::from_be_bytes(raw).to_string().into_bytes())),
        _ => KeyPart::Text(raw.to_vec()),
    }
}
