//! Retractions: the peer no longer shares a record with us (SYNC.md 3). Nothing is decided and no version is made; a copy that only
//! this peer gave a reason for goes into the history.

use super::{BATCH, Import, Item, Step};
use crate::{
    connector::{Found, Lost, Table, Waiting, Which},
    error::{Kind, Result},
    model::{Method, RecordView, Relation},
};

/// Why a copy stays.
enum Stays {
    /// There is nothing that could go.
    Nothing,
    /// It has seen more than the peer has, or the peer may have it from us: it is offered, and retracted again where that is still so.
    Ours,
    /// Others share it.
    Shared,
    /// The strategy does not allow deleting.
    Strategy,
}

impl Import<'_> {
    pub(super) fn retract(&mut self, table: &Table, item: &Item<'_>, local: Option<(Found, RecordView<'_>)>) -> Result<Step> {
        let gone = local.filter(|(found, here)| found.living && here.uid() == item.view.uid());
        let stays = match gone {
            Some((found, here)) => self.stays(table, item, found, here)?,
            None => Some(Stays::Nothing),
        };
        match (stays, gone) {
            (Some(Stays::Strategy), _) => self.outcome.refuse(table, item.view.uid(), Method::Delete),
            (None, Some((found, here))) => return self.let_go(table, item, found, here),
            _ => {}
        }
        self.nothing_waits(table, item)?;
        Ok(Step::Done)
    }

    fn stays(&mut self, table: &Table, item: &Item<'_>, found: Found, here: RecordView<'_>) -> Result<Option<Stays>> {
        let ours = match here.record.version.relation(&item.view.record.version) {
            Relation::Behind => false,
            // Both sides may be telling each other to let go of the same version. One of them has to keep it.
            Relation::Same => !found.shared && self.terms.me < self.terms.peer,
            Relation::Ahead | Relation::Concurrent => true,
        };
        if ours || found.held {
            return Ok(Some(Stays::Ours));
        }
        if !self.terms.rules.strategy.allows(Method::Delete) {
            return Ok(Some(Stays::Strategy));
        }
        let elsewhere = &self.terms.elsewhere;
        let shared = elsewhere.certainly
            || !elsewhere.perhaps.is_empty() && self.tx.sharers(table)?.iter().any(|site| elsewhere.perhaps.contains(site));
        Ok(shared.then_some(Stays::Shared))
    }

    fn let_go(&mut self, table: &Table, item: &Item<'_>, found: Found, here: RecordView<'_>) -> Result<Step> {
        let referred = match self.tx.retract(table, found) {
            Err(error) if error.kind() == Kind::Constraint && !self.tx.broken() => true,
            done => done.map(|()| false)?,
        };
        if referred && !self.last {
            self.wait(table, item, Waiting::Deletion, "others here still refer to it; they may be let go, too", &[])?;
            self.outcome.deletions += u64::from(item.waited.is_none());
            return Ok(Step::Done);
        }
        if referred {
            self.outcome.warn(format!(
                "{} {} is no longer shared with us but is still referred to here; it is kept",
                table.resource,
                here.uid()
            ));
        } else {
            let (peer, run, now) = (self.terms.peer, self.terms.run, self.terms.now);
            self.tx.remember(table, here.uid(), peer, run, now, &Lost { record: here, side: "local", rule: "retracted" })?;
            self.outcome.counts.retracted += 1;
        }
        self.nothing_waits(table, item)?;
        Ok(Step::Done)
    }

    /// What this peer gave of the record and still waits goes, too; what waits from others does not.
    fn nothing_waits(&mut self, table: &Table, item: &Item<'_>) -> Result<()> {
        if let Some(waiter) = item.waited {
            self.tx.unwait(waiter.id)?;
        }
        if !self.waiting {
            return Ok(());
        }
        for waiter in self.tx.waiters(Which::Of(table, item.view.uid()), BATCH)? {
            let relation = waiter.page.records[0].version.relation(&item.view.record.version);
            if waiter.site == self.terms.peer && matches!(relation, Relation::Behind | Relation::Same) {
                self.tx.unwait(waiter.id)?;
            }
        }
        Ok(())
    }
}
