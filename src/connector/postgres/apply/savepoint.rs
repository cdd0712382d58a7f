//! What comes before a look at a table, and what may fail without the page.

use super::Transaction;
use crate::{
    connector::postgres::layout::Layout,
    error::{Kind as Fault, Result},
};

impl Transaction<'_> {
    /// What committed before this page comes before it: its notes are taken over before a table is looked at.
    pub(super) fn catch_up(&mut self, layout: &Layout) -> Result<()> {
        self.flush()?;
        self.last_arrival = None;
        if self.caught_up.insert(layout.table.id) {
            let tables = self.db.with_parents(layout);
            self.db.gather(&tables)?;
        }
        Ok(())
    }

    /// Does something of which nothing is left if a constraint forbids it; the transaction goes on.
    pub(super) fn within_savepoint<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let (tally, arrival) = (self.db.tally.clone(), self.last_arrival);
        self.db.link.batch("SAVEPOINT entente_write", "write to the database")?;
        let done = work(self).and_then(|value| self.db.link.batch("RELEASE entente_write", "write to the database").map(|()| value));
        if let Err(error) = &done {
            (self.db.tally, self.last_arrival) = (tally, arrival);
            let back = self.db.link.batch("ROLLBACK TO entente_write; RELEASE entente_write", "go on");
            // Sites that it learned went with it.
            self.broken |= error.kind() == Fault::Busy || back.and_then(|()| self.db.sites.load(&mut self.db.link)).is_err();
        }
        done
    }
}
