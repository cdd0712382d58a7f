//! What goes with the records that an Eden is given: those that stand inside them, and those that they refer to, and so on.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    ledger::Ledger,
    shape::as_told,
    sieve::{Filters, keep},
};
use crate::{
    connector::{Extent, Make, Table},
    decide::filter::Filter,
    error::Result,
    model::{
        Component, Kind, Page, RecordView, SiteId,
        eden::{Feed, Owners},
    },
    site::{Door, Site},
    sync::{epoch, import::targets_of},
};

/// How far references are followed.
const DEPTH: usize = 10;

/// The most uids in one question.
pub(super) const MANY: usize = 5_000;

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

/// The uids of the records of `table` inside which something changed since the other side had everything, and notes how far that is known from now on.
pub(super) fn stirred(
    site: &Site,
    tables: &mut Tables<'_, '_>,
    components: &[Component],
    ledger: &mut Ledger,
    peer: SiteId,
) -> Result<HashSet<String>> {
    let mut uids = HashSet::new();
    for component in components {
        let Some((door, other)) = tables.of(&component.resource) else { continue };
        let mut page = Page::new(&component.resource);
        let after = ledger.parts.get(&component.resource).map_or(0, |(confirmed, _)| *confirmed);
        let head = everything(site, door, other, after, peer, &mut page)?;
        let masters = page.views().filter_map(|view| view.get(&component.field)).filter(|value| value.kind == Kind::Reference);
        uids.extend(masters.map(|value| value.text.to_owned()));
        ledger.parts.insert(component.resource.clone(), (after, head));
    }
    Ok(uids)
}

/// Notes how far everything inside is known that is about to be read.
pub(super) fn all_parts(tables: &mut Tables<'_, '_>, components: &[Component], ledger: &mut Ledger) -> Result<()> {
    for component in components {
        let Some((door, other)) = tables.of(&component.resource) else { continue };
        ledger.parts.insert(component.resource.clone(), (0, door.head(other)?));
    }
    Ok(())
}

/// Puts the records of components into their masters, as far as filters let them through. A tombstone no longer says whose it was, and stays out.
pub(super) fn nest(feed: &mut Feed, components: &[Component], filters: &Filters, tables: &mut Tables<'_, '_>) -> Result<()> {
    let living = feed.masters.views().enumerate().filter(|(_, view)| view.record.lives());
    let masters: HashMap<&str, usize> = living.map(|(at, view)| (view.uid(), at)).collect();
    let uids: Vec<String> = masters.keys().map(|uid| (*uid).to_owned()).collect();
    for component in components {
        feed.implied.push((component.resource.clone(), component.field.clone()));
        let Some((door, table)) = tables.of(&component.resource) else { continue };
        let (mut page, everything) = (Page::new(&component.resource), Filter::default());
        for some in uids.chunks(MANY) {
            for own in door.belonging(table, &component.field, some)?.chunks(MANY) {
                door.lookup(table, own, &mut page)?;
            }
        }
        as_told(table, &mut page);
        let filter = filters.get(&component.resource).unwrap_or(&everything);
        let of = |view: RecordView<'_>| view.get(&component.field).and_then(|value| masters.get(value.text)).copied();
        keep(&mut page, |view| of(view).is_some() && filter.matches(view));
        let within: Vec<usize> = page.views().filter_map(of).collect();
        if !page.records.is_empty() {
            feed.nested.push((page, within));
        }
    }
    Ok(())
}

/// Adds what the records of a feed refer to, up to ten steps away, each once, as far as filters let it through; and names the fields whose targets are not
/// for the other side, and those that hold unique keys.
pub(in crate::sync) fn close(feed: &mut Feed, filters: &Filters, tables: &mut Tables<'_, '_>) -> Result<()> {
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
            keep(&mut page, |view| !view.record.deleted);
            if is_super(table) {
                follow_supers(&page, &known, &mut next, &mut feed.instances);
                continue;
            }
            if let Some(filter) = filters.get(&resource) {
                let held_back = page.views().filter(|view| !filter.matches(*view)).map(|view| (resource.clone(), view.uid().to_owned()));
                feed.absent.extend(held_back);
                keep(&mut page, |view| filter.matches(view));
            }
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
    name_accounts(feed, tables)
}

/// Whether the records of a table are entries of other records.
fn is_super(table: &Table) -> bool {
    table.form.make == Make::Plain && table.knows("uuid") && table.knows("instance_type")
}

/// Eden knows references to the records alone whose entries these are.
fn follow_supers(
    page: &Page,
    known: &HashSet<(String, String)>,
    next: &mut BTreeMap<String, HashSet<String>>,
    instances: &mut HashMap<(String, String), String>,
) {
    for view in page.views() {
        let Some(of) = view.get("instance_type").filter(|value| !value.text.is_empty()).map(|value| value.text.to_owned()) else {
            continue;
        };
        let target = (of.clone(), view.uid().to_owned());
        if !known.contains(&target) {
            next.entry(target.0).or_default().insert(target.1);
        }
        instances.insert((page.resource.clone(), view.uid().to_owned()), of);
    }
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
        targets_of(value).for_each(|(resource, uid)| note(resource, uid));
    }
    // An Eden passes over a merge into what it does not know.
    if let Some(heir) = view.heir() {
        note(&view.page.resource, heir);
    }
}

fn describe(feed: &mut Feed, tables: &mut Tables<'_, '_>) {
    let pages = std::iter::once(&feed.masters).chain(feed.nested.iter().map(|(page, _)| page)).chain(&feed.referenced);
    let resources: Vec<String> = pages.map(|page| page.resource.clone()).collect();
    for resource in resources {
        let Some((_, table)) = tables.of(&resource) else { continue };
        let keys: Vec<String> = table.form.unique.iter().filter(|field| table.form.kind(field) == Some(Kind::Text)).cloned().collect();
        let references: Vec<_> = table.references.iter().chain(&table.form.lists).cloned().collect();
        feed.keys.push((resource.clone(), keys));
        feed.kinds.push((resource.clone(), table.form.kinds.clone()));
        for reference in references {
            if tables.of(&reference.resource).is_none() {
                feed.hidden.push((resource.clone(), reference.field));
            }
        }
    }
}

/// Tells whose the records are, as an Eden does: accounts by their e-mails, roles by their names.
fn name_accounts(feed: &mut Feed, tables: &mut Tables<'_, '_>) -> Result<()> {
    let mut all: HashMap<String, Owners> = HashMap::new();
    for page in std::iter::once(&feed.masters).chain(feed.nested.iter().map(|(page, _)| page)).chain(&feed.referenced) {
        let Some((door, table)) = tables.of(&page.resource).filter(|(_, table)| table.form.make == Make::Eden) else { continue };
        let uids: Vec<String> = page.views().filter(|view| view.record.lives()).map(|view| view.uid().to_owned()).collect();
        for some in uids.chunks(MANY) {
            for whose in door.whose(table, some)? {
                all.entry(page.resource.clone()).or_default().entry(whose.uid).or_default().push((whose.column, whose.name));
            }
        }
    }
    feed.accounts = all;
    Ok(())
}
