//! What a person decides afterwards: a record gets a content again, as a new edit of this site's that flows like any other (SYNC.md 4).

use std::fmt;

use super::{epoch, import::references};
use crate::{
    connector::{Apply, Effect, Lost, Table, Target, Targets, Write},
    error::{Error, Kind, Result},
    model::{Action, Digest, Direction, LogEntry, NewState, Outcome as Went, RecordView, SiteId, Time, Version},
    site::{Door, Site},
    store::{databases, log},
};

/// Names an entry of a journal at this site: the database and the number there. Written `DATABASE:NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// The attached database's name.
    pub database: String,
    /// The number in its journal.
    pub id: i64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.database, self.id)
    }
}

impl Number {
    /// Reads `DATABASE:NUMBER`, or the number alone where one database is attached.
    pub fn read(site: &Site, text: &str) -> Result<Number> {
        let broken = || Error::usage(format!("{text:?} is no number of an entry")).hint("Write it as it is listed: DATABASE:NUMBER.");
        if let Some((database, id)) = text.rsplit_once(':') {
            return Ok(Number { database: database.to_owned(), id: id.parse().map_err(|_| broken())? });
        }
        let id = text.parse().map_err(|_| broken())?;
        let mut attached = site.store.read(databases::list)?;
        match (attached.pop(), attached.is_empty()) {
            (Some(database), true) => Ok(Number { database: database.name, id }),
            (Some(_), false) => Err(Error::usage(format!("several databases are attached, and {id} may be in any of them"))
                .hint("Write DATABASE:NUMBER, as it is listed.")),
            (None, _) => Err(Error::not_found("no database is attached")),
        }
    }
}

/// The database of an entry, its journal looked after.
pub(super) fn open<'s>(site: &'s Site, number: &Number) -> Result<Door<'s>> {
    let mut door = site.door(&number.database)?;
    epoch::check(site, &mut door)?;
    Ok(door)
}

/// Does `work` under the number of an entry in the log, which says afterwards what came of it.
pub(super) fn recorded<T>(site: &Site, what: String, work: impl FnOnce(u64) -> Result<T>, told: impl FnOnce(&T) -> String) -> Result<T> {
    let mut entry = LogEntry::new(site.now(), Action::Change, Direction::None);
    (entry.outcome, entry.message) = (Went::Running, what);
    entry.id = site.store.write(|c| log::append(c, &entry))?;
    let done = work(entry.id.unsigned_abs());
    entry.duration = (site.now().0 - entry.time.0) / 1_000;
    (entry.outcome, entry.message) = match &done {
        Ok(done) => (Went::Success, told(done)),
        Err(error) => (Went::Error, format!("{}: {}", entry.message, error.chain())),
    };
    site.store.write(|c| log::update(c, &entry))?;
    done
}

/// A content that a record is to get.
pub(super) struct Edit<'a> {
    pub(super) table: &'a Table,
    pub(super) uid: &'a str,
    /// A deleted one removes the record.
    pub(super) content: RecordView<'a>,
    /// What the edit has seen beside what is here and the content itself.
    pub(super) seen: &'a [(&'a Version, Time)],
    /// By which rule what is here goes into the history.
    pub(super) rule: &'static str,
    pub(super) run: u64,
    pub(super) me: SiteId,
    pub(super) now: Time,
}

/// What an edit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// The record has that content now.
    Done,
    /// It had it before.
    Same,
}

impl Edit<'_> {
    /// Makes the edit within a transaction. What is here goes into the history. [`Kind::Constraint`] where the database, or a reference that
    /// leads nowhere, refuses the content.
    pub(super) fn make(&self, tx: &mut dyn Apply) -> Result<Edited> {
        tx.fold(self.table)?;
        let locals = tx.locals(self.table, &[self.uid], self.me)?;
        let found = locals.found.first().copied().flatten();
        let here = found.map(|found| locals.page.view(&locals.page.records[found.at]));
        let content = self.content.record;
        let (mut version, mut latest) = (content.version.clone(), content.modified_on);
        for (seen, at) in self.seen.iter().copied().chain(here.map(|here| (&here.record.version, here.record.modified_on))) {
            (version, latest) = (version.join(seen), latest.max(at));
        }
        let digest = match here {
            Some(here) if !here.record.deleted => self.content.digest_over(here),
            _ => self.content.digest(),
        };
        let same = here.is_some_and(|here| here.digest() == digest && here.record.deleted == content.deleted);
        // What was held back is offered as of now, whoever has seen it before.
        let held = found.is_some_and(|found| found.held);
        if same && !held && here.is_some_and(|here| here.record.version == version) {
            return Ok(Edited::Same);
        }
        let targets = self.targets(tx)?;
        let living = found.is_some_and(|found| found.living);
        if let Some(found) = found.filter(|_| living && content.deleted)
            && tx.referred(self.table, found)?
        {
            return Err(Error::new(
                Kind::Constraint,
                format!("{} {} cannot go: others here still refer to it", self.table.resource, self.uid),
            )
            .hint("Delete those first."));
        }
        if let Some(here) = here.filter(|_| !same) {
            tx.remember(self.table, here.uid(), self.me, self.run, self.now, &Lost { record: here, side: "local", rule: self.rule })?;
        }
        let origin = here.map_or(content.origin, |here| here.record.origin.min(content.origin));
        let state = NewState {
            version,
            tick: true,
            origin,
            author: self.me,
            settled: Vec::new(),
            modified_on: self.now.max(Time(latest.0.saturating_add(1))),
            shared: false,
        };
        let effect = match (same, content.deleted) {
            (true, _) => Effect::Keep,
            (false, true) if living => Effect::Delete,
            (false, true) => Effect::Keep,
            (false, false) => Effect::Put(self.content),
        };
        let (uid, deleted) = (here.map_or(self.uid, RecordView::uid), content.deleted);
        let digest = if deleted { Digest([0; 32]) } else { digest };
        let write = Write { uid, local: found, effect, state: &state, deleted, heir: None, digest, release: false, run: self.run };
        tx.write(self.table, &write, self.me, &targets)?;
        Ok(Edited::Done)
    }

    fn targets(&self, tx: &mut dyn Apply) -> Result<Targets> {
        let wanted: Vec<(&str, &str)> = references(self.content).collect();
        let targets = tx.resolve(&wanted)?;
        match wanted.iter().find(|(resource, uid)| !matches!(targets.get(resource, uid), Target::Here(_))) {
            None => Ok(targets),
            Some((resource, uid)) => {
                let message = format!("{} {} would refer to {resource} {uid}, which is not here", self.table.resource, self.uid);
                Err(Error::new(Kind::Constraint, message).hint(format!("Put that back first: entente history {resource} {uid}")))
            }
        }
    }
}
