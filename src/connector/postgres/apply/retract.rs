//! Letting records go that a peer no longer shares, and what refers to records.

use super::Transaction;
use crate::{
    connector::{
        Found, Key, Table,
        outline::LET_GO,
        postgres::{
            args::{Arg, Columns},
            failure::quoted,
            layout::Layout,
        },
    },
    error::{Error, Kind as Fault, Result},
    model::SiteId,
};

/// The foreign keys to a table, of all tables: whose, its columns, the columns they hold, whether it is the table itself.
const TO: &str = "SELECT format('%I.%I', n.nspname, c.relname),
      (SELECT array_to_json(array_agg(a.attname ORDER BY k.at))::text FROM unnest(f.conkey) WITH ORDINALITY k(num, at)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.num),
      (SELECT array_to_json(array_agg(a.attname ORDER BY k.at))::text FROM unnest(f.confkey) WITH ORDINALITY k(num, at)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.num),
      f.conrelid = f.confrelid
    FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE f.confrelid = $1::text::regclass AND f.contype = 'f' AND NOT c.relispartition ORDER BY f.conname";

impl Transaction<'_> {
    pub(super) fn let_go(&mut self, table: &Table, found: Found) -> Result<()> {
        let layout = self.layout(table)?;
        let Some(key) = self.local_key(&layout, Some(found))? else { return Ok(()) };
        for (child, sql) in self.children_of(&layout)? {
            if self.holds(&sql, &key)? {
                return Err(Error::new(Fault::Constraint, format!("rows of {child} refer to it")));
            }
        }
        self.within_savepoint(|tx| {
            tx.delete_row(&layout, &key, Some(found))?;
            // The key is free: what an application puts there is another record. Without a digest the same content again is an edit.
            let keys: String = (1..=layout.key.len()).map(|at| format!(", k{at} = NULL")).collect();
            let set = format!("deleted = true, held = {LET_GO}, received_from = NULL, heir = NULL, extra = NULL, digest = NULL{keys}");
            tx.db.change(&layout, &layout.change(&set, "SELECT $1::bigint AS arrival"), &[found.arrival.into()])
        })
    }

    fn holds(&mut self, sql: &str, key: &Key) -> Result<bool> {
        let args: Vec<Arg<'_>> = key.0.iter().map(Arg::of_key).collect();
        self.db.link.one(sql, &args, "look for references")?.flag(0)
    }

    /// For each foreign key to a table, from any table, attached or not: whose it is, and how to see whether it holds a key.
    fn children_of(&mut self, layout: &Layout) -> Result<Vec<(String, String)>> {
        if let Some(known) = self.children.get(&layout.table.id) {
            return Ok(known.clone());
        }
        let mut found = Vec::new();
        for row in self.db.link.query(TO, &[Arg::text(&layout.rel)], "read the schema")? {
            let names = |at: usize| -> Result<Vec<String>> { Ok(serde_json::from_str(row.text(at)?.unwrap_or("[]")).unwrap_or_default()) };
            let child = row.owned(0)?;
            let sql = refers(layout, &child, &names(1)?, &names(2)?, row.flag(3)?);
            found.push((child, sql));
        }
        self.children.insert(layout.table.id, found.clone());
        Ok(found)
    }

    /// See [`crate::connector::Apply::referred`].
    pub(super) fn is_referred(&mut self, table: &Table, found: Found) -> Result<bool> {
        let layout = self.layout(table)?;
        let Some(key) = self.local_key(&layout, Some(found))? else { return Ok(false) };
        for child in self.db.layouts.clone() {
            for link in child.references.iter().filter(|link| link.parent_id == table.id && !link.loose) {
                let sql = refers(&layout, &child.rel, &link.columns, &link.to, child.table.id == table.id);
                if self.holds(&sql, &key)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    pub(super) fn sites_agreed_with(&mut self, table: &Table) -> Result<Vec<SiteId>> {
        let sql = "SELECT DISTINCT site FROM entente.share WHERE tab = $1::bigint";
        let rows = self.db.link.query(sql, &[table.id.into()], "read the journal")?;
        let ids: Vec<i64> = rows.iter().map(|row| row.int(0).map(|id| id.unwrap_or(0))).collect::<Result<_>>()?;
        Ok(ids.into_iter().filter_map(|id| self.db.sites.site(id)).collect())
    }
}

/// Whether rows of a child, but the row itself, refer to the row with the key in $1 ….
fn refers(layout: &Layout, child: &str, columns: &[String], to: &[String], itself: bool) -> String {
    let pairs: Vec<String> = columns.iter().zip(to).map(|(column, to)| format!("c.{} = p.{}", quoted(column), quoted(to))).collect();
    let same: Vec<String> = layout.key.iter().map(|key| format!("c.{0} = p.{0}", quoted(&key.name))).collect();
    let but_itself = if itself { format!(" AND NOT ({})", same.join(" AND ")) } else { String::new() };
    let (pairs, key) = (pairs.join(" AND "), layout.where_key("p", 1));
    format!("SELECT EXISTS (SELECT 1 FROM {} p JOIN {child} c ON {pairs} WHERE {key}{but_itself})", layout.rel)
}
