//! Versions of records, for programs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    model::{Kind, Page, SiteId, Time},
    sync::versions::{Compared, record},
};

/// A version of a record. Values are canonical texts (docs/types.md), or null.
#[derive(Serialize, JsonSchema)]
pub(super) struct Version {
    /// The record's uid.
    uid: String,
    /// Whether the record is deleted by it.
    deleted: bool,
    /// When it was written.
    modified_on: Time,
    /// The site that wrote it.
    author: SiteId,
    /// The site that created the record.
    origin: SiteId,
    /// Its version vector.
    version: String,
    /// Its fields.
    fields: BTreeMap<String, Option<String>>,
}

impl Version {
    /// The record of a page that has one.
    pub(super) fn of(page: &Page) -> Option<Version> {
        let view = record(page)?;
        let fields = view.fields().map(|(name, value)| (name.to_owned(), text(value.kind, value.text))).collect();
        Some(Version {
            uid: view.uid().to_owned(),
            deleted: view.record.deleted,
            modified_on: view.record.modified_on,
            author: view.record.author,
            origin: view.record.origin,
            version: view.record.version.to_string(),
            fields,
        })
    }
}

fn text(kind: Kind, text: &str) -> Option<String> {
    (kind != Kind::Null).then(|| text.to_owned())
}

/// A field in two versions.
#[derive(Serialize, JsonSchema)]
pub(super) struct ComparedField {
    /// Its name.
    field: String,
    /// What is here.
    ours: Option<String>,
    /// What came.
    theirs: Option<String>,
    /// Whether the two differ.
    differs: bool,
}

impl From<&Compared<'_>> for ComparedField {
    fn from(compared: &Compared<'_>) -> ComparedField {
        let value = |value: Option<(Kind, &str)>| value.and_then(|(kind, of)| text(kind, of));
        ComparedField {
            field: compared.field.to_owned(),
            ours: value(compared.ours),
            theirs: value(compared.theirs),
            differs: compared.differs(),
        }
    }
}

/// A database that could not be read.
#[derive(Serialize, JsonSchema)]
pub(super) struct Unread {
    /// Its name.
    pub(super) database: String,
    /// Why.
    pub(super) error: String,
}
