//! What no trigger noticed, and what need not be kept for ever.

use super::{Postgres, args::Columns, layout::Layout};
use crate::{
    connector::{Forgotten, Progress, Retention, Swept},
    error::Result,
    model::{Sum, Time},
};

/// Rows removed in one transaction.
const WINDOW: i64 = 5_000;

/// States whose sum is added up by one query.
const STATES: i64 = 50_000;

impl Postgres {
    /// See [`crate::connector::Connector::sweep`]. Nothing is folded here: that has to wait until it is known that this journal did not go back.
    pub(super) fn sweep_table(&mut self, layout: &Layout, now: Time, progress: Progress<'_>) -> Result<Swept> {
        self.gather_gently(layout)?;
        let (resource, known, total) = (layout.table.resource.clone(), self.max_arrival(layout)?, self.rows_of(layout)?);
        let (mut swept, mut after) = (Swept::default(), None);
        loop {
            progress(&resource, swept.rows.min(total), total);
            let (last, some) = self.transaction(|db| db.journal_some(layout, after.as_deref(), now))?;
            swept += some;
            let Some(last) = last else { break };
            after = Some(last);
        }
        swept.removed = self.bury_vanished(layout, known, now)?;
        swept.mended = self.mend_sum(layout)?;
        progress(&resource, total, total);
        Ok(swept)
    }

    /// Puts a sum right that is not that of the records: somebody else wrote into the journal. Whether that was needed.
    fn mend_sum(&mut self, layout: &Layout) -> Result<bool> {
        let sum = self.snapshot(|db| Ok((db.stored_sum(layout.table.id)?, db.whole_sum(layout)?)))?;
        if sum.0 == Some(sum.1) {
            return Ok(false);
        }
        self.transaction(|db| {
            let sum = db.whole_sum(layout)?;
            db.store_sum(layout.table.id, sum)
        })?;
        Ok(true)
    }

    /// The sum of all records, read window by window.
    fn whole_sum(&mut self, layout: &Layout) -> Result<Sum> {
        let (mut sum, mut first, last) = (Sum::default(), 0, self.max_arrival(layout)?);
        while first <= last {
            sum += self.added_up(layout, first, first + STATES - 1)?;
            first += STATES;
        }
        Ok(sum)
    }

    /// See [`crate::connector::Connector::forget`].
    pub(super) fn forget_old(&mut self, keep: Retention) -> Result<Forgotten> {
        self.require_journal()?;
        let old = |table: &str, further: &str| {
            format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE at < $1::bigint {further} ORDER BY id LIMIT {WINDOW})")
        };
        let mut forgotten = Forgotten {
            versions: self.remove_all(&old("entente.history", ""), keep.before.0)?,
            conflicts: self.remove_all(&old("entente.conflict", "AND NOT open"), keep.before.0)?,
        };
        let surplus = format!(
            "DELETE FROM entente.history WHERE id IN (SELECT id FROM
               (SELECT id, row_number() OVER (PARTITION BY tab, uid ORDER BY id DESC) AS place FROM entente.history) h
             WHERE place > $1::bigint LIMIT {WINDOW})"
        );
        forgotten.versions += self.remove_all(&surplus, i64::from(keep.versions))?;
        self.remove_all(&old("entente.batch", ""), keep.answers.0)?;
        self.forget_notes()?;
        Ok(forgotten)
    }

    fn remove_all(&mut self, sql: &str, limit: i64) -> Result<u64> {
        let mut removed = 0;
        loop {
            let some = self.transaction(|db| db.link.run(sql, &[limit.into()], "write the journal"))?;
            removed += some;
            if some < WINDOW as u64 {
                return Ok(removed);
            }
        }
    }

    /// Removes notes that were taken over. Those that an application writes at this moment are left to it.
    fn forget_notes(&mut self) -> Result<()> {
        for row in self.link.query("SELECT id FROM entente.tab", &[], "read the journal")? {
            let id = row.int(0)?.unwrap_or(0);
            let sql = format!(
                "DELETE FROM entente.note_{id} WHERE ctid = ANY (ARRAY(SELECT ctid FROM entente.note_{id}
                 WHERE pg_visible_in_snapshot(xid, (SELECT gathered FROM entente.mark WHERE tab = {id})) LIMIT {WINDOW} FOR UPDATE SKIP LOCKED))"
            );
            while self.link.run(&sql, &[], "remove old notes")? == WINDOW as u64 {}
        }
        Ok(())
    }
}
