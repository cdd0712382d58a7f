//! Versions of records, as people and programs read them.

use std::collections::BTreeMap;

use entente::{
    error::Result,
    model::{Kind, Page, RecordView, Repository, SiteId},
    site::Site,
    store::repositories,
};
use serde_json::{Value, json};

use super::output::when;

/// What stands for no value.
const NONE: &str = "–";

/// The names of sites that are known here.
pub(super) struct Names {
    own: SiteId,
    repositories: Vec<Repository>,
}

impl Names {
    pub(super) fn of(site: &Site) -> Result<Names> {
        Ok(Names { own: site.id, repositories: site.store.read(|c| repositories::list(c, site.store.key()))? })
    }

    /// The name of a site here, else its UUID.
    pub(super) fn name(&self, site: SiteId) -> String {
        if site == self.own {
            return "here".into();
        }
        let known = self.repositories.iter().find(|repository| repository.uuid == Some(site));
        known.map_or_else(|| site.to_string(), |repository| repository.name.clone())
    }
}

/// The record of a page that has one.
pub(super) fn record(page: &Page) -> Option<RecordView<'_>> {
    page.views().next()
}

/// Who wrote a version and when.
pub(super) fn written(page: &Page, names: &Names) -> String {
    match record(page) {
        Some(view) if view.record.deleted => format!("deleted by {}, {}", names.name(view.record.author), when(view.record.modified_on)),
        Some(view) => format!("by {}, {}", names.name(view.record.author), when(view.record.modified_on)),
        None => NONE.into(),
    }
}

/// A version for programs. Values are canonical texts, or null.
pub(super) fn document(page: &Page) -> Value {
    let Some(view) = record(page) else { return Value::Null };
    let fields: BTreeMap<&str, Value> = view.fields().map(|(name, value)| (name, value_document(value.kind, value.text))).collect();
    json!({
        "uid": view.uid(), "deleted": view.record.deleted, "modified_on": view.record.modified_on, "author": view.record.author,
        "origin": view.record.origin, "version": view.record.version.to_string(), "fields": fields,
    })
}

fn value_document(kind: Kind, text: &str) -> Value {
    if kind == Kind::Null { Value::Null } else { json!(text) }
}

/// A field in two versions.
pub(super) struct Compared<'a> {
    pub(super) field: &'a str,
    pub(super) ours: Option<(Kind, &'a str)>,
    pub(super) theirs: Option<(Kind, &'a str)>,
}

impl Compared<'_> {
    pub(super) fn differs(&self) -> bool {
        let set = |value: Option<(Kind, &str)>| value.filter(|(kind, _)| *kind != Kind::Null).map(|(kind, text)| (kind, text.to_owned()));
        set(self.ours) != set(self.theirs)
    }

    pub(super) fn document(&self) -> Value {
        let value = |value: Option<(Kind, &str)>| value.map_or(Value::Null, |(kind, text)| value_document(kind, text));
        json!({"field": self.field, "ours": value(self.ours), "theirs": value(self.theirs), "differs": self.differs()})
    }
}

/// The fields of two versions side by side, in the order of their names.
pub(super) fn compare<'a>(ours: &'a Page, theirs: &'a Page) -> Vec<Compared<'a>> {
    let mut fields: BTreeMap<&str, Compared<'_>> = BTreeMap::new();
    for (page, here) in [(ours, true), (theirs, false)] {
        for (field, value) in record(page).into_iter().flat_map(RecordView::fields) {
            let compared = fields.entry(field).or_insert(Compared { field, ours: None, theirs: None });
            *(if here { &mut compared.ours } else { &mut compared.theirs }) = Some((value.kind, value.text));
        }
    }
    fields.into_values().collect()
}

/// A value as a person reads it: at most so many characters.
pub(super) fn shown(value: Option<(Kind, &str)>) -> String {
    match value {
        None | Some((Kind::Null, _)) => NONE.into(),
        Some((_, text)) => super::output::short(text),
    }
}

/// All fields of a version in one line.
pub(super) fn line(page: &Page) -> String {
    match record(page) {
        None => NONE.into(),
        Some(view) if view.record.deleted => "(deleted)".into(),
        Some(view) => {
            let set = view.fields().filter(|(_, value)| value.kind != Kind::Null);
            set.map(|(name, value)| format!("{name}={}", super::output::short(value.text))).collect::<Vec<_>>().join("  ")
        }
    }
}
