//! The running sum of each table, kept in step with its records whatever statement changes them: temporary triggers, on our own connections alone, tell a
//! function what came and what went. Applications change none of the columns that count, so they need no such trigger.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{
    Connection, OptionalExtension, Result as SqlResult,
    functions::{Context, FunctionFlags},
    params,
    types::ValueRef,
};

use super::{Sqlite, failure::Told, layout::Layout, rows::KnownSites, sql::state_of, values::push_uid};
use crate::{
    connector::known::read_version,
    error::Result,
    model::{Digest, Page, Sum},
};

/// What changed in this transaction, by table.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Arc<Mutex<HashMap<i64, Sum>>>);

impl Tally {
    fn take(&self) -> HashMap<i64, Sum> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is noted so far, to go back to.
    pub(super) fn so_far(&self) -> HashMap<i64, Sum> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes back to what was noted at a savepoint.
    pub(super) fn go_back(&self, noted: HashMap<i64, Sum>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = noted;
    }

    /// Adds and subtracts what a record was and is.
    fn note(&self, table: i64, went: Sum, came: Sum) {
        if went != came {
            let mut changed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let sum = changed.entry(table).or_default();
            *sum -= went;
            *sum += came;
        }
    }
}

/// Makes the function known that the triggers call: the table's number; uid, version and digest before; the same after.
pub(super) fn register(conn: &Connection, tally: &Tally, sites: &KnownSites) -> Result<()> {
    let (tally, sites) = (tally.clone(), sites.clone());
    let noted = move |call: &Context<'_>| -> SqlResult<Option<i64>> {
        let at = |first: usize| mark(call.get_raw(first), call.get_raw(first + 1), call.get_raw(first + 2), &sites);
        tally.note(call.get(0)?, at(1)?, at(4)?);
        Ok(None)
    };
    conn.create_scalar_function("entente_note", 7, FunctionFlags::SQLITE_UTF8, noted).told("open the database")
}

/// What a row of a state table adds.
fn mark(uid: ValueRef<'_>, version: ValueRef<'_>, digest: ValueRef<'_>, sites: &KnownSites) -> SqlResult<Sum> {
    let digest = digest.as_blob_or_null().unwrap_or(None).and_then(|blob| blob.try_into().ok()).map(Digest);
    let Some(digest) = digest.filter(|digest| *digest != Digest::DELETED && uid != ValueRef::Null) else { return Ok(Sum::default()) };
    let mut page = Page::default();
    let uid = push_uid(uid, &mut page);
    let version = version.as_str_or_null().unwrap_or(None).unwrap_or("");
    let version = read_version(version, |id| sites.get(id)).map_err(|e| rusqlite::Error::UserFunctionError(Box::new(e)))?;
    Ok(Sum::of(page.text(uid), &version, digest))
}

impl Sqlite {
    /// Lets this connection count what becomes of a table's records.
    pub(super) fn count_along(&self, layout: &Layout) -> Result<()> {
        let (id, state) = (layout.table.id, layout.state());
        let columns = |row: &str| format!("{row}.uid, {row}.version, {row}.digest");
        let none = "NULL, NULL, NULL";
        let trigger = |event: &str, when: &str, before: &str, after: &str| {
            format!(
                "CREATE TEMP TRIGGER IF NOT EXISTS entente_{id}_sum_{event} AFTER {when} ON main.{state}
                   BEGIN SELECT entente_note({id}, {before}, {after}); END;"
            )
        };
        let sql = [
            trigger("insert", "INSERT", none, &columns("NEW")),
            trigger("update", "UPDATE OF uid, version, digest", &columns("OLD"), &columns("NEW")),
            trigger("delete", "DELETE", &columns("OLD"), none),
        ];
        self.conn.execute_batch(&sql.concat()).told("read the journal")
    }

    /// Commits the transaction, and with it the sums of what it changed.
    pub(super) fn commit(&mut self, doing: &str) -> Result<()> {
        for (table, changed) in self.tally.take() {
            let before = self.stored_sum(table)?;
            // A table that is gone by now has no sum.
            if let Some(mut sum) = before {
                sum += changed;
                self.store_sum(table, sum)?;
            }
        }
        self.conn.execute_batch("COMMIT").told(doing)
    }

    /// Forgets what was noted in a transaction that is rolled back.
    pub(super) fn forget_tally(&self) {
        self.tally.take();
    }

    pub(super) fn stored_sum(&self, table: i64) -> Result<Option<Sum>> {
        let mut statement = self.conn.prepare_cached("SELECT sum FROM entente_table WHERE id = ?1").told("read the journal")?;
        let sum = statement.query_row([table], |row| row.get::<_, [u8; 32]>(0)).optional().told("read the journal")?;
        Ok(sum.map(Sum::from_bytes))
    }

    pub(super) fn store_sum(&self, table: i64, sum: Sum) -> Result<()> {
        let mut statement = self.conn.prepare_cached("UPDATE entente_table SET sum = ?2 WHERE id = ?1").told("write the journal")?;
        statement.execute(params![table, sum.to_bytes()]).told("write the journal").map(|_| ())
    }

    /// See [`crate::connector::Connector::sum`].
    pub(super) fn folded_sum(&mut self, layout: &Layout) -> Result<Option<Sum>> {
        let sql = format!(
            "SELECT (SELECT sum FROM entente_table WHERE id = ?1),
               EXISTS (SELECT 1 FROM {} WHERE own IS NOT NULL AND arrival > (SELECT folded FROM entente_table WHERE id = ?1))
               OR EXISTS (SELECT 1 FROM entente_suspect WHERE tab = ?1)",
            layout.state()
        );
        let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
        let (sum, edited) = statement
            .query_row([layout.table.id], |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, bool>(1)?)))
            .told("read the journal")?;
        Ok((!edited).then(|| Sum::from_bytes(sum)))
    }

    /// The sum over the records of a table within these arrivals, added up anew.
    pub(super) fn added_up(&self, table: i64, first: i64, last: i64) -> Result<Sum> {
        let mut sum = Sum::default();
        let sql = format!("SELECT uid, version, digest FROM {} WHERE arrival BETWEEN ?1 AND ?2 AND digest IS NOT NULL", state_of(table));
        let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
        let mut rows = statement.query([first, last]).told("read the journal")?;
        let known = self.sites.shared();
        while let Some(row) = rows.next().told("read the journal")? {
            let at = |at| row.get_ref(at).told("read the journal");
            sum += mark(at(0)?, at(1)?, at(2)?, &known).told("read the journal")?;
        }
        Ok(sum)
    }

    /// Gives the tables of a journal that had no sums theirs. Within a transaction.
    pub(super) fn begin_sums(&mut self) -> Result<()> {
        self.sites.load(&self.conn)?;
        let mut statement = self.conn.prepare("SELECT id FROM entente_table").told("read the journal")?;
        let ids: Vec<i64> = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).told("read the journal")?;
        drop(statement);
        for id in ids {
            let there = self.conn.table_exists(Some("main"), &state_of(id)).told("read the schema")?;
            if there {
                self.store_sum(id, self.added_up(id, 0, i64::MAX)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Sqlite {
    /// Whether each table's sum is that of its records.
    pub(crate) fn sums_hold(&mut self) -> Result<bool> {
        self.refresh()?;
        let mut hold = true;
        for layout in self.layouts.clone() {
            hold &= self.stored_sum(layout.table.id)? == Some(self.added_up(layout.table.id, 0, i64::MAX)?);
        }
        Ok(hold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connector::Connector,
        model::{SiteId, TableSpec, Time, Uuids},
    };

    #[test]
    fn a_journal_that_had_no_sums_gets_them_when_it_is_opened() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let app = Connection::open(file.path()).unwrap();
        app.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t (v) VALUES ('a'), ('b')").unwrap();
        let open = || Sqlite::open(file.path(), Uuids::default()).unwrap();
        let mut db = open();
        let spec = TableSpec { table: "t".into(), resource: "t".into(), ..TableSpec::default() };
        db.attach(&[spec], SiteId::random(), Time(1), &mut |_, _, _| {}).unwrap();
        let table = db.tables().unwrap().remove(0);
        let sum = db.sum(&table).unwrap();
        assert!(sum.is_some_and(|sum| sum != Sum::default()));
        drop(db);
        app.execute_batch(
            "ALTER TABLE entente_table DROP COLUMN sum; ALTER TABLE entente_share DROP COLUMN compare;
             ALTER TABLE entente_share DROP COLUMN refused; ALTER TABLE entente_share DROP COLUMN lives; DROP TABLE entente_mark; DROP TABLE entente_note; UPDATE entente_journal SET format = 3",
        )
        .unwrap();
        let mut db = open();
        assert!(db.sum(&table).unwrap() == sum && db.sums_hold().unwrap());
    }
}
