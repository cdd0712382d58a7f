//! Attaching: the journal and its triggers come, are upgraded and go; rows that were already there are journalled.

use std::time::Duration;

use super::{
    Postgres,
    args::Columns,
    layout::{Entry, Layout},
    shape::Shape,
    triggers,
};
use crate::{
    connector::{
        attach::{settings, taken, write_settings},
        shape::Shape as _,
    },
    error::{Error, Kind, Result},
    model::{SiteId, TableSpec, Time},
};

/// The journal's own migrations, in order. Never changed once released.
const MIGRATIONS: [&str; 2] = [
    include_str!("../../../migrations/journal/postgres/01_journal.sql"),
    include_str!("../../../migrations/journal/postgres/02_notes.sql"),
];

/// How long we wait for a table at a time, how long we leave it to others then, and how often.
const MOMENT: &str = "300ms";
const PAUSE: Duration = Duration::from_millis(700);
const TRIES: u32 = 15;

impl Postgres {
    /// Brings a journal of an older version up to date; refuses one of a newer version.
    pub(super) fn upgrade(&mut self) -> Result<()> {
        if !self.installed()? {
            return Ok(());
        }
        let format = self.link.one("SELECT format FROM entente.journal", &[], "read the journal")?.int(0)?.unwrap_or(0);
        let done = usize::try_from(format).unwrap_or(0);
        if done > MIGRATIONS.len() {
            return Err(Error::new(Kind::Newer, "the journal in this database was made by a newer version of Entente")
                .hint("Install that version here, too."));
        }
        if done < MIGRATIONS.len() {
            self.transaction(|db| {
                MIGRATIONS[done..].iter().try_for_each(|sql| db.link.batch(sql, "upgrade the journal"))?;
                let sql = "UPDATE entente.journal SET format = $1::integer";
                db.link.run(sql, &[(MIGRATIONS.len() as i64).into()], "upgrade the journal").map(drop)
            })?;
        }
        self.follow_cluster()
    }

    /// Transaction numbers mean something in one cluster only. In another, to which the database was copied, all notes are taken over again.
    fn follow_cluster(&mut self) -> Result<()> {
        let sql = "SELECT cluster = (SELECT system_identifier FROM pg_control_system()) FROM entente.journal";
        if self.link.one(sql, &[], "read the journal")?.flag(0)? {
            return Ok(());
        }
        self.transaction(|db| {
            db.link.batch(
                "UPDATE entente.journal SET cluster = (SELECT system_identifier FROM pg_control_system());
                 UPDATE entente.mark SET gathered = '1:1:'",
                "write the journal",
            )?;
            let ids = db.link.query("SELECT id FROM entente.tab", &[], "read the journal")?;
            for id in &ids {
                let sql = format!("UPDATE entente.note_{} SET xid = pg_current_xact_id()", id.int(0)?.unwrap_or(0));
                db.link.batch(&sql, "write the journal")?;
            }
            Ok(())
        })
    }

    /// Installs journal and triggers for `specs` beside what is attached already: all of it or nothing.
    pub(super) fn install(&mut self, specs: &[TableSpec], site: SiteId, now: Time) -> Result<()> {
        self.make_journal(site, now)?;
        let owner = self.me()?.site;
        if owner != site {
            return Err(Error::new(Kind::Exists, format!("this database is already attached to another site, {owner}"))
                .hint("Detach it there with --drop-journal, or attach it to that site's data directory."));
        }
        let done = self.patiently(|db| db.install_all(specs));
        done.map_err(|error| match error.kind() {
            Kind::Forbidden => self.name_owner(specs, error),
            Kind::Busy => self.name_holder(specs, error),
            _ => error,
        })?;
        self.schema = None;
        self.refresh()
    }

    fn install_all(&mut self, specs: &[TableSpec]) -> Result<()> {
        specs.iter().try_for_each(|spec| self.enter(spec, specs))?;
        let entries = self.entries()?;
        let layouts: Vec<Layout> = entries.iter().map(|entry| Layout::make(entry, &entries)).collect::<Result<_>>()?;
        for layout in &layouts {
            self.link.batch(&triggers::tables(layout), "install the journal")?;
            self.link.batch(&triggers::install(layout), &format!("install the triggers of {}", layout.table.name))?;
            let sql = "INSERT INTO entente.mark (tab, gathered) VALUES ($1::bigint, pg_current_snapshot()) ON CONFLICT (tab) DO NOTHING";
            self.link.run(sql, &[layout.table.id.into()], "install the journal")?;
        }
        Ok(())
    }

    /// Does what wants tables for itself, in a transaction. Whoever writes to a table queues behind us while we wait for it, so we never wait for
    /// long: again and again for a moment.
    fn patiently(&mut self, work: impl Fn(&mut Postgres) -> Result<()>) -> Result<()> {
        let mut tries = 0;
        loop {
            let done = self.transaction(|db| {
                db.link.batch(&format!("SET LOCAL lock_timeout = '{MOMENT}'"), "wait for the table")?;
                work(db)
            });
            match done {
                Err(error) if error.kind() == Kind::Busy && tries < TRIES => tries += 1,
                done => return done,
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Says who holds the table whose triggers cannot be made.
    fn name_holder(&mut self, specs: &[TableSpec], error: Error) -> Error {
        let tables: Vec<Shape> = specs.iter().filter_map(|spec| Shape::named(&mut self.link, &spec.table).ok()).collect();
        tables.iter().fold(error, |error, shape| self.tell_who_holds(&shape.sql(), &shape.name, error))
    }

    /// Says which role has to be ours: triggers that fire in every session are made by a table's owner alone.
    fn name_owner(&mut self, specs: &[TableSpec], error: Error) -> Error {
        let sql = "SELECT pg_get_userbyid(c.relowner)::text, current_user::text FROM pg_catalog.pg_class c
                   WHERE c.oid = $1::bigint::oid AND NOT pg_has_role(c.relowner, 'USAGE')";
        for spec in specs {
            let row =
                Shape::named(&mut self.link, &spec.table).and_then(|shape| self.link.maybe(sql, &[shape.oid.into()], "read the schema"));
            if let Ok(Some(row)) = row
                && let (Ok(owner), Ok(own)) = (row.owned(0), row.owned(1))
            {
                return error
                    .hint(format!("The owner of the table makes triggers on it. Let this role act as its owner: GRANT {owner} TO {own};"));
            }
        }
        error
    }

    /// Makes the journal where there is none.
    fn make_journal(&mut self, site: SiteId, now: Time) -> Result<()> {
        if self.installed()? {
            return Ok(());
        }
        let epoch = self.uuids.next().simple().to_string();
        // Seconds since 1970: a journal that was dropped and made anew must not count again under its former name.
        let incarnation = now.0 / 1_000_000;
        let args = [(MIGRATIONS.len() as i64).into(), site.0.to_string().into(), epoch.into(), incarnation.into()];
        self.link.batch("BEGIN", "install the journal")?;
        let done = self.make_schema().and_then(|()| {
            MIGRATIONS.iter().try_for_each(|sql| self.link.batch(sql, "install the journal"))?;
            let sql = "INSERT INTO entente.journal (id, format, site, epoch, incarnation, cluster)
                       VALUES (1, $1, $2, $3, $4, (SELECT system_identifier FROM pg_control_system()))";
            self.link.run(sql, &args, "install the journal")?;
            self.link.batch("COMMIT", "install the journal")
        });
        if done.is_err() {
            self.undo();
        }
        done
    }

    fn make_schema(&mut self) -> Result<()> {
        let there = self.link.one("SELECT to_regnamespace('entente') IS NOT NULL", &[], "read the schema")?.flag(0)?;
        if there {
            return Ok(());
        }
        self.link.batch("CREATE SCHEMA entente", "make the schema for the journal").map_err(|error| match error.kind() {
            Kind::Forbidden => {
                error.hint("An administrator can make it: CREATE SCHEMA entente AUTHORIZATION this_role; or GRANT CREATE ON DATABASE.")
            }
            _ => error,
        })
    }

    fn enter(&mut self, spec: &TableSpec, all: &[TableSpec]) -> Result<()> {
        let shape = Shape::named(&mut self.link, &spec.table)?;
        let entries: Vec<Entry> = self.entries()?;
        let known = entries.iter().find(|entry| entry.shape.oid == shape.oid);
        let spec = settings(&shape, spec, known, all, &entries)?;
        if known.is_none() && entries.iter().any(|entry| entry.spec.resource == spec.resource) {
            return Err(taken(&spec.resource));
        }
        let text = write_settings(&spec)?;
        let sql = "INSERT INTO entente.tab (nsp, rel, resource, spec) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (nsp, rel) DO UPDATE SET spec = excluded.spec, ready = false";
        let args = [shape.nsp.into(), shape.rel.into(), spec.resource.into(), text.into()];
        self.link.run(sql, &args, "install the journal").map(drop)
    }

    /// Removes the triggers, and with `everything` the journal.
    pub(super) fn uninstall(&mut self, everything: bool) -> Result<()> {
        self.require_journal()?;
        self.patiently(|db| {
            for row in db.link.query("SELECT id, nsp, rel FROM entente.tab", &[], "read the journal")? {
                if let Some(shape) = Shape::find(&mut db.link, &row.owned(1)?, &row.owned(2)?)? {
                    db.link.batch(&triggers::drop(row.int(0)?.unwrap_or(0), &shape.sql(), &shape.parts), "remove the triggers")?;
                }
            }
            match everything {
                true => db.link.batch("DROP SCHEMA entente CASCADE", "remove the journal"),
                false => db.link.batch("UPDATE entente.tab SET ready = false", "write the journal"),
            }
        })?;
        self.schema = None;
        self.layouts.clear();
        Ok(())
    }
}
