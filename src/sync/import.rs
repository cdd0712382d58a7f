//! Applying what came: order → states of the page in one query → decide → write, one transaction (SYNC.md 5).

use std::collections::HashSet;

use super::outcome::Outcome;
use crate::{
    connector::{Apply, Clash, Connector, Effect, Found, Locals, Lost, Table, Target, Targets, Wait, Waiter, Waiting, Which, Write},
    decide::{Content, Decision, Given, Local, Rule, Side, Source, decide},
    error::{Error, Kind, Result},
    model::{Method, NewState, Page, Quarantined, RecordView, Rules, SiteId, Time},
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
    /// The run they came in.
    pub run: u64,
    /// Who we are.
    pub me: SiteId,
    /// Our clock.
    pub now: Time,
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
    refuse_incomplete(table, page)?;
    let mut poison: HashSet<usize> = HashSet::new();
    loop {
        let mut tx = db.begin()?;
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
                    // A constraint that waited for the commit does not tell whose it is: each record gets a transaction of its own.
                    Err(error) if error.kind() == Kind::Constraint => return one_by_one(db, table, page, terms, bracket),
                    done => return done.map(|()| outcome),
                }
            }
            // A trigger of the user's ended the transaction: again, without that record.
            Err(error) if tx.broken() && error.kind() == Kind::Constraint && poison.insert(at) => {}
            Err(error) => return Err(error),
        }
    }
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
    let Some(first) = page.views().find(|view| !view.record.deleted) else { return Ok(()) };
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

/// Tries once more what waits of a table and came from this peer.
pub(super) fn retry(db: &mut dyn Connector, table: &Table, terms: &Terms) -> Result<Outcome> {
    again(db, table, terms, false)
}

/// As [`retry`], until that changes nothing; then the deletions that others here still refer to are decided, too: such a record stays.
/// Tables that refer to this one come first.
pub(super) fn conclude(db: &mut dyn Connector, table: &Table, terms: &Terms) -> Result<Outcome> {
    let mut all = Outcome::default();
    loop {
        let outcome = again(db, table, terms, false)?;
        let moved = outcome.counts.created + outcome.counts.updated + outcome.counts.deleted > 0;
        all.add(outcome);
        if !moved {
            break;
        }
    }
    all.add(again(db, table, terms, true)?);
    Ok(all)
}

fn again(db: &mut dyn Connector, table: &Table, terms: &Terms, last: bool) -> Result<Outcome> {
    let mut all = Outcome::default();
    if !db.waits()? {
        return Ok(all);
    }
    let mut after = 0;
    loop {
        let mut tx = db.begin()?;
        let kinds = [Waiting::Quarantined, Waiting::Parked, Waiting::Deletion];
        let waiters = tx.waiters(Which::Kinds(&kinds, after), BATCH)?;
        let Some(end) = waiters.last().map(|waiter| waiter.id) else { return Ok(all) };
        after = end;
        let mut import = Import::new(tx.as_mut(), terms, &HashSet::new())?;
        import.last = last;
        import.waiters(waiters.into_iter().filter(|waiter| waiter.site == terms.peer && waiter.resource == table.resource).collect())?;
        let outcome = std::mem::take(&mut import.outcome);
        tx.commit()?;
        all.add(outcome);
    }
}

/// Lets records that match local ones adopt these, now that the peer was asked which of the local uids it holds alive.
pub(super) fn adopt(db: &mut dyn Connector, table: &Table, terms: &Terms, alive_there: &HashSet<String>) -> Result<Outcome> {
    let mut all = Outcome::default();
    let mut after = 0;
    loop {
        let mut tx = db.begin()?;
        let waiters = tx.waiters(Which::Kinds(&[Waiting::Twin], after), BATCH)?;
        let Some(end) = waiters.last().map(|waiter| waiter.id) else { return Ok(all) };
        after = end;
        let mut import = Import::new(tx.as_mut(), terms, &HashSet::new())?;
        import.alive_there = Some(alive_there);
        import.waiters(waiters.into_iter().filter(|waiter| waiter.site == terms.peer && waiter.resource == table.resource).collect())?;
        let outcome = std::mem::take(&mut import.outcome);
        tx.commit()?;
        all.add(outcome);
    }
}

/// One page's work inside its transaction.
struct Import<'t> {
    tx: &'t mut dyn Apply,
    terms: &'t Terms,
    poison: HashSet<usize>,
    outcome: Outcome,
    targets: Targets,
    /// Index of the page's record at work.
    at: usize,
    /// Something waits, so that each record has to be looked for there.
    waiting: bool,
    last: bool,
    alive_there: Option<&'t HashSet<String>>,
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
    fn new(tx: &'t mut dyn Apply, terms: &'t Terms, poison: &HashSet<usize>) -> Result<Import<'t>> {
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
            alive_there: None,
        })
    }

    fn page(&mut self, table: &Table, page: &Page) -> Result<()> {
        self.outcome.counts.records += page.records.len() as u64;
        self.tx.fold(table)?;
        self.refuse_our_future(table, page)?;
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
    fn waiters(&mut self, waiters: Vec<Waiter>) -> Result<()> {
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
            match self.one(table, item, local_of(&locals, place))? {
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
            match if self.poison.contains(&self.at) {
                Step::Failed(error)
            } else {
                self.one(table, &items[place], local_of(&locals, place))?
            } {
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

    /// Records whose references were not here: again while that helps, then together with what waits for them and they for it.
    fn settle(
        &mut self,
        table: &Table,
        items: &[Item<'_>],
        missing: Vec<(usize, Vec<(String, String)>)>,
        arrived: Vec<(String, String)>,
    ) -> Result<()> {
        let mut open: Vec<Open<'_>> =
            missing.into_iter().map(|(place, _)| Open { table: table.clone(), item: items[place], missing: Vec::new() }).collect();
        let mut arrived = arrived;
        let mut pool: Vec<Waiter> = Vec::new();
        if self.waiting {
            let mut asked: Vec<(String, String)> = arrived.clone();
            asked.extend(open.iter().map(|open| (open.table.resource.clone(), open.item.view.uid().to_owned())));
            while !asked.is_empty() {
                let more = self.tx.waiters(Which::For(&asked), BATCH)?;
                let fresh: Vec<Waiter> = more
                    .into_iter()
                    .filter(|waiter| pool.iter().all(|known| known.id != waiter.id))
                    .filter(|waiter| items.iter().all(|item| item.waited.is_none_or(|known| known.id != waiter.id)))
                    .collect();
                asked = fresh
                    .iter()
                    .map(|waiter| (waiter.resource.clone(), waiter.page.view(&waiter.page.records[0]).uid().to_owned()))
                    .collect();
                pool.extend(fresh);
            }
        }
        for waiter in &pool {
            if let Some(table) = self.tx.table(&waiter.resource)? {
                let item = Item { view: waiter.page.view(&waiter.page.records[0]), waited: Some(waiter), at: 0 };
                open.push(Open { table, item, missing: Vec::new() });
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        loop {
            let tried: Vec<Item<'_>> = open.iter().map(|open| open.item).collect();
            self.look_up(&tried)?;
            let ready = self.closed(&mut open);
            if ready.is_empty() {
                break;
            }
            self.together(ready, &mut arrived)?;
        }
        for open in open.iter().filter(|open| open.item.waited.is_none()) {
            self.park(&open.table, &open.item, &open.missing)?;
        }
        Ok(())
    }

    /// Takes out of `open` the records whose references are all here or among themselves.
    fn closed<'a>(&self, open: &mut Vec<Open<'a>>) -> Vec<Open<'a>> {
        let mut ready: Vec<bool> = vec![true; open.len()];
        loop {
            let among: HashSet<(&str, &str)> = open
                .iter()
                .zip(&ready)
                .filter(|(open, ready)| **ready && !open.item.view.record.deleted)
                .map(|(open, _)| (open.table.resource.as_str(), open.item.view.uid()))
                .collect();
            let lacking: Vec<Vec<(String, String)>> = open
                .iter()
                .map(|open| {
                    let lacks = |(resource, uid): &(&str, &str)| {
                        !among.contains(&(*resource, *uid)) && !matches!(self.targets.get(resource, uid), Target::Here(_))
                    };
                    references(open.item.view).filter(lacks).map(|(resource, uid)| (resource.to_owned(), uid.to_owned())).collect()
                })
                .collect();
            let next: Vec<bool> = lacking.iter().map(Vec::is_empty).collect();
            let stable = next.iter().zip(&ready).all(|(next, ready)| !*ready || *next);
            for (open, lacking) in open.iter_mut().zip(lacking) {
                open.missing = lacking;
            }
            ready = next;
            if stable {
                break;
            }
        }
        let mut flags = ready.into_iter();
        let (taken, left) = open.drain(..).partition(|_| flags.next().unwrap_or(false));
        *open = left;
        taken
    }

    /// Records that may refer to each other: all get their keys first, and constraints wait for the commit.
    fn together(&mut self, ready: Vec<Open<'_>>, arrived: &mut Vec<(String, String)>) -> Result<()> {
        self.tx.defer()?;
        let mut locals = Vec::with_capacity(ready.len());
        for open in &ready {
            locals.push(self.tx.locals(&open.table, &[open.item.view.uid()], self.terms.peer)?);
        }
        // A key that is made of a reference can be reserved once what it refers to has one.
        let mut unreserved: Vec<usize> = (0..ready.len())
            .filter(|at| !ready[*at].item.view.record.deleted && !locals[*at].found[0].is_some_and(|found| found.living))
            .collect();
        loop {
            let before = unreserved.len();
            let mut rest = Vec::new();
            for at in unreserved {
                let open = &ready[at];
                match self.tx.reserve(&open.table, open.item.view, &self.targets) {
                    Ok(key) => self.targets.set(&open.table.resource, open.item.view.uid(), Target::Here(key)),
                    Err(error) if error.kind() == Kind::Constraint => rest.push(at),
                    Err(error) => return Err(error),
                }
            }
            if rest.is_empty() || rest.len() == before {
                break;
            }
            unreserved = rest;
        }
        for (open, locals) in ready.iter().zip(&locals) {
            match self.one(&open.table, &open.item, local_of(locals, 0))? {
                Step::Done => arrived.push((open.table.resource.clone(), open.item.view.uid().to_owned())),
                Step::Missing(wanted) => {
                    self.targets.set(&open.table.resource, open.item.view.uid(), Target::Missing);
                    self.park(&open.table, &open.item, &wanted)?;
                }
                Step::Failed(error) => {
                    self.targets.set(&open.table.resource, open.item.view.uid(), Target::Missing);
                    self.quarantine(&open.table, &open.item, &error.chain())?;
                }
            }
        }
        Ok(())
    }

    /// One record: decide, then do.
    fn one(&mut self, table: &Table, item: &Item<'_>, local: Option<(Found, RecordView<'_>)>) -> Result<Step> {
        if self.poison.contains(&item.at) && item.waited.is_none() {
            return Ok(Step::Failed(Error::new(Kind::Constraint, "a trigger or a constraint of this database refuses the record")));
        }
        if local.is_none()
            && !item.view.record.deleted
            && !table.matching.is_empty()
            && let Some(step) = self.twin(table, item)?
        {
            return Ok(step);
        }
        if let (Some((found, here)), Some(heir)) = (local, item.view.heir())
            && found.living
            && here.uid() == item.view.uid()
        {
            return self.alias(table, item, (found, here), heir);
        }
        let decision =
            decide(local.map(|(found, view)| Local { view, shared: found.shared, held: found.held, base: None }), self.given(item));
        self.carry_out(table, item, local, decision)
    }

    fn given<'a>(&self, item: &Item<'a>) -> Given<'a> {
        let source = if item.waited.is_some() { Source::Page } else { self.terms.source };
        Given { incoming: item.view, source, rules: self.terms.rules, me: self.terms.me, now: self.terms.now }
    }

    fn carry_out(&mut self, table: &Table, item: &Item<'_>, local: Option<(Found, RecordView<'_>)>, decision: Decision) -> Result<Step> {
        let incoming = item.view.record;
        let taking = decision.content != Content::Keep;
        if taking && !incoming.deleted {
            let missing: Vec<(String, String)> = references(item.view)
                .filter(|(resource, uid)| !matches!(self.targets.get(resource, uid), Target::Here(_)))
                .map(|(resource, uid)| (resource.to_owned(), uid.to_owned()))
                .collect();
            if !missing.is_empty() {
                return Ok(Step::Missing(missing));
            }
        }
        let mut decision = decision;
        if let Some((found, here)) = local.filter(|(found, _)| taking && incoming.deleted && found.living)
            && self.tx.referred(table, found)?
        {
            if !self.last {
                self.wait(table, item, Waiting::Deletion, "others here still refer to it; their deletions may be on their way", &[])?;
                self.outcome.deletions += u64::from(item.waited.is_none());
                return Ok(Step::Done);
            }
            decision = self.reassert(here, item.view);
            self.outcome.warn(format!("{} {} was deleted elsewhere but is still referred to here; it is kept", table.resource, here.uid()));
        }
        let uid = local.map_or(item.view.uid(), |(_, here)| here.uid());
        if let Some(state) = &decision.state {
            let state = NewState { shared: state.shared && item.waited.is_none() && uid == item.view.uid(), ..state.clone() };
            match self.write(table, item, local, &decision, &state, uid) {
                Ok(()) => {}
                Err(error) if error.kind() == Kind::Constraint && !self.tx.broken() => return Ok(Step::Failed(error)),
                Err(error) => return Err(error),
            }
        }
        self.note(table, item, local, &decision, uid)?;
        self.end_waiting(table, item)?;
        Ok(Step::Done)
    }

    fn write(
        &mut self,
        table: &Table,
        item: &Item<'_>,
        local: Option<(Found, RecordView<'_>)>,
        decision: &Decision,
        state: &NewState,
        uid: &str,
    ) -> Result<()> {
        let living_here = local.is_some_and(|(found, _)| found.living);
        let (effect, deleted) = match &decision.content {
            Content::Keep => (Effect::Keep, !living_here),
            Content::Take if item.view.record.deleted => (Effect::Delete, true),
            Content::Take => (Effect::Put(item.view), false),
            Content::Merge(fields) => (Effect::Some(item.view, fields), false),
        };
        let digest = match (&decision.content, local) {
            (Content::Keep, Some((_, here))) => here.digest(),
            (Content::Merge(fields), Some((_, here))) => super::merged_digest(here, item.view, fields),
            (_, Some((found, here))) if found.living => item.view.digest_over(here),
            _ => item.view.digest(),
        };
        let heir = if deleted { item.view.heir().or(local.and_then(|(_, here)| here.heir())) } else { None };
        let write = Write { uid, local: local.map(|(found, _)| found), effect, state, deleted, heir, digest, release: decision.release };
        let key = self.tx.write(table, &write, self.terms.peer, &self.targets)?;
        if let Some(key) = key.filter(|_| self.waiting || table.references.iter().any(|reference| reference.resource == table.resource)) {
            self.targets.set(&table.resource, uid, Target::Here(key));
        }
        Ok(())
    }

    /// History, conflicts and counts.
    fn note(
        &mut self,
        table: &Table,
        item: &Item<'_>,
        local: Option<(Found, RecordView<'_>)>,
        decision: &Decision,
        uid: &str,
    ) -> Result<()> {
        let terms = self.terms;
        let loser = match (decision.loser, local) {
            (Some(Side::Local), Some((_, here))) => Some((here, "local")),
            (Some(Side::Incoming), _) => Some((item.view, "incoming")),
            _ => None,
        };
        if let Some((record, side)) = loser {
            let lost = Lost { record, side, rule: decision.rule.word() };
            self.tx.remember(table, uid, terms.peer, terms.run, terms.now, &lost)?;
        }
        if let (true, Some((_, here))) = (decision.conflict, local) {
            let clash = Clash { ours: here, theirs: item.view, rule: decision.rule.word(), open: decision.hold };
            self.tx.conflict(table, uid, terms.peer, terms.run, terms.now, &clash)?;
            self.outcome.counts.conflicts += 1;
        }
        let counts = &mut self.outcome.counts;
        let living = local.is_some_and(|(found, _)| found.living);
        match (&decision.content, item.view.record.deleted) {
            (Content::Take, true) if living => counts.deleted += 1,
            (Content::Take, true) => counts.unchanged += 1,
            (Content::Take, false) if !living => counts.created += 1,
            (Content::Take | Content::Merge(_), _) => counts.updated += 1,
            (Content::Keep, _) if matches!(decision.rule, Rule::Equal | Rule::Ahead) => counts.unchanged += 1,
            (Content::Keep, _) => counts.kept += 1,
        }
        if let Rule::Strategy(method) = decision.rule {
            self.outcome.refuse(table, method);
        }
        Ok(())
    }

    /// Ends the waiting of this record and of its older versions.
    fn end_waiting(&mut self, table: &Table, item: &Item<'_>) -> Result<()> {
        if let Some(waiter) = item.waited {
            self.tx.unwait(waiter.id)?;
        }
        if self.waiting {
            for waiter in self.tx.waiters(Which::Of(table, item.view.uid()), BATCH)? {
                use crate::model::Relation::{Behind, Same};
                if matches!(waiter.page.records[0].version.relation(&item.view.record.version), Behind | Same) {
                    self.tx.unwait(waiter.id)?;
                }
            }
        }
        Ok(())
    }

    /// A deleted record that others here refer to stays: our own version, which has seen the deletion (SYNC.md 4).
    fn reassert(&self, here: RecordView<'_>, incoming: RecordView<'_>) -> Decision {
        let (ours, theirs) = (here.record, incoming.record);
        let after_both = Time(ours.modified_on.max(theirs.modified_on).0.saturating_add(1));
        let state = NewState {
            version: ours.version.join(&theirs.version),
            tick: true,
            origin: ours.origin.min(theirs.origin),
            author: self.terms.me,
            settled: Vec::new(),
            modified_on: self.terms.now.max(after_both),
            shared: false,
        };
        Decision {
            content: Content::Keep,
            state: Some(state),
            loser: None,
            conflict: false,
            hold: false,
            release: false,
            rule: Rule::Update,
        }
    }

    fn twin(&mut self, table: &Table, item: &Item<'_>) -> Result<Option<Step>> {
        let Some(local) = self.tx.twin(table, item.view, &self.targets)? else { return Ok(None) };
        let asked = self.alive_there.filter(|_| item.waited.is_some());
        match asked {
            Some(alive) if alive.contains(&local) => {
                let reason = format!("it matches {local}, but the other site holds both");
                self.quarantine(table, item, &reason)?;
                Ok(Some(Step::Done))
            }
            Some(_) => self.adopt(table, item, &local).map(Some),
            None => {
                let missing = [(table.resource.clone(), local.clone()), (table.resource.clone(), item.view.uid().to_owned())];
                self.wait(table, item, Waiting::Twin, &format!("it matches the local record {local}"), &missing)?;
                self.outcome.twins.push(local);
                Ok(Some(Step::Done))
            }
        }
    }

    /// Two uids become one: the smaller stays, the larger becomes an alias that travels (SYNC.md 1).
    fn adopt(&mut self, table: &Table, item: &Item<'_>, local: &str) -> Result<Step> {
        let (theirs, incoming) = (item.view.uid().to_owned(), item.view.record);
        let locals = self.tx.locals(table, &[local], self.terms.peer)?;
        let Some((_, here)) = local_of(&locals, 0) else { return Ok(Step::Failed(Error::new(Kind::Constraint, "its match is gone"))) };
        let (heir, alias, seen) =
            if theirs.as_str() < local { (theirs.as_str(), local, here.record) } else { (local, theirs.as_str(), incoming) };
        let state = NewState {
            version: seen.version.clone(),
            tick: true,
            origin: seen.origin,
            author: self.terms.me,
            settled: Vec::new(),
            modified_on: self.terms.now.max(Time(seen.modified_on.0.saturating_add(1))),
            shared: false,
        };
        if alias == local {
            self.tx.rekey(table, local, heir)?;
        }
        self.bury_alias(table, alias, heir, &state)?;
        let locals = self.tx.locals(table, &[heir], self.terms.peer)?;
        let local = local_of(&locals, 0);
        let decision = decide(local.map(|(found, view)| Local { view, shared: false, held: found.held, base: None }), self.given(item));
        self.carry_out(table, item, local, decision)
    }

    fn bury_alias(&mut self, table: &Table, alias: &str, heir: &str, state: &NewState) -> Result<()> {
        let digest = crate::model::Digest([0; 32]);
        let write = Write { uid: alias, local: None, effect: Effect::Keep, state, deleted: true, heir: Some(heir), digest, release: false };
        self.tx.write(table, &write, self.terms.peer, &self.targets).map(|_| ())
    }

    /// An alias came for a record that lives here: it goes on under its heir's uid.
    fn alias(&mut self, table: &Table, item: &Item<'_>, local: (Found, RecordView<'_>), heir: &str) -> Result<Step> {
        if !self.terms.rules.strategy.allows(Method::Merge) {
            self.outcome.counts.kept += 1;
            self.outcome.refuse(table, Method::Merge);
            return Ok(Step::Done);
        }
        let (_, here) = local;
        let locals = self.tx.locals(table, &[heir], self.terms.peer)?;
        if local_of(&locals, 0).is_some_and(|(found, other)| found.living && other.uid() != here.uid()) {
            let reason = format!("it is to become one with {heir}, and both live here");
            self.quarantine(table, item, &reason)?;
            return Ok(Step::Done);
        }
        let uid = item.view.uid();
        self.tx.rekey(table, uid, heir)?;
        let record = item.view.record;
        let state = NewState {
            version: record.version.join(&here.record.version),
            tick: false,
            origin: record.origin.min(here.record.origin),
            author: record.author,
            settled: record.settled.clone(),
            modified_on: record.modified_on,
            shared: false,
        };
        self.bury_alias(table, uid, heir, &state)?;
        // Under its new uid the record is offered to everyone.
        let locals = self.tx.locals(table, &[heir], self.terms.peer)?;
        if let Some((found, here)) = local_of(&locals, 0) {
            let here_now = here.record;
            let state = NewState {
                version: here_now.version.clone(),
                tick: false,
                origin: here_now.origin,
                author: here_now.author,
                settled: here_now.settled.clone(),
                modified_on: here_now.modified_on,
                shared: false,
            };
            let digest = here.digest();
            let write = Write {
                uid: heir,
                local: Some(found),
                effect: Effect::Keep,
                state: &state,
                deleted: false,
                heir: None,
                digest,
                release: false,
            };
            self.tx.write(table, &write, self.terms.peer, &self.targets)?;
        }
        self.outcome.counts.updated += 1;
        self.end_waiting(table, item)?;
        Ok(Step::Done)
    }

    fn park(&mut self, table: &Table, item: &Item<'_>, missing: &[(String, String)]) -> Result<()> {
        if item.waited.is_some() {
            return Ok(());
        }
        let names: Vec<String> = missing.iter().take(3).map(|(resource, uid)| format!("{resource} {uid}")).collect();
        self.wait(table, item, Waiting::Parked, &format!("it refers to {}, which is not here", names.join(", ")), missing)?;
        self.outcome.counts.parked += 1;
        self.outcome.missing.extend(missing.iter().cloned());
        Ok(())
    }

    fn quarantine(&mut self, table: &Table, item: &Item<'_>, reason: &str) -> Result<()> {
        if item.waited.is_some_and(|waiter| waiter.kind == Waiting::Quarantined) {
            return Ok(());
        }
        self.wait(table, item, Waiting::Quarantined, reason, &[])?;
        self.outcome.counts.quarantined += 1;
        self.outcome.quarantined.push(Quarantined { uuid: item.view.uid().to_owned(), reason: reason.to_owned() });
        Ok(())
    }

    fn wait(&mut self, table: &Table, item: &Item<'_>, kind: Waiting, reason: &str, missing: &[(String, String)]) -> Result<()> {
        if item.waited.is_some_and(|waiter| waiter.kind == kind) {
            return Ok(());
        }
        self.end_waiting(table, item)?;
        self.waiting = true;
        let peer = item.waited.map_or(self.terms.peer, |waiter| waiter.site);
        let run = item.waited.map_or(self.terms.run, |waiter| waiter.run);
        self.tx.wait(table, item.view, &Wait { kind, reason, missing, peer, run, now: self.terms.now })
    }
}

/// A record whose references are not all here.
struct Open<'a> {
    table: Table,
    item: Item<'a>,
    missing: Vec<(String, String)>,
}

/// The records that a record refers to: resource and uid.
fn references(view: RecordView<'_>) -> impl Iterator<Item = (&str, &str)> {
    let cells = view.cells().iter().filter(|cell| cell.kind == crate::model::Kind::Reference);
    cells.map(move |cell| view.value(cell)).map(|value| (value.resource, value.text))
}

fn local_of(locals: &Locals, place: usize) -> Option<(Found, RecordView<'_>)> {
    let found = locals.found.get(place).copied().flatten()?;
    let record = locals.page.records.get(found.at)?;
    Some((found, locals.page.view(record)))
}
