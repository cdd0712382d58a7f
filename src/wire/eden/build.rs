//! Builds the records of a document from its tags.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use super::text::{meant, moment, unescaped};
use crate::{
    error::{Error, Kind as Trouble, Result},
    model::{
        Kind, Limits, SiteId, Time, Uid,
        eden::{ACCOUNTS, NOBODY, UNDATED, one_of_several},
    },
    wire::{reader::tag::Attributes, xml::is_name},
};

/// The most names of fields and resources in a document.
const MAX_NAMES: usize = 8_192;

/// The most elements in a document.
const MAX_ELEMENTS: usize = 1_000_000;

/// A value before its record is known to be one.
pub(super) struct Raw {
    pub(super) field: usize,
    pub(super) resource: usize,
    pub(super) kind: Kind,
    pub(super) text: Range<usize>,
    /// The text names an element of this document.
    pub(super) local: bool,
}

/// A `<resource>`.
pub(super) struct Element {
    pub(super) resource: usize,
    pub(super) uid: String,
    pub(super) tuid: Option<String>,
    pub(super) modified: Time,
    pub(super) origin: SiteId,
    pub(super) deleted: bool,
    pub(super) heir: Option<String>,
    pub(super) cells: Vec<Raw>,
    pub(super) parent: Option<usize>,
    pub(super) refused: Option<String>,
}

/// What is open.
enum Open {
    Root,
    /// By its index.
    Element(usize),
    Data {
        of: usize,
        field: usize,
        value: Option<(Kind, String)>,
        start: usize,
    },
    Reference {
        of: usize,
        field: usize,
        /// The element that stands inside.
        inside: Option<usize>,
    },
    Passed,
}

pub(super) struct Builder<'a> {
    pub(super) own: &'a [&'a str],
    limits: &'a Limits,
    pub(super) domain: String,
    open: Vec<Open>,
    pub(super) begun: bool,
    pub(super) ended: bool,
    pub(super) names: Vec<String>,
    by_name: HashMap<String, usize>,
    pub(super) elements: Vec<Element>,
    pub(super) text: String,
}

impl<'a> Builder<'a> {
    pub(super) fn new(own: &'a [&'a str], limits: &'a Limits) -> Builder<'a> {
        let (open, names, elements) = (Vec::new(), Vec::new(), Vec::new());
        Builder {
            own,
            limits,
            domain: String::new(),
            open,
            begun: false,
            ended: false,
            names,
            by_name: HashMap::new(),
            elements,
            text: String::new(),
        }
    }

    fn name(&mut self, name: &str) -> Result<usize> {
        if let Some(known) = self.by_name.get(name) {
            return Ok(*known);
        }
        if self.names.len() >= MAX_NAMES || name.len() > 512 {
            return Err(Error::new(Trouble::TooLarge, "The document has too many names, or too long ones"));
        }
        self.names.push(name.to_owned());
        self.by_name.insert(name.to_owned(), self.names.len() - 1);
        Ok(self.names.len() - 1)
    }

    /// A start tag.
    pub(super) fn open(&mut self, name: &str, attributes: &str) -> Result<()> {
        if !is_name(name) {
            return Err(Error::malformed("XML Parse error: an element's name is not a name"));
        }
        if self.open.len() >= self.limits.depth as usize {
            return Err(Error::new(Trouble::TooLarge, format!("Elements are nested more than {} deep", self.limits.depth)));
        }
        let attributes = Attributes::parse(attributes, self.limits)?;
        let next = match (self.open.last(), name) {
            (None, _) => self.root(name, &attributes)?,
            (Some(Open::Root), "resource") => self.element(&attributes, None)?,
            (Some(Open::Element(of)), "resource") if !self.elements[*of].deleted => self.element(&attributes, Some(*of))?,
            (Some(Open::Element(of)), "data") if !self.elements[*of].deleted => self.data(*of, &attributes)?,
            (Some(Open::Element(of)), "reference") if !self.elements[*of].deleted => self.reference(*of, &attributes)?,
            (Some(Open::Reference { .. }), "resource") => {
                let element = self.element(&attributes, None)?;
                if let (Open::Element(at), Some(Open::Reference { inside, .. })) = (&element, self.open.last_mut()) {
                    *inside = inside.or(Some(*at));
                }
                element
            }
            _ => Open::Passed,
        };
        self.open.push(next);
        Ok(())
    }

    fn root(&mut self, name: &str, attributes: &Attributes<'_>) -> Result<Open> {
        if self.begun {
            return Err(Error::malformed("XML Parse error: the document has more than one root"));
        }
        if name != "s3xml" || attributes.raw("xmlns").is_some_and(|namespace| !namespace.is_empty()) {
            return Err(Error::malformed("XML Parse error: the document's root is not s3xml without a namespace"));
        }
        self.begun = true;
        self.domain = attributes.get("domain")?.unwrap_or_default().into_owned();
        Ok(Open::Root)
    }

    fn element(&mut self, attributes: &Attributes<'_>, parent: Option<usize>) -> Result<Open> {
        let Some(name) = attributes.get("name")?.filter(|name| !name.is_empty()) else { return Ok(Open::Passed) };
        if self.elements.len() >= MAX_ELEMENTS {
            return Err(Error::new(Trouble::TooLarge, format!("The document has more than {MAX_ELEMENTS} elements")));
        }
        let resource = self.name(&name)?;
        let text = |name: &str| attributes.get(name).map(|value| value.map(std::borrow::Cow::into_owned));
        let uid = text("uuid")?.map(|uid| self.plain(uid)).unwrap_or_default();
        let deleted = attributes.raw("deleted").is_some_and(|word| word.eq_ignore_ascii_case("true"));
        let (mut modified, mut refused) = (UNDATED, None);
        match text("modified_on")?.filter(|text| !text.is_empty()).map(|text| moment(&text)) {
            None => {}
            Some(Ok(time)) => modified = Time(time.0.div_euclid(1_000_000) * 1_000_000),
            Some(Err(_)) => refused = Some("modified_on: not a time".to_owned()),
        }
        let mci = text("mci")?;
        let origin = if mci.as_deref() == Some("1") { SiteId(uuid::Uuid::nil()) } else { NOBODY };
        let heir = if deleted { text("replaced_by")?.map(|heir| self.plain(heir)) } else { None };
        if !uid.is_empty() && Uid::check(&uid).is_err() {
            refused = Some("uuid: not a usable identifier".to_owned());
        }
        let mut element =
            Element { resource, uid, tuid: text("tuid")?, modified, origin, deleted, heir, cells: Vec::new(), parent, refused };
        if !deleted {
            for name in ["created_on", "mci"].into_iter().chain(ACCOUNTS) {
                if let Some(text) = text(name)? {
                    let field = self.name(&format!("@{name}"))?;
                    let text = self.put(&text);
                    element.cells.push(Raw { field, resource: 0, kind: Kind::Text, text, local: false });
                }
            }
        }
        self.elements.push(element);
        Ok(Open::Element(self.elements.len() - 1))
    }

    /// A uid without the prefix of our own host. A plain one that the sender wrote gets none.
    fn plain(&self, uid: String) -> String {
        let own = |domain: &&str| (!domain.is_empty()).then(|| uid.strip_prefix(domain)?.strip_prefix('/')).flatten();
        self.own.iter().find_map(own).filter(|plain| !plain.is_empty()).map(str::to_owned).unwrap_or(uid)
    }

    fn put(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    fn data(&mut self, of: usize, attributes: &Attributes<'_>) -> Result<Open> {
        let Some(field) = attributes.get("field")?.filter(|field| !field.is_empty()) else { return Ok(Open::Passed) };
        let field = self.name(&field)?;
        let value = match (attributes.get("url")?, attributes.get("value")?) {
            (Some(url), _) => {
                let filename = attributes.get("filename")?.unwrap_or_default();
                // In one order, whatever the parser's maps keep.
                let upload = serde_json::json!(BTreeMap::from([("filename", filename), ("url", url)]));
                Some((Kind::Json, upload.to_string()))
            }
            (None, Some(value)) => {
                let (kind, text) = meant(&value);
                Some((kind, text.into_owned()))
            }
            (None, None) => None,
        };
        Ok(Open::Data { of, field, value, start: self.text.len() })
    }

    fn reference(&mut self, of: usize, attributes: &Attributes<'_>) -> Result<Open> {
        let Some(field) = attributes.get("field")?.filter(|field| !field.is_empty()) else { return Ok(Open::Passed) };
        let field = self.name(&field)?;
        let resource = attributes.get("resource")?.unwrap_or_default();
        let resource = self.name(&resource)?;
        let raw = |text: Range<usize>, kind, local| Raw { field, resource, kind, text, local };
        let uid = attributes.get("uuid")?.unwrap_or_default();
        let uid = uid.trim();
        if uid.starts_with('[') {
            let list: Option<Vec<String>> = serde_json::from_str(uid).ok();
            match list {
                // An empty list leaves what is there (docs/eden.md).
                Some(list) if list.is_empty() => {}
                Some(list) => {
                    let list: Vec<String> = list.into_iter().map(|uid| self.plain(uid)).collect();
                    let list: Vec<&str> = list.iter().map(String::as_str).collect();
                    let many = one_of_several(&self.names[resource], &list);
                    let text = self.put(&many);
                    self.elements[of].cells.push(raw(text, Kind::Json, false));
                }
                None => self.refuse(of, field, "the list of references is no JSON"),
            }
        } else if !uid.is_empty() {
            let uid = self.plain(uid.to_owned());
            match Uid::check(&uid) {
                Ok(uid) => {
                    let text = self.put(uid);
                    self.elements[of].cells.push(raw(text, Kind::Reference, false));
                }
                Err(_) => self.refuse(of, field, "not a usable identifier"),
            }
        } else if let Some(tuid) = attributes.get("tuid")?.filter(|tuid| !tuid.is_empty()) {
            let text = self.put(&tuid);
            self.elements[of].cells.push(raw(text, Kind::Reference, true));
        }
        Ok(Open::Reference { of, field, inside: None })
    }

    fn refuse(&mut self, of: usize, field: usize, why: &str) {
        let reason = format!("{}: {why}", self.names[field]);
        self.elements[of].refused.get_or_insert(reason);
    }

    /// Content, or a CDATA section.
    pub(super) fn text(&mut self, raw: &str) -> Result<()> {
        match self.open.last() {
            None if !raw.trim().is_empty() => Err(Error::malformed("XML Parse error: text outside the root")),
            Some(Open::Data { value: None, start, .. }) => {
                if (self.text.len() - start + raw.len()) as u64 > self.limits.text {
                    return Err(Error::new(Trouble::TooLarge, format!("A text is longer than {} bytes", self.limits.text)));
                }
                self.text.push_str(raw);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A character that a reference stands for.
    pub(super) fn character(&mut self, c: char) -> Result<()> {
        self.text(c.encode_utf8(&mut [0; 4]))
    }

    /// An end tag.
    pub(super) fn close(&mut self) -> Result<()> {
        match self.open.pop() {
            Some(Open::Root) => self.ended = true,
            Some(Open::Data { of, field, value, start }) => {
                let (kind, text) = match value {
                    Some((kind, text)) => {
                        self.text.truncate(start);
                        (kind, self.put(&text))
                    }
                    None => {
                        let said = self.text.split_off(start);
                        let said = unescaped(&said);
                        (if said.is_empty() { Kind::Null } else { Kind::Text }, self.put(&said))
                    }
                };
                self.elements[of].cells.push(Raw { field, resource: 0, kind, text, local: false });
            }
            Some(Open::Reference { of, field, inside: Some(at) }) => {
                let target = self.elements[at].resource;
                let uid = self.identify(at);
                let text = self.put(&uid);
                self.elements[of].cells.push(Raw { field, resource: target, kind: Kind::Reference, text, local: false });
            }
            _ => {}
        }
        Ok(())
    }
}
