//! What all journals know alike: versions as they are stored, and uids that follow from a row.

use crate::{
    error::{Error, Result},
    model::{Actor, Kind, RecordView, SiteId, Version},
};

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
