//! Applying what came: order → states of the page in one query → decide → write, one transaction (SYNC.md 5).

use std::collections::HashSet;

mod again;
mod carry;
mod retract;
mod together;
mod twins;
mod waiting;

pub(super) use again::{adopt, conclude, retry};

use super::{filters::Elsewhere, outcome::Outcome};
use crate::{
    connector::{Apply, Connector, Found, Locals, Table, Targets, Waiter, Waiting, Which},
    decide::{Decider, Given, Local, Source},
    error::{Error, Kind, Result},
    model::{Page, RecordView, Rules, SiteId, Time, Value, Version, eden::several},
};

/// The most waiting records looked at in one transaction.
const BATCH: usize = 1_000;

/// Under which terms records are taken.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Who gives them.
    pub peer: SiteId,
    /// The rules for this resource and peer, from our point of view.
    pub rules: Rules,
    /// How they came.
    pub source: Source,
    /// The run they came in: the number of its entry in the log.
    pub run: u64,
    /// Who we are.
    pub me: SiteId,
    /// Our clock.
    pub now: Time,
    /// Who decides.
    pub decider: Decider,
    /// Who else shares these records with us.
    pub elsewhere: Elsewhere,
    /// Which fields records name.
    pub fields: Fields,
}

/// Which fields the records of a peer name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fields {
    /// All that it has: one that is missing is missing there.
    #[default]
    All,
    /// Those that are not empty.
    Some,
}

/// What goes with a page in its transaction: looked at before, stored after. Either may refuse, and then nothing is kept.
pub trait Bracket {
    /// Before anything is decided. `Some` = the page was applied before; this is what became of it.
    fn before(&mut self, tx: &mut dyn Apply) -> Result<Option<Outcome>>;
    /// After everything is written: the cursor, the batch's answer.
    fn after(&mut self, tx: &mut dyn Apply, outcome: &Outcome) -> Result<()>;
}

/// Nothing goes with the page.
pub struct Bare;

impl Bracket for Bare {
    fn before(&mut self, _: &mut dyn Apply) -> Result<Option<Outcome>> {
        Ok(None)
    }

    fn after(&mut self, _: &mut dyn Apply, _: &Outcome) -> Result<()> {
        Ok(())
    }
}

/// Applies a page of `table`: all that can be applied, in one transaction with what `bracket` stores.
/// A record that the database refuses is quarantined and does not hold up the others.
pub fn import(db: &mut dyn Connector, table: &Table, page: &Page, terms: &Terms, bracket: &mut dyn Bracket) -> Result<Outcome> {
    if terms.fields == Fields::All {
        refuse_incomplete(table, page)?;
    }
    let (mut poison, mut busy, mut careful): (HashSet<usize>, u32, bool) = (HashSet::new(), 0, false);
    loop {
        let mut tx = db.begin()?;
        let hasty = !careful && tx.hasten();
        if let Some(outcome) = bracket.before(tx.as_mut())? {
            return Ok(outcome);
        }
        let mut import = Import::new(tx.as_mut(), terms, &poison)?;
        let done = import.page(table, page);
        let (outcome, at) = (std::mem::take(&mut import.outcome), import.at);
        match done {
            Ok(()) => {
                bracket.after(tx.as_mut(), &outcome)?;
                match tx.commit() {
                    Err(error) if hasty && error.kind() == Kind::Constraint => careful = true,
                    // A constraint that waited for the commit does not tell whose it is: each record gets a transaction of its own.
                    Err(error) if error.kind() == Kind::Constraint => return one_by_one(db, table, page, terms, bracket),
                    Err(error) if error.kind() == Kind::Busy && busy < PATIENCE => busy = wait(busy),
                    done => return done.map(|()| outcome),
                }
            }
            // Of the records that were written together one is refused: again, one by one.
            Err(error) if hasty && error.kind() == Kind::Constraint => careful = true,
            // A trigger of the user's ended the transaction: again, without that record.
            Err(error) if tx.broken() && error.kind() == Kind::Constraint && poison.insert(at) => {}
            // An application changed the same rows, or holds them.
            Err(error) if error.kind() == Kind::Busy && busy < PATIENCE => {
                drop(tx);
                busy = wait(busy);
            }
            Err(error) => return Err(error),
        }
    }
}

/// How often a page is tried again that met an application.
const PATIENCE: u32 = 6;

/// Leaves the rows to the application for a while, longer each time. Returns how often that was.
fn wait(before: u32) -> u32 {
    std::thread::sleep(std::time::Duration::from_millis(25 << before));
    before + 1
}

/// Applies each record in a transaction of its own, and stores what goes with the page last: what is repeated changes nothing.
fn one_by_one(db: &mut dyn Connector, table: &Table, page: &Page, terms: &Terms, bracket: &mut dyn Bracket) -> Result<Outcome> {
    let mut all = Outcome::default();
    for record in page.views() {
        let mut single = Page::new(&page.resource);
        single.copy(record);
        let applied = |poison: HashSet<usize>, db: &mut dyn Connector| {
            let mut tx = db.begin()?;
            let mut import = Import::new(tx.as_mut(), terms, &poison)?;
            import.page(table, &single)?;
            let outcome = std::mem::take(&mut import.outcome);
            tx.commit().map(|()| outcome)
        };
        let outcome = match applied(HashSet::new(), db) {
            Err(error) if error.kind() == Kind::Constraint => applied(HashSet::from([0]), db)?,
            done => done?,
        };
        all.add(outcome);
    }
    let mut tx = db.begin()?;
    if let Some(outcome) = bracket.before(tx.as_mut())? {
        return Ok(outcome);
    }
    bracket.after(tx.as_mut(), &all)?;
    tx.commit().map(|()| all)
}

/// A column that new rows need and the peer does not have stops the table, with that reason (SYNC.md 5).
fn refuse_incomplete(table: &Table, page: &Page) -> Result<()> {
    let Some(first) = page.views().find(|view| view.record.lives()) else { return Ok(()) };
    match table.required.iter().find(|field| first.get(field).is_none()) {
        None => Ok(()),
        Some(field) => Err(Error::new(
            Kind::Constraint,
            format!(
                "{} is stopped: its column {field:?} may not be null and has no default, and the other site does not have it",
                table.resource
            ),
        )
        .hint("Give the column a default here, or add it there.")),
    }
}

/// One page's work inside its transaction.
pub(in crate::sync) struct Import<'t> {
    tx: &'t mut dyn Apply,
    terms: &'t Terms,
    poison: HashSet<usize>,
    pub(in crate::sync) outcome: Outcome,
    targets: Targets,
    /// Index of the page's record at work.
    at: usize,
    /// Something waits, so that each record has to be looked for there.
    waiting: bool,
    last: bool,
    /// A record got another uid: what was looked up before may stand elsewhere.
    rekeyed: bool,
    alive_there: Option<HashSet<String>>,
    /// A person gave the records other values: what is taken is a version of our own.
    pub(in crate::sync) mended: bool,
    /// Why the last record that was refused was.
    pub(in crate::sync) refused: Option<String>,
}

/// A record at work.
#[derive(Clone, Copy)]
struct Item<'a> {
    view: RecordView<'a>,
    /// It waited until now: what is applied is not an echo, and it is offered back.
    waited: Option<&'a Waiter>,
    /// Its position in the page.
    at: usize,
}

/// What came of trying a record.
enum Step {
    Done,
    Missing(Vec<(String, String)>),
    Failed(Error),
}

impl<'t> Import<'t> {
    pub(in crate::sync) fn new(tx: &'t mut dyn Apply, terms: &'t Terms, poison: &HashSet<usize>) -> Result<Import<'t>> {
        let kinds = [Waiting::Quarantined, Waiting::Parked, Waiting::Deletion, Waiting::Twin];
        let waiting = !tx.waiters(Which::Kinds(&kinds, 0), 1)?.is_empty();
        Ok(Import {
            tx,
            terms,
            poison: poison.clone(),
            outcome: Outcome::default(),
            targets: Targets::default(),
            at: 0,
            waiting,
            last: false,
            rekeyed: false,
            alive_there: None,
            mended: false,
            refused: None,
        })
    }

    fn page(&mut self, table: &Table, page: &Page) -> Result<()> {
        self.outcome.counts.records += page.records.iter().filter(|record| !record.retracted).count() as u64;
        self.tx.fold(table)?;
        self.refuse_our_future(table, page)?;
        self.warn_of_unknown(table, page);
        let mut rest: Vec<usize> = (0..page.records.len()).collect();
        // Of two versions of one record in a page the second is decided against what became of the first.
        while !rest.is_empty() {
            let mut seen = HashSet::with_capacity(rest.len());
            let (now, later): (Vec<usize>, Vec<usize>) = rest.into_iter().partition(|at| seen.insert(page.view(&page.records[*at]).uid()));
            let items: Vec<Item<'_>> = now.iter().map(|at| Item { view: page.view(&page.records[*at]), waited: None, at: *at }).collect();
            self.items(table, &items)?;
            rest = later;
        }
        Ok(())
    }

    /// Fields without a column here are kept aside, which an administrator should know.
    fn warn_of_unknown(&mut self, table: &Table, page: &Page) {
        let mut fields: Vec<u16> = page.views().flat_map(|view| view.cells()).map(|cell| cell.field).collect();
        fields.sort_unstable();
        fields.dedup();
        for name in fields.into_iter().map(|field| page.name_of(field)).filter(|name| !table.knows(name)) {
            self.outcome
                .warn(format!("{}: there is no column for the field {name:?} here; it is kept aside and passed on", table.resource));
        }
    }

    /// A version that has seen more of our edits than we made under this incarnation proves that our journal went back: counters would be
    /// used again, and a new edit taken for an old one.
    fn refuse_our_future(&mut self, table: &Table, page: &Page) -> Result<()> {
        let (head, me) = self.tx.head(table)?;
        let head = u64::try_from(head).unwrap_or(0);
        if page.records.iter().all(|record| record.version.get(me) <= head) {
            return Ok(());
        }
        let message = format!("the other site knows edits of {} that are no longer here: this database was restored", table.resource);
        Err(Error::new(Kind::Epoch, message).hint("A new incarnation has begun; the next run exchanges everything again."))
    }

    /// Records that waited, of any table.
    pub(in crate::sync) fn waiters(&mut self, waiters: Vec<Waiter>) -> Result<()> {
        let mut resources: Vec<&str> = waiters.iter().map(|waiter| waiter.resource.as_str()).collect();
        resources.sort_unstable();
        resources.dedup();
        for resource in resources {
            let Some(table) = self.tx.table(resource)? else { continue };
            self.tx.fold(&table)?;
            for waiter in waiters.iter().filter(|waiter| waiter.resource == resource) {
                let items = [Item { view: waiter.page.view(&waiter.page.records[0]), waited: Some(waiter), at: 0 }];
                self.items(&table, &items)?;
            }
        }
        Ok(())
    }

    /// Distinct records of one table: those whose references are here first, then those that wait for each other.
    fn items(&mut self, table: &Table, items: &[Item<'_>]) -> Result<()> {
        let uids: Vec<&str> = items.iter().map(|item| item.view.uid()).collect();
        let mut locals = self.tx.locals(table, &uids, self.terms.peer)?;
        self.look_up(items)?;
        let (mut missing, mut failed, mut arrived) = (Vec::new(), Vec::new(), Vec::new());
        for (place, item) in items.iter().enumerate() {
            self.at = item.at;
            if std::mem::take(&mut self.rekeyed) {
                locals = self.tx.locals(table, &uids, self.terms.peer)?;
            }
            match self.one(table, item, &locals, place)? {
                Step::Done if self.waiting => arrived.push((table.resource.clone(), item.view.uid().to_owned())),
                Step::Done => {}
                Step::Missing(wanted) => missing.push((place, wanted)),
                Step::Failed(error) => failed.push((place, error)),
            }
        }
        // What stood in the way of a record may have moved since: a unique value that another record gave up, a parent in this page.
        if !failed.is_empty() || (!missing.is_empty() && missing.len() < items.len()) {
            locals = self.tx.locals(table, &uids, self.terms.peer)?;
        }
        for (place, error) in failed {
            self.at = items[place].at;
            match if self.poison.contains(&self.at) { Step::Failed(error) } else { self.one(table, &items[place], &locals, place)? } {
                Step::Done => arrived.push((table.resource.clone(), items[place].view.uid().to_owned())),
                Step::Missing(wanted) => missing.push((place, wanted)),
                Step::Failed(error) => self.quarantine(table, &items[place], &error.chain())?,
            }
        }
        self.settle(table, items, missing, arrived)
    }

    /// Finds where the references of records lead, in one query a resource.
    fn look_up(&mut self, items: &[Item<'_>]) -> Result<()> {
        let wanted: Vec<(&str, &str)> = items.iter().flat_map(|item| references(item.view)).collect();
        if !wanted.is_empty() {
            let found = self.tx.resolve(&wanted)?;
            self.targets.extend(found);
        }
        Ok(())
    }

    /// One record: decide, then do.
    fn one(&mut self, table: &Table, item: &Item<'_>, locals: &Locals, place: usize) -> Result<Step> {
        let local = local_of(locals, place);
        if self.poison.contains(&item.at) && item.waited.is_none() {
            return Ok(Step::Failed(Error::new(Kind::Constraint, "a trigger or a constraint of this database refuses the record")));
        }
        if item.view.record.retracted {
            return self.retract(table, item, local);
        }
        // What was retracted here is as if it had never been; only its state is used again.
        let known = local.filter(|(found, _)| !found.retracted);
        if known.is_none()
            && !item.view.record.deleted
            && !table.matching.is_empty()
            && let Some(step) = self.twin(table, item)?
        {
            return Ok(step);
        }
        if item.view.record.deleted
            && let Some(heir) = item.view.heir()
        {
            return self.alias(table, item, heir);
        }
        if let Some(page) = self.through_aliases(item.view) {
            return self.decided(table, &Item { view: page.view(&page.records[0]), ..*item }, locals, local);
        }
        self.decided(table, item, locals, local)
    }

    fn decided(&mut self, table: &Table, item: &Item<'_>, locals: &Locals, local: Option<(Found, RecordView<'_>)>) -> Result<Step> {
        let known = local.filter(|(found, _)| !found.retracted);
        let decision = self.terms.decider.decide(
            known.map(|(found, view)| Local { view, shared: found.shared, held: found.held, base: base_of(locals, found) }),
            self.given(item),
        );
        self.carry_out(table, item, local, decision)
    }

    fn given<'a>(&self, item: &Item<'a>) -> Given<'a> {
        let source = if item.waited.is_some() { Source::Page } else { self.terms.source };
        Given { incoming: item.view, source, rules: self.terms.rules, me: self.terms.me, now: self.terms.now }
    }
}

/// The records that a record refers to: resource and uid.
pub(in crate::sync) fn references(view: RecordView<'_>) -> impl Iterator<Item = (&str, &str)> {
    view.cells().iter().flat_map(move |cell| targets_of(view.value(cell)))
}

/// The records that a value refers to.
pub(in crate::sync) fn targets_of(value: Value<'_>) -> impl Iterator<Item = (&str, &str)> {
    let one = (value.kind == crate::model::Kind::Reference).then_some((value.resource, value.text));
    let several = several(value).into_iter().flat_map(|(resource, uids)| uids.into_iter().map(move |uid| (resource, uid)));
    one.into_iter().chain(several)
}

/// What a record was when it was last exchanged, and its version then.
fn base_of(locals: &Locals, found: Found) -> Option<(RecordView<'_>, &Version)> {
    let record = locals.bases.records.get(found.base?)?;
    Some((locals.bases.view(record), &record.version))
}

/// Those of them that the table here has, too; what is kept aside may lead anywhere.
fn references_of<'a>(table: &'a Table, view: RecordView<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let all = || table.references.iter().chain(&table.form.lists);
    let known = move |cell: &&crate::model::Cell| all().any(|own| own.field == view.page.name_of(cell.field));
    view.cells().iter().filter(known).flat_map(move |cell| targets_of(view.value(cell)))
}

fn local_of(locals: &Locals, place: usize) -> Option<(Found, RecordView<'_>)> {
    let found = locals.found.get(place).copied().flatten()?;
    let record = locals.page.records.get(found.at)?;
    Some((found, locals.page.view(record)))
}
