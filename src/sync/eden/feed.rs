//! What an Eden that pulls is given: all that it was not given, whatever time it asks for (docs/eden.md).

use std::collections::{HashMap, HashSet};

use super::{
    closure::{Tables, all_parts, close, everything, nest, stirred},
    ledger::{Due, Ledger},
    shape::as_told,
    sieve::{Sieve, keep},
};
use crate::{
    connector::{Part, Table},
    error::{Error, Result},
    model::{
        Action, Direction, Kind, LogEntry, Mode, Page, RecordView, SiteId, Time,
        eden::{Components, EdenPull, Feed, Holding, Known, is_private},
    },
    site::{Door, Site},
    store::{self, log},
    sync::{admit::Caller, serve::granted},
};

/// Whether a resource may be exchanged with the Eden that calls: it is granted, and accounts and settings only if a person named them for it.
pub(super) fn may(site: &Site, caller: &Caller, resource: &str) -> Result<bool> {
    let named = || site.store.read(|c| store::resources::get(c, caller.repository.id, resource)).map(|own| own.is_some());
    Ok(caller.grant.covers(resource) && (!is_private(resource) || named()?))
}

/// Answers a pull.
pub fn feed(site: &Site, caller: &Caller, pull: &EdenPull) -> Result<Feed> {
    if !may(site, caller, &pull.resource)? {
        return Err(Error::forbidden(format!("this account may not use {}", pull.resource)));
    }
    let (mut door, table) = granted(site, caller, &pull.resource, Mode::Pull)?;
    door.recheck(&table)?;
    super::receive::decide_deletions(site, caller, &mut door, &table)?;
    let mut share = door.share(&table, caller.uuid, Part::Passive)?;
    let mut ledger = Ledger::read(&share.pull);
    let entries = site.store.read(|c| store::resources::list(c, caller.repository.id))?;
    let allowed = |resource: &str| may(site, caller, resource).unwrap_or(false);
    let mut tables = Tables::new(site, &allowed);
    let sieve = Sieve::read(&table, &entries, pull, &mut tables)?;
    let components = match pull.components {
        Components::Nested => table.form.components.as_slice(),
        Components::Omitted => &[],
    };
    let since = pull.since.map(|since| since.0.div_euclid(1_000_000));
    let partial = pull.start.is_some() || pull.limit.is_some();
    let due = match (partial, sieve.looks_far()) {
        (true, _) => since.map_or(Due::All, |_| Due::After(0)),
        // What is asked of has to be noted, whatever is given.
        (false, far) => Some(ledger.ask(&door.journal()?.epoch, &sieve.text, since)).filter(|_| !far).unwrap_or(Due::All),
    };
    let at = site.now();
    let mut masters = Page::new(&table.resource);
    let head = match (due, pull.since) {
        (Due::After(after), Some(since)) => changed(site, &mut door, &table, after, since, partial, caller.uuid, &mut masters)?,
        _ => {
            all_parts(&mut tables, components, &mut ledger)?;
            everything(site, &mut door, &table, 0, SiteId(uuid::Uuid::nil()), &mut masters)?
        }
    };
    if due != Due::All && !partial {
        let mut uids = stirred(site, &mut tables, components, &mut ledger, caller.uuid)?;
        for view in masters.views() {
            uids.remove(view.uid());
        }
        door.lookup(&table, &uids.into_iter().collect::<Vec<_>>(), &mut masters)?;
    }
    as_told(&table, &mut masters);
    sieve.sift(&mut masters, &mut tables)?;
    let mut feed = Feed { results: masters.records.len(), ..Feed::default() };
    feed.masters = ordered(masters, pull, &mut feed.start, &mut feed.limit);
    nest(&mut feed, components, &sieve.along, &mut tables)?;
    close(&mut feed, &sieve.along, &mut tables)?;
    given(&mut door, &table, &feed, caller.uuid, at, &mut tables)?;
    if !partial {
        (ledger.head, ledger.at) = (head, at);
        ledger.newest = feed.masters.records.iter().map(|record| record.modified_on.0.div_euclid(1_000_000)).max();
        (share.pull, share.push) = (ledger.write(), ledger.confirmed);
        door.set_share(&table, caller.uuid, Part::Passive, &share, 0)?;
    }
    if feed.results > 0 {
        told(site, caller, &table, feed.masters.records.len());
    }
    Ok(feed)
}

/// What arrived after a place and what is of a time or later; where only a part is wanted, just the latter. Returns the last arrival.
#[expect(clippy::too_many_arguments, reason = "one question")]
fn changed(
    site: &Site,
    door: &mut Door<'_>,
    table: &Table,
    after: i64,
    since: Time,
    partial: bool,
    peer: SiteId,
    page: &mut Page,
) -> Result<i64> {
    let head = if partial { 0 } else { everything(site, door, table, after, peer, page)? };
    let uids: Vec<String> = page.views().map(|view| view.uid().to_owned()).collect();
    let notes = door.notes(table, peer, Some(&uids))?;
    // What it showed us last is no news to it, even where a row here has more columns.
    keep(page, |view| held(&notes, view.uid()).is_none_or(|held| held.known != Known::Shown || held.version != view.record.version));
    let known: HashSet<String> = page.views().map(|view| view.uid().to_owned()).collect();
    let rest: Vec<String> = door.since(table, since)?.into_iter().filter(|uid| !known.contains(uid)).collect();
    let mut late = Page::new(&table.resource);
    door.lookup(table, &rest, &mut late)?;
    // The journal dates rows of an Eden's own from when it met them; what counts is what they say.
    as_told(table, &mut late);
    late.views().filter(|view| view.record.modified_on >= since).for_each(|view| page.copy(view));
    Ok(head)
}

/// The records in the order of their times, or, where only some are wanted, of their uids: a change then moves none to another place.
fn ordered(mut page: Page, pull: &EdenPull, start: &mut Option<usize>, limit: &mut Option<usize>) -> Page {
    let mut records = std::mem::take(&mut page.records);
    (*start, *limit) = (pull.start, pull.limit);
    if pull.start.is_some() || pull.limit.is_some() {
        records.sort_by(|a, b| page.text(a.uid).cmp(page.text(b.uid)));
        let some = records.into_iter().skip(pull.start.unwrap_or(0)).take(pull.limit.unwrap_or(usize::MAX));
        page.records = some.collect();
    } else {
        if pull.since.is_some() {
            records.sort_by_key(|record| record.modified_on);
        }
        page.records = records;
    }
    page
}

/// Notes what the Eden gets, so that it is known again when it shows it.
fn given(door: &mut Door<'_>, table: &Table, feed: &Feed, peer: SiteId, at: Time, tables: &mut Tables<'_, '_>) -> Result<()> {
    note(door, table, &feed.masters, peer, at)?;
    for page in feed.nested.iter().map(|(page, _)| page).chain(&feed.referenced) {
        if let Some((door, table)) = tables.of(&page.resource) {
            note(door, table, page, peer, at)?;
        }
    }
    Ok(())
}

fn note(door: &mut Door<'_>, table: &Table, page: &Page, peer: SiteId, at: Time) -> Result<()> {
    if page.records.is_empty() {
        return Ok(());
    }
    let uids: Vec<String> = page.views().map(|view| view.uid().to_owned()).collect();
    let known = door.notes(table, peer, Some(&uids))?;
    let notes: Vec<(String, String)> = page
        .views()
        .filter_map(|view| {
            let held = known.get(view.uid()).and_then(|note| Holding::read(note));
            let same = held.is_some_and(|held| held.version == view.record.version && held.known != Known::Given);
            (!same).then(|| (view.uid().to_owned(), holding(view, Known::Given, at).write()))
        })
        .collect();
    let mut tx = door.begin()?;
    tx.set_notes(table, peer, &notes)?;
    tx.commit()
}

/// What an Eden holds that has a record of ours as it is.
pub(in crate::sync) fn holding(view: RecordView<'_>, known: Known, at: Time) -> Holding {
    let fields = view.fields().filter(|(_, value)| value.kind != Kind::Null).map(|(name, _)| name.to_owned()).collect();
    let modified = Some(view.record.modified_on.0.div_euclid(1_000_000));
    Holding { known, digest: view.digest(), modified, before: None, at, version: view.record.version.clone(), fields, refused: None }
}

/// Notes of several records by uid.
pub(in crate::sync) fn held(notes: &HashMap<String, String>, uid: &str) -> Option<Holding> {
    notes.get(uid).and_then(|note| Holding::read(note))
}

fn told(site: &Site, caller: &Caller, table: &Table, records: usize) {
    let mut entry = LogEntry::new(site.now(), Action::Push, Direction::Incoming);
    entry.repository = Some(caller.repository.id);
    entry.repository_name = Some(caller.repository.name.clone());
    entry.resource = Some(table.resource.clone());
    entry.counts.records = records as u64;
    entry.message = format!("Gave {}", crate::sync::run::told(records as u64));
    if let Err(error) = site.store.write(|c| log::append(c, &entry)) {
        tracing::error!("The log could not be written: {}", error.chain());
    }
}
