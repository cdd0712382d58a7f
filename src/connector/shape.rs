//! What a table of a user's database looks like, whatever kind of database has it.

use std::borrow::Cow;

use super::eden::Looks;
use crate::model::{Identity, Kind};

/// A column; `F` is what its database makes of values, `M` what else is known of it there.
#[derive(Debug, Clone)]
pub(super) struct Column<F, M> {
    pub(super) name: String,
    /// The type as SQL writes it.
    pub(super) declared: String,
    pub(super) form: F,
    pub(super) not_null: bool,
    /// As an SQL expression.
    pub(super) default: Option<String>,
    /// It is computed, or only the server may fill it.
    pub(super) generated: bool,
    pub(super) filled: Filled,
    pub(super) more: M,
}

/// Whether the server numbers the rows in a column that is no part of what applications write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    Never,
    /// Where an application gives no number itself.
    ByDefault,
    Always,
}

/// Where a foreign key leads.
pub(super) struct Lead {
    /// The parent's columns.
    pub(super) to: Vec<String>,
    /// Both sides' columns make the same of a value.
    pub(super) alike: bool,
    /// It can wait for the commit.
    pub(super) deferrable: bool,
}

/// A column of a table of this shape.
pub(super) type ColumnOf<S> = Column<<S as Shape>::Form, <S as Shape>::More>;

/// A table as its database tells of it.
pub(super) trait Shape: Sized {
    /// What a column makes of values.
    type Form: std::fmt::Debug + Clone + PartialEq;
    /// What else is known of a column.
    type More: std::fmt::Debug + Clone;

    /// How people call it.
    fn name(&self) -> &str;

    /// As SQL writes it.
    fn sql(&self) -> String;

    /// Its columns in order.
    fn columns(&self) -> &[ColumnOf<Self>];

    /// The primary key's columns in order; empty where there is none.
    fn key(&self) -> Vec<String>;

    /// Column sets that are unique for all rows, the primary key among them.
    fn unique(&self) -> &[Vec<String>];

    /// The foreign keys in the order of [`Shape::lead`]: their columns, how people call the table, and the columns there.
    fn foreign(&self) -> Vec<(&[String], &str, &[String])>;

    /// Why it can never be attached.
    fn unfit(&self) -> Option<String>;

    /// Whether a column seems to be made for uids.
    fn is_for_uids(&self, column: &ColumnOf<Self>) -> bool;

    /// Where the foreign key at this place leads, if it leads to that table.
    fn lead(&self, at: usize, parent: &Self) -> Option<Lead>;

    /// A name, in letters by which the database tells it from others.
    fn plain(name: &str) -> Cow<'_, str>;

    /// Whether a column holds integers and nothing else.
    fn is_integer(form: &Self::Form) -> bool;

    /// The kind of value that a column is declared for.
    fn kind(form: &Self::Form, declared: &str) -> Kind;

    /// A line that changes whenever what travels as a field does.
    fn line(field: &str, form: &Self::Form) -> String;

    /// Whether the database takes two names for one.
    fn same(one: &str, other: &str) -> bool {
        Self::plain(one) == Self::plain(other)
    }

    /// Whether no two rows can have the same values in exactly these columns.
    fn is_unique(&self, columns: &[String]) -> bool {
        let sorted = |columns: &[String]| {
            let mut columns: Vec<String> = columns.iter().map(|column| Self::plain(column).into_owned()).collect();
            columns.sort();
            columns
        };
        let wanted = sorted(columns);
        self.unique().iter().any(|unique| sorted(unique) == wanted)
    }

    /// What tells whose table it is.
    fn looks(&self) -> Looks<'_> {
        let columns = self.columns().iter().map(|column| (column.name.as_str(), column.declared.as_str())).collect();
        Looks { name: self.name(), key: self.key(), columns, foreign: self.foreign() }
    }

    /// The column that is called so.
    fn column(&self, name: &str) -> Option<&ColumnOf<Self>> {
        self.columns().iter().find(|column| Self::same(&column.name, name))
    }

    /// Whether a column is a reference by itself.
    fn refers(&self, column: &str) -> bool {
        self.foreign().iter().any(|(columns, ..)| *columns == [column])
    }

    /// The identity that it gets where nobody says otherwise (SYNC.md 1).
    fn propose(&self) -> Identity {
        let key = self.key();
        let unique = |column: &&ColumnOf<Self>| self.is_for_uids(column) && self.is_unique(std::slice::from_ref(&column.name));
        if let Some(column) = self.columns().iter().find(unique) {
            return Identity::Column { column: column.name.clone() };
        }
        let single_integer = key.len() == 1 && self.column(&key[0]).is_some_and(|column| Self::is_integer(&column.form));
        if single_integer && !self.refers(&key[0]) { Identity::Assigned } else { Identity::Key { columns: key } }
    }
}
