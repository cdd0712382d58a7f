//! What is attached, and noticing that the user's schema changed.

use std::sync::Arc;

use super::{
    Postgres,
    args::Columns,
    layout::{Entry, Layout},
    shape::Shape,
};
use crate::{
    connector::{
        Table,
        attach::read_settings,
        attached::{layout_of, refuse_unsettled, with_parents},
    },
    error::{Error, Result},
    model::Actor,
};

impl Postgres {
    pub(super) fn installed(&mut self) -> Result<bool> {
        let sql = "SELECT to_regclass('entente.journal') IS NOT NULL";
        self.link.one(sql, &[], "read the schema")?.flag(0)
    }

    pub(super) fn require_journal(&mut self) -> Result<()> {
        if self.installed()? {
            return Ok(());
        }
        Err(Error::not_found("this database has no journal").hint("Attach it first: entente attach NAME URL --table T."))
    }

    /// Who writes here: our site under its present incarnation.
    pub(super) fn me(&mut self) -> Result<Actor> {
        let row = self.link.one("SELECT site, incarnation FROM entente.journal", &[], "read the journal")?;
        Ok(Actor { site: row.owned(0)?.parse()?, incarnation: row.int(1)?.and_then(|i| u32::try_from(i).ok()).unwrap_or(0) })
    }

    /// The layouts of all attached tables, looked at since the connection was taken to be used. Whoever begins a page looks again: [`Self::refresh`].
    pub(super) fn look(&mut self) -> Result<()> {
        if self.looked && self.schema.is_some() { Ok(()) } else { self.refresh() }
    }

    /// The layouts of all attached tables, made anew when the schema changed.
    pub(super) fn refresh(&mut self) -> Result<()> {
        // What was there is most likely there still: then one look is enough.
        let seen = if self.schema.is_some() { self.fingerprint().ok() } else { None };
        let schema = match seen {
            Some(seen) => Some(seen),
            None if self.installed()? => Some(self.fingerprint()?),
            None => None,
        };
        self.looked = true;
        if schema.is_some() && schema == self.schema {
            return Ok(());
        }
        self.layouts.clear();
        self.link.forget();
        if schema.is_some() {
            self.sites.load(&mut self.link)?;
            let entries = self.entries()?;
            // A table that was dropped or changed beyond use does not stop the others; whoever asks for it is told.
            self.layouts = entries.iter().filter_map(|entry| Layout::make(entry, &entries).map(Arc::new).ok()).collect();
            self.settle_all()?;
        }
        // What could not be settled is tried again: what it refers to may have come.
        self.schema = if self.unsettled.is_empty() && schema.is_some() { Some(self.fingerprint()?) } else { None };
        Ok(())
    }

    /// Changes whenever an attached table, or what is attached, does: what stands in the catalogue, by the transactions that wrote it.
    fn fingerprint(&mut self) -> Result<String> {
        let sql = "SELECT md5(COALESCE(string_agg(concat_ws(',', t.id, t.xmin, c.oid, to_regclass('entente.base_' || t.id)::oid,
              (SELECT string_agg(a.attnum || ':' || a.xmin, ',' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid),
              (SELECT string_agg('d' || d.oid || ':' || d.xmin, ',' ORDER BY d.oid) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = c.oid),
              (SELECT string_agg('c' || f.oid || ':' || f.xmin, ',' ORDER BY f.oid) FROM pg_catalog.pg_constraint f WHERE f.conrelid = c.oid),
              (SELECT string_agg('i' || i.indexrelid, ',' ORDER BY i.indexrelid) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid),
              CASE WHEN c.relkind = 'p' THEN
                (SELECT string_agg('p' || p.relid::oid, ',' ORDER BY p.relid::oid) FROM pg_partition_tree(c.oid::regclass) p) END), ';' ORDER BY t.id), ''))
            FROM entente.tab t LEFT JOIN pg_catalog.pg_class c ON c.oid = to_regclass(quote_ident(t.nsp) || '.' || quote_ident(t.rel))";
        self.link.one(sql, &[], "read the schema")?.owned(0)
    }

    pub(super) fn entries(&mut self) -> Result<Vec<Entry>> {
        let sql = "SELECT id, nsp, rel, spec, ready, to_regclass('entente.base_' || id) IS NOT NULL FROM entente.tab ORDER BY id";
        let mut entries = Vec::new();
        for row in self.link.query(sql, &[], "read the journal")? {
            let spec = read_settings(&row.owned(3)?)?;
            if let Some(shape) = Shape::find(&mut self.link, &row.owned(1)?, &row.owned(2)?)? {
                entries.push(Entry { id: row.int(0)?.unwrap_or(0), ready: row.flag(4)?, bases: row.flag(5)?, spec, shape });
            }
        }
        Ok(entries)
    }

    pub(super) fn layout(&mut self, table: &Table) -> Result<Arc<Layout>> {
        self.look()?;
        refuse_unsettled(&self.unsettled, table)?;
        layout_of(&self.layouts, table)
    }

    /// A table and, before it, all that it refers to, directly or not.
    pub(super) fn with_parents(&self, layout: &Layout) -> Vec<Arc<Layout>> {
        with_parents(&self.layouts, layout.table.id)
    }
}
