//! What can be attached, and as what.

use super::{Survey, outline::Entry, shape::Shape};
use crate::{
    error::{Error, Kind, Result},
    model::TableSpec,
};

/// What a survey says of a table; `known` is its entry where it is attached.
pub(super) fn surveyed<S: Shape>(shape: &S, known: Option<&Entry<S>>) -> Survey {
    let identity = match (shape.unfit(), known) {
        (Some(why), _) => Err(why),
        (None, Some(entry)) => Ok(entry.identity()),
        (None, None) if shape.key().is_empty() => Err("it has no primary key".to_owned()),
        (None, None) => Ok(shape.propose()),
    };
    let references = shape.foreign().iter().map(|(_, parent, _)| (*parent).to_owned()).collect();
    Survey { table: shape.name().to_owned(), identity, references, attached: known.map(|entry| entry.spec.resource.clone()) }
}

/// The settings with which a table is attached among `specs` and what is attached already; `known` is its own entry there.
pub(super) fn settings<S: Shape>(
    shape: &S,
    spec: &TableSpec,
    known: Option<&Entry<S>>,
    specs: &[TableSpec],
    entries: &[Entry<S>],
) -> Result<TableSpec> {
    let mut spec = TableSpec { table: shape.name().to_owned(), ..spec.clone() };
    if spec.resource.is_empty() {
        spec.resource.clone_from(&spec.table);
    }
    if let Some(entry) = known {
        let before = entry.spec.identity.clone().unwrap_or_else(|| shape.propose());
        if spec.identity.as_ref().is_some_and(|identity| *identity != before) || spec.resource != entry.spec.resource {
            let message = format!("table {:?} is attached as {:?} with identity {before}", spec.table, entry.spec.resource);
            return Err(Error::new(Kind::Exists, message).hint("Uids never change: detach with --drop-journal first."));
        }
        spec.identity = entry.spec.identity.clone();
    }
    let names = || specs.iter().map(|spec| spec.table.as_str()).chain(entries.iter().map(|entry| entry.shape.name()));
    let tables: Vec<String> = names().map(str::to_owned).collect();
    shape.looks().complete(&mut spec, &|table| names().any(|name| name == table), &tables);
    // What is proposed today is what the journal's uids are made of from now on.
    spec.identity = Some(spec.identity.unwrap_or_else(|| shape.propose()));
    Ok(spec)
}

/// Settings as a journal keeps them.
pub(super) fn write_settings(spec: &TableSpec) -> Result<String> {
    serde_json::to_string(spec).map_err(|e| Error::internal("a table's settings could not be written").because(e))
}

/// Settings that a journal kept.
pub(super) fn read_settings(text: &str) -> Result<TableSpec> {
    serde_json::from_str(text).map_err(|e| Error::internal("the journal is damaged").because(e))
}

/// Two tables cannot be one resource.
pub(super) fn taken(resource: &str) -> Error {
    Error::new(Kind::Exists, format!("another table of this database is already attached as {resource:?}"))
}
