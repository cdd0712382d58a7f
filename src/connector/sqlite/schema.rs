//! What is attached, and noticing that the user's schema changed.

use std::sync::Arc;

use super::{
    Sqlite,
    failure::Told,
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

impl Sqlite {
    pub(super) fn installed(&self) -> Result<bool> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'entente_journal'";
        let mut statement = self.conn.prepare_cached(sql).told("read the schema")?;
        statement.query_row([], |row| row.get::<_, i64>(0)).map(|count| count > 0).told("read the schema")
    }

    pub(super) fn require_journal(&self) -> Result<()> {
        if self.installed()? {
            return Ok(());
        }
        Err(Error::not_found("this database has no journal").hint("Attach it first: entente attach NAME URL --table T."))
    }

    /// Who writes here: our site under its present incarnation.
    pub(super) fn me(&self) -> Result<Actor> {
        let mut statement = self.conn.prepare_cached("SELECT site, incarnation FROM entente_journal").told("read the journal")?;
        let (site, incarnation): (String, u32) = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).told("read the journal")?;
        Ok(Actor { site: site.parse()?, incarnation })
    }

    /// The layouts of all attached tables, made anew when the schema changed.
    pub(super) fn refresh(&mut self) -> Result<()> {
        let version = self.conn.prepare_cached("PRAGMA schema_version").and_then(|mut statement| statement.query_row([], |row| row.get(0)));
        let schema: i64 = version.told("read the schema")?;
        if schema == self.schema && self.schema >= 0 {
            return Ok(());
        }
        self.layouts.clear();
        if self.installed()? {
            self.sites.load(&self.conn)?;
            let entries = self.entries()?;
            // A table that was dropped or changed beyond use does not stop the others; whoever asks for it is told.
            self.layouts = entries.iter().filter_map(|entry| Layout::make(entry, &entries).map(Arc::new).ok()).collect();
            self.layouts.iter().try_for_each(|layout| self.count_along(layout))?;
            self.settle_all()?;
        }
        // What could not be settled is tried again: what it refers to may have come.
        self.schema = if self.unsettled.is_empty() { schema } else { -1 };
        Ok(())
    }

    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        let mut statement =
            self.conn
                .prepare_cached(
                    "SELECT id, name, spec, ready, EXISTS (SELECT 1 FROM sqlite_schema s WHERE s.name = 'entente_base_' || id) FROM entente_table ORDER BY id",
                )
                .told("read the journal")?;
        let rows = statement
            .query_map([], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, bool>(3)?,
                    row.get::<_, bool>(4)?,
                ))
            })
            .told("read the journal")?;
        let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>().told("read the journal")?;
        let mut entries = Vec::new();
        for (id, name, spec, ready, bases) in rows {
            let spec = read_settings(&spec)?;
            match Shape::read(&self.conn, &name) {
                Ok(shape) => entries.push(Entry { id, ready, bases, spec, shape }),
                Err(error) if error.kind() == crate::error::Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    pub(super) fn layout(&mut self, table: &Table) -> Result<Arc<Layout>> {
        self.refresh()?;
        refuse_unsettled(&self.unsettled, table)?;
        layout_of(&self.layouts, table)
    }

    /// A table and, before it, all that it refers to, directly or not.
    pub(super) fn with_parents(&self, layout: &Layout) -> Vec<Arc<Layout>> {
        with_parents(&self.layouts, layout.table.id)
    }
}
