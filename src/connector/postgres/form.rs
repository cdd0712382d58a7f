//! Canonical values ↔ PostgreSQL's types (SYNC.md 7).

use std::borrow::Cow;

use super::args::{Arg, integer};
use crate::{
    error::{Error, Kind as Fault, Result},
    model::{Cell, Kind, Page, Value},
    wire,
};

/// How the values of a column travel, and what the column may do to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Boolean,
    Integer,
    /// Digits before and after the point, where they are limited.
    Decimal(Option<(i32, i32)>),
    Real4,
    Real8,
    /// At most so many characters.
    Text(Option<i32>),
    /// As text, but blanks at the end mean nothing.
    Padded(Option<i32>),
    Date,
    /// At most so many decimals of a second.
    Clock(i32),
    Local(i32),
    Instant(i32),
    Uuid,
    Json,
    Jsonb,
    Bytes,
    /// Travels as the text that PostgreSQL writes of it.
    Other,
}

/// Whether a column keeps a value as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
    /// Only PostgreSQL itself can tell.
    Ask,
}

impl Form {
    /// That of a type, by its name in pg_catalog and its modifier; `None` for a type of anybody else's.
    pub(super) fn of(name: Option<&str>, modifier: i32) -> Form {
        let decimals = if modifier < 0 { 6 } else { modifier };
        let length = (modifier >= 4).then_some(modifier - 4);
        match name.unwrap_or_default() {
            "bool" => Form::Boolean,
            "int2" | "int4" | "int8" => Form::Integer,
            "numeric" => Form::Decimal(length.map(|packed| {
                let (precision, scale) = (packed >> 16, ((packed & 0x7ff) ^ 1024) - 1024);
                (precision - scale, scale)
            })),
            "float4" => Form::Real4,
            "float8" => Form::Real8,
            "text" => Form::Text(None),
            "varchar" => Form::Text(length),
            "bpchar" => Form::Padded(length),
            "date" => Form::Date,
            "time" => Form::Clock(decimals),
            "timestamp" => Form::Local(decimals),
            "timestamptz" => Form::Instant(decimals),
            "uuid" => Form::Uuid,
            "json" => Form::Json,
            "jsonb" => Form::Jsonb,
            "bytea" => Form::Bytes,
            _ => Form::Other,
        }
    }

    /// The kind of value that a column of this form holds.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Form::Boolean => Kind::Boolean,
            Form::Integer => Kind::Integer,
            Form::Decimal(_) => Kind::Decimal,
            Form::Real4 | Form::Real8 => Kind::Real,
            Form::Text(_) | Form::Padded(_) | Form::Other => Kind::Text,
            Form::Date => Kind::Date,
            Form::Clock(_) => Kind::Clock,
            Form::Local(_) => Kind::Local,
            Form::Instant(_) => Kind::Instant,
            Form::Uuid => Kind::Uuid,
            Form::Json | Form::Jsonb => Kind::Json,
            Form::Bytes => Kind::Bytes,
        }
    }

    /// The expression by which a column is read.
    pub(super) fn read(&self, column: &str) -> String {
        match self {
            Form::Boolean | Form::Integer | Form::Text(_) | Form::Bytes | Form::Uuid | Form::Real8 | Form::Real4 => column.to_owned(),
            _ => format!("{column}::text"),
        }
    }

    /// Adds a cell with the canonical form of what was read. What has none, like the date `infinity`, travels as the text that PostgreSQL
    /// writes of it.
    pub(super) fn push(&self, page: &mut Page, field: u16, raw: Option<&[u8]>) -> Result<()> {
        let Some(raw) = raw else {
            let text = page.put("");
            page.cell(Cell { field, resource: 0, kind: Kind::Null, text });
            return Ok(());
        };
        let mut kind = self.kind();
        let odd = || Error::internal("the database server sent a value in a form that was not asked for");
        let text = page.put_with(|out| {
            match self {
                Form::Boolean => out.push_str(if raw == [1] { "true" } else { "false" }),
                Form::Integer => wire::value::push_integer(integer(raw).ok_or_else(odd)?, out),
                Form::Real8 => wire::value::push_real(f64::from_be_bytes(raw.try_into().map_err(|_| odd())?), out),
                Form::Real4 => push_real4(f32::from_be_bytes(raw.try_into().map_err(|_| odd())?), out),
                Form::Uuid => wire::value::push_uuid(uuid::Uuid::from_slice(raw).map_err(|e| odd().because(e))?, out),
                Form::Bytes => wire::value::push_bytes(raw, out),
                _ => match std::str::from_utf8(raw) {
                    Ok(text) if self.canonical(text, out) => {}
                    Ok(text) => {
                        kind = Kind::Text;
                        out.push_str(text);
                    }
                    Err(_) => {
                        // A database whose encoding is SQL_ASCII takes any bytes.
                        kind = Kind::Opaque;
                        wire::value::push_bytes(raw, out);
                    }
                },
            }
            Ok::<(), Error>(())
        })?;
        page.cell(Cell { field, resource: 0, kind, text });
        Ok(())
    }

    /// Appends the canonical text for one that PostgreSQL wrote; `false` where there is none.
    fn canonical(&self, text: &str, out: &mut String) -> bool {
        match self.kind() {
            Kind::Instant => {
                text.strip_suffix("+00").is_some_and(|utc| wire::value::canonical(Kind::Instant, &format!("{utc}Z"), out).is_ok())
            }
            kind => wire::value::canonical(kind, text, out).is_ok(),
        }
    }

    /// What a column of this form makes of a value of any kind, and whether it keeps it: what it would write of it later is the same value.
    pub(super) fn take<'a>(&self, value: Value<'a>) -> Result<(Arg<'a>, Fit)> {
        if value.kind == Kind::Null {
            return Ok((Arg::Null, Fit::Yes));
        }
        if value.text.contains('\0') {
            return Err(Error::new(Fault::Constraint, "PostgreSQL keeps no text that has the character U+0000"));
        }
        let (text, fit) = match self.own(value) {
            Some(text) => {
                let fit = self.fit(&text);
                (text, fit)
            }
            // Only the database itself knows what it writes of what has no canonical form.
            None if value.kind == Kind::Text && self.is_written() && !self.canonical(value.text, &mut String::new()) => {
                (Cow::Borrowed(value.text), Fit::Ask)
            }
            None => return Ok((Arg::Null, Fit::No)),
        };
        let arg = match self {
            Form::Integer => Arg::Int(wire::value::integer(&text)?),
            Form::Bytes => Arg::Bytes(wire::value::bytes(&text)?.into()),
            _ => Arg::Text(text),
        };
        Ok((arg, fit))
    }

    /// Whether it is read as text, so that it may be one that has no canonical form.
    fn is_written(&self) -> bool {
        matches!(self, Form::Decimal(_) | Form::Date | Form::Clock(_) | Form::Local(_) | Form::Instant(_) | Form::Json | Form::Jsonb)
    }

    /// A value in the canonical text of this form's kind, where it is one of that kind: `1` is true, and `2026-01-02 03:04:05` a moment.
    fn own<'a>(&self, value: Value<'a>) -> Option<Cow<'a, str>> {
        let kind = self.kind();
        if value.kind == kind {
            return Some(Cow::Borrowed(value.text));
        }
        let zones = |kind| matches!(kind, Kind::Local | Kind::Instant);
        if zones(kind) && zones(value.kind) {
            // A time of no zone is never shifted into one, nor out of it.
            return None;
        }
        let plain = value.plain();
        let text = match (kind, plain.kind) {
            (Kind::Boolean, Kind::Integer) => Cow::Borrowed(if plain.text == "1" { "true" } else { "false" }),
            (Kind::Decimal, Kind::Real) => Cow::Owned(wire::value::real(&plain.text).ok()?.to_string()),
            (Kind::Instant, Kind::Text) => Cow::Owned(format!("{}Z", plain.text)),
            _ => plain.text.clone(),
        };
        let mut own = String::new();
        wire::value::canonical(kind, &text, &mut own).ok()?;
        (Value { kind, resource: "", text: &own }.plain() == plain).then_some(Cow::Owned(own))
    }

    /// Whether a column keeps a canonical text of its own kind as it is.
    fn fit(&self, text: &str) -> Fit {
        let decimals = |most: i32| {
            text.trim_end_matches('Z').rsplit_once('.').map_or(0, |(_, f)| f.trim_end_matches('0').len()) <= most.max(0) as usize
        };
        let at_most = |most: Option<i32>| most.is_none_or(|most| text.chars().count() <= most.max(0) as usize);
        let fits = match self {
            Form::Decimal(Some((_, scale))) => {
                !matches!(text, "Infinity" | "-Infinity")
                    && text.split_once('.').map_or(0, |(_, f)| f.len()) as i32 <= (*scale).max(0)
                    && (*scale >= 0 || text == "NaN" || trailing_zeros(text) >= -*scale)
            }
            Form::Real4 => text.parse::<f32>().is_ok_and(|narrow| {
                let mut narrowed = String::new();
                push_real4(narrow, &mut narrowed);
                narrowed == text
            }),
            Form::Text(most) => at_most(*most),
            Form::Padded(most) => at_most(*most) && !text.ends_with(' '),
            Form::Clock(most) | Form::Local(most) | Form::Instant(most) => decimals(*most),
            Form::Jsonb | Form::Other => return Fit::Ask,
            _ => true,
        };
        if fits { Fit::Yes } else { Fit::No }
    }

    /// One word for what travels, by which a change of the schema is noticed.
    pub(super) fn word(&self) -> String {
        match self {
            Form::Other => "text of its own".into(),
            Form::Jsonb => "jsonb".into(),
            form => form.kind().word().to_owned(),
        }
    }
}

/// Trailing zeros of a whole number; many for 0.
fn trailing_zeros(text: &str) -> i32 {
    if text == "0" { i32::MAX } else { i32::try_from(text.len() - text.trim_end_matches('0').len()).unwrap_or(0) }
}

/// The shortest text that reads back as the same narrow float.
fn push_real4(value: f32, out: &mut String) {
    use std::fmt::Write;
    match value {
        _ if value.is_nan() => out.push_str("NaN"),
        f32::INFINITY => out.push_str("Infinity"),
        f32::NEG_INFINITY => out.push_str("-Infinity"),
        // Writing into a String cannot fail.
        _ => _ = write!(out, "{value:?}"),
    }
}

#[cfg(test)]
mod tests;
