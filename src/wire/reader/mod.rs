//! An S3XML document as a page (docs/WIRE.md), also as a stock Sahana Eden writes it.
//!
//! quick-xml finds the tags. What it does not refuse is refused here: unclosed tags at the end, several roots, text
//! outside the root, characters and references that XML forbids, illegal names, attributes that run together, depth, long tokens,
//! DOCTYPE and with it every entity but the five, processing instructions.

mod build;
pub(super) mod field;
mod lineage;
pub(super) mod tag;

use quick_xml::{Reader, events::Event};

use self::build::Builder;
use super::xml::uncarriable;
use crate::{
    error::{Error, Kind, Result},
    model::{Limits, Page},
};

/// Reads one S3XML document. Nothing of a document is believed unless all of it is well-formed, complete, within `limits` and,
/// where it carries `e:digest`, undamaged.
///
/// * The page's resource is the root's `e:resource`, else the `name` of the first `<resource>` in it, else empty. In a document
///   that carries our namespace every record is of that resource; in a stock document records of others are passed over.
/// * Where a stock document says nothing, the version is empty, origin and author are the nil UUID, the time is the epoch.
/// * Values are canonical ([`super::value`]). `value` wins over text and, without `e:type`, is decoded as a JSON scalar: a number is
///   an integer, a decimal if it is beyond 64 bits, a float if it has `.` or an exponent; what is no JSON is the text it is.
///   Text without `value` is taken as it stands.
/// * `<resource>` inside `<resource>` (components of Eden), and elements and attributes that we do not know, are passed over.
/// * A stock `<reference>` may hold a JSON array of uids, which is kept as it is; one without `uuid` is passed over.
/// * [`Kind::TooLarge`] beyond a limit; [`Kind::Unsupported`] for an encoding other than UTF-8; else [`Kind::Malformed`].
pub fn read(body: &[u8], limits: &Limits) -> Result<Page> {
    let text = admit(body, limits)?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut builder = Builder::new(text, limits);
    loop {
        let start = position(&reader);
        match reader.read_event() {
            Ok(Event::Text(raw)) => builder.text(&raw)?,
            Ok(Event::Start(tag)) => builder.open(tag.name().as_ref(), tag.attributes_raw(), position(&reader))?,
            Ok(Event::End(_)) => builder.close(start)?,
            Ok(Event::Empty(tag)) => {
                let end = position(&reader);
                builder.open(tag.name().as_ref(), tag.attributes_raw(), end)?;
                builder.close(end)?;
            }
            Ok(Event::GeneralRef(reference)) => builder.character(tag::resolve(&reference)?)?,
            Ok(Event::CData(raw)) => builder.cdata(&raw)?,
            Ok(Event::Comment(comment)) => builder.comment(&comment)?,
            Ok(Event::Decl(declaration)) if start == 0 => tag::check_declaration(&declaration, limits)?,
            Ok(Event::Decl(_)) => return Err(Error::malformed("An XML declaration stands in the middle of the document")),
            Ok(Event::PI(_)) => return Err(Error::malformed("The document has a processing instruction")),
            Ok(Event::DocType(_)) => return Err(Error::malformed("The document has a DOCTYPE, which is never read")),
            Ok(Event::Eof) => return builder.finish(),
            Err(error) => return Err(ill_formed(&error, reader.error_position())),
        }
    }
}

/// What is checked before anything is parsed.
fn admit<'a>(body: &'a [u8], limits: &Limits) -> Result<&'a str> {
    // Spans of a page are 32 bits wide, and normalised values take up to four times the room they had.
    if body.len() as u64 > limits.body.min(u64::from(u32::MAX) / 4) {
        return Err(Error::new(Kind::TooLarge, format!("The document is larger than the {} bytes it may have", limits.body)));
    }
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|error| {
        let utf16 = body.starts_with(b"\xFF\xFE") || body.starts_with(b"\xFE\xFF");
        let kind = if utf16 { Kind::Unsupported } else { Kind::Malformed };
        Error::new(kind, format!("The document is not UTF-8 at byte {}", error.valid_up_to()))
    })?;
    match uncarriable(text) {
        Some(at) => Err(Error::malformed(format!("The document has a character at byte {at} that XML forbids"))),
        None => Ok(text),
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn ill_formed(error: &quick_xml::Error, at: u64) -> Error {
    // The parser repeats names of the document, of any length, in its errors.
    let said: String = error.to_string().chars().take(200).collect();
    Error::malformed(format!("The document is not well-formed XML near byte {at}: {said}"))
}

#[cfg(test)]
mod tests;
