//! Every version that a run replaced or deleted: seen, put back, and a whole run undone (SYNC.md 4).

use std::collections::HashSet;

use super::{
    edit::{Edit, Edited, Number, open, recorded},
    epoch,
    order::by_reference,
};
use crate::{
    connector::{Apply, Effected, Effects, HistoryEntry, Table},
    error::{Error, Kind, Result},
    model::{LogId, Page, Record, SiteId},
    site::Site,
    store::{attached, databases, log},
};

/// Records undone in one transaction.
const STEP: usize = 500;

/// What is here of a record, and every version that was replaced or deleted, newest first.
#[derive(Debug)]
pub struct Past {
    /// The database it is in.
    pub database: String,
    /// What is here now, alone in a page; `None` = the record is unknown here.
    pub now: Option<Page>,
    /// What was lost.
    pub entries: Vec<HistoryEntry>,
}

/// The history of a record. [`Kind::NotFound`] where nothing is known of it.
pub fn of(site: &Site, resource: &str, uid: &str) -> Result<Past> {
    let (mut door, table) = epoch::door(site, resource)?;
    let database = site.store.read(|c| attached::of(c, resource))?.map(|attached| attached.database).unwrap_or_default();
    let entries = door.history(&table, uid)?;
    let mut tx = door.begin()?;
    tx.fold(&table)?;
    let locals = tx.locals(&table, &[uid], site.id)?;
    tx.commit()?;
    let now = locals.page.views().next().map(|here| {
        let mut page = Page::new(resource);
        page.copy(here);
        page
    });
    if now.is_none() && entries.is_empty() {
        return Err(Error::not_found(format!("nothing is known here of {resource} {uid}")));
    }
    Ok(Past { database, now, entries })
}

/// Puts a version back, as a new edit.
pub fn restore(site: &Site, number: &Number) -> Result<(HistoryEntry, Edited)> {
    let work = |run| {
        let mut door = open(site, number)?;
        let mut tx = door.begin()?;
        let entry = tx.past(number.id)?.ok_or_else(|| Error::not_found(format!("there is no version {number} in the history")))?;
        let table = tx.table(&entry.resource)?.ok_or_else(|| Error::not_found(format!("{} is no longer attached", entry.resource)))?;
        let content = entry.page.view(&entry.page.records[0]);
        let edit = Edit { table: &table, uid: &entry.uid, content, seen: &[], rule: "restore", run, me: site.id, now: site.now() };
        let done = edit.make(tx.as_mut())?;
        tx.commit()?;
        Ok((entry, done))
    };
    let told = |(entry, _): &(HistoryEntry, Edited)| format!("{} {} was put back from version {number}", entry.resource, entry.uid);
    recorded(site, format!("Putting version {number} back"), work, told)
}

/// What undoing a run did.
#[derive(Debug, Default)]
pub struct Undone {
    /// Records that have their former content again, or are there again.
    pub restored: u64,
    /// Records that the run had made and that are gone.
    pub removed: u64,
    /// Records that were left as they are: resource, uid and why.
    pub refused: Vec<(String, String, String)>,
}

impl Undone {
    fn told(&self, run: LogId) -> String {
        let refused = if self.refused.is_empty() { String::new() } else { format!(", {} left as they are", self.refused.len()) };
        format!("Run {run} was undone: {} put back, {} removed{refused}", self.restored, self.removed)
    }
}

/// Undoes what a run did here, as new edits that flow like any other. What changed since, and what cannot be put back, stays and is named.
/// [`Kind::NotFound`] where there was no such run.
pub fn rollback(site: &Site, run: LogId) -> Result<Undone> {
    site.store
        .read(|c| log::get(c, run))
        .map_err(|e| e.hint("Runs are listed by `entente log`; those of other sites with us are their pulls into this site."))?;
    let work = |number| {
        let mut undone = Undone::default();
        for database in site.store.read(databases::list)? {
            let mut door = site.door(&database.name)?;
            epoch::check(site, &mut door)?;
            let tables = by_reference(door.tables()?);
            let mut undo = Undo { site, run: run.unsigned_abs(), number, undone: &mut undone };
            for table in &tables {
                undo.all(&mut *door, table, Effects::Replaced)?;
            }
            for table in tables.iter().rev() {
                undo.all(&mut *door, table, Effects::Made)?;
            }
        }
        Ok(undone)
    };
    recorded(site, format!("Undoing run {run}"), work, |undone| undone.told(run))
}

struct Undo<'a> {
    site: &'a Site,
    run: u64,
    /// The run that the undoing itself is.
    number: u64,
    undone: &'a mut Undone,
}

impl Undo<'_> {
    /// Undoes what was done to a table; again while that helps, since its records may refer to each other.
    fn all(&mut self, door: &mut dyn crate::connector::Connector, table: &Table, effects: Effects) -> Result<()> {
        let (head, mut done) = (door.head(table)?, HashSet::new());
        loop {
            let (mut after, mut moved, mut refused) = (0, 0, Vec::new());
            loop {
                let mut tx = door.begin()?;
                tx.fold(table)?;
                let some = tx.effects(table, self.run, effects, after, STEP)?;
                let Some(last) = some.last().map(|effected| effected.place) else { break };
                after = last;
                for effected in some.iter().filter(|effected| effects == Effects::Replaced || effected.place <= head) {
                    if done.contains(&effected.uid) {
                        continue;
                    }
                    match self.one(tx.as_mut(), table, effected) {
                        Ok(()) => {
                            moved += 1;
                            done.insert(effected.uid.clone());
                        }
                        Err(error) if matches!(error.kind(), Kind::Constraint | Kind::Exists) && !tx.broken() => {
                            refused.push((table.resource.clone(), effected.uid.clone(), error.to_string()));
                        }
                        Err(error) => return Err(error),
                    }
                }
                tx.commit()?;
            }
            match effects {
                Effects::Replaced => self.undone.restored += moved,
                Effects::Made => self.undone.removed += moved,
            }
            if refused.is_empty() || moved == 0 {
                self.undone.refused.append(&mut refused);
                return Ok(());
            }
        }
    }

    fn one(&self, tx: &mut dyn Apply, table: &Table, effected: &Effected) -> Result<()> {
        if effected.since {
            return Err(Error::new(Kind::Exists, "it changed since"));
        }
        let gone = gone(&table.resource, &effected.uid, self.site.id);
        let before = effected.before.as_ref().unwrap_or(&gone);
        let content = before.view(&before.records[0]);
        let (me, now) = (self.site.id, self.site.now());
        Edit { table, uid: &effected.uid, content, seen: &[], rule: "rollback", run: self.number, me, now }.make(tx).map(|_| ())
    }
}

/// No record at all, alone in a page.
fn gone(resource: &str, uid: &str, site: SiteId) -> Page {
    let mut page = Page::new(resource);
    let uid = page.put(uid);
    let mark = page.mark();
    let mut record = Record::new(uid, site, crate::model::Time(0));
    record.deleted = true;
    page.finish(record, mark);
    page
}
