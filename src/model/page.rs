//! One page of a feed: records whose texts share one buffer.
//!
//! A page is at most a few megabytes and lives as long as it is written or applied, so its values are spans of one
//! string instead of strings of their own: nothing is allocated for a value.

use std::fmt;

use super::{SiteId, Time, Version};

/// Where a text stands in its page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

/// What a value is; its canonical text follows from it (SYNC.md 7, `wire::value`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// No value; the text is empty.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A 64-bit signed integer in decimal.
    Integer,
    /// An exact decimal number of any length.
    Decimal,
    /// A 64-bit float: its shortest text that reads back the same, always with `.`, `e`, or `NaN`, `Infinity`, `-Infinity`.
    Real,
    /// Unicode text, as it is.
    Text,
    /// `YYYY-MM-DD`.
    Date,
    /// `HH:MM:SS[.ffffff]`.
    Clock,
    /// `YYYY-MM-DDTHH:MM:SS.ffffff`, of no zone; never shifted.
    Local,
    /// `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
    Instant,
    /// A bare lower-case UUID.
    Uuid,
    /// JSON as it was stored.
    Json,
    /// Base64 of bytes.
    Bytes,
    /// Base64 of what a database holds as text although it is not Unicode.
    Opaque,
    /// The uid of another record; [`Cell::resource`] names its resource.
    Reference,
}

/// One field of one record.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Index of the field's name in the page's names.
    pub field: u16,
    /// Of a reference: index of the resource's name in the page's names. Else 0.
    pub resource: u16,
    /// What the value is.
    pub kind: Kind,
    /// Its canonical text.
    pub text: Span,
}

/// One version of one record. Texts are spans of the page it stands in.
#[derive(Debug, Clone)]
pub struct Record {
    /// The record's uid.
    pub uid: Span,
    /// What this version has seen.
    pub version: Version,
    /// The site that created the record.
    pub origin: SiteId,
    /// The site that wrote this content.
    pub author: SiteId,
    /// The sites that imposed a policy on this content since a person last edited it. Sorted.
    pub settled: Vec<SiteId>,
    /// When this content was written, by its author's clock.
    pub modified_on: Time,
    /// The record is gone; there are no cells.
    pub deleted: bool,
    /// Not a version: the record no longer matches what is shared, and the receiver lets its copy go. There are no cells.
    pub retracted: bool,
    /// Of a deleted record: the uid that took its place (an alias).
    pub heir: Option<Span>,
    /// First cell and number of cells in [`Page::cells`].
    cells: (u32, u32),
}

/// A page of a feed of one resource.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The resource's name.
    pub resource: String,
    /// The cursor after this page.
    pub cursor: String,
    /// Whether there is more after it.
    pub more: bool,
    /// The run number that the sender told us for this pair, where it did.
    pub run: Option<u64>,
    /// The records, in the sender's order of arrival.
    pub records: Vec<Record>,
    cells: Vec<Cell>,
    names: Vec<String>,
    text: String,
}

/// BLAKE3 of a record's canonical content; all zero for a deleted record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// That of every deleted record.
    pub const DELETED: Digest = Digest([0; 32]);
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A value as it stands in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value<'a> {
    /// What it is.
    pub kind: Kind,
    /// Of a reference: the resource of its target. Else empty.
    pub resource: &'a str,
    /// Its canonical text.
    pub text: &'a str,
}

impl Value<'_> {
    /// The absent value.
    pub const NULL: Value<'static> = Value { kind: Kind::Null, resource: "", text: "" };
}

/// A record together with its page.
#[derive(Clone, Copy)]
pub struct RecordView<'a> {
    /// The page.
    pub page: &'a Page,
    /// The record.
    pub record: &'a Record,
}

impl Page {
    /// An empty page of `resource`.
    pub fn new(resource: &str) -> Page {
        Page { resource: resource.to_owned(), ..Page::default() }
    }

    /// Empties the page for another use and keeps its buffers and names.
    pub fn clear(&mut self) {
        self.records.clear();
        self.cells.clear();
        self.text.clear();
        self.cursor.clear();
        self.more = false;
        self.run = None;
    }

    /// The index of a name (of a field or resource) in this page, added if it is new.
    /// There can be 65,535 names; a further one is `None`.
    pub fn name(&mut self, name: &str) -> Option<u16> {
        if let Some(at) = self.names.iter().position(|known| known == name) {
            return u16::try_from(at).ok();
        }
        let at = u16::try_from(self.names.len()).ok().filter(|at| *at < u16::MAX)?;
        self.names.push(name.to_owned());
        Some(at)
    }

    /// The name at an index that [`Page::name`] gave.
    pub fn name_of(&self, at: u16) -> &str {
        self.names.get(usize::from(at)).map_or("", String::as_str)
    }

    /// How many bytes the texts take.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Puts a text into the buffer. Buffers stay far below 4 GiB: readers and writers limit a page's bytes.
    pub fn put(&mut self, text: &str) -> Span {
        let start = self.text.len();
        self.text.push_str(text);
        self.span_from(start)
    }

    /// Lets `write` append to the buffer; what it appended is the span. `write` must only append.
    pub fn put_with<E>(&mut self, write: impl FnOnce(&mut String) -> Result<(), E>) -> Result<Span, E> {
        let start = self.text.len();
        write(&mut self.text)?;
        Ok(self.span_from(start))
    }

    fn span_from(&self, start: usize) -> Span {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { start: narrow(start), len: narrow(self.text.len() - start) }
    }

    /// The text at a span of this page.
    pub fn text(&self, span: Span) -> &str {
        let start = span.start as usize;
        self.text.get(start..start + span.len as usize).unwrap_or("")
    }

    /// Adds a cell to the record that is being built; [`Page::finish`] closes it.
    pub fn cell(&mut self, cell: Cell) {
        self.cells.push(cell);
    }

    /// How many cells there are: taken before the first cell of a record, it is what [`Page::finish`] wants.
    pub fn mark(&self) -> usize {
        self.cells.len()
    }

    /// Closes a record whose cells begin at `mark`.
    pub fn finish(&mut self, mut record: Record, mark: usize) {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        record.cells = (narrow(mark), narrow(self.cells.len() - mark));
        self.records.push(record);
    }

    /// A record with its page.
    pub fn view<'a>(&'a self, record: &'a Record) -> RecordView<'a> {
        RecordView { page: self, record }
    }

    /// The records with their page, in order.
    pub fn views(&self) -> impl ExactSizeIterator<Item = RecordView<'_>> {
        self.records.iter().map(|record| self.view(record))
    }

    /// Copies a record, texts and all, from another page to the end of this one.
    pub fn copy(&mut self, from: RecordView<'_>) {
        let mark = self.mark();
        for cell in from.cells() {
            let value = from.value(cell);
            let (field, resource) = (self.name(from.page.name_of(cell.field)), self.name_or_zero(value.resource));
            let text = self.put(value.text);
            if let Some(field) = field {
                self.cell(Cell { field, resource, kind: cell.kind, text });
            }
        }
        let mut record = from.record.clone();
        record.uid = self.put(from.uid());
        record.heir = from.heir().map(|heir| self.put(heir));
        self.finish(record, mark);
    }

    /// A page with the state of one record and none of its content.
    pub fn tombstone_of(from: RecordView<'_>) -> Page {
        let mut page = Page::new(&from.page.resource);
        let mut record = from.record.clone();
        record.uid = page.put(from.uid());
        record.heir = None;
        let mark = page.mark();
        page.finish(record, mark);
        page
    }

    /// Makes a record a retraction: its content does not travel.
    pub fn retract(&mut self, at: usize) {
        if let Some(record) = self.records.get_mut(at) {
            (record.retracted, record.cells) = (true, (0, 0));
        }
    }

    /// Keeps the first `count` records.
    pub fn truncate(&mut self, count: usize) {
        self.records.truncate(count);
    }

    /// Takes out the records at these indexes, which ascend.
    pub fn remove(&mut self, at: &[usize]) {
        let mut index = 0;
        self.records.retain(|_| {
            index += 1;
            at.binary_search(&(index - 1)).is_err()
        });
    }

    /// The index of a resource's name; 0 for the empty name.
    pub fn name_or_zero(&mut self, name: &str) -> u16 {
        if name.is_empty() { 0 } else { self.name(name).unwrap_or(0) }
    }
}

impl Record {
    /// A living record with nothing known of it but its uid.
    pub fn new(uid: Span, site: SiteId, modified_on: Time) -> Record {
        Record {
            uid,
            version: Version::default(),
            origin: site,
            author: site,
            settled: Vec::new(),
            modified_on,
            deleted: false,
            retracted: false,
            heir: None,
            cells: (0, 0),
        }
    }

    /// Whether it has content: it is neither deleted nor a retraction.
    pub fn lives(&self) -> bool {
        !self.deleted && !self.retracted
    }
}

impl<'a> RecordView<'a> {
    /// The record's uid.
    pub fn uid(self) -> &'a str {
        self.page.text(self.record.uid)
    }

    /// The uid that took the place of this deleted record.
    pub fn heir(self) -> Option<&'a str> {
        self.record.heir.map(|span| self.page.text(span))
    }

    /// Its cells, in the order they came.
    pub fn cells(self) -> &'a [Cell] {
        let (first, count) = (self.record.cells.0 as usize, self.record.cells.1 as usize);
        self.page.cells.get(first..first + count).unwrap_or(&[])
    }

    /// The value of one of its cells.
    pub fn value(self, cell: &Cell) -> Value<'a> {
        let resource = if cell.kind == Kind::Reference { self.page.name_of(cell.resource) } else { "" };
        Value { kind: cell.kind, resource, text: self.page.text(cell.text) }
    }

    /// Names and values, in the order they came.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.cells().iter().map(move |cell| (self.page.name_of(cell.field), self.value(cell)))
    }

    /// The value of a field, `None` where the record does not have it.
    pub fn get(self, field: &str) -> Option<Value<'a>> {
        self.fields().find(|(name, _)| *name == field).map(|(_, value)| value)
    }

    /// The digest of the content: of the fields that are not null, in the order of their names, so that it depends neither
    /// on the order of columns nor on columns that one site lacks and the other leaves empty; nor on what a database calls a value ([`Value::plain`]).
    pub fn digest(self) -> Digest {
        if self.record.lives() { digest(self.fields()) } else { Digest::DELETED }
    }

    /// The digest this content has once it is laid over `under`: fields that this record does not name keep the value they have there.
    pub fn digest_over(self, under: RecordView<'_>) -> Digest {
        if !self.record.lives() {
            return Digest::DELETED;
        }
        let kept = under.fields().filter(|(name, _)| self.get(name).is_none());
        digest(self.fields().chain(kept))
    }
}

fn digest<'a>(fields: impl Iterator<Item = (&'a str, Value<'a>)>) -> Digest {
    let mut fields: smallvec::SmallVec<[(&str, Value<'_>); 32]> = fields.filter(|(_, value)| value.kind != Kind::Null).collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    let mut hash = blake3::Hasher::new();
    let mut add = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for (name, value) in fields {
        let plain = value.plain();
        add(name);
        add(tag(plain.kind));
        add(plain.resource);
        add(&plain.text);
    }
    Digest(*hash.finalize().as_bytes())
}

/// What stands for a kind in a digest and in `e:type`. Never changed once released.
fn tag(kind: Kind) -> &'static str {
    kind.word()
}

impl Kind {
    const WORDS: [(Kind, &'static str); 15] = [
        (Kind::Null, "null"),
        (Kind::Boolean, "boolean"),
        (Kind::Integer, "integer"),
        (Kind::Decimal, "decimal"),
        (Kind::Real, "real"),
        (Kind::Text, "text"),
        (Kind::Date, "date"),
        (Kind::Clock, "time"),
        (Kind::Local, "datetime"),
        (Kind::Instant, "instant"),
        (Kind::Uuid, "uuid"),
        (Kind::Json, "json"),
        (Kind::Bytes, "bytes"),
        (Kind::Opaque, "opaque"),
        (Kind::Reference, "reference"),
    ];

    /// The word for this kind in `e:type` and in digests.
    pub fn word(self) -> &'static str {
        Kind::WORDS.iter().find(|(kind, _)| *kind == self).map_or("null", |(_, word)| word)
    }

    /// The kind a word stands for.
    pub fn from_word(word: &str) -> Option<Kind> {
        Kind::WORDS.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(fields: &[(&str, Kind, &str)]) -> Page {
        let mut page = Page::new("t");
        let uid = page.put("u");
        let mark = page.mark();
        for (name, kind, text) in fields {
            let (field, text) = (page.name(name).unwrap(), page.put(text));
            page.cell(Cell { field, resource: 0, kind: *kind, text });
        }
        page.finish(Record::new(uid, SiteId::random(), Time(0)), mark);
        page
    }

    fn digest_of(fields: &[(&str, Kind, &str)]) -> Digest {
        page(fields).views().next().unwrap().digest()
    }

    #[test]
    fn a_digest_depends_on_names_kinds_and_values_but_not_on_order_or_nulls() {
        let one = digest_of(&[("a", Kind::Integer, "1"), ("b", Kind::Text, "x")]);
        assert_eq!(one, digest_of(&[("b", Kind::Text, "x"), ("c", Kind::Null, ""), ("a", Kind::Integer, "1")]));
        for other in [
            digest_of(&[("a", Kind::Text, "1"), ("b", Kind::Text, "x")]),
            digest_of(&[("a", Kind::Integer, "1"), ("b", Kind::Text, "y")]),
            digest_of(&[("a", Kind::Integer, "1"), ("bx", Kind::Text, "")]),
            digest_of(&[("a", Kind::Integer, "1")]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_digest_does_not_depend_on_what_a_database_calls_a_value() {
        let one = digest_of(&[("a", Kind::Boolean, "true"), ("b", Kind::Local, "2026-01-02T03:04:05.000000"), ("c", Kind::Decimal, "1.5")]);
        assert_eq!(one, digest_of(&[("a", Kind::Integer, "1"), ("b", Kind::Text, "2026-01-02 03:04:05"), ("c", Kind::Real, "1.5")]));
        assert_ne!(one, digest_of(&[("a", Kind::Integer, "1"), ("b", Kind::Text, "2026-01-02T03:04:05"), ("c", Kind::Real, "1.5")]));
    }

    #[test]
    fn fields_that_a_version_does_not_name_keep_their_value() {
        let local = page(&[("a", Kind::Integer, "1"), ("b", Kind::Text, "x")]);
        let incoming = page(&[("a", Kind::Integer, "2")]);
        let laid = incoming.view(&incoming.records[0]).digest_over(local.view(&local.records[0]));
        assert_eq!(laid, digest_of(&[("a", Kind::Integer, "2"), ("b", Kind::Text, "x")]));
    }

    #[test]
    fn a_copied_record_has_the_same_content() {
        let from = page(&[("a", Kind::Integer, "1"), ("b", Kind::Text, "x")]);
        let mut to = page(&[("z", Kind::Text, "other")]);
        to.copy(from.view(&from.records[0]));
        assert_eq!(to.view(&to.records[1]).digest(), from.view(&from.records[0]).digest());
        assert_eq!(to.view(&to.records[1]).get("b").unwrap().text, "x");
    }
}
