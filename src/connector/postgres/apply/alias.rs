//! Records that get another uid, and what refers to them.

use super::Transaction;
use crate::{
    connector::{
        Found, Key, Locals, Table,
        aliases::Heirs,
        links::Link,
        postgres::{
            args::{Arg, Columns},
            failure::quoted,
            layout::Layout,
            triggers::APPLYING,
        },
    },
    error::{Error, Kind as Fault, Result},
};

impl Transaction<'_> {
    /// The uids that `uids` lead to by aliases.
    pub(super) fn heirs(&mut self, layout: &Layout, uids: &[&str]) -> Result<Heirs> {
        let state = layout.state();
        // Aliases are rare: most tables have none, and one look spares the others.
        let any = format!("SELECT (SELECT heir FROM {state} WHERE heir IS NOT NULL ORDER BY heir LIMIT 1) IS NOT NULL");
        if uids.is_empty() || !self.db.link.one(&any, &[], "read the journal")?.flag(0)? {
            return Ok(Heirs::default());
        }
        let sql = format!("SELECT uid, heir FROM {state} WHERE uid = ANY($1::text[]) AND heir IS NOT NULL AND deleted");
        Heirs::follow(uids, |asked| {
            let rows = self.db.link.query(&sql, &[Arg::texts(asked)], "read the journal")?;
            rows.iter().map(|row| Ok((row.owned(0)?, row.owned(1)?))).collect()
        })
    }

    /// See [`crate::connector::Apply::exactly`].
    pub(super) fn read_exactly(&mut self, layout: &Layout, uid: &str) -> Result<Locals> {
        let mut locals = Locals { found: vec![None], ..Locals::default() };
        let seen = self.db.read_each(layout, &[uid], &mut locals.page)?;
        if let Some(seen) = seen.first() {
            locals.found[0] = Some(seen.found(0, &locals.page.records[0]));
        }
        Ok(locals)
    }

    /// See [`crate::connector::Apply::rekey`].
    pub(super) fn give_uid(&mut self, table: &Table, from: &str, to: &str) -> Result<()> {
        let layout = self.layout(table)?;
        let state = layout.state();
        // Before the tombstone goes: it may have the last arrival, and a peer's cursor stands there.
        let arrival = self.next_arrival(&layout)?;
        self.db.drop_states(&layout, "uid = $1 AND deleted", &[Arg::text(to)])?;
        let from_here = format!("SELECT arrival FROM {state} WHERE uid = $1");
        let sql = layout.change("uid = $2::text, arrival = $3::bigint", &from_here);
        self.db.change(&layout, &sql, &[Arg::text(from), Arg::text(to), arrival.into()])?;
        // What is known of the record goes on under its new name.
        for kept in ["entente.history", "entente.conflict"] {
            let sql = format!("UPDATE {kept} SET uid = $3 WHERE tab = $1::bigint AND uid = $2");
            self.db.link.run(&sql, &[table.id.into(), Arg::text(from), Arg::text(to)], "write the journal")?;
        }
        match self.local_key(&layout, Some(Found::living(arrival)))? {
            Some(key) => self.refresh_digests(&layout, &key),
            None => Ok(()),
        }
    }

    /// Whoever refers to a record that has another uid now has another content to the letter; it is the same to everyone.
    fn refresh_digests(&mut self, layout: &Layout, key: &Key) -> Result<()> {
        for child in self.db.layouts.clone() {
            for link in child.references.iter().filter(|link| link.parent_id == layout.table.id) {
                let sql = format!(
                    "SELECT s.arrival FROM {} t JOIN {} s ON {} WHERE NOT s.deleted AND s.own IS NULL AND {}",
                    child.rel,
                    child.state(),
                    child.on_key("t", "s"),
                    points_to(link, layout, 1)
                );
                let args: Vec<Arg<'_>> = key.0.iter().map(Arg::of_key).collect();
                let rows = self.db.link.query(&sql, &args, "read the journal")?;
                let arrivals: Vec<i64> = rows.iter().map(|row| row.int(0).map(|arrival| arrival.unwrap_or(0))).collect::<Result<_>>()?;
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
        self.db.link.batch(&format!("SET LOCAL {APPLYING} = 'off'"), "change what refers to it")?;
        for child in self.db.layouts.clone() {
            for link in child.references.iter().filter(|link| link.parent_id == table.id) {
                let columns: Vec<String> = link.columns.iter().map(|column| quoted(column)).collect();
                let parents: Vec<String> = link.to.iter().map(|column| format!("p.{}", quoted(column))).collect();
                let sql = format!(
                    "UPDATE {} t SET ({}) = (SELECT {} FROM {} p WHERE {}) WHERE {}",
                    child.rel,
                    columns.join(", "),
                    parents.join(", "),
                    layout.rel,
                    layout.where_key("p", 1),
                    points_to(link, &layout, to.0.len() + 1)
                );
                let args: Vec<Arg<'_>> = to.0.iter().chain(&from.0).map(Arg::of_key).collect();
                self.db.link.run(&sql, &args, "change what refers to it")?;
            }
        }
        self.last_arrival = None;
        self.db.link.batch(&format!("SET LOCAL {APPLYING} = 'on'"), "change what refers to it")
    }
}

/// Rows `t` of a child that refer to the parent with the key in $first ….
fn points_to(link: &Link, parent: &Layout, first: usize) -> String {
    let pairs: Vec<String> =
        link.columns.iter().zip(&link.to).map(|(column, to)| format!("q.{} = t.{}", quoted(to), quoted(column))).collect();
    format!("EXISTS (SELECT 1 FROM {} q WHERE {} AND {})", parent.rel, parent.where_key("q", first), pairs.join(" AND "))
}
