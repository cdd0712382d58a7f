//! Rows as PostgreSQL gives them, and the numbers of sites.

use std::ops::Deref;

use postgres::Row;

use super::{
    args::{Arg, Columns},
    form::Form,
    layout::{Data, Layout},
    link::Link,
    shape::Shape,
};
use crate::{
    connector::{
        KeyPart,
        known::{Numbers, canonical_uuid, uid_in_text, write_set, write_version},
        seen::{self, Pushed, UNKNOWN},
    },
    error::{Error, Result},
    model::{Page, SiteId, Span, Version},
};

/// The numbers that stand for sites in this journal.
#[derive(Debug, Default)]
pub(super) struct Sites(Numbers);

impl Deref for Sites {
    type Target = Numbers;

    fn deref(&self) -> &Numbers {
        &self.0
    }
}

impl Sites {
    /// Reads the numbers anew. On an error none is known.
    pub(super) fn load(&mut self, link: &mut Link) -> Result<()> {
        self.0.clear();
        for row in link.query("SELECT id, uuid FROM entente.site", &[], "read the journal")? {
            self.0.add(row.int(0)?.unwrap_or(0), row.owned(1)?.parse()?);
        }
        Ok(())
    }

    /// The number of a site, made where it is new. Only within a transaction; when that is rolled back, [`Sites::load`] again.
    pub(super) fn id(&mut self, link: &mut Link, site: SiteId) -> Result<i64> {
        if let Some(id) = self.known(site) {
            return Ok(id);
        }
        let sql = "INSERT INTO entente.site (uuid) VALUES ($1) RETURNING id";
        let id = link.one(sql, &[site.0.to_string().into()], "write the journal")?.int(0)?.unwrap_or(0);
        self.0.add(id, site);
        Ok(id)
    }

    /// See [`write_version`].
    pub(super) fn write_version(&mut self, link: &mut Link, version: &Version) -> Result<String> {
        write_version(version, |site| self.id(link, site))
    }

    /// See [`write_set`].
    pub(super) fn write_set(&mut self, link: &mut Link, sites: &[SiteId]) -> Result<Option<String>> {
        write_set(sites, |site| self.id(link, site))
    }
}

impl seen::Cells<Shape> for Row {
    fn int(&self, at: usize) -> Result<Option<i64>> {
        Columns::int(self, at)
    }

    fn flag(&self, at: usize) -> Result<bool> {
        Columns::flag(self, at)
    }

    fn text(&self, at: usize) -> Result<Option<&str>> {
        Columns::text(self, at)
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>> {
        self.raw(at)
    }

    fn uid(&self, at: usize, page: &mut Page) -> Result<Option<Span>> {
        Ok(Columns::text(self, at)?.map(|uid| page.put(uid)))
    }

    fn push(&self, at: usize, data: &Data, name: u16, page: &mut Page) -> Result<Pushed> {
        let raw = self.raw(at)?;
        if data.is_identity && told_by_uid(&data.form, raw) {
            return Ok(Pushed::Whole);
        }
        let unknown = data.list.is_some() && raw == Some(UNKNOWN);
        data.form.push(page, name, raw.filter(|_| !unknown))?;
        Ok(if unknown { Pushed::Dangling } else { Pushed::Whole })
    }

    fn uid_in(&self, at: usize, data: &Data) -> Result<Option<String>> {
        Ok(match (&data.form, self.raw(at)?) {
            (Form::Uuid | Form::Bytes, Some(raw)) => uuid::Uuid::from_slice(raw).ok().map(|uuid| uuid.urn().to_string()),
            (_, Some(raw)) => std::str::from_utf8(raw).ok().and_then(uid_in_text),
            (_, None) => None,
        })
    }
}

impl Layout {
    /// The key of a row of [`Layout::select`].
    pub(super) fn key_at(&self, row: &Row) -> Result<Vec<KeyPart>> {
        self.key_from(row, self.first_key())
    }

    /// The key whose columns stand from here on.
    pub(super) fn key_from(&self, row: &Row, first: usize) -> Result<Vec<KeyPart>> {
        self.key.iter().enumerate().map(|(at, column)| Ok(key_part(&column.form, row.raw(first + at)?))).collect()
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
