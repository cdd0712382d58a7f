//! How much waits for a person, for the navigation of every page.

use std::sync::{Mutex, PoisonError};

use crate::{model::Time, site::Site, sync::overview};

/// So long an answer is good enough, microseconds.
const KEPT: i64 = 2_000_000;

/// What waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::web) struct Waiting {
    pub(in crate::web) conflicts: u64,
    pub(in crate::web) quarantined: u64,
}

/// What waits, counted every few seconds at most.
#[derive(Default)]
pub(in crate::web) struct Counts(Mutex<Option<(Time, Waiting)>>);

impl Counts {
    /// What waits at this moment, or did a moment ago.
    pub(in crate::web) fn get(&self, site: &Site) -> Waiting {
        let now = site.now();
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, waiting)) = known.filter(|(at, _)| now.0 - at.0 < KEPT) {
            let _ = at;
            return waiting;
        }
        let waiting = match overview::trouble(site) {
            Ok(trouble) => Waiting { conflicts: trouble.conflicts, quarantined: trouble.quarantined + trouble.parked },
            Err(_) => Waiting::default(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, waiting));
        waiting
    }

    /// Counts anew next time: somebody decided something.
    pub(in crate::web) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
