//! Builds the page from the events of a document.

use super::{
    field::{MAX_NAME, Names, Open},
    lineage::{lineage, number, time},
    tag::Attributes,
};
use crate::{
    error::{Error, Kind as Trouble, Result},
    model::{Cell, Kind, Limits, Page, Record, SiteId, Time, Uid},
    wire::{
        value,
        writer::{DIGEST_LEN, NAMESPACE},
        xml::is_name,
    },
};

/// The longest cursor, in bytes.
const MAX_CURSOR: usize = 4096;

/// Where in the document we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Root,
    Record,
    Value,
    /// In an element that is passed over, opened at this depth from the place before it.
    Passed {
        depth: u32,
        from: Beneath,
    },
    After,
}

/// The place that is returned to once an element that was passed over ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beneath {
    Root,
    Record,
    Value,
}

pub(super) struct Builder<'a> {
    document: &'a str,
    limits: &'a Limits,
    page: Page,
    place: Place,
    depth: u32,
    /// Whether the document carries our namespace.
    ours: bool,
    digest: Option<String>,
    /// Where the root's content begins.
    inside: usize,
    names: Names,
    record: Option<Record>,
    cells: Vec<Cell>,
    /// By field: the last record that had it, counted from 1, and where in `cells`.
    seen: Vec<(usize, usize)>,
    value: Option<Open>,
    /// The text of the value that is being read.
    text: String,
}

impl<'a> Builder<'a> {
    pub(super) fn new(document: &'a str, limits: &'a Limits) -> Builder<'a> {
        Builder {
            document,
            limits,
            page: Page::default(),
            place: Place::Before,
            depth: 0,
            ours: false,
            digest: None,
            inside: 0,
            names: Names::default(),
            record: None,
            cells: Vec::new(),
            seen: Vec::new(),
            value: None,
            text: String::new(),
        }
    }

    /// A start tag whose end is at byte `end`.
    pub(super) fn open(&mut self, name: &str, attributes: &str, end: usize) -> Result<()> {
        if !is_name(name) {
            return Err(Error::malformed("An element's name is not a name"));
        }
        if self.depth >= self.limits.depth {
            return Err(Error::new(Trouble::TooLarge, format!("Elements are nested more than {} deep", self.limits.depth)));
        }
        let attributes = Attributes::parse(attributes, self.limits)?;
        self.depth += 1;
        if self.depth > 1 && attributes.iter().any(|(name, _)| name == "xmlns" || name == "xmlns:e") {
            return Err(Error::malformed("A namespace is declared inside the root"));
        }
        match (self.place, name) {
            (Place::Before, _) => self.root(name, &attributes, end),
            (Place::After, _) => Err(Error::malformed("The document has more than one root")),
            (Place::Root, "resource") => self.resource(&attributes),
            (Place::Record, "data") if self.is_alive() => self.data(&attributes),
            (Place::Record, "reference") if self.is_alive() => self.reference(&attributes),
            (Place::Root, _) => self.pass_over(Beneath::Root),
            (Place::Record, _) => self.pass_over(Beneath::Record),
            (Place::Value, _) => self.pass_over(Beneath::Value),
            (Place::Passed { .. }, _) => Ok(()),
        }
    }

    fn is_alive(&self) -> bool {
        self.record.as_ref().is_some_and(Record::lives)
    }

    fn pass_over(&mut self, from: Beneath) -> Result<()> {
        self.place = Place::Passed { depth: self.depth, from };
        Ok(())
    }

    fn root(&mut self, name: &str, attributes: &Attributes<'_>, end: usize) -> Result<()> {
        if name != "s3xml" {
            return Err(Error::malformed("The document's root is not s3xml"));
        }
        for (name, value) in attributes.iter() {
            match name {
                "xmlns" => return Err(Error::malformed("The root has a default namespace")),
                "xmlns:e" => self.ours = value == NAMESPACE,
                _ if name.starts_with("xmlns:") && value == NAMESPACE => {
                    return Err(Error::malformed(format!("The namespace {NAMESPACE} has a prefix other than e")));
                }
                _ => {}
            }
        }
        self.inside = end;
        self.place = Place::Root;
        if self.ours { self.heading(attributes) } else { Ok(()) }
    }

    /// What our root says of the page.
    fn heading(&mut self, attributes: &Attributes<'_>) -> Result<()> {
        self.page.resource = short(attributes, "e:resource", MAX_NAME)?;
        self.page.cursor = short(attributes, "e:cursor", MAX_CURSOR)?;
        self.page.more = match attributes.raw("e:more") {
            None => false,
            Some(word) => value::boolean(word)?,
        };
        self.page.run = attributes.raw("e:run").map(|digits| number(digits).ok_or_else(|| no("run number"))).transpose()?;
        self.digest = attributes.raw("e:digest").map(str::to_owned);
        attributes.raw("e:site").map_or(Ok(()), |site| site.parse::<SiteId>().map(|_| ()))
    }

    fn resource(&mut self, attributes: &Attributes<'_>) -> Result<()> {
        let name = attributes.get("name")?.unwrap_or_default();
        if self.page.resource.is_empty() {
            self.page.resource = short(attributes, "name", MAX_NAME)?;
        }
        if name != self.page.resource || name.is_empty() {
            let wrong = || Error::malformed("A record is not of the resource that the document is of");
            return if self.ours { Err(wrong()) } else { self.pass_over(Beneath::Root) };
        }
        if self.page.records.len() >= self.limits.records as usize {
            return Err(Error::new(Trouble::TooLarge, format!("The document has more than {} records", self.limits.records)));
        }
        let record = self.begin(attributes)?;
        self.record = Some(record);
        self.names.rewind();
        self.place = Place::Record;
        Ok(())
    }

    fn begin(&mut self, attributes: &Attributes<'_>) -> Result<Record> {
        let uid = attributes.get("uuid")?.ok_or_else(|| Error::malformed("A record has no uuid"))?;
        let uid = self.page.put(Uid::check(&uid)?);
        let modified_on = attributes.get("modified_on")?.map_or(Ok(Time::default()), |text| time(&text))?;
        let mut record = Record::new(uid, SiteId(uuid::Uuid::nil()), modified_on);
        record.deleted = attributes.raw("deleted").is_some_and(|word| word.eq_ignore_ascii_case("true"));
        if record.deleted
            && let Some(heir) = attributes.get("replaced_by")?
        {
            record.heir = Some(self.page.put(Uid::check(&heir)?));
        }
        if self.ours {
            lineage(attributes, &mut record)?;
            record.retracted = attributes.raw("e:retracted").map_or(Ok(false), value::boolean)?;
            if record.retracted && record.deleted {
                return Err(Error::malformed("A record is deleted and retracted at once"));
            }
        }
        Ok(record)
    }

    fn data(&mut self, attributes: &Attributes<'_>) -> Result<()> {
        let field = self.field(attributes)?;
        self.value = Some(Open::data(field, attributes, self.ours, &mut self.text)?);
        self.place = Place::Value;
        Ok(())
    }

    fn field(&mut self, attributes: &Attributes<'_>) -> Result<u16> {
        let raw = attributes.raw("field").ok_or_else(|| Error::malformed("A value does not name its field"))?;
        self.names.index(raw, &mut self.page)
    }

    fn reference(&mut self, attributes: &Attributes<'_>) -> Result<()> {
        let uid = attributes.get("uuid")?.unwrap_or_default();
        let resource = attributes.raw("resource");
        let (Some(resource), false) = (resource, uid.is_empty()) else {
            return if self.ours { Err(no("reference")) } else { self.pass_over(Beneath::Record) };
        };
        let uids = if !self.ours && uid.starts_with('[') { &uid } else { Uid::check(&uid)? };
        let field = self.field(attributes)?;
        let resource = self.names.index(resource, &mut self.page)?;
        let text = self.page.put(uids);
        self.add(Cell { field, resource, kind: Kind::Reference, text })?;
        self.pass_over(Beneath::Record)
    }

    /// Adds a cell to the record. Eden lets the last of several values of a field win; our documents have one.
    fn add(&mut self, cell: Cell) -> Result<()> {
        let (field, record) = (usize::from(cell.field), self.page.records.len() + 1);
        if self.seen.len() <= field {
            self.seen.resize(field + 1, (0, 0));
        }
        match self.seen[field] {
            (at, _) if at != record => {
                self.seen[field] = (record, self.cells.len());
                self.cells.push(cell);
            }
            _ if self.ours => return Err(Error::malformed("A record has a field twice")),
            (_, at) => self.cells[at] = cell,
        }
        Ok(())
    }

    /// An end tag that begins at byte `start`.
    pub(super) fn close(&mut self, start: usize) -> Result<()> {
        match self.place {
            Place::Passed { depth, from } if depth == self.depth => {
                self.place = match from {
                    Beneath::Root => Place::Root,
                    Beneath::Record => Place::Record,
                    Beneath::Value => Place::Value,
                }
            }
            Place::Value => {
                if let Some(value) = self.value.take() {
                    let cell = value.cell(&self.text, &mut self.page)?;
                    self.add(cell)?;
                }
                self.place = Place::Record;
            }
            Place::Record => {
                let mark = self.page.mark();
                self.cells.drain(..).for_each(|cell| self.page.cell(cell));
                if let Some(record) = self.record.take() {
                    self.page.finish(record, mark);
                }
                self.place = Place::Root;
            }
            Place::Root => self.end_root(start)?,
            Place::Passed { .. } | Place::Before | Place::After => {}
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    fn end_root(&mut self, start: usize) -> Result<()> {
        self.place = Place::After;
        let Some(digest) = &self.digest else { return Ok(()) };
        let content = self.document.as_bytes().get(self.inside..start).unwrap_or_default();
        let right = digest.len() == DIGEST_LEN && *blake3::hash(content).to_hex() == **digest;
        if right { Ok(()) } else { Err(Error::malformed("The document was damaged on its way: its digest does not match")) }
    }

    /// Content as it stands in the document.
    pub(super) fn text(&mut self, raw: &str) -> Result<()> {
        if memchr::memchr(b'>', raw.as_bytes()).is_some() && raw.contains("]]>") {
            return Err(Error::malformed("A bare ]]> stands in a text"));
        }
        let white = || raw.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        if matches!(self.place, Place::Before | Place::After) && !white() {
            return Err(outside());
        }
        self.push(raw)
    }

    /// The content of a CDATA section.
    pub(super) fn cdata(&mut self, raw: &str) -> Result<()> {
        if matches!(self.place, Place::Before | Place::After) {
            return Err(outside());
        }
        self.push(raw)
    }

    /// A comment, which means nothing.
    pub(super) fn comment(&self, raw: &str) -> Result<()> {
        self.check_length(raw.len())
    }

    fn push(&mut self, raw: &str) -> Result<()> {
        if !self.wants_text() {
            return self.check_length(raw.len());
        }
        self.check_length(self.text.len() + raw.len())?;
        let mut rest = raw;
        // XML 1.0, 2.11: a parser gives CR LF and a bare CR as LF.
        while let Some((before, after)) = rest.split_once('\r') {
            self.text.push_str(before);
            self.text.push('\n');
            rest = after.strip_prefix('\n').unwrap_or(after);
        }
        self.text.push_str(rest);
        Ok(())
    }

    /// A character that a reference stands for.
    pub(super) fn character(&mut self, c: char) -> Result<()> {
        if matches!(self.place, Place::Before | Place::After) {
            return Err(outside());
        }
        if self.wants_text() {
            self.check_length(self.text.len() + c.len_utf8())?;
            self.text.push(c);
        }
        Ok(())
    }

    fn wants_text(&self) -> bool {
        self.place == Place::Value && self.value.as_ref().is_some_and(|value| value.wants_text)
    }

    fn check_length(&self, length: usize) -> Result<()> {
        if length as u64 > self.limits.text {
            return Err(Error::new(Trouble::TooLarge, format!("A text is longer than {} bytes", self.limits.text)));
        }
        Ok(())
    }

    /// The end of the document: the page, if its root was closed.
    pub(super) fn finish(self) -> Result<Page> {
        match self.place {
            Place::After => Ok(self.page),
            Place::Before => Err(Error::malformed("The document is empty")),
            _ => Err(Error::malformed("The document is cut off: its root is not closed").hint("Ask for the page again.")),
        }
    }
}

fn outside() -> Error {
    Error::malformed("Text stands outside the root of the document")
}

/// An attribute that may be absent but not long.
fn short(attributes: &Attributes<'_>, name: &str, longest: usize) -> Result<String> {
    let value = attributes.get(name)?.unwrap_or_default();
    if value.len() > longest { Err(Error::malformed(format!("{name} is longer than {longest} bytes"))) } else { Ok(value.into_owned()) }
}

pub(super) fn no(what: &str) -> Error {
    Error::malformed(format!("A {what} cannot be understood"))
}
