//! Records that cannot be taken yet.

use super::{BATCH, Import, Item};
use crate::{
    connector::{Table, Wait, Waiting, Which},
    error::Result,
    model::Quarantined,
};

impl Import<'_> {
    /// Ends the waiting of this record and of its older versions.
    pub(super) fn end_waiting(&mut self, table: &Table, item: &Item<'_>) -> Result<()> {
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

    pub(super) fn park(&mut self, table: &Table, item: &Item<'_>, missing: &[(String, String)]) -> Result<()> {
        if item.waited.is_some() {
            return Ok(());
        }
        let names: Vec<String> = missing.iter().take(3).map(|(resource, uid)| format!("{resource} {uid}")).collect();
        self.wait(table, item, Waiting::Parked, &format!("it refers to {}, which is not here", names.join(", ")), missing)?;
        self.outcome.counts.parked += 1;
        self.outcome.missing.extend(missing.iter().cloned());
        Ok(())
    }

    pub(super) fn quarantine(&mut self, table: &Table, item: &Item<'_>, reason: &str) -> Result<()> {
        self.refused = Some(reason.to_owned());
        if item.waited.is_some_and(|waiter| waiter.kind == Waiting::Quarantined) {
            return Ok(());
        }
        self.wait(table, item, Waiting::Quarantined, reason, &[])?;
        self.outcome.counts.quarantined += 1;
        self.outcome.quarantined.push(Quarantined { uuid: item.view.uid().to_owned(), reason: reason.to_owned() });
        Ok(())
    }

    pub(super) fn wait(&mut self, table: &Table, item: &Item<'_>, kind: Waiting, reason: &str, missing: &[(String, String)]) -> Result<()> {
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
