//! Two uids for one thing: adoption, and the aliases that tell of it (SYNC.md 1).

use super::{Import, Item, Step, base_of, local_of, references};
use crate::{
    connector::{Attempt, Effect, Found, Lost, Table, Waiting, Write},
    decide::{Local, union},
    error::{Error, Kind, Result},
    model::{Digest, Method, NewState, Page, RecordView, Relation, Time},
};

/// How many aliases are followed: an heir is always smaller, so more are a damaged journal.
const ALIASES: usize = 64;

/// The digest of what is deleted.
const NOTHING: Digest = Digest([0; 32]);

impl Import<'_> {
    pub(super) fn twin(&mut self, table: &Table, item: &Item<'_>) -> Result<Option<Step>> {
        let Some(local) = self.tx.twin(table, item.view, &self.targets)? else { return Ok(None) };
        let asked = self.alive_there.as_ref().filter(|_| item.waited.is_some());
        match asked.map(|alive| alive.contains(&local)) {
            Some(true) => {
                let reason = format!("it matches {local}, but the other site holds both");
                self.quarantine(table, item, &reason)?;
                Ok(Some(Step::Done))
            }
            Some(false) => self.adopt(table, item, &local).map(Some),
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
            self.rekeyed = true;
        }
        self.bury_alias(table, alias, heir, &state)?;
        let locals = self.tx.locals(table, &[heir], self.terms.peer)?;
        let local = local_of(&locals, 0);
        let local_here = local.map(|(found, view)| Local { view, shared: false, held: found.held, base: base_of(&locals, found) });
        let decision = self.terms.decider.decide(local_here, self.given(item));
        self.carry_out(table, item, local, decision)
    }

    /// Stores a tombstone that names its heir, over what is known under that uid.
    fn bury_alias(&mut self, table: &Table, alias: &str, heir: &str, state: &NewState) -> Result<()> {
        let known = self.tx.exactly(table, alias)?;
        let local = local_of(&known, 0);
        let state = match local {
            Some((_, here)) => NewState { version: state.version.join(&here.record.version), shared: false, ..state.clone() },
            None => state.clone(),
        };
        let local = local.map(|(found, _)| found);
        let (effect, run) = (if local.is_some_and(|found| found.living) { Effect::Delete } else { Effect::Keep }, self.terms.run);
        let write =
            Write { uid: alias, local, effect, state: &state, deleted: true, heir: Some(heir), digest: NOTHING, release: true, run };
        self.tx.write(table, &write, self.terms.peer, &self.targets).map(|_| ())
    }

    /// A version came that says: this record goes on as `heir`.
    pub(super) fn alias(&mut self, table: &Table, item: &Item<'_>, heir: &str) -> Result<Step> {
        let alias = item.view.uid();
        if heir >= alias {
            return Ok(Step::Failed(Error::new(Kind::Constraint, format!("it names {heir} as its heir, which is not smaller"))));
        }
        if !self.terms.rules.strategy.allows(Method::Merge) {
            self.outcome.counts.kept += 1;
            self.outcome.refuse(table, alias, Method::Merge);
            return Ok(Step::Done);
        }
        self.tx.attempt(Attempt::Begin)?;
        match self.become_one(table, item, heir) {
            Ok(()) => {
                self.tx.attempt(Attempt::Keep)?;
                self.rekeyed = true;
                self.end_waiting(table, item)?;
                Ok(Step::Done)
            }
            Err(error) if error.kind() == Kind::Constraint && !self.tx.broken() => {
                self.tx.attempt(Attempt::Undo)?;
                Ok(Step::Failed(error))
            }
            Err(error) => Err(error),
        }
    }

    fn become_one(&mut self, table: &Table, item: &Item<'_>, heir: &str) -> Result<()> {
        let (alias, record) = (item.view.uid(), item.view.record);
        let known = self.tx.exactly(table, alias)?;
        let state = NewState {
            version: record.version.clone(),
            tick: false,
            origin: record.origin,
            author: record.author,
            settled: record.settled.clone(),
            modified_on: record.modified_on,
            shared: item.waited.is_none(),
        };
        let Some((found, here)) = local_of(&known, 0) else {
            self.outcome.counts.unchanged += 1;
            return self.bury_alias(table, alias, heir, &state);
        };
        if found.living {
            let end = self.end_of(table, heir)?;
            self.outcome.counts.updated += 1;
            return self.unite(table, (found, here), &end, &state);
        }
        self.outcome.counts.unchanged += 1;
        // Two heirs of one alias are one record, too: the smaller stays.
        let (less, more) = match here.heir() {
            Some(other) if other != heir => (other.min(heir), Some(other.max(heir))),
            _ => (heir, None),
        };
        self.join_alias(table, (found, here), less, &state)?;
        let Some(more) = more else { return Ok(()) };
        let (one, other) = (self.end_of(table, less)?, self.end_of(table, more)?);
        let (stays, goes) = if one < other { (one, other) } else { (other, one) };
        if stays == goes {
            return Ok(());
        }
        let known = self.tx.exactly(table, &goes)?;
        match local_of(&known, 0) {
            Some(local) if local.0.living => {
                let state = self.ours(local.1);
                self.unite(table, local, &stays, &state)
            }
            Some(_) => Ok(()),
            // When it comes, it is known whose alias it is.
            None => self.bury_alias(table, &goes, &stays, &state),
        }
    }

    /// An alias came that is known: both states of it become one.
    fn join_alias(&mut self, table: &Table, local: (Found, RecordView<'_>), heir: &str, came: &NewState) -> Result<()> {
        let (found, here) = local;
        let record = here.record;
        let (modified_on, author) = (record.modified_on, record.author).max((came.modified_on, came.author));
        let state = NewState {
            version: record.version.join(&came.version),
            tick: false,
            origin: record.origin.min(came.origin),
            author,
            settled: union(&record.settled, &came.settled, None),
            modified_on,
            shared: false,
        };
        let same = |version, settled: &[_], at, author, origin| {
            state.version == version && state.settled == settled && (state.modified_on, state.author, state.origin) == (at, author, origin)
        };
        if same(record.version.clone(), &record.settled, record.modified_on, record.author, record.origin)
            && here.heir() == Some(heir)
            && !found.shared
        {
            return Ok(());
        }
        let shared = came.shared && same(came.version.clone(), &came.settled, came.modified_on, came.author, came.origin);
        let state = NewState { shared, ..state };
        let (uid, effect, run) = (here.uid(), Effect::Keep, self.terms.run);
        let write =
            Write { uid, local: Some(found), effect, state: &state, deleted: true, heir: Some(heir), digest: NOTHING, release: true, run };
        self.tx.write(table, &write, self.terms.peer, &self.targets).map(|_| ())
    }

    /// The uid at the end of the aliases that begin with this one.
    fn end_of(&mut self, table: &Table, uid: &str) -> Result<String> {
        let mut uid = uid.to_owned();
        for _ in 0..ALIASES {
            let known = self.tx.exactly(table, &uid)?;
            let next = local_of(&known, 0).and_then(|(found, here)| here.heir().filter(|_| !found.living).map(str::to_owned));
            match next.filter(|next| *next < uid) {
                Some(next) => uid = next,
                None => return Ok(uid),
            }
        }
        Err(Error::internal("the journal is damaged: its aliases have no end"))
    }

    /// A living record goes on under the uid of its heir; where that is known here, both become one: what is later by version or else by
    /// time stays, what loses goes into the history, and what refers to either refers to the heir.
    fn unite(&mut self, table: &Table, local: (Found, RecordView<'_>), heir: &str, alias: &NewState) -> Result<()> {
        let (found, here) = local;
        let (uid, record) = (here.uid(), here.record);
        let alias = NewState { version: alias.version.join(&record.version), shared: false, ..alias.clone() };
        let heirs = self.tx.exactly(table, heir)?;
        let Some((other_found, other)) = local_of(&heirs, 0) else {
            self.tx.rekey(table, uid, heir)?;
            self.bury_alias(table, uid, heir, &alias)?;
            return self.offer(table, heir);
        };
        let theirs = other.record;
        let ours_wins = match record.version.relation(&theirs.version) {
            Relation::Ahead => true,
            Relation::Behind => false,
            Relation::Same | Relation::Concurrent => {
                (record.modified_on, record.author, here.digest()) > (theirs.modified_on, theirs.author, other.digest())
            }
        };
        let stays = ours_wins || other_found.retracted || !other_found.living && self.tx.referred(table, found)?;
        let winner = if stays { record } else { theirs };
        let state = NewState {
            version: record.version.join(&theirs.version),
            tick: false,
            origin: record.origin.min(theirs.origin),
            author: winner.author,
            settled: union(&record.settled, &theirs.settled, None),
            modified_on: winner.modified_on,
            shared: false,
        };
        let loser = if stays { other } else { here };
        if loser.digest() != if stays { here.digest() } else { other.digest() } {
            let lost = Lost { record: loser, side: "local", rule: "merge" };
            self.tx.remember(table, heir, self.terms.peer, self.terms.run, self.terms.now, &lost)?;
        }
        if stays && !other_found.living {
            self.tx.rekey(table, uid, heir)?;
            self.bury_alias(table, uid, heir, &alias)?;
        } else {
            if other_found.living {
                self.tx.repoint(table, found, other_found)?;
            }
            // The row of the alias goes first: both may not be there with the same unique values.
            self.bury_alias(table, uid, heir, &alias)?;
        }
        let heirs = self.tx.exactly(table, heir)?;
        let Some((found, now)) = local_of(&heirs, 0) else { return Err(Error::internal("an heir was lost")) };
        let wanted: Vec<(&str, &str)> = references(here).collect();
        let targets = self.tx.resolve(&wanted)?;
        self.targets.extend(targets);
        let (effect, digest) = match stays && now.digest() != here.digest() {
            true => (Effect::Put(here), here.digest_over(now)),
            false => (Effect::Keep, now.digest()),
        };
        let (deleted, run) = (now.record.deleted, self.terms.run);
        let write = Write { uid: heir, local: Some(found), effect, state: &state, deleted, heir: None, digest, release: true, run };
        self.tx.write(table, &write, self.terms.peer, &self.targets).map(|_| ())
    }

    /// Under its new uid a record is offered to everyone.
    fn offer(&mut self, table: &Table, uid: &str) -> Result<()> {
        let known = self.tx.exactly(table, uid)?;
        let Some((found, here)) = local_of(&known, 0) else { return Ok(()) };
        let (state, digest, run) = (self.ours(here), here.digest(), self.terms.run);
        let write = Write {
            uid,
            local: Some(found),
            effect: Effect::Keep,
            state: &state,
            deleted: !found.living,
            heir: None,
            digest,
            release: false,
            run,
        };
        self.tx.write(table, &write, self.terms.peer, &self.targets).map(|_| ())
    }

    /// The state that a record has.
    fn ours(&self, here: RecordView<'_>) -> NewState {
        let record = here.record;
        NewState {
            version: record.version.clone(),
            tick: false,
            origin: record.origin,
            author: record.author,
            settled: record.settled.clone(),
            modified_on: record.modified_on,
            shared: false,
        }
    }

    /// The record with the uids of heirs in place of their aliases, where it refers to any: what refers to the one refers to the other, and
    /// that alone is no difference.
    pub(super) fn through_aliases(&self, view: RecordView<'_>) -> Option<Page> {
        let led = |resource: &str, uid: &str| self.targets.heir(resource, uid).map(str::to_owned);
        references(view).any(|(resource, uid)| led(resource, uid).is_some()).then(|| {
            let mut page = Page::new(&view.page.resource);
            let uid = page.put(view.uid());
            let mark = page.mark();
            for (name, value) in view.fields() {
                let heir = (value.kind == crate::model::Kind::Reference).then(|| led(value.resource, value.text)).flatten();
                let text = page.put(heir.as_deref().unwrap_or(value.text));
                let (Some(field), resource) = (page.name(name), page.name_or_zero(value.resource)) else { continue };
                page.cell(crate::model::Cell { field, resource, kind: value.kind, text });
            }
            let mut record = view.record.clone();
            record.uid = uid;
            page.finish(record, mark);
            page
        })
    }
}
