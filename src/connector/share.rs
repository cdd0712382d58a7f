//! Whose journal it is, and what it last agreed with each peer.

use super::Overdue;
use crate::model::{Lives, SiteId};

/// Whose journal it is and which life of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// The site.
    pub site: SiteId,
    /// A new one whenever the journal went back in time.
    pub epoch: String,
    /// The incarnation under which own edits are folded.
    pub incarnation: u32,
    /// How many run numbers it ever told.
    pub runs: u64,
}

/// Who calls whom: each direction of a pair has numbers of its own, so that both may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// We call them.
    Active,
    /// They call us.
    Passive,
}

impl Part {
    /// As journals keep it.
    pub(super) fn number(self) -> i64 {
        match self {
            Part::Active => 0,
            Part::Passive => 1,
        }
    }
}

/// What was last agreed with a peer about a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    /// The last run number that this journal told the peer.
    pub told: u64,
    /// The last run number that this journal heard from the peer.
    pub heard: u64,
    /// The epoch of the peer's journal, once known.
    pub epoch: Option<String>,
    /// The peer's cursor after the last page we applied. Empty = from the start.
    pub pull: String,
    /// Our arrival after the last page the peer acknowledged; where it calls, as it said when its last run began.
    pub push: i64,
    /// The filter under which the one that calls asks for pages.
    pub asked: String,
    /// The filter that holds for what we give.
    pub given: String,
    /// The filter that held before, up to an arrival; `None` = nothing was given.
    pub former: Option<String>,
    /// Up to which arrival it did. After it nothing is known.
    pub former_upto: i64,
    /// Whether both sites have to compare before they exchange anything.
    pub compare: Overdue,
    /// Something that came from the peer was refused for good, by a strategy or a person: that a record is not here does not say that it was.
    pub refused: bool,
    /// In which lives of the peer's journal we heard its numbers.
    pub lives: Lives,
}

impl Share {
    /// A run number was heard from the peer, in the life of its journal that is known.
    pub fn hear(&mut self, number: u64) {
        self.heard = self.heard.max(number);
        if let Some(life) = &self.epoch {
            self.lives.hear(life, self.heard);
        }
    }

    /// Forgets both cursors: everything is exchanged again, and the peer may hold anything.
    pub fn start_over(&mut self) {
        (self.pull, self.push, self.former_upto) = (String::new(), 0, 0);
    }
}
