//! Records that get another uid, and what refers to them.

use rusqlite::{params, params_from_iter};

use super::Transaction;
use crate::{
    connector::{
        Found, Key, Locals, Table,
        links::Link,
        sqlite::{
            failure::{Told, quoted},
            layout::Layout,
            sql::where_key,
            values::{Bound, stored_uid},
        },
    },
    error::{Error, Kind as Fault, Result},
};

impl Transaction<'_> {
    /// See [`crate::connector::Apply::exactly`].
    pub(super) fn read_exactly(&mut self, layout: &Layout, uid: &str) -> Result<Locals> {
        let mut locals = Locals { found: vec![None], ..Locals::default() };
        let seen = self.db.read_each(layout, vec![stored_uid(uid)], &mut locals.page)?;
        if let Some(seen) = seen.first() {
            locals.found[0] = Some(seen.found(0, &locals.page.records[0]));
        }
        Ok(locals)
    }

    /// See [`crate::connector::Apply::rekey`].
    pub(super) fn give_uid(&mut self, table: &Table, from: &str, to: &str) -> Result<()> {
        let layout = self.layout(table)?;
        let state = layout.state();
        let (old, new) = (stored_uid(from), stored_uid(to));
        // Before the tombstone goes: it may have the last arrival, and a peer's cursor stands there.
        let arrival = self.next_arrival(&layout)?;
        self.db.conn.execute(&format!("DELETE FROM {state} WHERE uid = ?1 AND deleted = 1"), [&new]).told("write the journal")?;
        let sql = format!("UPDATE {state} SET uid = ?2, arrival = ?3 WHERE uid = ?1");
        self.db.conn.execute(&sql, params![old, new, arrival]).told("write the journal")?;
        // What is known of the record goes on under its new name.
        for kept in ["entente_history", "entente_conflict"] {
            let sql = format!("UPDATE {kept} SET uid = ?3 WHERE tab = ?1 AND uid = ?2");
            self.db.conn.execute(&sql, params![table.id, old, new]).told("write the journal")?;
        }
        let sql = format!("SELECT arrival FROM {state} WHERE uid = ?1");
        let arrival = self.db.conn.query_row(&sql, [new], |row| row.get(0)).told("read the journal")?;
        match self.local_key(&layout, Some(Found::living(arrival)))? {
            Some(key) => self.refresh_digests(table, &key),
            None => Ok(()),
        }
    }

    /// Whoever refers to a record that has another uid now has another content to the letter; it is the same to everyone.
    fn refresh_digests(&mut self, table: &Table, key: &Key) -> Result<()> {
        for child in self.db.layouts.clone() {
            for link in child.references.iter().filter(|link| link.parent_id == table.id) {
                let sql = format!(
                    "SELECT s.arrival FROM {} t JOIN {} s ON {} WHERE s.deleted = 0 AND s.own IS NULL AND {}",
                    quoted(&child.table.name),
                    child.state(),
                    child.by_key("t", "s"),
                    points_to(link, "t", &quoted(&table.name), 1)
                );
                let arrivals: Vec<i64> = {
                    let mut statement = self.db.conn.prepare_cached(&sql).told("read the journal")?;
                    let rows = statement.query_map(params_from_iter(key.0.iter().map(Bound::of_key)), |row| row.get(0));
                    rows.and_then(Iterator::collect).told("read the journal")?
                };
                self.db.complete(&child, &arrivals)?;
            }
        }
        Ok(())
    }

    /// See [`crate::connector::Apply::repoint`].
    pub(super) fn point_elsewhere(&mut self, table: &Table, from: Found, to: Found) -> Result<()> {
        let layout = self.layout(table)?;
        let gone = || Error::new(Fault::Constraint, "its row is not there");
        let from = self.local_key(&layout, Some(from))?.ok_or_else(gone)?;
        let to = self.local_key(&layout, Some(to))?.ok_or_else(gone)?;
        // These are edits like an application's: triggers note them.
        self.unmark()?;
        self.last_arrival = None;
        for child in self.db.layouts.clone() {
            for link in child.references.iter().filter(|link| link.parent_id == table.id) {
                let columns: Vec<String> = link.columns.iter().map(|column| quoted(column)).collect();
                let parents: Vec<String> = link.to.iter().map(|column| format!("p.{}", quoted(column))).collect();
                let parent = quoted(&table.name);
                let count = to.0.len();
                let sql = format!(
                    "UPDATE OR ABORT {} AS t SET ({}) = (SELECT {} FROM {parent} p WHERE {}) WHERE {}",
                    quoted(&child.table.name),
                    columns.join(", "),
                    parents.join(", "),
                    where_key(&link.parent_key, 1),
                    points_to(link, "t", &parent, count + 1)
                );
                let values = to.0.iter().chain(&from.0).map(Bound::of_key);
                let mut statement = self.db.conn.prepare_cached(&sql).told("change what refers to it")?;
                statement.execute(params_from_iter(values)).told("change what refers to it")?;
            }
        }
        Ok(())
    }
}

/// Rows of a child that refer to the parent with the key in ?first ….
fn points_to(link: &Link, row: &str, parent: &str, first: usize) -> String {
    let pairs: Vec<String> =
        link.columns.iter().zip(&link.to).map(|(column, to)| format!("q.{} = {row}.{}", quoted(to), quoted(column))).collect();
    let keys: Vec<String> = link.parent_key.iter().enumerate().map(|(at, key)| format!("q.{} = ?{}", quoted(key), first + at)).collect();
    format!("EXISTS (SELECT 1 FROM {parent} q WHERE {} AND {})", keys.join(" AND "), pairs.join(" AND "))
}
