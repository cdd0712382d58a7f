//! Two uids for one thing: adoption, and the aliases that tell of it (SYNC.md 1).

use super::{Import, Item, Step, local_of};
use crate::{
    connector::{Effect, Found, Table, Waiting, Write},
    decide::Local,
    error::{Error, Kind, Result},
    model::{Digest, Method, NewState, RecordView, Time},
};

impl Import<'_> {
    pub(super) fn twin(&mut self, table: &Table, item: &Item<'_>, retracted: Option<Found>) -> Result<Option<Step>> {
        let Some(local) = self.tx.twin(table, item.view, &self.targets)? else { return Ok(None) };
        let asked = self.alive_there.as_ref().filter(|_| item.waited.is_some());
        match asked.map(|alive| alive.contains(&local)) {
            Some(true) => {
                let reason = format!("it matches {local}, but the other site holds both");
                self.quarantine(table, item, &reason)?;
                Ok(Some(Step::Done))
            }
            Some(false) => self.adopt(table, item, &local, retracted).map(Some),
            None => {
                let missing = [(table.resource.clone(), local.clone()), (table.resource.clone(), item.view.uid().to_owned())];
                self.wait(table, item, Waiting::Twin, &format!("it matches the local record {local}"), &missing)?;
                self.outcome.twins.push(local);
                Ok(Some(Step::Done))
            }
        }
    }

    /// Two uids become one: the smaller stays, the larger becomes an alias that travels (SYNC.md 1).
    fn adopt(&mut self, table: &Table, item: &Item<'_>, local: &str, retracted: Option<Found>) -> Result<Step> {
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
        self.bury_alias(table, alias, heir, &state, retracted.filter(|_| alias != local))?;
        let locals = self.tx.locals(table, &[heir], self.terms.peer)?;
        let local = local_of(&locals, 0);
        let decision = self
            .terms
            .decider
            .decide(local.map(|(found, view)| Local { view, shared: false, held: found.held, base: None }), self.given(item));
        self.carry_out(table, item, local, decision)
    }

    fn bury_alias(&mut self, table: &Table, alias: &str, heir: &str, state: &NewState, local: Option<Found>) -> Result<()> {
        let digest = Digest([0; 32]);
        let write = Write { uid: alias, local, effect: Effect::Keep, state, deleted: true, heir: Some(heir), digest, release: false };
        self.tx.write(table, &write, self.terms.peer, &self.targets).map(|_| ())
    }

    /// An alias came for a record that lives here: it goes on under its heir's uid.
    pub(super) fn alias(&mut self, table: &Table, item: &Item<'_>, local: (Found, RecordView<'_>), heir: &str) -> Result<Step> {
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
        self.rekeyed = true;
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
        self.bury_alias(table, uid, heir, &state, None)?;
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
}
