//! What no trigger noticed, and what need not be kept for ever.

use std::thread::sleep;

use rusqlite::params;

use super::{Sqlite, failure::Told, journal::PAUSE, layout::Layout};
use crate::{
    connector::{Forgotten, Progress, Retention, Swept},
    error::Result,
    model::{Sum, Time},
};

/// Numbers looked at in one transaction.
const WINDOW: i64 = 2_000;

/// Records whose surplus versions go in one transaction.
const BATCH: usize = 100;

/// How often a sum is added up again while others write, before that is left to the next sweep.
const TRIES: usize = 3;

impl Sqlite {
    /// See [`crate::connector::Connector::sweep`]. Nothing is folded here: that has to wait until it is known that this journal did not go back.
    pub(super) fn sweep_table(&mut self, layout: &Layout, now: Time, progress: Progress<'_>) -> Result<Swept> {
        let (resource, known, total) = (layout.table.resource.clone(), self.max_arrival(layout)?, self.rows_of(layout)?);
        let (mut swept, mut after) = (Swept::default(), None);
        loop {
            progress(&resource, swept.rows.min(total), total);
            let (last, some) = self.transaction(|db| db.journal_some(layout, after.as_deref(), now))?;
            swept += some;
            let Some(last) = last else { break };
            after = Some(last);
            sleep(PAUSE);
        }
        swept.removed = self.bury_vanished(layout, known, now)?;
        swept.mended = self.mend_sum(layout)?;
        progress(&resource, total, total);
        Ok(swept)
    }

    /// Puts a sum right that is not that of the records: somebody else wrote into the journal. Whether that was needed.
    fn mend_sum(&mut self, layout: &Layout) -> Result<bool> {
        let id = layout.table.id;
        for _ in 0..TRIES {
            let before = (self.data_version()?, self.stored_sum(id)?);
            let Some(sum) = self.added_up_gently(layout)? else { continue };
            if before.1 == Some(sum) {
                return Ok(false);
            }
            let mended = self.transaction(|db| {
                let quiet = (db.data_version()?, db.stored_sum(id)?) == before;
                if quiet {
                    db.store_sum(id, sum)?;
                }
                Ok(quiet)
            })?;
            if mended {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The sum of all records, read window by window; `None` if somebody wrote meanwhile.
    fn added_up_gently(&mut self, layout: &Layout) -> Result<Option<Sum>> {
        let begun = self.data_version()?;
        self.sites.learn(&self.conn)?;
        let (mut sum, mut first, last) = (Sum::default(), 0, self.max_arrival(layout)?);
        while first <= last {
            sum += self.added_up(layout.table.id, first, first + 10 * WINDOW - 1)?;
            first += 10 * WINDOW;
            if self.data_version()? != begun {
                return Ok(None);
            }
        }
        Ok(Some(sum))
    }

    /// See [`crate::connector::Connector::forget`].
    pub(super) fn forget_old(&mut self, keep: Retention) -> Result<Forgotten> {
        self.require_journal()?;
        let old = |table: &str, further: &str| format!("DELETE FROM {table} WHERE id BETWEEN ?1 AND ?2 AND at < ?3 {further}");
        let mut forgotten = Forgotten {
            versions: self.forget_windows("entente_history", &old("entente_history", ""), keep.before)?,
            conflicts: self.forget_windows("entente_conflict", &old("entente_conflict", "AND open = 0"), keep.before)?,
        };
        forgotten.versions += self.forget_surplus(keep.versions)?;
        let sql = "DELETE FROM entente_batch WHERE id IN (SELECT id FROM entente_batch WHERE at < ?1 LIMIT ?2)";
        while self.transaction(|db| db.conn.execute(sql, params![keep.answers.0, WINDOW]).told("write the journal"))? > 0 {
            self.breathe();
        }
        Ok(forgotten)
    }

    fn forget_windows(&mut self, table: &str, sql: &str, before: Time) -> Result<u64> {
        let bounds = format!("SELECT COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM {table}");
        let (mut first, last): (i64, i64) =
            self.conn.query_row(&bounds, [], |row| Ok((row.get(0)?, row.get(1)?))).told("read the journal")?;
        let mut removed = 0;
        while first <= last {
            let some =
                self.transaction(|db| db.conn.execute(sql, params![first, first + WINDOW - 1, before.0]).told("write the journal"))?;
            removed += some as u64;
            first += WINDOW;
            self.breathe();
        }
        Ok(removed)
    }

    /// Forgets the oldest versions of records that have more than so many.
    fn forget_surplus(&mut self, versions: u32) -> Result<u64> {
        let many = "SELECT tab, uid FROM entente_history GROUP BY tab, uid HAVING count(*) > ?1";
        let many: Vec<(i64, rusqlite::types::Value)> = {
            let mut statement = self.conn.prepare(many).told("read the journal")?;
            let rows = statement.query_map([versions], |row| Ok((row.get(0)?, row.get(1)?)));
            rows.and_then(Iterator::collect).told("read the journal")?
        };
        let surplus = "DELETE FROM entente_history WHERE id IN
            (SELECT id FROM entente_history WHERE tab = ?1 AND uid = ?2 ORDER BY id DESC LIMIT -1 OFFSET ?3)";
        let mut removed = 0;
        for some in many.chunks(BATCH) {
            removed += self.transaction(|db| {
                some.iter().try_fold(0, |removed, (table, uid)| {
                    let mut statement = db.conn.prepare_cached(surplus).told("write the journal")?;
                    statement.execute(params![table, uid, versions]).told("write the journal").map(|more| removed + more as u64)
                })
            })?;
            self.breathe();
        }
        Ok(removed)
    }
}
