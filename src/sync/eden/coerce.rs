//! Values of a document as the column they go into wants them: Eden says little of types.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use crate::model::{Kind, Value};

/// The value as one of the kind `wanted`, where it can be one without losing anything but a zone; else as it came, for the database to judge.
pub(super) fn coerced(value: Value<'_>, wanted: Option<Kind>) -> (Kind, Cow<'_, str>) {
    let as_it_is = (value.kind, Cow::Borrowed(value.text));
    let Some(wanted) = wanted.filter(|wanted| *wanted != value.kind && value.kind != Kind::Null && value.kind != Kind::Reference) else {
        return as_it_is;
    };
    let made = match wanted {
        Kind::Text => Some(Cow::Owned(text(value))),
        Kind::Integer => value.text.trim().parse::<i64>().ok().map(|number| Cow::Owned(number.to_string())),
        Kind::Real => finite(value.text).map(|number| Cow::Owned(format!("{number:?}"))),
        Kind::Decimal => decimal(value.text).map(Cow::Owned),
        Kind::Boolean => truth(value.text).map(|truth| Cow::Borrowed(if truth { "true" } else { "false" })),
        Kind::Date => moment(value.text).map(|moment| Cow::Owned(moment.date().format("%Y-%m-%d").to_string())),
        Kind::Local => moment(value.text).map(|moment| Cow::Owned(moment.format("%Y-%m-%dT%H:%M:%S%.6f").to_string())),
        Kind::Instant => moment(value.text).map(|moment| Cow::Owned(moment.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())),
        Kind::Clock => value.text.parse::<NaiveTime>().ok().map(|time| Cow::Owned(time.format("%H:%M:%S").to_string())),
        Kind::Uuid => uuid::Uuid::try_parse(value.text).ok().map(|uuid| Cow::Owned(uuid.hyphenated().to_string())),
        Kind::Json => serde_json::from_str::<serde::de::IgnoredAny>(value.text).is_ok().then_some(Cow::Borrowed(value.text)),
        Kind::Null | Kind::Bytes | Kind::Opaque | Kind::Reference => None,
    };
    made.map_or(as_it_is, |text| (wanted, text))
}

/// As a text column shows it.
fn text(value: Value<'_>) -> String {
    match value.kind {
        Kind::Local | Kind::Instant => value.text.replacen(".000000", "", 1),
        _ => value.text.to_owned(),
    }
}

fn finite(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && text.bytes().any(|byte| byte.is_ascii_digit()))
}

/// The canonical text of a decimal: no exponent, no needless zeros.
fn decimal(text: &str) -> Option<String> {
    let text = text.trim();
    let text = if text.contains(['e', 'E']) { finite(text)?.to_string() } else { text.to_owned() };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let (whole, fraction) = (if whole.is_empty() { "0" } else { whole }, fraction.trim_end_matches('0'));
    let number = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    Some(if number == "0" { number } else { format!("{sign}{number}") })
}

fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Some(true),
        "false" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// A moment in UTC; a mere date is its midnight.
fn moment(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim().replacen(' ', "T", 1);
    let zoned = DateTime::parse_from_rfc3339(&text).ok().map(|moment| moment.naive_utc());
    let naive = || text.parse::<NaiveDateTime>().ok();
    let date = || text.parse::<NaiveDate>().ok().and_then(|date| date.and_hms_opt(0, 0, 0));
    zoned.or_else(naive).or_else(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_becomes_what_its_column_is_for_or_stays_as_it_is() {
        for (kind, text, wanted, want) in [
            (Kind::Integer, "7", Kind::Text, (Kind::Text, "7")),
            (Kind::Text, "42", Kind::Integer, (Kind::Integer, "42")),
            (Kind::Text, "x", Kind::Integer, (Kind::Text, "x")),
            (Kind::Integer, "2", Kind::Real, (Kind::Real, "2.0")),
            (Kind::Real, "12.35", Kind::Decimal, (Kind::Decimal, "12.35")),
            (Kind::Text, "-012.50", Kind::Decimal, (Kind::Decimal, "-12.5")),
            (Kind::Integer, "1", Kind::Boolean, (Kind::Boolean, "true")),
            (Kind::Text, "False", Kind::Boolean, (Kind::Boolean, "false")),
            (Kind::Instant, "2024-03-01T04:30:00.000000Z", Kind::Date, (Kind::Date, "2024-03-01")),
            (Kind::Date, "2026-02-03", Kind::Local, (Kind::Local, "2026-02-03T00:00:00.000000")),
            (Kind::Instant, "2026-02-03T09:05:06.000000Z", Kind::Local, (Kind::Local, "2026-02-03T09:05:06.000000")),
            (Kind::Local, "2026-02-03T09:05:06.000000", Kind::Instant, (Kind::Instant, "2026-02-03T09:05:06.000000Z")),
            (Kind::Local, "2026-02-03T09:05:06.000000", Kind::Text, (Kind::Text, "2026-02-03T09:05:06")),
            (Kind::Json, "[1]", Kind::Text, (Kind::Text, "[1]")),
            (Kind::Text, "{}", Kind::Json, (Kind::Json, "{}")),
            (Kind::Null, "", Kind::Integer, (Kind::Null, "")),
        ] {
            let (found, made) = coerced(Value { kind, resource: "", text }, Some(wanted));
            assert_eq!((found, made.as_ref()), want, "{text:?} for {wanted:?}");
        }
    }
}
