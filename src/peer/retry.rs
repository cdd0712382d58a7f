//! Whether and when a failed call is tried again.

use std::time::Duration;

use crate::error::Error;

/// The pause before the first repetition is random below this; each further one doubles it.
const FIRST: Duration = Duration::from_millis(500);

/// No pause of ours is longer than this.
const LONGEST: Duration = Duration::from_secs(15);

/// A peer that asks for a longer pause than this is left to the schedule.
const PATIENCE: Duration = Duration::from_secs(30);

/// A call that failed, and whether trying again can help.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) again: Again,
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It would fail the same way.
    Never,
    /// After a random pause.
    Soon,
    /// After the pause that the other side asked for.
    After(Duration),
}

impl Failed {
    /// A failure that repeats if its kind says so.
    pub(super) fn new(error: Error) -> Failed {
        let again = if error.kind().retry() { Again::Soon } else { Again::Never };
        Failed { error, again }
    }

    /// A failure that would only happen again.
    pub(super) fn lasting(error: Error) -> Failed {
        Failed { error, again: Again::Never }
    }
}

/// How long to wait before try number `attempt` (1 = the first repetition), `None` = give up.
/// `random` is between 0 and 1: full jitter, so that sites cut off together do not come back together.
pub(super) fn pause(again: Again, attempt: u32, random: f64) -> Option<Duration> {
    match again {
        Again::Never => None,
        Again::Soon => Some(FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST).mul_f64(random.clamp(0.0, 1.0))),
        Again::After(asked) => Some(asked + FIRST.mul_f64(random.clamp(0.0, 1.0))).filter(|pause| *pause <= PATIENCE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn pauses_grow_up_to_a_limit_and_are_random_below_it() {
        for (attempt, random, want) in
            [(1, 1.0, 500), (2, 1.0, 1000), (3, 0.5, 1000), (5, 1.0, 8000), (9, 1.0, 15_000), (99, 1.0, 15_000), (4, 0.0, 0)]
        {
            assert_eq!(pause(Again::Soon, attempt, random), Some(Duration::from_millis(want)), "{attempt}");
        }
    }

    #[test]
    fn the_pause_a_peer_asks_for_is_kept_unless_it_is_long() {
        let asked = |seconds| pause(Again::After(Duration::from_secs(seconds)), 1, 0.0);
        assert_eq!(asked(7), Some(Duration::from_secs(7)));
        assert_eq!(asked(3600), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (kind, want) in
            [(Kind::Busy, Again::Soon), (Kind::Unreachable, Again::Soon), (Kind::Forbidden, Again::Never), (Kind::Paused, Again::Never)]
        {
            assert_eq!(Failed::new(Error::new(kind, "x")).again, want, "{kind:?}");
        }
        assert_eq!(pause(Again::Never, 1, 1.0), None);
    }
}
