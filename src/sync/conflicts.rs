//! Conflicts as a person sees and decides them: both versions, the rule that decided, another choice, and back again (SYNC.md 4).

use std::{collections::BTreeMap, fmt, str::FromStr};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{
    edit::{Edit, Edited, Number, open, recorded},
    mixed,
};
use crate::{
    connector::{Apply, ConflictEntry, Conflicts, Lost, Table, Verdict},
    error::{Error, Kind, Result},
    model::{Page, RecordView, SiteId, Time, Version},
    site::Site,
    store::databases,
};

/// The rule in the history for what a person decided.
const MANUAL: &str = "MANUAL";

/// A choice that was taken back.
const UNDONE: &str = "undone";

/// A conflict and where it is.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// By which it is named.
    pub number: Number,
    /// What the journal knows of it. Of an open one, ours is what is here now.
    pub entry: ConflictEntry,
}

/// Which conflicts are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only those with this site.
    pub site: Option<SiteId>,
    /// Only those that a person has yet to decide.
    pub open: bool,
    /// Only those that follow a page.
    pub before: Option<Before>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// Where a page ended: the last number of each database. Written `DATABASE:NUMBER,…`, with names that are percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Before(BTreeMap<String, i64>);

impl Before {
    /// Goes on after these, which follow the page before.
    #[must_use]
    pub fn and(mut self, page: &[Conflict]) -> Before {
        for Conflict { number, .. } in page {
            self.0.insert(number.database.clone(), number.id);
        }
        self
    }
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.0.iter().map(|(database, id)| format!("{}:{id}", utf8_percent_encode(database, NON_ALPHANUMERIC)));
        f.write_str(&numbers.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Before {
    type Err = Error;

    fn from_str(text: &str) -> Result<Before> {
        let number = |part: &str| {
            let (database, id) = part.split_once(':')?;
            Some((percent_decode_str(database).decode_utf8().ok()?.into_owned(), id.parse().ok()?))
        };
        let numbers: Option<BTreeMap<String, i64>> = text.split(',').map(number).collect();
        numbers
            .map(Before)
            .ok_or_else(|| Error::usage(format!("{text:?} is no end of a page")).hint("Give `next` of the page before, as it came."))
    }
}

/// What a person chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// What is here.
    Ours,
    /// What came.
    Theirs,
    /// What came in these fields, what is here in the others.
    Fields(Vec<String>),
}

impl Choice {
    fn told(&self) -> String {
        match self {
            Choice::Ours => "ours".into(),
            Choice::Theirs => "theirs".into(),
            Choice::Fields(fields) => fields.iter().map(|field| format!("{field}=theirs")).collect::<Vec<_>>().join(","),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Listed {
    /// Newest first.
    pub conflicts: Vec<Conflict>,
    /// Databases that could not be read, and why.
    pub unread: Vec<(String, Error)>,
}

/// The conflicts of all attached databases; those of one in the order of their numbers.
pub fn list(site: &Site, wanted: Wanted) -> Result<Listed> {
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    let limit = wanted.limit.unwrap_or(usize::MAX);
    for database in site.store.read(databases::list)? {
        let before = wanted.before.as_ref().and_then(|before| before.0.get(&database.name).copied());
        match list_in(site, &database.name, Conflicts::All { open: wanted.open, site: wanted.site, before, limit }) {
            Ok(conflicts) => found.push(conflicts.into_iter()),
            Err(error) => failed.push((database.name, error)),
        }
    }
    // Merged and not sorted: a page that ends at a number of each database leaves nothing out.
    let newest = || found.iter_mut().max_by_key(|one| one.as_slice().first().map(|conflict| conflict.entry.at))?.next();
    Ok(Listed { conflicts: std::iter::from_fn(newest).take(limit).collect(), unread: failed })
}

/// One conflict.
pub fn show(site: &Site, number: &Number) -> Result<Conflict> {
    list_in(site, &number.database, Conflicts::One(number.id))?.pop().ok_or_else(|| unknown(number))
}

fn list_in(site: &Site, database: &str, which: Conflicts<'_>) -> Result<Vec<Conflict>> {
    let mut door = site.door(database)?;
    let tables = door.tables()?;
    let mut found = Vec::new();
    for mut entry in door.conflicts(which)? {
        if let Some(table) = tables.iter().find(|table| table.resource == entry.resource).filter(|_| entry.open) {
            let mut tx = door.begin()?;
            let locals = tx.locals(table, &[&entry.uid], site.id)?;
            if let Some(here) = locals.page.views().next() {
                entry.ours = alone(here);
            }
        }
        found.push(Conflict { number: Number { database: database.to_owned(), id: entry.id }, entry });
    }
    Ok(found)
}

/// Decides a conflict, open or decided by a rule: a new edit that has seen both versions. What loses goes into the history.
/// Refused where the record of a decided one changed since.
pub fn resolve(site: &Site, number: &Number, choice: &Choice) -> Result<Edited> {
    let what = format!("Deciding conflict {number}: {}", choice.told());
    let told = |_: &Edited| format!("Conflict {number} was decided: {}", choice.told());
    recorded(site, what, |run| resolve_in(site, number, choice, run), told)
}

fn resolve_in(site: &Site, number: &Number, choice: &Choice, run: u64) -> Result<Edited> {
    let mut door = open(site, number)?;
    let mut tx = door.begin()?;
    let (entry, table) = find(tx.as_mut(), number)?;
    let now = site.now();
    tx.fold(&table)?;
    let here = here(tx.as_mut(), &table, &entry.uid, site.id)?;
    let (here, theirs) = (view(&here), view(&entry.theirs));
    let ours = if entry.open { here } else { unchanged(&entry, here)? };
    let chosen = match choice {
        Choice::Ours => alone(ours),
        Choice::Theirs => alone(theirs),
        Choice::Fields(fields) => by_field(ours, theirs, fields)?,
    };
    let open = if entry.open { tx.conflicts(Conflicts::Of(&table, &entry.uid))? } else { vec![entry.clone()] };
    let seen: Vec<(&Version, Time)> =
        open.iter().flat_map(|other| &other.theirs.records).map(|record| (&record.version, record.modified_on)).collect();
    let edit = Edit { table: &table, uid: &entry.uid, content: view(&chosen), seen: &seen, rule: MANUAL, run, me: site.id, now };
    let done = edit.make(tx.as_mut())?;
    for other in &open {
        if view(&other.theirs).digest() != view(&chosen).digest() && entry.open {
            let lost = Lost { record: view(&other.theirs), side: "incoming", rule: MANUAL };
            tx.remember(&table, &entry.uid, other.site, run, now, &lost)?;
        }
        let verdict = if entry.open { ours } else { view(&other.ours) };
        tx.judge(&table, other.id, Verdict::Chosen(&choice.told()), verdict, now)?;
    }
    tx.commit()?;
    Ok(done)
}

/// Takes a decision back: the record is again what it was here before, as a new edit. A conflict that waited for a person waits again; of one that
/// a rule decided, what lost is put back. Refused where the record changed since.
pub fn undo(site: &Site, number: &Number) -> Result<Edited> {
    let told = |_: &Edited| format!("The decision of conflict {number} was taken back");
    recorded(site, format!("Taking back the decision of conflict {number}"), |run| undo_in(site, number, run), told)
}

fn undo_in(site: &Site, number: &Number, run: u64) -> Result<Edited> {
    let mut door = open(site, number)?;
    let mut tx = door.begin()?;
    let (entry, table) = find(tx.as_mut(), number)?;
    if entry.open {
        return Err(Error::new(Kind::Undecided, format!("conflict {number} is not decided yet"))
            .hint(format!("Decide it: entente conflicts resolve {number} ours|theirs")));
    }
    if entry.choice.as_deref() == Some(UNDONE) {
        return Err(Error::new(Kind::Exists, format!("the decision of conflict {number} was taken back already")));
    }
    let now = site.now();
    tx.fold(&table)?;
    let here = here(tx.as_mut(), &table, &entry.uid, site.id)?;
    let ours = unchanged(&entry, view(&here))?;
    let won = view(&here).digest() == ours.digest() && view(&here).record.deleted == ours.record.deleted;
    // What a person decided goes back to what was here; a rule's decision goes the other way.
    let content = if won && entry.choice.is_none() { view(&entry.theirs) } else { ours };
    let edit = Edit { table: &table, uid: &entry.uid, content, seen: &[], rule: UNDONE, run, me: site.id, now };
    let done = edit.make(tx.as_mut())?;
    let verdict = if entry.rule == MANUAL && entry.choice.is_some() { Verdict::Reopened } else { Verdict::Chosen(UNDONE) };
    tx.judge(&table, entry.id, verdict, ours, now)?;
    tx.commit()?;
    Ok(done)
}

fn find(tx: &mut dyn Apply, number: &Number) -> Result<(ConflictEntry, Table)> {
    let entry = tx.conflicts(Conflicts::One(number.id))?.pop().ok_or_else(|| unknown(number))?;
    let table = tx.table(&entry.resource)?;
    let table = table.ok_or_else(|| Error::not_found(format!("{} is no longer attached", entry.resource)))?;
    Ok((entry, table))
}

fn unknown(number: &Number) -> Error {
    Error::not_found(format!("there is no conflict {number}")).hint("See them all: entente conflicts")
}

/// What is here of a record, alone in a page.
fn here(tx: &mut dyn Apply, table: &Table, uid: &str, me: SiteId) -> Result<Page> {
    let locals = tx.locals(table, &[uid], me)?;
    locals.page.views().next().map(alone).ok_or_else(|| Error::not_found(format!("{} {uid} is not here any more", table.resource)))
}

/// What was here before the decision, where the record did not change since.
fn unchanged<'a>(entry: &'a ConflictEntry, here: RecordView<'_>) -> Result<RecordView<'a>> {
    if entry.after.as_ref() == Some(&here.record.version) {
        return Ok(view(&entry.ours));
    }
    let (resource, uid) = (&entry.resource, &entry.uid);
    Err(Error::new(Kind::Exists, format!("{resource} {uid} changed since that was decided"))
        .hint(format!("Every version is in its history: entente history {resource} {uid}")))
}

fn by_field(ours: RecordView<'_>, theirs: RecordView<'_>, fields: &[String]) -> Result<Page> {
    if ours.record.deleted || theirs.record.deleted {
        return Err(
            Error::usage("one side deleted the record, so there is nothing to choose field by field").hint("Choose ours or theirs.")
        );
    }
    if let Some(unknown) = fields.iter().find(|field| theirs.get(field).is_none()) {
        let known: Vec<&str> = theirs.fields().map(|(name, _)| name).collect();
        return Err(Error::usage(format!("their version has no field {unknown:?}")).hint(format!("It has {}.", known.join(", "))));
    }
    Ok(mixed(ours, theirs, fields))
}

fn alone(record: RecordView<'_>) -> Page {
    let mut page = Page::new(&record.page.resource);
    page.copy(record);
    page
}

/// The record of a page that has one.
fn view(page: &Page) -> RecordView<'_> {
    page.view(&page.records[0])
}
