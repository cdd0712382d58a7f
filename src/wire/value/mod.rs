//! Canonical values (SYNC.md 7): two equal values of one kind have equal texts, so texts are compared, hashed and sent as they are.
//!
//! | kind | canonical text |
//! |---|---|
//! | null | empty |
//! | boolean | `true`, `false` |
//! | integer | decimal, 64 bits, no `+`, no leading zeros, no `-0` |
//! | decimal | no exponent, no `+`, no leading zeros but the one before the point, no trailing zeros after it, no `-0`; or `NaN`, `Infinity`, `-Infinity`. So the scale of PostgreSQL's `1.50` is the column's matter, not the value's: it is `1.5` |
//! | real | the shortest text that reads back the same, always with `.` or `e`; `-0.0`, `NaN`, `Infinity`, `-Infinity` |
//! | text, JSON | as it was stored |
//! | date, time, datetime, instant | `2026-01-02`, `03:04:05` or `03:04:05.000006`, `2026-01-02T03:04:05.000006`, the same with `Z`; years 1 to 9999 |
//! | uuid | 36 lower-case characters |
//! | bytes, opaque | padded standard base64; of opaque ones never that of valid UTF-8, which is text |
//! | reference | a uid |

mod moment;
mod number;

use base64::{Engine, engine::general_purpose::STANDARD};

pub(super) use moment::stamp;

use crate::{
    error::{Error, Result},
    model::{Kind, Time, Uid},
};

/// Checks that `text` is a value of `kind` and appends its canonical text to `out`.
///
/// Another spelling of the same value (`+007`, `1.50`, an instant with an offset) is normalised; a value that would change (a seventh
/// decimal of a second, an integer beyond 64 bits) or that is none is [`crate::error::Kind::Malformed`], and `out` is as it was.
///
/// JSON may be nested to any depth; whoever parses it into a tree has to mind that.
pub fn canonical(kind: Kind, text: &str, out: &mut String) -> Result<()> {
    let good = match kind {
        Kind::Null => text.is_empty(),
        Kind::Boolean => push_if(boolean(text).is_ok(), text, out),
        Kind::Integer => integer(text).map(|value| push_integer(value, out)).is_ok(),
        Kind::Decimal => number::decimal(text).map(|decimal| decimal.push(out)).is_some(),
        Kind::Real => real(text).map(|value| push_real(value, out)).is_ok(),
        Kind::Text => push_if(true, text, out),
        Kind::Date => moment::date(text).map(|date| date.push(out)).is_some(),
        Kind::Clock => moment::clock(text).map(|clock| clock.push(out)).is_some(),
        Kind::Local => moment::local(text).map(|time| moment::push_local(time, out)).is_some(),
        Kind::Instant => instant(text).map(|time| push_instant(time, out)).is_ok(),
        Kind::Uuid => uuid::Uuid::try_parse(text).map(|uuid| push_uuid(uuid, out)).is_ok(),
        Kind::Json => push_if(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), text, out),
        Kind::Bytes => push_if(bytes(text).is_ok(), text, out),
        Kind::Opaque => push_if(bytes(text).is_ok_and(|bytes| std::str::from_utf8(&bytes).is_err()), text, out),
        Kind::Reference => push_if(Uid::check(text).is_ok(), text, out),
    };
    if good { Ok(()) } else { Err(no_value(kind, text)) }
}

/// What a person typed for a field, as the kind of value that the field has (`known`), else as what it looks like. [`crate::error::Kind::Usage`]
/// where it is no such value.
pub fn typed(field: &str, known: Option<Kind>, text: &str) -> Result<(Kind, String)> {
    let kind = known.filter(|kind| *kind != Kind::Null).unwrap_or(if text.parse::<i64>().is_ok() { Kind::Integer } else { Kind::Text });
    let mut value = String::new();
    match kind {
        Kind::Text | Kind::Reference => value.push_str(text),
        kind => canonical(kind, text, &mut value)
            .map_err(|error| Error::usage(format!("{text:?} is no {} for {field}", kind.word())).because(error))?,
    }
    Ok((kind, value))
}

fn push_if(good: bool, text: &str, out: &mut String) -> bool {
    if good {
        out.push_str(text);
    }
    good
}

fn no_value(kind: Kind, text: &str) -> Error {
    Error::malformed(format!("{:?} is no value of the kind {}", text.chars().take(60).collect::<String>(), kind.word()))
}

/// Appends the canonical text of an integer.
pub fn push_integer(value: i64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Appends the canonical text of a float. Every NaN is one NaN.
pub fn push_real(value: f64, out: &mut String) {
    number::push_real(value, out);
}

/// Appends the canonical text of bytes.
pub fn push_bytes(value: &[u8], out: &mut String) {
    STANDARD.encode_string(value, out);
}

/// Appends the canonical text of an instant; one outside [`Time::RANGE`] becomes its nearest end.
pub fn push_instant(value: Time, out: &mut String) {
    out.push_str(std::str::from_utf8(&stamp(value)).unwrap_or_default());
}

/// Appends the canonical text of a UUID.
pub fn push_uuid(value: uuid::Uuid, out: &mut String) {
    out.push_str(value.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
}

/// Reads a boolean from its canonical text.
pub fn boolean(text: &str) -> Result<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(no_value(Kind::Boolean, text)),
    }
}

/// Reads a 64-bit integer.
pub fn integer(text: &str) -> Result<i64> {
    text.parse().map_err(|_| no_value(Kind::Integer, text))
}

/// Reads a float. One that overflows is refused; `NaN`, `Infinity` and `-Infinity` are spelt so.
pub fn real(text: &str) -> Result<f64> {
    number::real(text).ok_or_else(|| no_value(Kind::Real, text))
}

/// Reads bytes.
pub fn bytes(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| no_value(Kind::Bytes, text))
}

/// Reads an instant, with `Z` or an offset, at most microseconds.
pub fn instant(text: &str) -> Result<Time> {
    moment::instant(text).ok_or_else(|| no_value(Kind::Instant, text))
}

#[cfg(test)]
mod tests;
