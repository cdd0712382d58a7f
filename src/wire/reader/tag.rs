//! Start tags and references, more strictly than quick-xml takes them.

use std::borrow::Cow;

use quick_xml::events::BytesDecl;
use smallvec::SmallVec;

use crate::{
    error::{Error, Kind, Result},
    model::Limits,
    wire::xml::{carries, is_name, plain_name},
};

/// The attributes of one start tag: names and raw values, which are known to be well-formed.
pub(in crate::wire) struct Attributes<'a>(SmallVec<[(&'a str, &'a str); 12]>);

impl<'a> Attributes<'a> {
    /// Takes what stands between a tag's name and its end. Attributes have a space before them, quotes round them, names that
    /// are names and occur once, no `<`, and no references but the five and to characters that XML has.
    pub(in crate::wire) fn parse(raw: &'a str, limits: &Limits) -> Result<Attributes<'a>> {
        let mut list: SmallVec<[(&str, &str); 12]> = SmallVec::new();
        let mut rest = raw;
        loop {
            let trimmed = after_space(rest);
            if trimmed.is_empty() {
                return Ok(Attributes(list));
            }
            if trimmed.len() == rest.len() {
                return Err(Error::malformed("Two attributes are not separated"));
            }
            let (name, value, after) = split_attribute(trimmed)?;
            check(value, limits)?;
            if list.iter().any(|(known, _)| *known == name) {
                return Err(Error::malformed("An element has an attribute twice"));
            }
            if list.len() >= limits.attributes as usize {
                return Err(Error::new(Kind::TooLarge, format!("An element has more than {} attributes", limits.attributes)));
            }
            list.push((name, value));
            rest = after;
        }
    }

    /// The value of an attribute as it was meant.
    pub(in crate::wire) fn get(&self, name: &str) -> Result<Option<Cow<'a, str>>> {
        self.raw(name).map(unescape).transpose()
    }

    /// The value of an attribute as it stands in the document.
    pub(in crate::wire) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Names and raw values.
    pub(in crate::wire) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().copied()
    }
}

/// The first attribute of a text that begins with one: its name, its raw value, and what follows.
fn split_attribute(text: &str) -> Result<(&str, &str, &str)> {
    let incomplete = || Error::malformed("An attribute is not written as name=\"value\"");
    let plain = plain_name(text);
    let (name, after) = match text.as_bytes().get(plain) {
        Some(b'=') if plain > 0 => (&text[..plain], &text[plain + 1..]),
        _ => {
            let (name, after) = text.split_once('=').ok_or_else(incomplete)?;
            let name = name.trim_end_matches([' ', '\t', '\r', '\n']);
            if !is_name(name) {
                return Err(Error::malformed("An attribute's name is not a name"));
            }
            (name, after)
        }
    };
    let after = after_space(after);
    let quote = *after.as_bytes().first().filter(|byte| matches!(byte, b'"' | b'\'')).ok_or_else(incomplete)?;
    let end = memchr::memchr(quote, &after.as_bytes()[1..]).ok_or_else(incomplete)?;
    Ok((name, &after[1..=end], &after[end + 2..]))
}

fn check(value: &str, limits: &Limits) -> Result<()> {
    if value.len() as u64 > limits.text {
        return Err(Error::new(Kind::TooLarge, format!("An attribute is longer than {} bytes", limits.text)));
    }
    match memchr::memchr2(b'<', b'&', value.as_bytes()) {
        None => Ok(()),
        Some(at) if value.as_bytes()[at..].contains(&b'<') => Err(Error::malformed("An attribute's value has a bare <")),
        Some(at) => check_references(&value[at..]),
    }
}

fn check_references(mut text: &str) -> Result<()> {
    while let Some((_, _, after)) = split_reference(text)? {
        text = after;
    }
    Ok(())
}

/// A text without the white space it begins with.
fn after_space(text: &str) -> &str {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    &text[text.as_bytes().iter().take_while(|byte| space(byte)).count()..]
}

/// An attribute's value as it was meant: references resolved, white space that is written as itself made spaces (XML 1.0, 3.3.3).
pub(super) fn unescape(raw: &str) -> Result<Cow<'_, str>> {
    if is_meant(raw) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, character, after)) = split_reference(rest)? {
        push_spaced(before, &mut value);
        value.push(character);
        rest = after;
    }
    push_spaced(rest, &mut value);
    Ok(Cow::Owned(value))
}

/// Whether an attribute's raw value is the value that is meant.
pub(super) fn is_meant(raw: &str) -> bool {
    // Without a branch in between, so that the compiler makes vectors of it.
    raw.bytes().fold(0, |any, byte| any | u8::from(matches!(byte, b'&' | b'\t' | b'\r' | b'\n'))) == 0
}

/// Appends a text with a space for each tab, line feed, carriage return, and pair of the last two.
fn push_spaced(text: &str, value: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['\t', '\r', '\n']) {
        value.push_str(&rest[..at]);
        value.push(' ');
        let pair = rest[at..].starts_with("\r\n");
        rest = &rest[at + if pair { 2 } else { 1 }..];
    }
    value.push_str(rest);
}

/// What stands before the first reference, the character it stands for, and what follows it.
fn split_reference(text: &str) -> Result<Option<(&str, char, &str)>> {
    let Some((before, after)) = text.split_once('&') else { return Ok(None) };
    let (name, after) = after.split_once(';').ok_or_else(|| Error::malformed("A bare & stands in an attribute's value"))?;
    Ok(Some((before, resolve(name)?, after)))
}

/// The character that a reference (without `&` and `;`) stands for.
pub(in crate::wire) fn resolve(name: &str) -> Result<char> {
    let number = |digits: &str, radix| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten().and_then(char::from_u32).filter(|c| carries(*c))
    };
    let character = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix("#x") {
            Some(digits) => number(digits, 16),
            None => name.strip_prefix('#').and_then(|digits| number(digits, 10)),
        },
    };
    character.ok_or_else(|| {
        let shown: String = name.chars().take(20).collect();
        Error::malformed(format!("The document has the reference {shown:?}, which is neither one of the five nor a character that XML has"))
    })
}

/// Whether an XML declaration announces what we read: XML 1.0 in UTF-8.
pub(super) fn check_declaration(declaration: &BytesDecl<'_>, limits: &Limits) -> Result<()> {
    let raw: &str = declaration;
    let attributes = Attributes::parse(raw.strip_prefix("xml").unwrap_or(raw), limits)?;
    let mut names = attributes.iter().map(|(name, _)| name);
    if names.next() != Some("version") || names.any(|name| !matches!(name, "encoding" | "standalone")) {
        return Err(Error::malformed("The XML declaration is not one"));
    }
    if attributes.raw("version") != Some("1.0") {
        return Err(Error::new(Kind::Unsupported, "The document is not XML 1.0"));
    }
    match attributes.raw("encoding") {
        Some(encoding) if !encoding.eq_ignore_ascii_case("utf-8") && !encoding.eq_ignore_ascii_case("us-ascii") => {
            Err(Error::new(Kind::Unsupported, "The document announces an encoding other than UTF-8"))
        }
        _ => Ok(()),
    }
}
