//! What is wanted of a run.

use serde::{Deserialize, Serialize};

/// What is wanted of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ask {
    /// Only these resources.
    pub resources: Option<Vec<String>>,
    /// Take from them.
    pub pull: bool,
    /// Give to them.
    pub push: bool,
    /// From the start, whatever was agreed.
    pub full: bool,
    /// Change nothing; count what would happen.
    pub dry_run: bool,
    /// Of the first of the resources only these records, and what they refer to.
    pub named: Option<Vec<String>>,
}

impl Default for Ask {
    fn default() -> Ask {
        Ask { resources: None, pull: true, push: true, full: false, dry_run: false, named: None }
    }
}
