//! What all journals know alike: versions as they are stored, and uids that follow from a row.

use std::{collections::HashMap, fmt::Write};

use crate::{
    error::{Error, Result},
    model::{Actor, Kind, RecordView, SiteId, Version},
};

/// The numbers that stand for sites in a journal.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    by_id: HashMap<i64, SiteId>,
    by_site: HashMap<SiteId, i64>,
}

impl Numbers {
    pub(super) fn add(&mut self, id: i64, site: SiteId) {
        self.by_id.insert(id, site);
        self.by_site.insert(site, id);
    }

    pub(super) fn clear(&mut self) {
        self.by_id.clear();
        self.by_site.clear();
    }

    pub(super) fn by_id(&self) -> &HashMap<i64, SiteId> {
        &self.by_id
    }

    pub(super) fn site(&self, id: i64) -> Option<SiteId> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn known(&self, site: SiteId) -> Option<i64> {
        self.by_site.get(&site).copied()
    }

    pub(super) fn read_version(&self, text: &str) -> Result<Version> {
        read_version(text, |id| self.site(id))
    }

    /// Reads what [`write_set`] wrote; the sites are in their own order.
    pub(super) fn read_set(&self, text: &str) -> Result<Vec<SiteId>> {
        let known = text.split(' ').map(|id| id.parse().ok().and_then(|id| self.site(id)));
        let mut sites: Vec<SiteId> = known.collect::<Option<_>>().ok_or_else(broken)?;
        sites.sort_unstable();
        Ok(sites)
    }
}

/// `ID.INCARNATION:COUNTER …`; `number` gives a site its number.
pub(super) fn write_version(version: &Version, mut number: impl FnMut(SiteId) -> Result<i64>) -> Result<String> {
    let mut text = String::with_capacity(16);
    for (actor, counter) in version.iter() {
        let id = number(actor.site)?;
        let space = if text.is_empty() { "" } else { " " };
        let written: std::fmt::Result = write!(text, "{space}{id}.{}:{counter}", actor.incarnation);
        written.map_err(|e| Error::internal("a version could not be written").because(e))?;
    }
    Ok(text)
}

/// `ID ID …`; `None` where there are none.
pub(super) fn write_set(sites: &[SiteId], mut number: impl FnMut(SiteId) -> Result<i64>) -> Result<Option<String>> {
    let ids: Vec<String> = sites.iter().map(|site| number(*site).map(|id| id.to_string())).collect::<Result<_>>()?;
    Ok((!ids.is_empty()).then(|| ids.join(" ")))
}

/// Reads a version as a journal stores it, `ID.INCARNATION:COUNTER …`; `site` knows the numbers.
pub(super) fn read_version(text: &str, site: impl Fn(i64) -> Option<SiteId>) -> Result<Version> {
    let entry = |entry: &str| {
        let (actor, counter) = entry.split_once(':')?;
        let (id, incarnation) = actor.split_once('.')?;
        let site = site(id.parse().ok()?)?;
        Some((Actor { site, incarnation: incarnation.parse().ok()? }, counter.parse().ok()?))
    };
    text.split(' ').filter(|text| !text.is_empty()).map(entry).collect::<Option<Version>>().ok_or_else(broken)
}

/// A journal names a site by a number that it does not know.
pub(super) fn broken() -> Error {
    Error::internal("the journal is damaged: it names a site that it does not know")
}

/// UUIDv5 of the resource and the key values in their plain form. `None` where a part of the key is null.
pub(super) fn natural_uid(resource: &str, record: RecordView<'_>, fields: &[String]) -> Option<String> {
    let namespace = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, format!("urn:entente:resource:{resource}").as_bytes());
    let mut name = Vec::new();
    for field in fields {
        let value = record.get(field).filter(|value| value.kind != Kind::Null)?;
        let plain = value.plain();
        name.extend_from_slice(plain.kind.word().as_bytes());
        name.extend_from_slice(&(plain.text.len() as u64).to_be_bytes());
        name.extend_from_slice(plain.text.as_bytes());
    }
    Some(uuid::Uuid::new_v5(&namespace, &name).urn().to_string())
}

/// A UUID in the one form that is written: lower case with hyphens.
pub(super) fn canonical_uuid(text: &str) -> Option<uuid::Uuid> {
    let uuid = uuid::Uuid::try_parse(text).ok()?;
    let mut buffer = uuid::Uuid::encode_buffer();
    (uuid.hyphenated().encode_lower(&mut buffer) == text).then_some(uuid)
}

/// The uid that the text of an identity column stands for.
pub(super) fn uid_in_text(text: &str) -> Option<String> {
    match uuid::Uuid::try_parse(text) {
        Ok(uuid) => Some(uuid.urn().to_string()),
        Err(_) => crate::model::Uid::check(text).ok().map(str::to_owned),
    }
}
