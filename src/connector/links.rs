//! Foreign keys, as they travel.

use super::{
    Key, KeyPart,
    outline::{Entry, Refused, field_name},
    shape::{Lead, Shape},
};
use crate::{
    error::{Error, Result},
    model::TableSpec,
};

/// A foreign key that travels as a reference.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) field: String,
    pub(super) columns: Vec<String>,
    /// The table it leads to, as SQL writes it.
    pub(super) parent: String,
    pub(super) parent_id: i64,
    pub(super) parent_resource: String,
    /// The parent's columns that ours hold, in our order.
    pub(super) to: Vec<String>,
    /// The parent's key columns.
    pub(super) parent_key: Vec<String>,
    /// Both sides' columns convert what is stored in the same way, so that values can be compared as they are.
    pub(super) alike: bool,
    /// It can wait for the commit.
    pub(super) deferrable: bool,
    /// It is no foreign key: the row that it names may be gone, and nothing is held up by it.
    pub(super) loose: bool,
}

impl Link {
    /// A foreign key with these columns.
    fn new<S: Shape>(spec: &TableSpec, columns: &[String], parent: &Entry<S>, lead: Lead) -> Link {
        Link {
            field: columns.iter().map(|column| field_name::<S>(spec, column)).collect::<Vec<_>>().join("+"),
            columns: columns.to_vec(),
            parent: parent.shape.sql(),
            parent_id: parent.id,
            parent_resource: parent.spec.resource.clone(),
            to: lead.to,
            parent_key: parent.key(),
            alike: lead.alike,
            deferrable: lead.deferrable,
            loose: false,
        }
    }

    /// Whether our columns hold just the parent's key.
    pub(super) fn by_key(&self) -> bool {
        self.to.len() == self.parent_key.len() && self.to.iter().all(|column| self.parent_key.contains(column))
    }

    /// What our columns hold where they hold just the parent's key.
    pub(super) fn parts(&self, key: &Key) -> Result<Vec<KeyPart>> {
        let part = |to: &String| self.parent_key.iter().position(|column| column == to).and_then(|at| key.0.get(at).cloned());
        self.to.iter().map(part).collect::<Option<_>>().ok_or_else(|| Error::internal("a key has too few parts"))
    }
}

/// The foreign keys as references; one to a table that is not attached is named, unless its columns are left out.
pub(super) fn links<S: Shape>(entry: &Entry<S>, all: &[Entry<S>]) -> Refused<Vec<Link>> {
    let shape = &entry.shape;
    let mut links: Vec<Link> = Vec::new();
    for (at, (columns, called, _)) in shape.foreign().into_iter().enumerate() {
        if columns.iter().any(|column| entry.omits(column)) {
            continue;
        }
        let parent = all.iter().find_map(|other| shape.lead(at, &other.shape).map(|lead| (other, lead)));
        let (parent, lead) = parent.ok_or_else(|| {
            let columns = columns.join(", ");
            format!("its column {columns} refers to table {called:?}, which is not attached; attach that too, or leave the column out with --omit")
        })?;
        if lead.to.len() != columns.len() {
            let parent = parent.shape.name();
            return Err(format!("its foreign key to {parent:?} does not name as many columns as that table's key has"));
        }
        let link = Link::new(&entry.spec, columns, parent, lead);
        // Two constraints on the same columns say the same thing to us.
        if !links.iter().any(|known| known.field == link.field) {
            links.push(link);
        }
    }
    if let Some(column) = shape.looks().heirs().filter(|column| !entry.omits(column)) {
        let form = |name: &str| shape.column(name).map(|column| &column.form);
        let lead = Lead { to: entry.key(), alike: form(column) == form("id"), deferrable: true };
        links.push(Link { loose: true, ..Link::new(&entry.spec, &[column.to_owned()], entry, lead) });
    }
    Ok(links)
}
