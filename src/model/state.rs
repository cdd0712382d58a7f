//! The state of a record in the journal.

use super::{SiteId, Time, Version};

/// The state that a record gets. Every new state gets a new arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewState {
    /// What it has seen; with `tick`, our own counter is still to be added: the new arrival.
    pub version: Version,
    /// This is a version of our own making (settled).
    pub tick: bool,
    /// The site that created it.
    pub origin: SiteId,
    /// The site that wrote the content.
    pub author: SiteId,
    /// The sites that settled this content.
    pub settled: Vec<SiteId>,
    /// When it was written.
    pub modified_on: Time,
    /// The peer holds exactly this version because it sent it.
    pub shared: bool,
}
