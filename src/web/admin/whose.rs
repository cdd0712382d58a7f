//! Lists that stand on a page of their own for all sites, and under a tab for one.

use super::{
    desk::Desk,
    repository::{Head, state},
};
use crate::{
    error::{Error, Result},
    model::SiteId,
};

/// Whose entries a list shows.
pub(super) struct Whose {
    /// Only what came from this site; `None` = from all.
    pub(super) site: Option<SiteId>,
    /// What stands above it: the repository and its tabs.
    pub(super) head: Option<Head>,
    /// The title of the page.
    pub(super) title: String,
}

impl Whose {
    /// Those of all sites.
    pub(super) fn all(title: &str) -> Whose {
        Whose { site: None, head: None, title: title.to_owned() }
    }

    /// Those of the repository that the address names. Of one whose UUID is not known yet there is nothing.
    pub(super) fn of(desk: &Desk, title: &str, tab: &str) -> Result<Whose> {
        let state = state(desk)?;
        Ok(Whose {
            site: Some(state.repository.uuid.unwrap_or(SiteId(uuid::Uuid::nil()))),
            title: format!("{title} {}", state.repository.name),
            head: Some(Head::of(desk, &state, tab)),
        })
    }
}

/// Databases that could not be read, and why, for people.
pub(super) fn unread(found: &[(String, Error)]) -> Vec<(String, String)> {
    found.iter().map(|(name, error)| (name.clone(), error.chain())).collect()
}
