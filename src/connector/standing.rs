//! How records stand at a site, for comparing it with another (SYNC.md 9).

use super::outline::LET_GO;
use crate::model::{Digest, SiteId, Version};

/// Why two sites have to compare a table before they exchange anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overdue {
    /// They have to. The rest says since when what either believes of the other may be wrong.
    pub due: bool,
    /// This journal went back in time.
    pub we_went_back: bool,
    /// The peer's did.
    pub they_went_back: bool,
    /// How often that was found. What is stored with another number than the journal has leaves the journal's: it was found again meanwhile.
    pub found: u32,
}

impl Overdue {
    /// As the journal keeps it.
    pub(super) fn bits(self) -> i64 {
        i64::from(self.due) | i64::from(self.we_went_back) << 1 | i64::from(self.they_went_back) << 2 | i64::from(self.found) << 3
    }

    /// What the journal kept.
    pub(super) fn from_bits(bits: i64) -> Overdue {
        let found = u32::try_from(bits >> 3).unwrap_or(0);
        Overdue { due: bits & 1 != 0, we_went_back: bits & 2 != 0, they_went_back: bits & 4 != 0, found }
    }
}

impl Overdue {
    /// The comparison is done.
    pub fn done(self) -> Overdue {
        Overdue { found: self.found, ..Overdue::default() }
    }
}

/// A living record, as it is compared.
#[derive(Debug, Clone, Copy)]
pub struct Living<'a> {
    /// Its arrival.
    pub arrival: i64,
    /// Its uid.
    pub uid: &'a str,
    /// Its version.
    pub version: &'a Version,
    /// The digest of its content.
    pub digest: Digest,
}

/// Which records are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Named<'a> {
    /// By their uids; aliases are not followed.
    Uids(&'a [String]),
    /// By their arrivals.
    Arrivals(&'a [i64]),
}

/// What a site knows of a record beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its uid.
    pub uid: String,
    /// Its arrival.
    pub arrival: i64,
    /// What it is.
    pub place: Place,
    /// The peer that is asked about gave it, and it was not written since.
    pub given: bool,
}

/// What a record is at a site that knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It lives.
    Living,
    /// It lives, and an open conflict holds it.
    Held,
    /// It was deleted.
    Deleted,
    /// It was let go, because it no longer matches what is shared.
    LetGo,
}

impl Place {
    /// What it is by what its state says.
    pub(super) fn of(held: Option<i64>, deleted: bool) -> Place {
        match (held, deleted) {
            (Some(LET_GO), _) => Place::LetGo,
            (_, true) => Place::Deleted,
            (Some(_), false) => Place::Held,
            (None, false) => Place::Living,
        }
    }
}

/// What was purged of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purged {
    /// Tombstones that are gone.
    pub tombstones: u64,
    /// Peers that had not acknowledged all of them and have to compare from now on.
    pub behind: Vec<SiteId>,
}
