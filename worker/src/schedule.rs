//! When a job runs. Pure: time and chance come in, a time comes out.

use std::{fmt, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Year},
};

#[cfg(test)]
mod tests;

/// The regular times of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timing {
    /// Every so many seconds, on a grid that begins at the start, or at the last run where there is no start.
    Every(u32),
    /// A cron expression of five fields, or six with seconds in front, or a nickname like `@daily`, read in the zone.
    ///
    /// Where the clock leaps forward, a run at one fixed time of day that does not exist happens as soon as the leap is over, and
    /// any other is left out. Where the clock goes back, a run at one fixed time of day happens once, the first time, and
    /// any other (`*/5`, `0,30`) in both hours.
    Cron(String),
}

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Whether it runs at all.
    pub enabled: bool,
    /// Its regular times.
    pub timing: Timing,
    /// IANA name of the zone that a cron expression is read in.
    pub zone: String,
    /// Not before.
    pub start: Option<DateTime<Utc>>,
    /// Not after.
    pub end: Option<DateTime<Utc>>,
    /// How many regular runs in all; 0 = no limit.
    pub repeat: u32,
    /// How many times in a row a failed run is tried again before the next regular time.
    pub retries: u32,
}

/// Why a schedule makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// An interval of zero seconds.
    Interval,
    /// Not a cron expression: what was written, and what is wrong with it.
    Cron(String, String),
    /// A cron expression that no day fulfils, like the 30th of February.
    Never(String),
    /// Not the name of a time zone.
    Zone(String),
    /// It ends before or when it starts.
    EndsBeforeStart,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Interval => f.write_str("an interval is at least one second"),
            Invalid::Cron(text, why) => write!(f, "{text:?} is not a cron expression of five or six fields ({why})"),
            Invalid::Never(text) => write!(f, "no day ever fits the cron expression {text:?}"),
            Invalid::Zone(name) => write!(f, "{name:?} is not a time zone like UTC or Europe/Berlin"),
            Invalid::EndsBeforeStart => f.write_str("a job ends after it starts"),
        }
    }
}

impl std::error::Error for Invalid {}

/// Whether a schedule makes sense.
pub fn validate(schedule: &Schedule) -> Result<(), Invalid> {
    if schedule.start.zip(schedule.end).is_some_and(|(start, end)| end <= start) {
        return Err(Invalid::EndsBeforeStart);
    }
    Grid::of(schedule, DateTime::UNIX_EPOCH)?.first_from(DateTime::UNIX_EPOCH).map(drop).ok_or_else(|| match &schedule.timing {
        Timing::Cron(text) => Invalid::Never(shortened(text)),
        Timing::Every(_) => Invalid::Interval,
    })
}

/// The next regular time, given when the last run began (`None` = it never ran) and how many regular runs there were.
///
/// Never before the start, never after the end; `None` = never again: switched off, used up, over, or a schedule that
/// [`validate`] refuses. Regular times that passed since the last run count as one, due at once: the result is then the latest
/// of them. A job that never ran has missed nothing, and one that runs at intervals and has no start is due at once. A last
/// run in the future (the clock was wrong) counts as one that began now.
pub fn next_run(schedule: &Schedule, last: Option<DateTime<Utc>>, now: DateTime<Utc>, runs: u32) -> Option<DateTime<Utc>> {
    let grid = grid_of_living(schedule, last, now, runs)?;
    let first = match last.map(|last| last.min(now)) {
        Some(last) => first_after(schedule, &grid, last)?,
        None => grid.first_from(schedule.start.map_or(now, |start| start.max(now)))?,
    };
    let missed = if first < now { grid.latest_until(now) } else { None };
    Some(missed.map_or(first, |latest| latest.max(first))).filter(|next| !is_past_end(schedule, *next))
}

/// When a job runs again after its last run failed, like [`next_run`]; `failures` counts the failures in a row, this one included,
/// and `chance` is drawn evenly from 0..1.
///
/// Up to [`Schedule::retries`] times that is after [`backoff`], or at the next regular time if that comes first; then only
/// at regular times until a run succeeds. Regular times that passed while the failed run lasted are left out: else a partner
/// that lets every run time out would be called without any pause.
pub fn next_try(
    schedule: &Schedule,
    last: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    runs: u32,
    failures: u32,
    chance: f64,
) -> Option<DateTime<Utc>> {
    if failures == 0 {
        return next_run(schedule, last, now, runs);
    }
    let regular = grid_of_living(schedule, last, now, runs).and_then(|grid| first_after(schedule, &grid, now));
    let regular = regular.filter(|next| !is_past_end(schedule, *next));
    if !schedule.enabled || !is_retry(schedule, failures) {
        return regular;
    }
    let retry = now.checked_add_signed(TimeDelta::from_std(backoff(failures, chance)).ok()?)?;
    [regular, Some(retry)].into_iter().flatten().filter(|next| !is_past_end(schedule, *next)).min()
}

/// Whether the run that follows so many failures in a row is a retry, which does not count as a regular run.
pub fn is_retry(schedule: &Schedule, failures: u32) -> bool {
    (1..=schedule.retries).contains(&failures)
}

/// The next `count` regular times of a job that never ran; fewer if it ends earlier.
pub fn preview(schedule: &Schedule, now: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
    let first = next_run(schedule, None, now, 0).map(|first| (first, 1));
    std::iter::successors(first, |(last, runs)| Some((next_run(schedule, Some(*last), *last, *runs)?, runs.saturating_add(1))))
        .map(|(time, _)| time)
        .take(count)
        .collect()
}

/// The pause after so many failures in a row: full jitter, that is `chance` (drawn evenly from 0..1) of 5 s, 10 s, 20 s … up to
/// 15 minutes. Sites that lost the same partner at the same moment therefore do not come back at the same moment.
pub fn backoff(failures: u32, chance: f64) -> Duration {
    growing(Duration::from_secs(5), Duration::from_secs(15 * 60), failures, chance)
}

/// `chance` of a pause that begins with `first` and doubles with each further failure up to `most`; none without a failure.
pub(crate) fn growing(first: Duration, most: Duration, failures: u32, chance: f64) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let whole = first.saturating_mul(1 << doublings.min(30)).min(most);
    whole.mul_f64(if chance.is_nan() { 1.0 } else { chance.clamp(0.0, 1.0) })
}

/// The regular times of a job that may still run.
fn grid_of_living(schedule: &Schedule, last: Option<DateTime<Utc>>, now: DateTime<Utc>, runs: u32) -> Option<Grid> {
    let used_up = schedule.repeat > 0 && runs >= schedule.repeat;
    if !schedule.enabled || used_up || is_past_end(schedule, now) {
        return None;
    }
    Grid::of(schedule, schedule.start.or(last.map(|last| last.min(now))).unwrap_or(now)).ok()
}

fn first_after(schedule: &Schedule, grid: &Grid, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let after = time.checked_add_signed(TimeDelta::microseconds(1))?;
    grid.first_from(schedule.start.map_or(after, |start| start.max(after)))
}

fn is_past_end(schedule: &Schedule, time: DateTime<Utc>) -> bool {
    schedule.end.is_some_and(|end| time > end)
}

/// The regular times, without bounds.
enum Grid {
    Every(TimeDelta, DateTime<Utc>),
    Cron(Box<Cron>, Tz),
}

impl Grid {
    fn of(schedule: &Schedule, anchor: DateTime<Utc>) -> Result<Grid, Invalid> {
        let zone = schedule.zone.parse().map_err(|_| Invalid::Zone(shortened(&schedule.zone)))?;
        match &schedule.timing {
            Timing::Every(0) => Err(Invalid::Interval),
            Timing::Every(seconds) => Ok(Grid::Every(TimeDelta::seconds((*seconds).into()), anchor)),
            Timing::Cron(text) => Ok(Grid::Cron(Box::new(parse(text)?), zone)),
        }
    }

    fn first_from(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Grid::Every(every, anchor) => {
                step(*anchor, *every, time, |passed, every| passed.div_euclid(every) + i64::from(passed % every != 0))
            }
            Grid::Cron(cron, zone) => {
                // croner leaves fractions of a second out, so it must not begin before them.
                let whole = DateTime::from_timestamp(time.timestamp() + i64::from(time.timestamp_subsec_nanos() > 0), 0)?;
                Some(cron.find_next_occurrence(&whole.with_timezone(zone), true).ok()?.to_utc())
            }
        }
    }

    fn latest_until(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Grid::Every(every, anchor) => step(*anchor, *every, time, i64::div_euclid),
            Grid::Cron(cron, zone) => {
                let whole = DateTime::from_timestamp(time.timestamp(), 0)?;
                Some(cron.find_previous_occurrence(&whole.with_timezone(zone), true).ok()?.to_utc())
            }
        }
    }
}

/// The point of the grid whose number `count` says, given what passed since the anchor and the width, in microseconds.
fn step(anchor: DateTime<Utc>, every: TimeDelta, time: DateTime<Utc>, count: fn(i64, i64) -> i64) -> Option<DateTime<Utc>> {
    let every = every.num_microseconds()?;
    let passed = (time - anchor).num_microseconds()?;
    anchor.checked_add_signed(TimeDelta::microseconds(every.checked_mul(count(passed, every))?))
}

fn parse(text: &str) -> Result<Cron, Invalid> {
    let parser = CronParser::builder().year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| Invalid::Cron(shortened(text), error.to_string()))
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
