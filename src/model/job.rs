//! Schedules.

use super::{Ask, RepositoryId, Time};
use crate::error::{Error, Result};

/// The number of a job in the control store.
pub type JobId = i64;

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timing {
    /// Every so many seconds, 10 at least.
    Every(u32),
    /// A cron expression of five or six fields, in the job's zone.
    Cron(String),
}

/// A schedule of runs with one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The repository it runs with.
    pub repository: RepositoryId,
    /// Whether it runs at all.
    pub enabled: bool,
    /// When.
    pub timing: Timing,
    /// Besides its timing: also within a second of a change on either side.
    pub on_change: bool,
    /// IANA name of the zone that a cron expression is read in.
    pub zone: String,
    /// Not before.
    pub start: Option<Time>,
    /// Not after.
    pub end: Option<Time>,
    /// How many runs in all; 0 = no limit.
    pub repeat: u32,
    /// Seconds after which a run is stopped between two pages.
    pub timeout: u32,
    /// Of several due jobs the one with the greater number runs first.
    pub priority: i32,
    /// How many times a failed run is tried again, with growing pauses, before the next regular time.
    pub retries: u32,
    /// When it is due; `None` = never again.
    pub next_run: Option<Time>,
    /// How many runs it has had.
    pub runs: u32,
    /// How many runs in a row failed.
    pub failures: u32,
    /// What somebody asked of this one run; such a job is gone when it has run. `None` for a schedule.
    pub ask: Option<Ask>,
}

impl Job {
    /// The shortest interval, seconds.
    pub const MIN_EVERY: u32 = 10;

    /// A job with the defaults, not yet stored.
    pub fn new(repository: RepositoryId, timing: Timing) -> Job {
        Job {
            id: 0,
            repository,
            enabled: true,
            timing,
            on_change: false,
            zone: "UTC".into(),
            start: None,
            end: None,
            repeat: 0,
            timeout: 600,
            priority: 0,
            retries: 3,
            next_run: None,
            runs: 0,
            failures: 0,
            ask: None,
        }
    }

    /// A run that somebody asks for, due now and before everything else.
    pub fn asked(repository: RepositoryId, ask: Ask, now: Time) -> Job {
        Job {
            repeat: 1,
            timeout: 86_400,
            priority: i32::MAX,
            retries: 0,
            next_run: Some(now),
            ask: Some(ask),
            ..Job::new(repository, Timing::Every(86_400))
        }
    }

    /// Reads a span as people type it, in seconds: `90`, `90s`, `5m`, `2h`, `1d`, `1h30m`.
    pub fn seconds(text: &str) -> Result<u32> {
        let off = || {
            let shown: String = text.chars().take(40).collect();
            Error::usage(format!("{shown:?} is no time span like 30s, 5m, 2h, 1d or 1h30m"))
        };
        let mut rest = text;
        let mut total = 0_u32;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, unit) = rest.split_at(digits);
            let number: u32 = number.parse().map_err(|_| off())?;
            let (factor, length) = match unit.chars().next() {
                None | Some('s') => (1, 1),
                Some('m') => (60, 1),
                Some('h') => (3_600, 1),
                Some('d') => (86_400, 1),
                Some(_) => return Err(off()),
            };
            total = number.checked_mul(factor).and_then(|more| total.checked_add(more)).ok_or_else(off)?;
            rest = unit.get(length..).unwrap_or("");
        }
        if text.is_empty() { Err(off()) } else { Ok(total) }
    }

    /// Whether it makes sense on its own; the cron expression and the zone are checked by the schedule.
    pub fn validate(&self) -> Result<()> {
        if matches!(self.timing, Timing::Every(seconds) if seconds < Job::MIN_EVERY) {
            return Err(Error::usage("a job runs every 10 seconds at most").hint("For changes at once, add --on-change."));
        }
        if self.timeout == 0 {
            return Err(Error::usage("a timeout is at least one second"));
        }
        if self.start.zip(self.end).is_some_and(|(start, end)| end <= start) {
            return Err(Error::usage("a job ends after it starts"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_needs_a_sane_interval_and_an_end_after_its_start() {
        assert!(Job::new(1, Timing::Every(10)).validate().is_ok());
        assert!(Job::new(1, Timing::Every(9)).validate().is_err());
        let backwards = Job { start: Some(Time(2)), end: Some(Time(1)), ..Job::new(1, Timing::Every(60)) };
        assert!(backwards.validate().is_err());
    }

    #[test]
    fn a_time_span_is_read_by_its_units() {
        for (text, want) in [("10", 10), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("1h30m", 5400), ("1h30", 3630), ("0s", 0)]
        {
            assert_eq!(Job::seconds(text).unwrap(), want, "{text}");
        }
        for bad in ["", "m", "5x", "-5m", "5 m", "1.5h", "99999d", "m5", "ß", "1é"] {
            assert!(Job::seconds(bad).is_err(), "{bad}");
        }
    }
}
