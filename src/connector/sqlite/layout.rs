//! A table, ready to be read and written.

use std::ops::Deref;

use super::{shape::Shape, sql::Statements, values::Affinity};
use crate::{connector::outline, error::Result};

pub(super) type Data = outline::Data<Affinity>;
pub(super) type Entry = outline::Entry<Shape>;
type Outline = outline::Outline<Shape>;

/// A table, ready to be read and written.
#[derive(Debug)]
pub(super) struct Layout {
    outline: Outline,
    /// Columns of the local key.
    pub(super) key: Vec<String>,
    /// Unique column sets beside the key: a replacing insert may remove another row by one of them.
    pub(super) unique: Vec<Vec<String>>,
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
        let (outline, key) = (Outline::make(entry, all)?, entry.key());
        let unique = entry.shape.unique.iter().filter(|columns| **columns != key).cloned().collect();
        let mut layout = Layout { outline, key, unique, sql: Statements::default() };
        layout.sql = layout.statements();
        Ok(layout)
    }

    /// The field that a line of [`Outline::described`] is about.
    pub(super) fn field_described(line: &str) -> Option<&str> {
        line.split_once(" -> ").or_else(|| line.rsplit_once(' ')).map(|(field, _)| field)
    }
}
