//! UTC instants in microseconds.

use std::{fmt, str::FromStr, sync::Arc};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// An instant: microseconds since 1970-01-01T00:00:00Z. Written as `2026-01-02T03:04:05.000006Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

/// Tells what time it is.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

impl Time {
    /// The latest and earliest instants that can be written with a four-digit year.
    pub const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

    /// From a chrono instant, cut to microseconds.
    pub fn from_utc(time: DateTime<Utc>) -> Time {
        Time(time.timestamp_micros())
    }

    /// As a chrono instant; one outside [`Time::RANGE`] becomes its nearest end.
    pub fn utc(self) -> DateTime<Utc> {
        let micros = self.0.clamp(*Time::RANGE.start(), *Time::RANGE.end());
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }

    /// This instant moved by `seconds`.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Time {
        Time(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.utc().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl FromStr for Time {
    type Err = Error;

    /// Reads RFC 3339 with any offset, or a time without one, which is taken as UTC.
    fn from_str(text: &str) -> Result<Time> {
        let parsed = DateTime::parse_from_rfc3339(text).map(|time| time.with_timezone(&Utc));
        let naive = || text.parse::<chrono::NaiveDateTime>().map(|time| time.and_utc());
        let time = parsed.or_else(|_| naive()).map_err(|_| {
            Error::malformed(format!("{:?} is not a time like 2026-01-02T03:04:05Z", text.chars().take(40).collect::<String>()))
        })?;
        let time = Time::from_utc(time);
        if !Time::RANGE.contains(&time.0) {
            return Err(Error::malformed("a time is outside the years 1 to 9999"));
        }
        Ok(time)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Time, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_being_written() {
        for micros in [0, 1, -1, 1_767_322_800_123_456, *Time::RANGE.start(), *Time::RANGE.end()] {
            assert_eq!(Time(micros).to_string().parse::<Time>().unwrap(), Time(micros));
        }
    }

    #[test]
    fn offsets_are_converted_and_a_bare_time_is_utc() {
        let want = "2026-01-02T03:04:05Z".parse::<Time>().unwrap();
        assert_eq!("2026-01-02T05:04:05+02:00".parse::<Time>().unwrap(), want);
        assert_eq!("2026-01-02T03:04:05".parse::<Time>().unwrap(), want);
        assert!("tomorrow".parse::<Time>().is_err());
    }
}
