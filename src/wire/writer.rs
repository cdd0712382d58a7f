//! A page as an S3XML document (WIRE.md).
//!
//! Bytes are pushed by hand: this is the inner loop of every push and of every page served, so nothing is allocated for a record or a value.

use base64::{Engine, engine::general_purpose::STANDARD};
use uuid::Uuid;

use super::{
    value::stamp,
    xml::{Escaped, escape},
};
use crate::{
    error::{Error, Kind as Trouble, Result},
    model::{Cell, Kind, Page, Record, RecordView, SiteId, Version},
};

/// The name of our additions' namespace.
pub(super) const NAMESPACE: &str = "urn:entente:1";

/// Length of a BLAKE3 digest in hexadecimal.
pub(super) const DIGEST_LEN: usize = 64;

/// Appends a page, as `site` sends it, to `out`.
///
/// [`super::read`] reads every document back to the same page, and the same page always becomes the same bytes.
/// Values have to be canonical ([`super::value::canonical`]). A name, uid or cursor that XML 1.0 cannot carry is
/// [`Trouble::Unsupported`]; then `out` is as it was. Values of the kinds text and JSON may hold any characters.
pub fn write(page: &Page, site: SiteId, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    write_page(page, site, out).inspect_err(|_| out.truncate(start))
}

fn write_page(page: &Page, site: SiteId, out: &mut Vec<u8>) -> Result<()> {
    out.reserve(page.text_len() + 64 * page.mark() + 320 * page.records.len() + 512);
    let digest_at = write_root(page, site, out)?;
    let inside = out.len();
    let mut writer = Writer { page, open: opening(page)?, names: Vec::new() };
    for view in page.views() {
        writer.record(view, out)?;
    }
    let digest = blake3::hash(&out[inside..]).to_hex();
    out.extend_from_slice(b"</s3xml>");
    out[digest_at..digest_at + DIGEST_LEN].copy_from_slice(digest.as_bytes());
    Ok(())
}

/// Writes the root's start tag with room for the digest, and says where that room is.
fn write_root(page: &Page, site: SiteId, out: &mut Vec<u8>) -> Result<usize> {
    out.extend_from_slice(b"<s3xml xmlns:e=\"");
    out.extend_from_slice(NAMESPACE.as_bytes());
    out.push(b'"');
    attribute(b" e:resource=\"", &page.resource, out)?;
    attribute(b" e:cursor=\"", &page.cursor, out)?;
    out.extend_from_slice(if page.more { b" e:more=\"true\"" } else { b" e:more=\"false\"" });
    out.extend_from_slice(b" e:digest=\"");
    let digest_at = out.len();
    out.resize(digest_at + DIGEST_LEN, b'0');
    out.push(b'"');
    if let Some(run) = page.run {
        out.extend_from_slice(b" e:run=\"");
        number(run, out);
        out.push(b'"');
    }
    out.extend_from_slice(b" e:site=\"");
    uuid(site, out);
    out.extend_from_slice(b"\">");
    Ok(digest_at)
}

/// What every record of the page begins with.
fn opening(page: &Page) -> Result<Vec<u8>> {
    let mut open = Vec::new();
    attribute(b"<resource name=\"", &page.resource, &mut open)?;
    open.extend_from_slice(b" uuid=\"");
    Ok(open)
}

struct Writer<'a> {
    page: &'a Page,
    open: Vec<u8>,
    /// Names by their index in the page, escaped when they are first met.
    names: Vec<Option<Box<[u8]>>>,
}

impl Writer<'_> {
    fn record(&mut self, view: RecordView<'_>, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.open);
        attribute(b"", view.uid(), out)?;
        out.extend_from_slice(b" modified_on=\"");
        out.extend_from_slice(&stamp(view.record.modified_on));
        out.push(b'"');
        lineage(view.record, out);
        if view.record.deleted {
            out.extend_from_slice(b" deleted=\"True\"");
            if let Some(heir) = view.heir() {
                attribute(b" replaced_by=\"", heir, out)?;
            }
            out.extend_from_slice(b"/>");
            return Ok(());
        }
        if view.record.retracted {
            out.extend_from_slice(b" e:retracted=\"true\"/>");
            return Ok(());
        }
        out.push(b'>');
        for cell in view.cells() {
            self.cell(cell, out)?;
        }
        out.extend_from_slice(b"</resource>");
        Ok(())
    }

    fn cell(&mut self, cell: &Cell, out: &mut Vec<u8>) -> Result<()> {
        let (kind, text) = (cell.kind, self.page.text(cell.text));
        if kind == Kind::Reference {
            out.extend_from_slice(b"<reference field=\"");
            self.name(cell.field, out)?;
            out.extend_from_slice(b"\" resource=\"");
            self.name(cell.resource, out)?;
            attribute(b"\" uuid=\"", text, out)?;
            out.extend_from_slice(b"/>");
            return Ok(());
        }
        out.extend_from_slice(b"<data field=\"");
        self.name(cell.field, out)?;
        out.push(b'"');
        if tagged(kind, text) {
            out.extend_from_slice(b" e:type=\"");
            out.extend_from_slice(kind.word().as_bytes());
            out.push(b'"');
        }
        match kind {
            Kind::Null => out.extend_from_slice(b"/>"),
            Kind::Text | Kind::Json => content(text, out),
            Kind::Bytes | Kind::Opaque => {
                out.extend_from_slice(b" e:enc=\"base64\">");
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(b"</data>");
            }
            _ => {
                attribute(b" value=\"", text, out)?;
                out.extend_from_slice(b"/>");
            }
        }
        Ok(())
    }

    fn name(&mut self, at: u16, out: &mut Vec<u8>) -> Result<()> {
        let at = usize::from(at);
        if self.names.len() <= at {
            self.names.resize(at + 1, None);
        }
        let known = &mut self.names[at];
        if known.is_none() {
            let name = self.page.name_of(u16::try_from(at).unwrap_or(u16::MAX));
            let mut escaped = Vec::new();
            if name.is_empty() || escape::<true>(name, &mut escaped) == Escaped::Impossible {
                return Err(cannot_travel(name));
            }
            *known = Some(escaped.into());
        }
        out.extend_from_slice(known.as_deref().unwrap_or_default());
        Ok(())
    }
}

/// Whether a value says its kind: text, integers, booleans and floats that are JSON numbers are known by their form.
fn tagged(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Text | Kind::Integer | Kind::Boolean => false,
        Kind::Real => text.ends_with(['N', 'y']),
        _ => true,
    }
}

/// Who wrote the record and what it has seen.
fn lineage(record: &Record, out: &mut Vec<u8>) {
    if !record.version.is_empty() {
        out.extend_from_slice(b" e:version=\"");
        version(&record.version, out);
        out.push(b'"');
    }
    out.extend_from_slice(b" e:origin=\"");
    uuid(record.origin, out);
    out.push(b'"');
    if record.author != record.origin {
        out.extend_from_slice(b" e:author=\"");
        uuid(record.author, out);
        out.push(b'"');
    }
    if !record.settled.is_empty() {
        out.extend_from_slice(b" e:settled=\"");
        for (at, site) in record.settled.iter().enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            uuid(*site, out);
        }
        out.push(b'"');
    }
}

fn version(version: &Version, out: &mut Vec<u8>) {
    for (at, (actor, counter)) in version.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        uuid(actor.site, out);
        out.push(b'.');
        number(actor.incarnation.into(), out);
        out.push(b':');
        number(counter, out);
    }
}

/// The end of a `<data>` tag, the text, and the end tag.
fn content(text: &str, out: &mut Vec<u8>) {
    let before = out.len();
    out.push(b'>');
    if escape::<false>(text, out) == Escaped::Impossible {
        out.truncate(before);
        out.extend_from_slice(b" e:enc=\"base64\">");
        let at = out.len();
        out.resize(at + base64::encoded_len(text.len(), true).unwrap_or(0), 0);
        // The room is exactly what it takes, so this cannot fail.
        _ = STANDARD.encode_slice(text, &mut out[at..]);
    }
    out.extend_from_slice(b"</data>");
}

/// What comes before it, an attribute's value, and the closing quote.
fn attribute(before: &[u8], text: &str, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(before);
    if escape::<true>(text, out) == Escaped::Impossible {
        return Err(cannot_travel(text));
    }
    out.push(b'"');
    Ok(())
}

fn cannot_travel(text: &str) -> Error {
    let shown: String = text.chars().take(60).collect();
    Error::new(Trouble::Unsupported, format!("{shown:?} cannot travel as a name: it is empty or has characters that XML cannot carry"))
}

fn uuid(site: SiteId, out: &mut Vec<u8>) {
    out.extend_from_slice(site.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
}

fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}
