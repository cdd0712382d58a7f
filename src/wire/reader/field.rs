//! The fields of one record: what a `<data>` or `<reference>` says, as a canonical value.

use std::{borrow::Cow, collections::HashMap};

use super::tag::{Attributes, is_meant, unescape};
use crate::{
    error::{Error, Kind as Trouble, Result},
    model::{Cell, Kind, Page},
    wire::value,
};

/// The most names of fields and resources in a page; PostgreSQL and SQLite have tables of up to 2,000 columns.
const MAX_NAMES: usize = 4096;

/// The longest name, in bytes.
pub(super) const MAX_NAME: usize = 512;

/// The names of a page. After one name mostly comes the one that came after it before, so that is looked at first.
#[derive(Default)]
pub(super) struct Names {
    known: HashMap<String, u16>,
    /// What came after the name with this index less one; at 0 what begins a record.
    follows: Vec<Option<u16>>,
    last: usize,
}

impl Names {
    /// A new record begins.
    pub(super) fn rewind(&mut self) {
        self.last = 0;
    }

    /// The index in `page` of the name that stands in the document as `raw`.
    pub(super) fn index(&mut self, raw: &str, page: &mut Page) -> Result<u16> {
        let guess = self.follows.get(self.last).copied().flatten();
        let index = match guess.filter(|index| page.name_of(*index) == raw && is_meant(raw)) {
            Some(index) => index,
            None => self.look_up(&unescape(raw)?, page)?,
        };
        if guess != Some(index) {
            self.follows.resize(self.follows.len().max(self.last + 1), None);
            self.follows[self.last] = Some(index);
        }
        self.last = usize::from(index) + 1;
        Ok(index)
    }

    fn look_up(&mut self, name: &str, page: &mut Page) -> Result<u16> {
        if let Some(index) = self.known.get(name) {
            return Ok(*index);
        }
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Error::malformed(format!("A field or resource has a name that is empty or longer than {MAX_NAME} bytes")));
        }
        let too_many = || Error::new(Trouble::TooLarge, format!("The document names more than {MAX_NAMES} fields"));
        if self.known.len() >= MAX_NAMES {
            return Err(too_many());
        }
        let index = page.name(name).ok_or_else(too_many)?;
        self.known.insert(name.to_owned(), index);
        Ok(index)
    }
}

/// How the text of a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// As itself.
    Plain,
    /// As a JSON scalar, its kind not told.
    Guess,
    /// As base64 of its UTF-8.
    Base64,
}

/// A value that is being read: what its start tag said.
pub(super) struct Open {
    field: u16,
    kind: Kind,
    written: Written,
    /// Whether content is still wanted; not if `value` gave it.
    pub(super) wants_text: bool,
}

impl Open {
    /// What the start tag of a `<data>` says; a `value` is put into `text`.
    pub(super) fn data(field: u16, attributes: &Attributes<'_>, ours: bool, text: &mut String) -> Result<Open> {
        text.clear();
        let value = attributes.raw("value");
        if let Some(raw) = value {
            text.push_str(&unescape(raw)?);
        }
        let (kind, enc) = if ours { (attributes.get("e:type")?, attributes.get("e:enc")?) } else { (None, None) };
        let kind = kind.as_deref().map(known_kind).transpose()?;
        let written = match (enc.as_deref(), kind) {
            // The canonical text of these is base64 already.
            (Some("base64"), Some(Kind::Bytes | Kind::Opaque)) => Written::Plain,
            (Some("base64"), _) => Written::Base64,
            (Some(_), _) => return Err(Error::malformed("A value has an e:enc other than base64")),
            (None, None) if value.is_some() => Written::Guess,
            (None, _) => Written::Plain,
        };
        Ok(Open { field, kind: kind.unwrap_or(Kind::Text), written, wants_text: value.is_none() })
    }

    /// The cell, its text put into the page.
    pub(super) fn cell(&self, text: &str, page: &mut Page) -> Result<Cell> {
        let (kind, text) = match self.written {
            Written::Plain => (self.kind, Cow::Borrowed(text)),
            Written::Guess => guess(text),
            Written::Base64 => {
                let text = String::from_utf8(value::bytes(text)?).map_err(|_| Error::malformed("A text in base64 is not UTF-8"))?;
                (self.kind, Cow::Owned(text))
            }
        };
        let text = page.put_with(|out| value::canonical(kind, &text, out))?;
        Ok(Cell { field: self.field, resource: 0, kind, text })
    }
}

fn known_kind(word: &str) -> Result<Kind> {
    Kind::from_word(word).filter(|kind| *kind != Kind::Reference).ok_or_else(|| {
        let shown: String = word.chars().take(40).collect();
        Error::malformed(format!("{shown:?} is not a kind of value that we know"))
    })
}

/// What `value` means where nobody says its kind: a JSON scalar, JSON, or else the text it is.
pub(in crate::wire) fn guess(text: &str) -> (Kind, Cow<'_, str>) {
    let trimmed = text.trim_matches([' ', '\t', '\r', '\n']);
    let plain = |kind| (kind, Cow::Borrowed(trimmed));
    match trimmed.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') if is_json_number(trimmed) => number(trimmed),
        Some(b't' | b'f') if value::boolean(trimmed).is_ok() => plain(Kind::Boolean),
        Some(b'n') if trimmed == "null" => (Kind::Null, Cow::Borrowed("")),
        Some(b'"') => match serde_json::from_str::<String>(trimmed) {
            Ok(string) => (Kind::Text, Cow::Owned(string)),
            Err(_) => (Kind::Text, Cow::Borrowed(text)),
        },
        Some(b'{' | b'[') if serde_json::from_str::<serde::de::IgnoredAny>(trimmed).is_ok() => plain(Kind::Json),
        _ => (Kind::Text, Cow::Borrowed(text)),
    }
}

fn number(text: &str) -> (Kind, Cow<'_, str>) {
    let kind = if !text.contains(['.', 'e', 'E']) {
        if value::integer(text).is_ok() { Kind::Integer } else { Kind::Decimal }
    } else if value::real(text).is_ok() {
        Kind::Real
    } else {
        Kind::Text
    };
    (kind, Cow::Borrowed(text))
}

/// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(unsigned);
    let mut rest = &unsigned[whole..];
    if whole == 0 || (whole > 1 && unsigned.starts_with('0')) {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}
