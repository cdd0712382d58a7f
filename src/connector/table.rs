//! Tables as they are attached, and what is known of their columns.

use crate::model::{Component, Identity, Kind};

/// A table as it is attached.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its number in the journal.
    pub id: i64,
    /// Its name in the database.
    pub name: String,
    /// The resource it is.
    pub resource: String,
    /// Where its records' uids come from.
    pub identity: Identity,
    /// Columns by which an unknown incoming record adopts a local one.
    pub matching: Vec<String>,
    /// Names of the fields that travel, references not among them.
    pub fields: Vec<String>,
    /// The references to other resources.
    pub references: Vec<Reference>,
    /// Fields that a new row cannot do without.
    pub required: Vec<String>,
    /// Changes whenever what travels does.
    pub fingerprint: String,
    /// Whether all rows that were there before are journalled.
    pub ready: bool,
    /// What is agreed of its records is kept, for merges field by field.
    pub bases: bool,
    /// What peers of another make have to know of its columns.
    pub form: Form,
}

impl Table {
    /// Whether a field has a column here.
    pub fn knows(&self, field: &str) -> bool {
        let identity = matches!(&self.identity, Identity::Column { column } if column == field);
        identity || self.fields.iter().any(|own| own == field) || self.references.iter().any(|own| own.field == field)
    }
}

/// What is known of a table's columns beside their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    /// What each field's column is declared for.
    pub kinds: Vec<(String, Kind)>,
    /// Fields of which no two records have the same value.
    pub unique: Vec<String>,
    /// Resources whose records belong to those of this one.
    pub components: Vec<Component>,
    /// Whose table it is.
    pub make: Make,
    /// Fields that say `T` or `F`.
    pub flags: Vec<String>,
    /// Fields that hold several references, of tables whose own columns hold lists of keys.
    pub lists: Vec<Reference>,
    /// References to super-entities: they stand for one to the record whose entry that is.
    pub supers: Vec<String>,
    /// The reference of a record that is gone to the one that took its place.
    pub heir: Option<String>,
}

impl Form {
    /// What the column of a field is declared for.
    pub fn kind(&self, field: &str) -> Option<Kind> {
        self.kinds.iter().find(|(name, _)| name == field).map(|(_, kind)| *kind)
    }
}

/// Whose habits a table follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Make {
    /// Nobody's in particular.
    #[default]
    Plain,
    /// Sahana Eden's: records that are gone stay as rows that say so, and a column says when a row was written.
    Eden,
}

/// A foreign key that travels as a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its name on the wire: that of its column, or of its columns joined by `+`.
    pub field: String,
    /// The resource it points to.
    pub resource: String,
}

/// A table that could be attached, or why it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The table's name.
    pub table: String,
    /// The identity it would get, or the reason why it cannot be attached.
    pub identity: std::result::Result<Identity, String>,
    /// The tables it refers to.
    pub references: Vec<String>,
    /// The resource it already is.
    pub attached: Option<String>,
}
