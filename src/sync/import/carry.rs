//! Doing what was decided about a record.

use super::{Import, Item, Step, references_of};
use crate::{
    connector::{Clash, Effect, Found, Lost, Table, Target, Waiter, Waiting, Write},
    decide::{Content, Decision, Rule, Side},
    error::{Kind, Result},
    model::{NewState, RecordView, Time},
    sync::mixed,
};

impl Import<'_> {
    pub(super) fn carry_out(
        &mut self,
        table: &Table,
        item: &Item<'_>,
        local: Option<(Found, RecordView<'_>)>,
        decision: Decision,
    ) -> Result<Step> {
        let incoming = item.view.record;
        let taking = decision.content != Content::Keep;
        if taking && !incoming.deleted {
            let missing: Vec<(String, String)> = references_of(table, item.view)
                .filter(|(resource, uid)| !matches!(self.targets.get(resource, uid), Target::Here(_)))
                .map(|(resource, uid)| (resource.to_owned(), uid.to_owned()))
                .collect();
            if !missing.is_empty() {
                return Ok(Step::Missing(missing));
            }
        }
        let mut decision = decision;
        if let Some(state) = decision.state.as_mut().filter(|_| self.mended && taking) {
            (state.tick, state.author, state.settled) = (true, self.terms.me, Vec::new());
            state.modified_on = self.terms.now.max(Time(state.modified_on.0.saturating_add(1)));
        }
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
        match (decision.rule, item.waited) {
            // What these rules refuse may still wait to come in by another repository's.
            (Rule::Strategy(_), Some(waiter)) if self.is_under_our_rules(table, waiter) => self.tx.unwait(waiter.id)?,
            (Rule::Strategy(_), _) => {}
            _ => self.end_waiting(table, item)?,
        }
        Ok(Step::Done)
    }

    /// Whether a waiting record came from the peer whose rules for the table these are.
    pub(super) fn is_under_our_rules(&self, table: &Table, waiter: &Waiter) -> bool {
        waiter.site == self.terms.peer && waiter.resource == table.resource
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
            (Content::Merge(fields), Some((_, here))) => {
                mixed(here, item.view, fields).views().map(RecordView::digest).next().unwrap_or(here.digest())
            }
            (_, Some((found, here))) if found.living => item.view.digest_over(here),
            _ => item.view.digest(),
        };
        let heir = if deleted { item.view.heir().or(local.and_then(|(_, here)| here.heir())) } else { None };
        let write = Write {
            uid,
            local: local.map(|(found, _)| found),
            effect,
            state,
            deleted,
            heir,
            digest,
            release: decision.release,
            run: self.run_of(item),
        };
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
        let run = self.run_of(item);
        let loses = |side| matches!(decision.loser, Some(loser) if loser == side || loser == Side::Both);
        if let (true, Some((_, here))) = (loses(Side::Local), local) {
            let lost = Lost { record: here, side: "local", rule: decision.rule.word() };
            self.tx.remember(table, uid, terms.peer, run, terms.now, &lost)?;
        }
        if loses(Side::Incoming) {
            let lost = Lost { record: item.view, side: "incoming", rule: decision.rule.word() };
            self.tx.remember(table, uid, terms.peer, run, terms.now, &lost)?;
        }
        if let (true, Some((_, here))) = (decision.conflict, local) {
            let clash = Clash { ours: here, theirs: item.view, rule: decision.rule.word(), open: decision.hold };
            let listed = self.tx.conflict(table, uid, terms.peer, run, terms.now, &clash)?;
            self.outcome.counts.conflicts += u64::from(listed);
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
            self.outcome.refuse(table, uid, method);
        }
        Ok(())
    }

    /// The run that a change belongs to: what is tried again outside any run belongs to that in which it came.
    fn run_of(&self, item: &Item<'_>) -> u64 {
        item.waited.map_or(self.terms.run, |waiter| if self.terms.run == 0 { waiter.run } else { self.terms.run })
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
            // A site that deletes by policy does so once against this, too; else the two of us would go on for ever.
            settled: crate::decide::union(&ours.settled, &theirs.settled, Some(self.terms.me)),
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
}
