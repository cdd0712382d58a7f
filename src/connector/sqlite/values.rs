//! Canonical values ↔ SQLite's storage classes.

use std::borrow::Cow;

use rusqlite::{
    ToSql,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    connector::{KeyPart, known::canonical_uuid},
    error::{Error, Kind as Fault, Result},
    model::{Cell, Kind, Page, Plain, Value},
    wire,
};

/// How SQLite converts what is stored in a column (its documentation, "Datatypes In SQLite", 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

impl Affinity {
    pub(super) fn of(declared: &str) -> Affinity {
        let declared = declared.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        if has(&["INT"]) {
            Affinity::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Affinity::Text
        } else if declared.is_empty() || has(&["BLOB"]) {
            Affinity::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }
}

/// Whether a column keeps a value as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
    /// Only SQLite itself can tell: it converts text that looks like a number where nothing is lost.
    Ask,
}

pub(super) fn fit(affinity: Affinity, value: Value<'_>) -> Fit {
    let Plain { kind, text, .. } = value.plain();
    let number_like = || {
        let text = text.trim();
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) && text.parse::<f64>().is_ok()
    };
    match (affinity, kind) {
        // SQLite stores NaN as NULL, and in a column of reals whole numbers as integers, which have no -0.
        (_, Kind::Real) if text == "NaN" => Fit::No,
        (Affinity::Real, Kind::Real) if text == "-0.0" => Fit::No,
        (Affinity::Text, Kind::Integer | Kind::Real) | (Affinity::Real, Kind::Integer) => Fit::No,
        (Affinity::Integer | Affinity::Numeric | Affinity::Real, Kind::Text) if number_like() => Fit::Ask,
        (Affinity::Integer | Affinity::Numeric, Kind::Real) => Fit::Ask,
        _ => Fit::Yes,
    }
}

/// A value on its way into a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    OwnedText(Vec<u8>),
    Bytes(Vec<u8>),
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Bound::Null => ValueRef::Null,
            Bound::Integer(value) => ValueRef::Integer(*value),
            Bound::Real(value) => ValueRef::Real(*value),
            Bound::Text(text) => ValueRef::Text(text),
            Bound::OwnedText(text) => ValueRef::Text(text),
            Bound::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl<'a> Bound<'a> {
    /// The storage class that a value has in its plain form.
    pub(super) fn of(value: Value<'a>) -> Result<Bound<'a>> {
        let Plain { kind, text, .. } = value.plain();
        Ok(match kind {
            Kind::Null => Bound::Null,
            Kind::Integer => Bound::Integer(wire::value::integer(&text)?),
            Kind::Real => Bound::Real(wire::value::real(&text)?),
            Kind::Opaque => Bound::OwnedText(wire::value::bytes(&text)?),
            Kind::Bytes => Bound::Bytes(wire::value::bytes(&text)?),
            Kind::Reference => return Err(Error::new(Fault::Constraint, "a reference goes into a column that refers to another table")),
            _ => match text {
                Cow::Borrowed(text) => Bound::Text(text.as_bytes()),
                Cow::Owned(text) => Bound::OwnedText(text.into_bytes()),
            },
        })
    }

    pub(super) fn of_key(part: &'a KeyPart) -> Bound<'a> {
        match part {
            KeyPart::Null => Bound::Null,
            KeyPart::Integer(value) => Bound::Integer(*value),
            KeyPart::Real(value) => Bound::Real(*value),
            KeyPart::Text(text) => Bound::Text(text),
            KeyPart::Bytes(bytes) => Bound::Bytes(bytes.clone()),
        }
    }

    pub(super) fn into_key(self) -> KeyPart {
        match self {
            Bound::Null => KeyPart::Null,
            Bound::Integer(value) => KeyPart::Integer(value),
            Bound::Real(value) => KeyPart::Real(value),
            Bound::Text(text) => KeyPart::Text(text.to_vec()),
            Bound::OwnedText(text) => KeyPart::Text(text),
            Bound::Bytes(bytes) => KeyPart::Bytes(bytes),
        }
    }
}

/// A key part as it was read.
pub(super) fn key_part(value: ValueRef<'_>) -> KeyPart {
    match value {
        ValueRef::Null => KeyPart::Null,
        ValueRef::Integer(value) => KeyPart::Integer(value),
        ValueRef::Real(value) => KeyPart::Real(value),
        ValueRef::Text(text) => KeyPart::Text(text.to_vec()),
        ValueRef::Blob(bytes) => KeyPart::Bytes(bytes.to_vec()),
    }
}

/// Adds a cell with the canonical form of what a column holds.
pub(super) fn push(page: &mut Page, field: u16, value: ValueRef<'_>) {
    let (kind, text) = match value {
        ValueRef::Null => (Kind::Null, page.put("")),
        ValueRef::Integer(value) => (Kind::Integer, append(page, |text| wire::value::push_integer(value, text))),
        ValueRef::Real(value) => (Kind::Real, append(page, |text| wire::value::push_real(value, text))),
        ValueRef::Blob(bytes) => (Kind::Bytes, append(page, |text| wire::value::push_bytes(bytes, text))),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => (Kind::Text, page.put(text)),
            Err(_) => (Kind::Opaque, append(page, |text| wire::value::push_bytes(bytes, text))),
        },
    };
    page.cell(Cell { field, resource: 0, kind, text });
}

fn append(page: &mut Page, write: impl FnOnce(&mut String)) -> crate::model::Span {
    let span: std::result::Result<_, std::convert::Infallible> = page.put_with(|text| {
        write(text);
        Ok(())
    });
    span.unwrap_or_default()
}

/// A uid as the journal stores it: the 16 bytes of a UUID, or the text of any other URN.
pub(super) fn stored_uid(uid: &str) -> rusqlite::types::Value {
    match canonical_uuid(uid.strip_prefix("urn:uuid:").unwrap_or("")) {
        Some(uuid) => rusqlite::types::Value::Blob(uuid.as_bytes().to_vec()),
        None => rusqlite::types::Value::Text(uid.to_owned()),
    }
}

/// Appends the uid that the journal stored.
pub(super) fn push_uid(stored: ValueRef<'_>, page: &mut Page) -> crate::model::Span {
    match stored {
        ValueRef::Blob(bytes) => match uuid::Uuid::from_slice(bytes) {
            Ok(uuid) => {
                let mut buffer = [0u8; uuid::fmt::Urn::LENGTH];
                page.put(uuid.urn().encode_lower(&mut buffer))
            }
            Err(_) => page.put(""),
        },
        ValueRef::Text(text) => page.put(std::str::from_utf8(text).unwrap_or("")),
        _ => page.put(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinity_follows_sqlites_rules() {
        for (declared, want) in [
            ("INTEGER", Affinity::Integer),
            ("bigint unsigned", Affinity::Integer),
            ("VARCHAR(20)", Affinity::Text),
            ("", Affinity::Blob),
            ("BLOB", Affinity::Blob),
            ("double precision", Affinity::Real),
            ("NUMERIC(10,2)", Affinity::Numeric),
            ("BOOLEAN", Affinity::Numeric),
            ("ANY", Affinity::Numeric),
            ("DATETIME", Affinity::Numeric),
            ("FLOATING POINT", Affinity::Integer),
        ] {
            assert_eq!(Affinity::of(declared), want, "{declared}");
        }
    }

    #[test]
    fn a_value_that_a_column_would_change_does_not_fit() {
        let value = |kind, text| Value { kind, resource: "", text };
        for (affinity, value, want) in [
            (Affinity::Text, value(Kind::Integer, "5"), Fit::No),
            (Affinity::Text, value(Kind::Text, "5"), Fit::Yes),
            (Affinity::Integer, value(Kind::Text, "007"), Fit::Ask),
            (Affinity::Integer, value(Kind::Text, "seven"), Fit::Yes),
            (Affinity::Real, value(Kind::Integer, "5"), Fit::No),
            (Affinity::Numeric, value(Kind::Real, "1.5"), Fit::Ask),
            (Affinity::Blob, value(Kind::Integer, "5"), Fit::Yes),
            (Affinity::Blob, value(Kind::Real, "NaN"), Fit::No),
            (Affinity::Numeric, value(Kind::Real, "NaN"), Fit::No),
            (Affinity::Real, value(Kind::Real, "-0.0"), Fit::No),
            (Affinity::Blob, value(Kind::Real, "-0.0"), Fit::Yes),
            (Affinity::Text, value(Kind::Boolean, "true"), Fit::No),
            (Affinity::Numeric, value(Kind::Boolean, "true"), Fit::Yes),
            (Affinity::Real, value(Kind::Decimal, "5"), Fit::No),
            (Affinity::Real, value(Kind::Decimal, "1.5"), Fit::Yes),
            (Affinity::Numeric, value(Kind::Decimal, "0.12345678901234567890123456789"), Fit::Ask),
            (Affinity::Numeric, value(Kind::Date, "2026-01-02"), Fit::Yes),
        ] {
            assert_eq!(fit(affinity, value), want, "{affinity:?} {value:?}");
        }
    }

    #[test]
    fn uids_are_stored_short_and_read_back_exactly() {
        for uid in [
            "urn:uuid:0d1e2f30-0000-4000-8000-000000000001",
            "0d1e2f30-0000-4000-8000-000000000001",
            "urn:uuid:0D1E2F30-0000-4000-8000-000000000001",
            "urn:iso:std:iso:3166:-1:code:AF",
        ] {
            let mut page = Page::default();
            let stored = stored_uid(uid);
            let span = push_uid((&stored).into(), &mut page);
            assert_eq!(page.text(span), uid);
        }
        assert!(matches!(stored_uid("urn:uuid:0d1e2f30-0000-4000-8000-000000000001"), rusqlite::types::Value::Blob(_)));
    }
}
