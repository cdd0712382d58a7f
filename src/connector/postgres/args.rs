//! Values on their way into statements, as text that the server reads for whatever type it wants, and rows as they come back.

use std::{borrow::Cow, error::Error as StdError};

use postgres::{
    Row,
    types::{Format, FromSql, IsNull, ToSql, Type, private::BytesMut},
};

use super::failure::Told;
use crate::{connector::KeyPart, error::Result};

const HEX: &[u8; 16] = b"0123456789abcdef";

type Failed = Box<dyn StdError + Sync + Send>;

/// A value of any type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Arg<'a> {
    Null,
    Flag(bool),
    Int(i64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// An array of values.
    List(Vec<Arg<'a>>),
}

impl<'a> Arg<'a> {
    pub(super) fn text(text: &'a str) -> Arg<'a> {
        Arg::Text(Cow::Borrowed(text))
    }

    pub(super) fn texts<T: AsRef<str>>(texts: &'a [T]) -> Arg<'a> {
        Arg::List(texts.iter().map(|text| Arg::text(text.as_ref())).collect())
    }

    pub(super) fn ints(ints: &[i64]) -> Arg<'static> {
        Arg::List(ints.iter().copied().map(Arg::Int).collect())
    }

    pub(super) fn of_key(part: &'a KeyPart) -> Arg<'a> {
        match part {
            KeyPart::Null => Arg::Null,
            KeyPart::Integer(value) => Arg::Int(*value),
            KeyPart::Real(value) => Arg::Text(Cow::Owned(format!("{value:?}"))),
            KeyPart::Text(text) => Arg::Text(String::from_utf8_lossy(text)),
            KeyPart::Bytes(bytes) => Arg::Bytes(Cow::Borrowed(bytes)),
        }
    }

    /// That outlives what it was made of.
    pub(super) fn into_owned(self) -> Arg<'static> {
        match self {
            Arg::Null => Arg::Null,
            Arg::Flag(value) => Arg::Flag(value),
            Arg::Int(value) => Arg::Int(value),
            Arg::Text(text) => Arg::Text(Cow::Owned(text.into_owned())),
            Arg::Bytes(bytes) => Arg::Bytes(Cow::Owned(bytes.into_owned())),
            Arg::List(items) => Arg::List(items.into_iter().map(Arg::into_owned).collect()),
        }
    }

    /// As the text that the server would read.
    pub(super) fn as_text(&self) -> Arg<'static> {
        if *self == Arg::Null {
            return Arg::Null;
        }
        let mut text = String::new();
        self.write(&mut text);
        text.into()
    }

    /// As part of a local key.
    pub(super) fn into_key(self) -> KeyPart {
        match self {
            Arg::Null | Arg::List(_) => KeyPart::Null,
            Arg::Flag(value) => KeyPart::Text(if value { b"true".to_vec() } else { b"false".to_vec() }),
            Arg::Int(value) => KeyPart::Integer(value),
            Arg::Text(text) => KeyPart::Text(text.into_owned().into_bytes()),
            Arg::Bytes(bytes) => KeyPart::Bytes(bytes.into_owned()),
        }
    }

    /// Appends the text that the server reads.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Arg::Null => {}
            Arg::Flag(value) => out.push_str(if *value { "t" } else { "f" }),
            Arg::Int(value) => out.push_str(itoa::Buffer::new().format(*value)),
            Arg::Text(text) => out.push_str(text),
            Arg::Bytes(bytes) => {
                out.push_str("\\x");
                for byte in bytes.iter() {
                    out.push(char::from(HEX[usize::from(byte >> 4)]));
                    out.push(char::from(HEX[usize::from(byte & 15)]));
                }
            }
            Arg::List(items) => write_list(items, out),
        }
    }
}

fn write_list(items: &[Arg<'_>], out: &mut String) {
    out.push('{');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        match item {
            Arg::Null => out.push_str("NULL"),
            Arg::Int(_) | Arg::Flag(_) => item.write(out),
            Arg::Text(text) => write_item(text, out),
            Arg::Bytes(_) | Arg::List(_) => {
                let mut text = String::new();
                item.write(&mut text);
                write_item(&text, out);
            }
        }
    }
    out.push('}');
}

fn write_item(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\')) {
        out.push_str(&rest[..at]);
        out.push('\\');
        out.push(char::from(rest.as_bytes()[at]));
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Arg::Int(value)
    }
}

impl From<bool> for Arg<'_> {
    fn from(value: bool) -> Self {
        Arg::Flag(value)
    }
}

impl From<String> for Arg<'_> {
    fn from(text: String) -> Self {
        Arg::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Arg::text(text)
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(text: &'a String) -> Self {
        Arg::text(text)
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Arg::Bytes(Cow::Borrowed(bytes))
    }
}

impl<'a, T: Into<Arg<'a>>> From<Option<T>> for Arg<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Arg::Null, Into::into)
    }
}

impl ToSql for Arg<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Failed> {
        match self {
            Arg::Null => return Ok(IsNull::Yes),
            Arg::Text(text) => out.extend_from_slice(text.as_bytes()),
            other => {
                let mut text = String::new();
                other.write(&mut text);
                out.extend_from_slice(text.as_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    postgres::types::to_sql_checked!();
}

/// A column as it came.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Self, Failed> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// What stands in a column of a row; `None` = null.
pub(super) trait Columns {
    fn raw(&self, at: usize) -> Result<Option<&[u8]>>;
    fn int(&self, at: usize) -> Result<Option<i64>>;
    fn flag(&self, at: usize) -> Result<bool>;
    fn text(&self, at: usize) -> Result<Option<&str>>;
    fn owned(&self, at: usize) -> Result<String>;
}

impl Columns for Row {
    fn raw(&self, at: usize) -> Result<Option<&[u8]>> {
        self.try_get::<_, Option<Raw<'_>>>(at).told("read a row").map(|raw| raw.map(|raw| raw.0))
    }

    fn int(&self, at: usize) -> Result<Option<i64>> {
        Ok(self.raw(at)?.and_then(integer))
    }

    fn flag(&self, at: usize) -> Result<bool> {
        Ok(self.raw(at)? == Some(&[1]))
    }

    fn text(&self, at: usize) -> Result<Option<&str>> {
        Ok(self.raw(at)?.and_then(|raw| std::str::from_utf8(raw).ok()))
    }

    fn owned(&self, at: usize) -> Result<String> {
        Ok(self.text(at)?.unwrap_or_default().to_owned())
    }
}

/// An integer of any width as the server sends it.
pub(super) fn integer(raw: &[u8]) -> Option<i64> {
    match raw.len() {
        2 => raw.try_into().ok().map(i16::from_be_bytes).map(i64::from),
        4 => raw.try_into().ok().map(i32::from_be_bytes).map(i64::from),
        8 => raw.try_into().ok().map(i64::from_be_bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_written_so_that_nothing_in_it_is_taken_for_its_form() {
        let list = Arg::List(vec![Arg::text(r#"a"b\c,{}"#), Arg::Null, Arg::text("NULL"), Arg::Int(-7), Arg::text("")]);
        let mut text = String::new();
        list.write(&mut text);
        assert_eq!(text, r#"{"a\"b\\c,{}",NULL,"NULL",-7,""}"#);
    }
}
