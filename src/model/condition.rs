//! How repositories are and how far their runs are, as it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LogId, Mode, Outcome, RepositoryId, Time};

/// How the last run with a repository went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The run's entry in the log.
    pub run: LogId,
    /// When it ended.
    pub time: Time,
    /// How it went.
    pub outcome: Outcome,
    /// In a sentence.
    pub message: String,
    /// How many runs in a row failed.
    pub failures: u32,
    /// When a run last went well, perhaps with warnings.
    pub last_success: Option<Time>,
    /// By how many milliseconds its clock was ahead of ours when it was last reached.
    pub skew: Option<i64>,
    /// The version it said it runs.
    pub version: Option<String>,
}

/// How many records wait for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pending {
    /// So many were found.
    pub records: u64,
    /// Not all were looked at.
    pub more: bool,
}

/// What a repository said when it last met us, whoever called: old news, told with its age.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Met {
    /// How many records wait there for us ([`super::MANY`] = that many or more), and when it said so.
    pub waiting: Option<(u64, Time)>,
    /// Up to which arrival it had taken each resource from here.
    pub taken: BTreeMap<String, i64>,
    /// What it offers us, and when it said so.
    pub offer: Option<(Vec<Offer>, Time)>,
}

/// A resource that another site offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// What we may do with it.
    pub mode: Mode,
}

/// What travelled in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Records that came.
    pub received: u64,
    /// Records that went.
    pub sent: u64,
    /// Bytes on the wire, both ways.
    pub bytes: u64,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// With this repository.
    pub repository: RepositoryId,
    /// Its entry in the log.
    pub run: LogId,
    /// The resource it is at.
    pub resource: String,
    /// `compare`, `pull` or `push`.
    pub direction: String,
    /// Records of that resource, that way, so far.
    pub records: u64,
    /// Of so many, where that is known.
    pub total: Option<u64>,
    /// When it came to that resource.
    pub begun: Time,
    /// When this was said.
    pub at: Time,
}

impl Advance {
    /// Records a second; `None` in the first moments.
    pub fn rate(&self) -> Option<u64> {
        let microseconds = u64::try_from(self.at.0 - self.begun.0).ok().filter(|took| *took >= 200_000)?;
        Some(self.records.saturating_mul(1_000_000) / microseconds)
    }

    /// How many seconds are left at this rate, where the end is known.
    pub fn left(&self) -> Option<u64> {
        let rate = self.rate().filter(|rate| *rate > 0)?;
        Some(self.total?.saturating_sub(self.records).div_ceil(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_come_from_what_was_done_so_far() {
        let advance = |records, total, at| Advance {
            repository: 1,
            run: 1,
            resource: "t".into(),
            direction: "pull".into(),
            records,
            total,
            begun: Time(0),
            at: Time(at),
        };
        assert_eq!(advance(10, Some(20), 100_000).rate(), None, "too early to tell");
        let half = advance(1_000, Some(3_500), 2_000_000);
        assert_eq!((half.rate(), half.left()), (Some(500), Some(5)));
        assert_eq!(advance(1_000, None, 2_000_000).left(), None);
        assert_eq!(advance(0, Some(9), 2_000_000).left(), None, "nothing came yet");
        assert_eq!(advance(9, Some(3), 1_000_000).left(), Some(0), "more came than was told");
    }
}
