//! Looking after a journal: what a sweep found, how long it remembers and what it forgot.

use crate::model::Time;

/// What a sweep of one table found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Rows looked at.
    pub rows: u64,
    /// Rows that the journal did not know.
    pub added: u64,
    /// Rows whose content it did not know.
    pub changed: u64,
    /// Rows that were gone.
    pub removed: u64,
    /// The running sum was not that of the records, and is now.
    pub mended: bool,
}

impl Swept {
    /// Whether anything was found that should have been noticed before.
    pub fn any(&self) -> bool {
        self.added + self.changed + self.removed > 0 || self.mended
    }
}

impl std::ops::AddAssign for Swept {
    fn add_assign(&mut self, more: Swept) {
        self.rows += more.rows;
        self.added += more.added;
        self.changed += more.changed;
        self.removed += more.removed;
        self.mended |= more.mended;
    }
}

/// How long a journal remembers.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Lost versions and decided conflicts from before this are forgotten.
    pub before: Time,
    /// So many lost versions of a record are kept at most, the latest.
    pub versions: u32,
    /// Answers to batches from before this are forgotten.
    pub answers: Time,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Lost versions.
    pub versions: u64,
    /// Decided conflicts.
    pub conflicts: u64,
}
