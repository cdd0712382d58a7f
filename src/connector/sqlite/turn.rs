//! Transactions, and the pauses between them.

use std::time::Duration;

use super::{Sqlite, failure::Told};
use crate::error::Result;

impl Sqlite {
    /// Runs `work` in a write transaction: all of it or nothing.
    pub(super) fn transaction<T>(&mut self, work: impl FnOnce(&mut Sqlite) -> Result<T>) -> Result<T> {
        self.conn.execute_batch("BEGIN IMMEDIATE").told("write to the database")?;
        let ready = self.sites.learn_where_installed(&self.conn);
        let done = ready.and_then(|()| work(self)).and_then(|value| self.commit("commit").map(|()| value));
        if done.is_err() {
            self.undo();
        }
        done
    }

    /// Runs `work` on one state of the database.
    pub(super) fn snapshot<T>(&mut self, work: impl FnOnce(&mut Sqlite) -> Result<T>) -> Result<T> {
        self.conn.execute_batch("BEGIN").told("read the database")?;
        let done = work(self);
        self.conn.execute_batch("COMMIT").told("end reading")?;
        done
    }

    pub(super) fn undo(&mut self) {
        if !self.conn.is_autocommit() {
            // A failed rollback leaves nothing to do: the connection's end rolls back too.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        self.forget_tally();
        // What cannot be read now is read at the next use.
        let _ = self.sites.load(&self.conn);
    }

    /// Leaves the database to others for a moment between two short transactions: longer when somebody else writes.
    pub(super) fn breathe(&mut self) {
        let pulse = self.data_version().unwrap_or(self.pulse);
        let pause = if pulse == self.pulse { 1 } else { 20 };
        self.pulse = pulse;
        std::thread::sleep(Duration::from_millis(pause));
    }

    pub(super) fn data_version(&self) -> Result<i64> {
        self.conn.query_row("PRAGMA data_version", [], |row| row.get(0)).told("look for changes")
    }
}
