//! What is attached here, and what of it is shared with whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Mode, Policy, RepositoryId, Rules, Strategy};
use crate::error::{Error, Result};

/// A user's database that is attached to this site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The name the administrator gave it.
    pub name: String,
    /// `sqlite:PATH`, or `postgres://USER@HOST/DATABASE` without the password.
    pub url: String,
}

/// A table of an attached database: which resource it is. The journal in the database knows the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedTable {
    /// The resource's name, unique at this site.
    pub resource: String,
    /// The database's name.
    pub database: String,
    /// The table's name there.
    pub table: String,
}

/// Where a record's uid comes from (SYNC.md 1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Identity {
    /// A column holds a UUID or URN.
    Column {
        /// The column.
        column: String,
    },
    /// Columns whose values mean the same at every site; the uid is a UUIDv5 of resource and values.
    Key {
        /// The columns.
        columns: Vec<String>,
    },
    /// A random uid, kept in the journal.
    Assigned,
}

impl Identity {
    /// Reads `column:C`, `key:C,…` or `assigned`.
    pub fn parse(text: &str) -> Result<Identity> {
        let columns = |list: &str| list.split(',').map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect::<Vec<_>>();
        match text.split_once(':') {
            Some(("column", column)) if !column.is_empty() => Ok(Identity::Column { column: column.to_owned() }),
            Some(("key", list)) if !columns(list).is_empty() => Ok(Identity::Key { columns: columns(list) }),
            None if text == "assigned" => Ok(Identity::Assigned),
            _ => Err(Error::usage(format!("{text:?} is no identity")).hint("Say column:C, key:C,… or assigned.")),
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Identity::Column { column } => write!(f, "column:{column}"),
            Identity::Key { columns } => write!(f, "key:{}", columns.join(",")),
            Identity::Assigned => f.write_str("assigned"),
        }
    }
}

/// How an administrator wants one table attached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableSpec {
    /// The table's name in its database.
    pub table: String,
    /// The resource's name; by default the table's.
    pub resource: String,
    /// The identity; `None` = what the survey proposes.
    pub identity: Option<Identity>,
    /// Columns by which an unknown incoming record adopts a local one.
    pub matching: Vec<String>,
    /// Columns that stay here.
    pub omit: Vec<String>,
    /// Local column name → field name on the wire, where they differ.
    pub map: BTreeMap<String, String>,
    /// Resources whose records belong to those of this one, as Eden's components do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
}

/// A resource whose records belong to those of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name.
    pub resource: String,
    /// The field by which its records refer to those they belong to.
    pub field: String,
}

impl std::str::FromStr for Component {
    type Err = Error;

    /// Reads `RESOURCE:FIELD`.
    fn from_str(text: &str) -> Result<Component> {
        let (resource, field) =
            text.split_once(':').filter(|(resource, field)| !resource.is_empty() && !field.is_empty()).ok_or_else(|| {
                Error::usage(format!("{text:?} names no component")).hint("Write RESOURCE:FIELD, for example org_office:organisation_id.")
            })?;
        Ok(Component { resource: resource.to_owned(), field: field.to_owned() })
    }
}

/// The number of a resource entry in the control store.
pub type ResourceId = i64;

/// A resource as it is shared with one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its number.
    pub id: ResourceId,
    /// The repository it is shared with.
    pub repository: RepositoryId,
    /// The resource's name, the same at both sites.
    pub name: String,
    /// Which ways it flows.
    pub mode: Mode,
    /// The methods that are allowed.
    pub strategy: Strategy,
    /// Who wins when only one side changed.
    pub update: Policy,
    /// Who wins when both sides changed.
    pub conflict: Policy,
    /// Whether a conflict is first merged field by field.
    pub merge_fields: bool,
    /// Whether a first run may go on although both sides already hold rows under assigned identity.
    pub accept_twins: bool,
    /// Which records are shared, in both directions: those that match all of these (`decide::filter`).
    pub filters: Vec<String>,
}

impl Resource {
    /// A resource with the defaults: both ways, all methods, NEWER.
    pub fn new(repository: RepositoryId, name: &str) -> Resource {
        Resource {
            id: 0,
            repository,
            name: name.to_owned(),
            mode: Mode::Both,
            strategy: Strategy::default(),
            update: Policy::Newer,
            conflict: Policy::Newer,
            merge_fields: false,
            accept_twins: false,
            filters: Vec::new(),
        }
    }

    /// Whether it makes sense: a name, and MANUAL for conflicts only.
    pub fn validate(&self) -> Result<()> {
        check_name(&self.name)?;
        if self.update == Policy::Manual {
            return Err(Error::usage("MANUAL is a policy for conflicts, not for updates").hint("Choose THIS, OTHER, NEWER or MASTER."));
        }
        Ok(())
    }

    /// Whether its rules may leave the two sites with different records, on purpose.
    pub fn may_hold_apart(&self) -> bool {
        let Resource { mode, strategy, update, conflict, filters, .. } = self;
        let policies = *update != Policy::Newer || *conflict != Policy::Newer;
        policies || *mode != Mode::Both || *strategy != Strategy::default() || !filters.is_empty()
    }

    /// The rules under which this site takes versions from the repository.
    pub fn rules(&self) -> Rules {
        Rules { strategy: self.strategy, update: self.update, conflict: self.conflict, merge_fields: self.merge_fields }
    }
}

/// Whether a text can name a resource: 1 to 128 characters, none of them a control character.
pub(super) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(Error::usage("a name has 1 to 128 characters and no control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_is_written() {
        for text in ["column:uuid", "key:a,b", "assigned"] {
            assert_eq!(Identity::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "column:", "key:", "key:,", "random", "assigned:x"] {
            assert!(Identity::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn manual_decides_conflicts_only() {
        let mut resource = Resource::new(1, "t");
        resource.conflict = Policy::Manual;
        assert!(resource.validate().is_ok());
        resource.update = Policy::Manual;
        assert!(resource.validate().is_err());
    }
}
