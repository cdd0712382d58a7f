//! Records that came and could not be stored, in a person's hands: tried again, mended, dismissed (SYNC.md 5).

use std::collections::HashSet;

use super::{
    Terms,
    edit::{Number, open, recorded},
    filters::elsewhere,
    import::Import,
    mixed,
};
use crate::{
    connector::{Apply, Lost, Part, Share, Table, Waiter, Waiting, WaitingEntry, Which},
    decide::Source,
    error::{Error, Kind, Result},
    model::{Cell, Counts, Page, Record, Rules, SiteId, eden::Holding},
    site::{Door, Site},
    store::{databases, repositories, resources},
};

/// Another value for a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    /// The field.
    pub field: String,
    /// What the value is.
    pub kind: crate::model::Kind,
    /// Its canonical text.
    pub text: String,
}

/// What came of trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It is decided: stored, or ours was kept by a rule.
    Settled(Counts),
    /// It waits on, for this reason.
    Waits(String),
}

/// A waiting record with its content.
#[derive(Debug)]
pub struct Shown {
    /// What the journal says of it.
    pub entry: WaitingEntry,
    /// The record, alone in a page.
    pub page: Page,
}

/// A waiting record and where it is.
#[derive(Debug, Clone)]
pub struct Waits {
    /// By which it is named.
    pub number: Number,
    /// What the journal says of it.
    pub entry: WaitingEntry,
}

/// Databases that could not be read, and why.
pub type Unread = Vec<(String, Error)>;

/// The waiting records of all attached databases, newest first.
pub fn list(site: &Site) -> Result<(Vec<Waits>, Unread)> {
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for database in site.store.read(databases::list)? {
        match site.door(&database.name).and_then(|mut door| door.waiting()) {
            Ok(waiting) => found
                .extend(waiting.into_iter().map(|entry| Waits { number: Number { database: database.name.clone(), id: entry.id }, entry })),
            Err(error) => failed.push((database.name, error)),
        }
    }
    found.sort_by_key(|waits| std::cmp::Reverse((waits.entry.at, waits.entry.id)));
    Ok((found, failed))
}

/// One waiting record.
pub fn show(site: &Site, number: &Number) -> Result<Shown> {
    let mut door = site.door(&number.database)?;
    let entry = entry(&mut door, number)?;
    let mut tx = door.begin()?;
    let page = match tx.waiters(Which::One(number.id), 1)?.pop() {
        Some(waiter) => waiter.page,
        None => Page::new(&entry.resource),
    };
    Ok(Shown { entry, page })
}

/// Tries a waiting record again, through the rules against what is here now. One that cannot be sent is looked at again.
pub fn retry(site: &Site, number: &Number) -> Result<Tried> {
    let what = format!("Trying {number} again");
    recorded(site, what, |run| retry_in(site, number, None, run), |tried| told(number, tried))
}

/// Gives a waiting record other values and tries it: it is then a version of this site's own that has seen the one that came.
/// Where it cannot be stored even so, it waits on as it came, and the error says why.
pub fn edit(site: &Site, number: &Number, fields: &[Mend]) -> Result<Tried> {
    let what = format!("Mending {number}");
    let work = |run| match retry_in(site, number, Some(fields), run)? {
        Tried::Waits(reason) => Err(Error::new(Kind::Constraint, format!("it can still not be stored: {reason}"))
            .hint("It waits on as it came; nothing was changed.")),
        settled => Ok(settled),
    };
    recorded(site, what, work, |tried| told(number, tried))
}

fn told(number: &Number, tried: &Tried) -> String {
    match tried {
        Tried::Settled(_) => format!("{number} waited and is settled"),
        Tried::Waits(reason) => format!("{number} waits on: {reason}"),
    }
}

/// Lets a waiting record go: its version is kept in the history and is not applied. The other site keeps its own.
pub fn dismiss(site: &Site, number: &Number) -> Result<WaitingEntry> {
    let work = |run| {
        let mut door = open(site, number)?;
        let entry = entry(&mut door, number)?;
        let mut tx = door.begin()?;
        let waiter = tx.waiters(Which::One(number.id), 1)?.pop().ok_or_else(|| outgoing(&entry))?;
        let table = table(tx.as_mut(), &waiter)?;
        if waiter.kind == Waiting::Refused {
            tx.unwait(number.id)?;
            tx.commit()?;
            return Ok(entry);
        }
        let lost = Lost { record: waiter.page.view(&waiter.page.records[0]), side: "incoming", rule: "dismissed" };
        tx.remember(&table, &entry.uid, waiter.site, run, site.now(), &lost)?;
        for part in [Part::Active, Part::Passive] {
            let share = tx.share(&table, waiter.site, part)?;
            if share != Share::default() {
                tx.set_share(&table, waiter.site, part, &Share { refused: true, ..share })?;
            }
        }
        tx.unwait(number.id)?;
        tx.commit()?;
        Ok(entry)
    };
    let told = |entry: &WaitingEntry| {
        format!("{number} was dismissed: {} {} is not applied; the version is in its history", entry.resource, entry.uid)
    };
    recorded(site, format!("Dismissing {number}"), work, told)
}

fn outgoing(entry: &WaitingEntry) -> Error {
    Error::usage(format!("{} {} is a record of this site's that cannot be sent: {}", entry.resource, entry.uid, entry.reason))
        .hint("Mend it in its own application; it is sent as soon as it can be.")
}

fn entry(door: &mut Door<'_>, number: &Number) -> Result<WaitingEntry> {
    let found = door.waiting()?.into_iter().find(|entry| entry.id == number.id);
    found.ok_or_else(|| Error::not_found(format!("nothing waits under the number {number}")).hint("See what waits: entente quarantine"))
}

fn table(tx: &mut dyn Apply, waiter: &Waiter) -> Result<Table> {
    tx.table(&waiter.resource)?.ok_or_else(|| Error::not_found(format!("{} is no longer attached", waiter.resource)))
}

/// Lets a record that another site refused be given to it again by the next run.
fn give_again(door: &mut Door<'_>, number: &Number, entry: &WaitingEntry, mended: bool) -> Result<Tried> {
    if mended {
        return Err(outgoing(entry));
    }
    let tables = door.tables()?;
    let table = tables.into_iter().find(|table| table.resource == entry.resource);
    let table = table.ok_or_else(|| Error::not_found(format!("{} is no longer attached", entry.resource)))?;
    let uids = [entry.uid.clone()];
    let notes = door.notes(&table, entry.site, Some(&uids))?;
    let held = notes.get(&entry.uid).and_then(|note| Holding::read(note));
    let mut tx = door.begin()?;
    if let Some(held) = held {
        tx.set_notes(&table, entry.site, &[(entry.uid.clone(), Holding { refused: None, ..held }.write())])?;
    }
    // From the beginning: what the other site has is not given again.
    let share = tx.share(&table, entry.site, Part::Active)?;
    tx.set_share(&table, entry.site, Part::Active, &Share { push: 0, ..share })?;
    tx.unwait(number.id)?;
    tx.commit()?;
    Ok(Tried::Waits("it is given to the other site again by the next run".into()))
}

fn retry_in(site: &Site, number: &Number, fields: Option<&[Mend]>, run: u64) -> Result<Tried> {
    let mut door = open(site, number)?;
    let entry = entry(&mut door, number)?;
    if entry.kind == Waiting::Outgoing.word() {
        return recheck(&mut door, number, &entry, fields.is_some());
    }
    if entry.kind == Waiting::Refused.word() {
        return give_again(&mut door, number, &entry, fields.is_some());
    }
    let terms = terms(site, entry.site, &entry.resource, run)?;
    let mut tx = door.begin()?;
    let Some(mut waiter) = tx.waiters(Which::One(number.id), 1)?.pop() else { return Err(outgoing(&entry)) };
    let table = table(tx.as_mut(), &waiter)?;
    if let Some(fields) = fields {
        waiter.page = mended(&waiter.page, &table, fields)?;
    }
    let mut import = Import::new(tx.as_mut(), &terms, &HashSet::new())?;
    import.mended = fields.is_some();
    import.waiters(vec![waiter])?;
    let (counts, why) = (import.outcome.counts, import.refused.take());
    let waits = tx.waiters(Which::Of(&table, &entry.uid), 1)?.pop();
    let Some(waits) = waits else {
        tx.commit()?;
        return Ok(Tried::Settled(counts));
    };
    // What was mended in vain leaves no trace: the version that came waits on.
    if fields.is_none() {
        tx.commit()?;
    }
    Ok(Tried::Waits(why.unwrap_or(waits.reason)))
}

fn recheck(door: &mut Door<'_>, number: &Number, entry: &WaitingEntry, mending: bool) -> Result<Tried> {
    if mending {
        return Err(outgoing(entry));
    }
    let tables = door.tables()?;
    if let Some(table) = tables.iter().find(|table| table.resource == entry.resource) {
        door.recheck(table)?;
    }
    let waits = door.waiting()?.into_iter().find(|other| other.id == number.id);
    Ok(waits.map_or(Tried::Settled(Counts::default()), |entry| Tried::Waits(entry.reason)))
}

/// The terms under which a record from that site is taken, outside any run with it.
fn terms(site: &Site, peer: SiteId, resource: &str, run: u64) -> Result<Terms> {
    let (beside, rules) = site.store.read(|c| {
        let repository = repositories::by_uuid(c, site.store.key(), peer)?.map(|repository| repository.id);
        let own = repository.map(|id| resources::get(c, id, resource)).transpose()?.flatten();
        Ok((repository, own.map_or_else(Rules::default, |own| own.rules())))
    })?;
    let elsewhere = elsewhere(site, beside, resource)?;
    Ok(Terms {
        peer,
        rules,
        source: Source::Page,
        elsewhere,
        run,
        me: site.id,
        now: site.now(),
        decider: site.decider(),
        fields: super::Fields::default(),
    })
}

/// The record with other values. Fields must be known here or have come with it.
fn mended(page: &Page, table: &Table, fields: &[Mend]) -> Result<Page> {
    let came = page.view(&page.records[0]);
    if came.record.deleted {
        return Err(Error::usage("it is a deletion and has no fields").hint("Retry or dismiss it."));
    }
    let known = |field: &str| came.get(field).is_some() || table.fields.iter().any(|own| own == field);
    if let Some(unknown) = fields.iter().find(|mend| !known(&mend.field)) {
        return Err(Error::usage(format!("{} has no field {:?}", table.resource, unknown.field))
            .hint(format!("It has {}.", table.fields.join(", "))));
    }
    let mut values = Page::new(&page.resource);
    let uid = values.put(came.uid());
    let mark = values.mark();
    for mend in fields {
        let resource = came.get(&mend.field).map_or("", |value| value.resource);
        let (name, resource, text) = (values.name(&mend.field), values.name_or_zero(resource), values.put(&mend.text));
        let Some(field) = name else { continue };
        values.cell(Cell { field, resource, kind: mend.kind, text });
    }
    values.finish(Record::new(uid, came.record.origin, came.record.modified_on), mark);
    let names: Vec<String> = fields.iter().map(|mend| mend.field.clone()).collect();
    let mut mended = mixed(came, values.view(&values.records[0]), &names);
    let (record, before) = (&mut mended.records[0], came.record);
    (record.author, record.settled) = (before.author, before.settled.clone());
    Ok(mended)
}
