//! What goes with the records that an Eden is given: those that stand inside them, and those that they refer to, and so on.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::shape::as_told;
use crate::{
    connector::{Extent, Table},
    error::Result,
    model::{
        Kind, Page, RecordView, SiteId,
        eden::{Feed, Holding, Known},
    },
    site::{Door, Site},
    sync::epoch,
};

/// How far references are followed.
const DEPTH: usize = 10;

/// The most uids in one question.
const MANY: usize = 5_000;

/// The tables that an exchange needs, each opened once.
pub(in crate::sync) struct Tables<'s, 'a> {
    site: &'s Site,
    allowed: &'a dyn Fn(&str) -> bool,
    open: HashMap<String, Option<(Door<'s>, Table)>>,
}

impl<'s, 'a> Tables<'s, 'a> {
    pub(in crate::sync) fn new(site: &'s Site, allowed: &'a dyn Fn(&str) -> bool) -> Tables<'s, 'a> {
        Tables { site, allowed, open: HashMap::new() }
    }

    /// The table of a resource; none where it is not for the other side, or not attached.
    pub(in crate::sync) fn of(&mut self, resource: &str) -> Option<&mut (Door<'s>, Table)> {
        if !self.open.contains_key(resource) {
            let opened = if (self.allowed)(resource) { epoch::door(self.site, resource).ok() } else { None };
            self.open.insert(resource.to_owned(), opened);
        }
        self.open.get_mut(resource).and_then(Option::as_mut)
    }
}

/// All records of a table, tombstones among them, in the order of arrival.
pub(super) fn everything(site: &Site, door: &mut Door<'_>, table: &Table, after: i64, peer: SiteId, page: &mut Page) -> Result<i64> {
    let (mut after, mut more) = (after, true);
    while more {
        let bytes = page.text_len().saturating_add(64 << 20);
        let extent = Extent { records: MANY, bytes };
        (after, more) = door.export(table, after, peer, extent, site.now(), page)?;
    }
    as_told(table, page);
    Ok(after)
}

/// A component's records, and which of them the other side was not given as they are.
pub(super) struct Part {
    pub(super) page: Page,
    pub(super) field: String,
    /// By index.
    pub(super) due: Vec<bool>,
}

/// The records that belong to those of `table`, whoever's they are.
pub(super) fn parts(
    site: &Site,
    tables: &mut Tables<'_, '_>,
    table: &Table,
    peer: SiteId,
    arrived: crate::model::Time,
) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for component in &table.form.components {
        let Some((door, other)) = tables.of(&component.resource) else { continue };
        let mut page = Page::new(&component.resource);
        everything(site, door, other, 0, SiteId(uuid::Uuid::nil()), &mut page)?;
        let notes = door.notes(other, peer, None)?;
        let due = page.views().map(|view| is_due(view, &notes, arrived)).collect();
        parts.push(Part { page, field: component.field.clone(), due });
    }
    Ok(parts)
}

fn is_due(view: RecordView<'_>, notes: &HashMap<String, String>, arrived: crate::model::Time) -> bool {
    let held = notes.get(view.uid()).and_then(|note| Holding::read(note));
    held.is_none_or(|held| held.version != view.record.version || held.known == Known::Given && held.at > arrived)
}

/// Puts the records of components into their masters. A tombstone no longer says whose it was, and stays out.
pub(super) fn nest(parts: Vec<Part>, feed: &mut Feed) {
    let masters: HashMap<&str, usize> =
        feed.masters.views().enumerate().filter(|(_, view)| view.record.lives()).map(|(at, view)| (view.uid(), at)).collect();
    for part in parts {
        let (mut page, mut within) = (Page::new(&part.page.resource), Vec::new());
        for view in part.page.views() {
            let master = view.get(&part.field).and_then(|value| masters.get(value.text));
            if let Some(master) = master {
                page.copy(view);
                within.push(*master);
            }
        }
        feed.implied.push((page.resource.clone(), part.field));
        if !page.records.is_empty() {
            feed.nested.push((page, within));
        }
    }
}

/// Adds what the records of a feed refer to, up to ten steps away, each once; and names the fields whose targets are not for the other side, and those
/// that hold unique keys.
pub(in crate::sync) fn close(feed: &mut Feed, tables: &mut Tables<'_, '_>) -> Result<()> {
    let mut known: HashSet<(String, String)> = HashSet::new();
    let mut next: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    for page in std::iter::once(&feed.masters).chain(feed.nested.iter().map(|(page, _)| page)) {
        known.extend(page.views().map(|view| (page.resource.clone(), view.uid().to_owned())));
    }
    for page in std::iter::once(&feed.masters).chain(feed.nested.iter().map(|(page, _)| page)) {
        page.views().for_each(|view| note_references(view, &known, &mut next));
    }
    for _ in 0..DEPTH {
        let mut found = Vec::new();
        for (resource, uids) in std::mem::take(&mut next) {
            let mut uids: Vec<String> = uids.into_iter().collect();
            uids.sort_unstable();
            known.extend(uids.iter().map(|uid| (resource.clone(), uid.clone())));
            let Some((door, table)) = tables.of(&resource) else { continue };
            let mut page = Page::new(&resource);
            for some in uids.chunks(MANY) {
                door.lookup(table, some, &mut page)?;
            }
            as_told(table, &mut page);
            let gone: Vec<usize> = page.views().enumerate().filter(|(_, view)| view.record.deleted).map(|(at, _)| at).collect();
            page.remove(&gone);
            found.push(page);
        }
        for page in &found {
            page.views().for_each(|view| note_references(view, &known, &mut next));
        }
        found.into_iter().filter(|page| !page.records.is_empty()).for_each(|page| join(page, &mut feed.referenced));
        if next.is_empty() {
            break;
        }
    }
    describe(feed, tables);
    Ok(())
}

/// A resource's records in one page.
fn join(page: Page, pages: &mut Vec<Page>) {
    match pages.iter_mut().find(|known| known.resource == page.resource) {
        Some(known) => page.views().for_each(|view| known.copy(view)),
        None => pages.push(page),
    }
}

fn note_references(view: RecordView<'_>, known: &HashSet<(String, String)>, next: &mut BTreeMap<String, HashSet<String>>) {
    let mut note = |resource: &str, uid: &str| {
        let target = (resource.to_owned(), uid.to_owned());
        if !known.contains(&target) {
            next.entry(target.0).or_default().insert(target.1);
        }
    };
    for (_, value) in view.fields() {
        match value.kind {
            Kind::Reference => note(value.resource, value.text),
            Kind::Json | Kind::Text if value.text.starts_with("{\"@resource\"") => {
                let Ok(many) = serde_json::from_str::<serde_json::Value>(value.text) else { continue };
                let resource = many["@resource"].as_str().unwrap_or_default();
                let uids = many["@uuid"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
                uids.for_each(|uid| note(resource, uid));
            }
            _ => {}
        }
    }
}

fn describe(feed: &mut Feed, tables: &mut Tables<'_, '_>) {
    let pages = std::iter::once(&feed.masters).chain(feed.nested.iter().map(|(page, _)| page)).chain(&feed.referenced);
    let resources: Vec<String> = pages.map(|page| page.resource.clone()).collect();
    for resource in resources {
        let Some((_, table)) = tables.of(&resource) else { continue };
        let keys: Vec<String> = table.form.unique.iter().filter(|field| table.form.kind(field) == Some(Kind::Text)).cloned().collect();
        let references = table.references.clone();
        feed.keys.push((resource.clone(), keys));
        feed.kinds.push((resource.clone(), table.form.kinds.clone()));
        for reference in references {
            if tables.of(&reference.resource).is_none() {
                feed.hidden.push((resource.clone(), reference.field));
            }
        }
    }
}
