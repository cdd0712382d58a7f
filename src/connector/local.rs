//! What is here: the local side of a page's records, and where their references lead.

use std::collections::HashMap;

use super::links::Link;
use crate::{
    error::{Error, Kind as Fault, Result},
    model::{Kind, Page, RecordView},
};

/// What is here of the records of a page, in the order they were asked for.
#[derive(Default)]
pub struct Locals {
    /// Content and state.
    pub page: Page,
    /// For each uid asked for: where its record stands in the page.
    pub found: Vec<Option<Found>>,
    /// Where agreed contents are kept: records as they were when they were last exchanged.
    pub bases: Page,
}

/// A record that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its index in the page.
    pub at: usize,
    /// Its arrival, by which [`super::Write::local`] names it.
    pub arrival: i64,
    /// The peer holds exactly this version.
    pub shared: bool,
    /// An open conflict holds it.
    pub held: bool,
    /// Its row is there.
    pub living: bool,
    /// Index in [`Locals::bases`] of what it was when it was last exchanged.
    pub base: Option<usize>,
    /// It was let go: only its state is left, for the next version that comes.
    pub retracted: bool,
}

impl Found {
    /// A living record of which nothing but the row is wanted.
    pub(super) fn living(arrival: i64) -> Found {
        Found { at: 0, arrival, shared: false, held: false, living: true, base: None, retracted: false }
    }
}

/// Where references lead: by resource, then by uid.
#[derive(Debug, Default)]
pub struct Targets {
    known: HashMap<String, HashMap<String, Target>>,
    /// Of uids that are aliases: the last heir.
    heirs: HashMap<(String, String), String>,
}

impl Targets {
    /// Where a reference leads; `Missing` for what was not asked for.
    pub fn get(&self, resource: &str, uid: &str) -> &Target {
        self.known.get(resource).and_then(|known| known.get(uid)).unwrap_or(&Target::Missing)
    }

    /// The uid that a reference leads to by aliases; `None` where it is none.
    pub fn heir(&self, resource: &str, uid: &str) -> Option<&str> {
        if self.heirs.is_empty() {
            return None;
        }
        self.heirs.get(&(resource.to_owned(), uid.to_owned())).map(String::as_str)
    }

    /// Notes that a uid is an alias, and whose.
    pub fn set_heir(&mut self, resource: &str, alias: &str, heir: &str) {
        self.heirs.insert((resource.to_owned(), alias.to_owned()), heir.to_owned());
    }

    /// Notes where a reference leads.
    pub fn set(&mut self, resource: &str, uid: &str, target: Target) {
        if !self.known.contains_key(resource) {
            self.known.insert(resource.to_owned(), HashMap::new());
        }
        if let Some(known) = self.known.get_mut(resource) {
            known.insert(uid.to_owned(), target);
        }
    }

    /// Notes where references by these uids lead, of which some may be aliases of the one that was found.
    pub(super) fn set_all(&mut self, resource: &str, uids: &[&str], found: &str, target: &Target) {
        for uid in uids {
            self.set(resource, uid, target.clone());
            if *uid != found {
                self.set_heir(resource, uid, found);
                self.set(resource, found, target.clone());
            }
        }
    }

    /// The key that a record's reference leads to; `None` where it is null.
    pub(super) fn led_to(&self, link: &Link, record: RecordView<'_>) -> Result<Option<&Key>> {
        let Some(value) = record.get(&link.field).filter(|value| value.kind != Kind::Null) else { return Ok(None) };
        let refuse = |why: String| Error::new(Fault::Constraint, format!("its field {:?} {why}", link.field));
        if value.kind != Kind::Reference || value.resource != link.parent_resource {
            return Err(refuse(format!("is no reference to {}", link.parent_resource)));
        }
        match self.get(value.resource, value.text) {
            Target::Here(key) => Ok(Some(key)),
            Target::Deleted | Target::Missing => Err(refuse("refers to a record that is not here".into())),
        }
    }

    /// Adds what another lookup found.
    pub fn extend(&mut self, more: Targets) {
        for (resource, found) in more.known {
            self.known.entry(resource).or_default().extend(found);
        }
        self.heirs.extend(more.heirs);
    }
}

/// Where a reference leads.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// To a record that lives here, or will within this transaction. Its local key.
    Here(Key),
    /// To a record that is deleted here.
    Deleted,
    /// Nowhere yet.
    Missing,
}

/// A local key: the values of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Key(pub Vec<KeyPart>);

/// The value of one column of a local key.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyPart {
    /// None (a released key).
    Null,
    /// An integer.
    Integer(i64),
    /// A float.
    Real(f64),
    /// Text; the bytes, since a database may hold text that is not Unicode.
    Text(Vec<u8>),
    /// Bytes.
    Bytes(Vec<u8>),
}
