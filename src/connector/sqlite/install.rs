//! Attaching: the journal and its triggers come, are upgraded and go.

use rusqlite::params;

use super::{
    Sqlite,
    failure::{Told, quoted},
    layout::{Entry, Layout},
    shape::Shape,
    triggers,
};
use crate::{
    connector::attach::{settings, taken, write_settings},
    error::{Error, Kind, Result},
    model::{SiteId, TableSpec, Time},
};

/// The journal's own migrations, in order. Never changed once released.
const MIGRATIONS: [&str; 7] = [
    include_str!("../../../migrations/journal/sqlite/01_journal.sql"),
    include_str!("../../../migrations/journal/sqlite/02_keep.sql"),
    include_str!("../../../migrations/journal/sqlite/03_filters.sql"),
    include_str!("../../../migrations/journal/sqlite/04_sum.sql"),
    include_str!("../../../migrations/journal/sqlite/05_compare.sql"),
    include_str!("../../../migrations/journal/sqlite/06_lives.sql"),
    include_str!("../../../migrations/journal/sqlite/07_notes.sql"),
];

/// What later versions added to state tables: the column, as it is declared.
const STATE_COLUMNS: [&str; 2] = ["run INTEGER", "made INTEGER"];

impl Sqlite {
    /// Brings a journal of an older version up to date; refuses one of a newer version.
    pub(super) fn upgrade(&mut self) -> Result<()> {
        if !self.installed()? {
            return Ok(());
        }
        let format: i64 = self.conn.query_row("SELECT format FROM entente_journal", [], |row| row.get(0)).told("read the journal")?;
        let done = usize::try_from(format).unwrap_or(0);
        if done > MIGRATIONS.len() {
            return Err(Error::new(Kind::Newer, "the journal in this database was made by a newer version of Entente")
                .hint("Install that version here, too."));
        }
        if done == MIGRATIONS.len() {
            return Ok(());
        }
        self.transaction(|db| {
            for sql in &MIGRATIONS[done..] {
                db.conn.execute_batch(sql).told("upgrade the journal")?;
            }
            db.widen_states()?;
            db.begin_sums()?;
            db.conn.execute("UPDATE entente_journal SET format = ?1", [MIGRATIONS.len() as i64]).told("upgrade the journal").map(|_| ())
        })
    }

    /// Adds the columns that state tables of an older version lack.
    fn widen_states(&mut self) -> Result<()> {
        let mut statement = self.conn.prepare("SELECT id FROM entente_table").told("upgrade the journal")?;
        let ids: Vec<i64> = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).told("upgrade the journal")?;
        for state in ids.into_iter().map(super::sql::state_of) {
            for column in STATE_COLUMNS {
                let name = column.split(' ').next().unwrap_or_default();
                if !self.conn.column_exists(None, state.as_str(), name).told("upgrade the journal")? {
                    self.conn.execute_batch(&format!("ALTER TABLE {state} ADD COLUMN {column}")).told("upgrade the journal")?;
                }
            }
        }
        Ok(())
    }

    /// Installs journal and triggers for `specs` beside what is attached already: all of it or nothing.
    pub(super) fn install(&mut self, specs: &[TableSpec], site: SiteId, now: Time) -> Result<()> {
        self.transaction(|db| {
            if !db.installed()? {
                for sql in MIGRATIONS {
                    db.conn.execute_batch(sql).told("install the journal")?;
                }
                let epoch = db.uuids.next().simple().to_string();
                // Seconds since 1970: a journal that was dropped and made anew must not count again under its former name.
                let incarnation = now.0 / 1_000_000;
                let values = params![MIGRATIONS.len() as i64, site.0.to_string(), epoch, incarnation];
                db.conn
                    .execute("INSERT INTO entente_journal (id, format, site, epoch, incarnation) VALUES (1, ?1, ?2, ?3, ?4)", values)
                    .told("install the journal")?;
            }
            let owner = db.me()?.site;
            if owner != site {
                return Err(Error::new(Kind::Exists, format!("this database is already attached to another site, {owner}"))
                    .hint("Detach it there with --drop-journal, or attach it to that site's data directory."));
            }
            db.sites.load(&db.conn)?;
            for spec in specs {
                db.enter(spec, specs)?;
            }
            let entries = db.entries()?;
            let layouts: Vec<Layout> = entries.iter().map(|entry| Layout::make(entry, &entries)).collect::<Result<_>>()?;
            for layout in &layouts {
                db.refuse_null_keys(layout)?;
                db.conn.execute_batch(&triggers::state_table(layout)).told("install the journal")?;
                db.conn.execute_batch(&triggers::install(layout)).told("install the triggers")?;
            }
            db.schema = -1;
            Ok(())
        })?;
        self.refresh()
    }

    fn enter(&mut self, spec: &TableSpec, all: &[TableSpec]) -> Result<()> {
        let shape = Shape::read(&self.conn, &spec.table)?;
        let entries: Vec<Entry> = self.entries()?;
        let known = entries.iter().find(|entry| entry.shape.name == shape.name);
        let spec = settings(&shape, spec, known, all, &entries)?;
        let text = write_settings(&spec)?;
        let sql = "INSERT INTO entente_table (name, resource, spec) VALUES (?1, ?2, ?3)
                   ON CONFLICT (name) DO UPDATE SET spec = ?3, ready = 0";
        let done = self.conn.execute(sql, params![spec.table, spec.resource, text]).told("install the journal");
        done.map(drop).map_err(|error| if error.kind() == Kind::Constraint { taken(&spec.resource) } else { error })
    }

    fn refuse_null_keys(&self, layout: &Layout) -> Result<()> {
        let null: Vec<String> = layout.key.iter().map(|key| format!("{} IS NULL", quoted(key))).collect();
        let sql = format!("SELECT 1 FROM {} WHERE {} LIMIT 1", quoted(&layout.table.name), null.join(" OR "));
        let found = self.conn.prepare(&sql).and_then(|mut statement| statement.exists([])).told("read the table")?;
        if found {
            let message = format!("table {:?} cannot be attached: it has rows whose key is null", layout.table.name);
            return Err(Error::new(Kind::Constraint, message).hint("Give these rows a key first."));
        }
        Ok(())
    }

    /// Removes the triggers, and with `everything` the journal.
    pub(super) fn uninstall(&mut self, everything: bool) -> Result<()> {
        self.require_journal()?;
        self.transaction(|db| {
            let mut statement = db.conn.prepare("SELECT id FROM entente_table").told("read the journal")?;
            let ids: Vec<i64> = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).told("read the journal")?;
            drop(statement);
            for id in ids {
                db.conn.execute_batch(&triggers::drop(id)).told("remove the triggers")?;
                if everything {
                    for table in [super::sql::state_of(id), super::kept::base_of(id)] {
                        db.conn.execute_batch(&format!("DROP TABLE IF EXISTS {table}")).told("remove the journal")?;
                    }
                }
            }
            if everything {
                let tables = [
                    "note", "mark", "missing", "waiting", "conflict", "history", "batch", "share", "suspect", "applying", "table", "site",
                    "journal",
                ];
                for table in tables {
                    db.conn.execute_batch(&format!("DROP TABLE IF EXISTS entente_{table}")).told("remove the journal")?;
                }
            } else {
                db.conn.execute_batch("UPDATE entente_table SET ready = 0").told("write the journal")?;
            }
            db.schema = -1;
            Ok(())
        })
    }
}
