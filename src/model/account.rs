//! Who may log in.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SiteId, Time};
use crate::error::{Error, Result};

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Changes everything.
    Admin,
    /// Runs, resolves and retries.
    Operator,
    /// Looks.
    Viewer,
    /// Another site, which logs in with it.
    Peer,
}

impl Role {
    const ALL: [(Role, &'static str); 4] =
        [(Role::Admin, "admin"), (Role::Operator, "operator"), (Role::Viewer, "viewer"), (Role::Peer, "peer")];

    /// What an account of this role may do; `None` for another site, which speaks its own protocol.
    pub fn scope(self) -> Option<Scope> {
        match self {
            Role::Admin => Some(Scope::Admin),
            Role::Operator => Some(Scope::Write),
            Role::Viewer => Some(Scope::Read),
            Role::Peer => None,
        }
    }

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        Role::ALL.iter().find(|(role, _)| *role == self).map_or("", |(_, word)| word)
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Role> {
        let known = Role::ALL.iter().find(|(_, word)| *word == text);
        known
            .map(|(role, _)| *role)
            .ok_or_else(|| Error::usage(format!("{text:?} is no role")).hint("Roles are admin, operator, viewer and peer."))
    }
}

/// How much one may do here. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look.
    Read,
    /// What the role operator may: run, decide and retry.
    Write,
    /// What the role admin may: everything.
    Admin,
}

impl Scope {
    const ALL: [(Scope, &'static str); 3] = [(Scope::Read, "read"), (Scope::Write, "write"), (Scope::Admin, "admin")];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        Scope::ALL.iter().find(|(scope, _)| *scope == self).map_or("", |(_, word)| word)
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Scope> {
        let known = Scope::ALL.iter().find(|(_, word)| *word == text);
        known.map(|(scope, _)| *scope).ok_or_else(|| {
            Error::usage(format!("{text:?} is no scope")).hint("Scopes are read, write and admin; each includes those before it.")
        })
    }
}

/// A token by which a program calls this site. Its text never leaves the store, which does not know it either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// What it is for, unique.
    pub name: String,
    /// Whose it is; `None` = the site's, made on the command line.
    pub account: Option<String>,
    /// How much it may do, at most: never more than its account.
    pub scope: Scope,
    /// When it was made.
    pub created_on: Time,
    /// When it ends; `None` = when it is removed.
    pub expires_on: Option<Time>,
}

/// What a peer account may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// That site may pull from us.
    pub pull: bool,
    /// That site may push to us.
    pub push: bool,
    /// The resources granted; `None` = every attached table.
    pub resources: Option<Vec<String>>,
}

impl Grant {
    /// Whether `resource` is granted at all.
    pub fn covers(&self, resource: &str) -> bool {
        self.resources.as_ref().is_none_or(|granted| granted.iter().any(|name| name == resource))
    }
}

/// An account. Its password hash never leaves the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name one logs in with.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// What a peer account may do.
    pub grant: Grant,
    /// The repository that a peer account is bound to: the first UUID that used it.
    pub bound: Option<SiteId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_covers_what_it_names_or_everything() {
        let some = Grant { pull: true, push: true, resources: Some(vec!["a".into()]) };
        assert!(some.covers("a") && !some.covers("b"));
        assert!(Grant { resources: None, ..some }.covers("b"));
    }

    #[test]
    fn roles_are_read_by_their_words() {
        assert_eq!("peer".parse::<Role>().unwrap(), Role::Peer);
        assert!("root".parse::<Role>().is_err());
    }
}
