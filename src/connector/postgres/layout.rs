//! A table, ready to be read and written.

use std::ops::Deref;

use super::{
    form::Form,
    shape::{Column, Shape},
    sql::Statements,
};
use crate::{
    connector::{outline, shape::Shape as _},
    error::Result,
};

pub(super) type Data = outline::Data<Form>;
pub(super) type Entry = outline::Entry<Shape>;
type Outline = outline::Outline<Shape>;

/// A table, ready to be read and written.
#[derive(Debug)]
pub(super) struct Layout {
    outline: Outline,
    /// The table as SQL writes it, and its partitions.
    pub(super) rel: String,
    pub(super) parts: Vec<String>,
    /// Columns of the local key.
    pub(super) key: Vec<Column>,
    /// No statement can write two rows with one key.
    pub(super) once: bool,
    /// All columns and their types.
    types: Vec<(String, String)>,
    pub(super) sql: Statements,
}

impl Deref for Layout {
    type Target = Outline;

    fn deref(&self) -> &Outline {
        &self.outline
    }
}

impl Layout {
    /// Makes the layout of `entry` among all attached tables; says by name what stands in the way.
    pub(super) fn make(entry: &Entry, all: &[Entry]) -> Result<Layout> {
        let (outline, shape) = (Outline::make(entry, all)?, &entry.shape);
        let key: Vec<Column> = entry.key().iter().filter_map(|name| shape.column(name).cloned()).collect();
        let once = shape.immediate.iter().any(|unique| unique.iter().all(|column| key.iter().any(|key| key.name == *column)));
        let types = shape.columns.iter().map(|column| (column.name.clone(), column.declared.clone())).collect();
        let (rel, parts, sql) = (shape.sql(), shape.parts.clone(), Statements::default());
        let mut layout = Layout { outline, rel, parts, key, once, types, sql };
        layout.sql = layout.statements();
        Ok(layout)
    }

    /// The type of a column.
    pub(super) fn declared(&self, column: &str) -> &str {
        self.types.iter().find(|(known, _)| known == column).map_or("text", |(_, declared)| declared)
    }

    /// The field that a line of [`Outline::described`] is about.
    pub(super) fn field_described(line: &str) -> Option<&str> {
        line.split_once(" -> ").or_else(|| line.split_once(" : ")).map(|(field, _)| field)
    }
}
