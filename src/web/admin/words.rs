//! Figures and times as people say them.

use crate::model::{LogEntry, Outcome, Time};
pub(super) use crate::model::{counted, figure};

/// A time, for people and for machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct When {
    /// As RFC 3339, UTC.
    pub(super) machine: String,
    /// Day and time, UTC.
    pub(super) exact: String,
    /// How long ago, or in how long.
    pub(super) near: String,
}

impl When {
    pub(super) fn new(time: Time, now: Time) -> When {
        let utc = time.utc();
        When {
            machine: utc.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            exact: utc.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            near: near(time.0 - now.0),
        }
    }

    pub(super) fn maybe(time: Option<Time>, now: Time) -> Option<When> {
        time.map(|time| When::new(time, now))
    }
}

/// A distance in time, microseconds: the past is negative.
fn near(distance: i64) -> String {
    let seconds = distance.unsigned_abs() / 1_000_000;
    let span = match seconds {
        0..=1 => return "now".into(),
        2..=89 => format!("{seconds} s"),
        90..=5_399 => format!("{} min", (seconds + 30) / 60),
        5_400..=129_599 => format!("{} h", (seconds + 1_800) / 3_600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    };
    if distance < 0 { format!("{span} ago") } else { format!("in {span}") }
}

/// Bytes in the unit that suits them.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Milliseconds as people say them.
pub(super) fn lasted(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{} ms", milliseconds.max(0)),
        1_000..90_000 => format!("{:.1} s", milliseconds as f64 / 1e3),
        _ => format!("{} min", (milliseconds + 30_000) / 60_000),
    }
}

/// Seconds as one types them: `90s`, `5m`, `2h`, `1d`.
pub(super) fn span(seconds: u32) -> String {
    for (unit, letter) in [(86_400, 'd'), (3_600, 'h'), (60, 'm')] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return format!("{}{letter}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

/// The class of a state: good, warn, bad or busy.
pub(super) fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "good",
        Outcome::Warning | Outcome::Interrupted => "warn",
        Outcome::Running => "busy",
        Outcome::Error | Outcome::Fatal => "bad",
    }
}

/// What was done, as a heading.
pub(super) fn deed(entry: &LogEntry) -> String {
    let with = entry.repository_name.as_deref();
    let what = entry.resource.as_deref().unwrap_or("everything");
    match (entry.action.word(), entry.direction.word(), with) {
        ("run", _, Some(name)) => format!("Run with {name}"),
        ("pull", "outgoing", Some(name)) => format!("Pulled {what} from {name}"),
        ("pull", "incoming", Some(name)) => format!("{name} gave {what}"),
        ("push", "outgoing", Some(name)) => format!("Pushed {what} to {name}"),
        ("push", "incoming", Some(name)) => format!("{name} took {what}"),
        ("compare", _, Some(name)) => format!("Compared {what} with {name}"),
        ("fetch", _, Some(name)) => format!("Fetched records of {what} from {name}"),
        ("register", "outgoing", Some(name)) => format!("Registered at {name}"),
        ("register", _, Some(name)) => format!("{name} registered here"),
        ("register", ..) => "A site tried to register".into(),
        ("login", ..) => "Sign-in".into(),
        ("sweep", ..) => format!("Swept {what}"),
        ("change", ..) => "Change by a person".into(),
        (action, ..) => action.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_as_people_say_them() {
        assert_eq!([7, 1_500, 2_000_000].map(size), ["7 B", "1.5 kB", "2.0 MB"]);
        assert_eq!([12, 1_500, 120_000].map(lasted), ["12 ms", "1.5 s", "2 min"]);
        assert_eq!([30, 90, 300, 7_200, 86_400].map(span), ["30s", "90s", "5m", "2h", "1d"]);
    }

    #[test]
    fn times_are_told_by_their_distance() {
        let now = Time(1_000_000_000_000);
        let near = |seconds| When::new(now.plus_seconds(seconds), now).near;
        assert_eq!([0, -41, 300, -7_200, 3 * 86_400].map(near), ["now", "41 s ago", "in 5 min", "2 h ago", "in 3 days"]);
        assert_eq!(When::new(Time(0), now).exact, "1970-01-01 00:00:00 UTC");
    }
}
