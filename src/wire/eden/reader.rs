//! An S3XML document of a stock Sahana Eden. No DTD, no entities but the five, nothing that leads outside.

use quick_xml::{Reader, events::Event};

use super::{build::Builder, text::decode};
use crate::{
    error::{Error, Kind, Result},
    model::{Limits, eden::Document},
    wire::{reader::tag, xml::uncarriable},
};

/// Reads a document. Nothing of it is believed unless all of it is well-formed, complete and within `limits`.
///
/// * Elements of any resource are read, at the root, inside each other and inside references; `own` are our names, whose prefix goes from uids.
/// * Of two elements of one record the last counts, unless it says nothing.
/// * An element without a uid gets one that follows from its content, so that it is the same record when it comes again.
/// * An element that cannot be a record is told in [`Document::refused`] and spares the others.
/// * [`Kind::TooLarge`] beyond a limit; else [`Kind::Malformed`].
pub fn read(body: &[u8], own: &[&str], limits: &Limits) -> Result<Document> {
    if body.len() as u64 > limits.body.min(u64::from(u32::MAX) / 4) {
        return Err(Error::new(Kind::TooLarge, format!("The document is larger than the {} bytes it may have", limits.body)));
    }
    let text = decode(body)?;
    if let Some(at) = uncarriable(&text) {
        return Err(Error::malformed(format!("XML Parse error: a character at byte {at} that XML forbids")));
    }
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_comments = true;
    let mut builder = Builder::new(own, limits);
    loop {
        match reader.read_event() {
            Ok(Event::Text(raw)) => builder.text(&raw)?,
            Ok(Event::Start(tag)) => builder.open(tag.name().as_ref(), tag.attributes_raw())?,
            Ok(Event::End(_)) => builder.close()?,
            Ok(Event::Empty(tag)) => {
                builder.open(tag.name().as_ref(), tag.attributes_raw())?;
                builder.close()?;
            }
            Ok(Event::GeneralRef(reference)) => builder.character(tag::resolve(&reference)?)?,
            Ok(Event::CData(raw)) => builder.text(&raw)?,
            Ok(Event::Comment(_) | Event::Decl(_)) => {}
            Ok(Event::PI(_)) => return Err(Error::malformed("XML Parse error: a processing instruction")),
            Ok(Event::DocType(_)) => return Err(Error::malformed("XML Parse error: a DOCTYPE, which is never read")),
            Ok(Event::Eof) => return builder.finish(),
            Err(error) => {
                let said: String = error.to_string().chars().take(200).collect();
                return Err(Error::malformed(format!("XML Parse error near byte {}: {said}", reader.error_position())));
            }
        }
    }
}

#[cfg(test)]
mod tests;
