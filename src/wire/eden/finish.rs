//! The end of a document: its elements become records.

use std::{borrow::Cow, collections::HashMap};

use super::build::{Builder, Element, Raw};
use crate::{
    error::{Error, Kind as Trouble, Result},
    model::{
        Cell, Kind, Page, Record, Uid,
        eden::{Document, PARENT, Refused},
    },
    wire::value,
};

impl Builder<'_> {
    /// The uid of an element; one that follows from what it says, where it has none.
    pub(super) fn identify(&mut self, at: usize) -> String {
        let element = &self.elements[at];
        if element.uid.is_empty() {
            let mut content: Vec<(&str, &str)> =
                element.cells.iter().map(|raw| (self.names[raw.field].as_str(), &self.text[raw.text.clone()])).collect();
            content.retain(|(name, _)| !name.starts_with('@'));
            content.sort_unstable();
            let mut text = format!("{}\n{}\n", self.names[element.resource], element.tuid.as_deref().unwrap_or_default());
            content.iter().for_each(|(name, value)| text.push_str(&format!("{}:{name}={}:{value}\n", name.len(), value.len())));
            self.elements[at].uid = Uid::of(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, text.as_bytes())).as_str().to_owned();
        }
        self.elements[at].uid.clone()
    }

    /// The end of the document.
    pub(super) fn finish(mut self) -> Result<Document> {
        if !self.ended {
            let what = if self.begun { "the document is cut off" } else { "Document is empty" };
            return Err(Error::malformed(format!("XML Parse error: {what}")));
        }
        (0..self.elements.len()).for_each(|at| drop(self.identify(at)));
        let mut tuids: HashMap<(usize, String), usize> = HashMap::new();
        let mut last: HashMap<(usize, String), usize> = HashMap::new();
        for (at, element) in self.elements.iter().enumerate() {
            if let Some(tuid) = &element.tuid {
                tuids.insert((element.resource, tuid.clone()), at);
            }
            let says = element.deleted || element.cells.iter().any(|raw| !self.names[raw.field].starts_with('@'));
            let place = last.entry((element.resource, element.uid.clone())).or_insert(at);
            if says {
                *place = at;
            }
        }
        let mut pages = Pages::default();
        let mut refused = Vec::new();
        for (at, element) in self.elements.iter().enumerate() {
            if last.get(&(element.resource, element.uid.clone())) != Some(&at) {
                continue;
            }
            match &element.refused {
                Some(reason) => {
                    let (resource, uid) = (self.names[element.resource].clone(), element.uid.clone());
                    refused.push(Refused { resource, uid, reason: reason.clone() });
                }
                None => self.record(element, &tuids, &last, &mut pages)?,
            }
        }
        Ok(Document { pages: pages.pages, refused })
    }

    /// The uid that a reference names: Eden writes plain ones of its own without the prefix that their records carry.
    fn prefixed(&self, raw: &Raw, said: &str, known: &HashMap<(usize, String), usize>) -> Option<String> {
        if raw.kind != Kind::Reference || self.domain.is_empty() || self.own.contains(&self.domain.as_str()) || said.contains([':', '/']) {
            return None;
        }
        let whole = (raw.resource, format!("{}/{said}", self.domain));
        known.contains_key(&whole).then_some(whole.1)
    }

    /// The uid of a survivor: Eden writes that of its own without the prefix, too, whether or not the record comes along.
    fn survivor<'h>(&self, resource: usize, heir: &'h str, known: &HashMap<(usize, String), usize>) -> Cow<'h, str> {
        let ours = self.domain.is_empty() || self.own.contains(&self.domain.as_str());
        let said = ours || heir.contains([':', '/']) || known.contains_key(&(resource, heir.to_owned()));
        if said { Cow::Borrowed(heir) } else { Cow::Owned(format!("{}/{heir}", self.domain)) }
    }

    fn record(
        &self,
        element: &Element,
        tuids: &HashMap<(usize, String), usize>,
        known: &HashMap<(usize, String), usize>,
        pages: &mut Pages,
    ) -> Result<()> {
        let at = pages.of(element.resource, &self.names);
        let Pages { pages, names, .. } = pages;
        let (page, names) = (&mut pages[at], &mut names[at]);
        let mut index = |page: &mut Page, name: usize| -> Result<u16> {
            if names.len() <= name {
                names.resize(name + 1, None);
            }
            match names[name] {
                Some(known) => Ok(known),
                None => {
                    let new = page.name(&self.names[name]).ok_or_else(|| Error::new(Trouble::TooLarge, "A record has too many fields"))?;
                    names[name] = Some(new);
                    Ok(new)
                }
            }
        };
        let uid = page.put(&element.uid);
        let mut record = Record::new(uid, element.origin, element.modified);
        record.deleted = element.deleted;
        let heir = element.heir.as_deref().filter(|heir| Uid::check(heir).is_ok());
        record.heir = heir.map(|heir| page.put(&self.survivor(element.resource, heir, known)));
        let mark = page.mark();
        if !element.deleted {
            if let Some(parent) = element.parent.map(|parent| &self.elements[parent]) {
                let field = page.name(PARENT).ok_or_else(|| Error::new(Trouble::TooLarge, "A record has too many fields"))?;
                let (resource, text) = (index(page, parent.resource)?, page.put(&parent.uid));
                page.cell(Cell { field, resource, kind: Kind::Reference, text });
            }
            for (place, raw) in element.cells.iter().enumerate() {
                // The last of several values of a field counts.
                if element.cells[place + 1..].iter().any(|later| later.field == raw.field) {
                    continue;
                }
                let said = &self.text[raw.text.clone()];
                let target =
                    raw.local.then(|| tuids.get(&(raw.resource, said.to_owned()))).flatten().map(|at| self.elements[*at].uid.as_str());
                if raw.local && target.is_none() {
                    continue;
                }
                let whole = self.prefixed(raw, said, known);
                let said = target.or(whole.as_deref()).unwrap_or(said);
                let mut own = String::new();
                let (kind, text) = match value::canonical(raw.kind, said, &mut own) {
                    Ok(()) => (raw.kind, page.put(&own)),
                    Err(_) => (Kind::Text, page.put(said)),
                };
                let field = index(page, raw.field)?;
                let resource = if kind == Kind::Reference { index(page, raw.resource)? } else { 0 };
                page.cell(Cell { field, resource, kind, text });
            }
        }
        page.finish(record, mark);
        Ok(())
    }
}

/// The pages that are made, and the indexes of the document's names in each.
#[derive(Default)]
struct Pages {
    pages: Vec<Page>,
    names: Vec<Vec<Option<u16>>>,
    by_resource: HashMap<usize, usize>,
}

impl Pages {
    fn of(&mut self, resource: usize, names: &[String]) -> usize {
        *self.by_resource.entry(resource).or_insert_with(|| {
            self.pages.push(Page::new(&names[resource]));
            self.names.push(Vec::new());
            self.pages.len() - 1
        })
    }
}
