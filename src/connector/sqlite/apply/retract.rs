//! Letting records go that a peer no longer shares.

use rusqlite::params_from_iter;

use super::Transaction;
use crate::{
    connector::{
        Found, Key, Table,
        outline::LET_GO,
        shape::Shape as _,
        sqlite::{
            failure::{Told, quoted},
            layout::Layout,
            shape::Shape,
            values::Bound,
        },
    },
    error::{Error, Kind as Fault, Result},
    model::SiteId,
};

impl Transaction<'_> {
    pub(super) fn let_go(&mut self, table: &Table, found: Found) -> Result<()> {
        let layout = self.layout(table)?;
        let Some(key) = self.local_key(&layout, Some(found))? else { return Ok(()) };
        self.refuse_children(&layout, &key)?;
        self.delete_row(&layout, &key)?;
        // The key is free: what an application puts there is another record. Without a digest the same content again is an edit.
        let keys: String = (1..=layout.key.len()).map(|at| format!(", k{at} = NULL")).collect();
        let sql = format!(
            "UPDATE {} SET deleted = 1, held = {LET_GO}, received_from = NULL, heir = NULL, extra = NULL, digest = NULL{keys} WHERE arrival = ?1",
            layout.state()
        );
        self.db.conn.prepare_cached(&sql).and_then(|mut s| s.execute([found.arrival])).told("write the journal").map(|_| ())
    }

    /// Rows of any table, attached or not, that refer to a row would go with it, be changed, or forbid it.
    fn refuse_children(&mut self, layout: &Layout, key: &Key) -> Result<()> {
        for (child, sql) in self.children_of(layout)? {
            let mut statement = self.db.conn.prepare_cached(&sql).told("look for references")?;
            let refers =
                statement.query_row(params_from_iter(key.0.iter().map(Bound::of_key)), |row| row.get(0)).told("look for references")?;
            if refers {
                return Err(Error::new(Fault::Constraint, format!("rows of {child} refer to it")));
            }
        }
        Ok(())
    }

    /// For each foreign key to a table: whose it is, and how to see whether it holds a key.
    fn children_of(&mut self, layout: &Layout) -> Result<Vec<(String, String)>> {
        if let Some(known) = self.children.get(&layout.table.id) {
            return Ok(known.clone());
        }
        let table = &layout.table.name;
        let keys: Vec<String> = layout.key.iter().enumerate().map(|(at, key)| format!("p.{} = ?{}", quoted(key), at + 1)).collect();
        let itself: Vec<String> = layout.key.iter().map(|key| format!("c.{0} = p.{0}", quoted(key))).collect();
        let mut found = Vec::new();
        for name in Shape::names(&self.db.conn)? {
            let shape = Shape::read(&self.db.conn, &name)?;
            for foreign in shape.foreign.iter().filter(|foreign| foreign.parent.eq_ignore_ascii_case(table)) {
                let to = if foreign.to.is_empty() { Shape::read(&self.db.conn, table)?.key() } else { foreign.to.clone() };
                let pairs: Vec<String> =
                    foreign.columns.iter().zip(&to).map(|(column, to)| format!("c.{} = p.{}", quoted(column), quoted(to))).collect();
                let but_itself = if name == *table { format!(" AND NOT ({})", itself.join(" AND ")) } else { String::new() };
                let sql = format!(
                    "SELECT EXISTS (SELECT 1 FROM {} p JOIN {} c ON {} WHERE {}{but_itself})",
                    quoted(table),
                    quoted(&name),
                    pairs.join(" AND "),
                    keys.join(" AND ")
                );
                found.push((name.clone(), sql));
            }
        }
        self.children.insert(layout.table.id, found.clone());
        Ok(found)
    }

    pub(super) fn sites_agreed_with(&self, table: &Table) -> Result<Vec<SiteId>> {
        let sql = "SELECT DISTINCT site FROM entente_share WHERE tab = ?1";
        let mut statement = self.db.conn.prepare_cached(sql).told("read the journal")?;
        let ids: Vec<i64> = statement.query_map([table.id], |row| row.get(0)).and_then(Iterator::collect).told("read the journal")?;
        Ok(ids.into_iter().filter_map(|id| self.db.sites.site(id)).collect())
    }
}
