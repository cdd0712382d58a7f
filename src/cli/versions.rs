//! Versions of records, as people and programs read them.

use std::collections::BTreeMap;

use entente::model::{Kind, Page};
pub(super) use entente::sync::versions::{Compared, Names, compare, record};
use serde_json::{Value, json};

use super::output::when;

/// What stands for no value.
const NONE: &str = "–";

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

/// A field in two versions, for programs.
pub(super) fn field_document(compared: &Compared<'_>) -> Value {
    let value = |value: Option<(Kind, &str)>| value.map_or(Value::Null, |(kind, text)| value_document(kind, text));
    json!({"field": compared.field, "ours": value(compared.ours), "theirs": value(compared.theirs), "differs": compared.differs()})
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
