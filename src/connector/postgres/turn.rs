//! Transactions: one that writes at a time, and those that only read.

use super::{
    Postgres,
    args::{Arg, Columns},
};
use crate::error::{Error, Kind, Result};

impl Postgres {
    /// Begins a transaction that writes: the only one, and it sees all that the one before it did.
    pub(super) fn take_turn(&mut self) -> Result<()> {
        // The lock comes before the first look, so that what is seen is what the last writer left.
        let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE entente.turn IN EXCLUSIVE MODE";
        self.tally.clear();
        let begun = self.link.batch(sql, "write to the database").and_then(|()| self.sites.load(&mut self.link));
        begun.map_err(|error| {
            self.undo();
            self.tell_holder(error)
        })
    }

    /// Names who holds what we waited for.
    fn tell_holder(&mut self, error: Error) -> Error {
        self.tell_who_holds("entente.turn", "the journal", error)
    }

    /// Names who holds a table that we waited for.
    pub(super) fn tell_who_holds(&mut self, rel: &str, called: &str, error: Error) -> Error {
        let sql = "SELECT l.pid::bigint, a.application_name, a.usename::text, to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS') || ' UTC' FROM pg_catalog.pg_locks l
             LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
             WHERE l.relation = $1::text::regclass AND l.granted AND l.pid <> pg_backend_pid() ORDER BY a.xact_start LIMIT 1";
        if error.kind() != Kind::Busy {
            return error;
        }
        let Ok(Some(row)) = self.link.maybe(sql, &[Arg::text(rel)], "look for the holder") else { return error };
        let told = |at: usize| row.text(at).ok().flatten().unwrap_or("?").to_owned();
        let pid = row.int(0).ok().flatten().unwrap_or(0);
        let held = format!("{called} is held by process {pid} ({}, user {}) since {}", told(1), told(2), told(3));
        Error::new(Kind::Busy, held)
            .because(error)
            .hint("This is tried again. `SELECT pg_terminate_backend(PID)` ends a process that hangs.")
    }

    /// Runs `work` in a transaction that writes: all of it or nothing.
    pub(super) fn transaction<T>(&mut self, work: impl FnOnce(&mut Postgres) -> Result<T>) -> Result<T> {
        self.take_turn()?;
        let done = work(self).and_then(|value| self.commit("commit").map(|()| value));
        if done.is_err() {
            self.undo();
        }
        done
    }

    /// Commits, and with it the sums of what was changed.
    pub(super) fn commit(&mut self, doing: &str) -> Result<()> {
        self.store_tally()?;
        // A server ends a failed transaction that is to be committed by undoing it, and calls that no error.
        if self.link.failed() {
            return Err(Error::new(Kind::Constraint, format!("could not {doing}: a part of it failed")));
        }
        self.link.batch("COMMIT", doing)
    }

    pub(super) fn undo(&mut self) {
        self.tally.clear();
        self.link.begin_again();
        // A failed rollback leaves nothing to do: the connection's end rolls back too.
        let _ = self.link.batch("ROLLBACK", "undo");
    }

    /// Runs `work` on one state of the database.
    pub(super) fn snapshot<T>(&mut self, work: impl FnOnce(&mut Postgres) -> Result<T>) -> Result<T> {
        self.link.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "read the database")?;
        let done = self.sites.load(&mut self.link).and_then(|()| work(self));
        let ended = self.link.batch("COMMIT", "end reading");
        done.and_then(|value| ended.map(|()| value))
    }
}
