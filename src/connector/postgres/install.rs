//! Attaching: the journal and its triggers come, are upgraded and go; rows that were already there are journalled.

use std::sync::Arc;

use super::{
    Postgres,
    args::{Arg, Columns},
    failure::quoted,
    fold::columns,
    layout::{Entry, Layout},
    rows::Seen,
    shape::Shape,
    triggers,
};
use crate::{
    connector::{KeyPart, Progress, Swept},
    error::{Error, Kind, Result},
    model::{Page, SiteId, TableSpec, Time, Version},
};

/// The journal's own migrations, in order. Never changed once released.
const MIGRATIONS: [&str; 1] = [include_str!("../../../migrations/journal/postgres/01_journal.sql")];

/// Rows journalled in one transaction. Applications do not wait for it.
const STEP: i64 = 2_000;

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
        let done = self.transaction(|db| {
            specs.iter().try_for_each(|spec| db.enter(spec))?;
            let entries = db.entries()?;
            let layouts: Vec<Layout> = entries.iter().map(|entry| Layout::make(entry, &entries)).collect::<Result<_>>()?;
            for layout in &layouts {
                db.link.batch(&triggers::tables(layout), "install the journal")?;
                db.link.batch(&triggers::install(layout), &format!("install the triggers of {}", layout.table.name))?;
                let sql =
                    "INSERT INTO entente.mark (tab, gathered) VALUES ($1::bigint, pg_current_snapshot()) ON CONFLICT (tab) DO NOTHING";
                db.link.run(sql, &[layout.table.id.into()], "install the journal")?;
            }
            Ok(())
        });
        done.map_err(|error| if error.kind() == Kind::Forbidden { self.name_owner(specs, error) } else { error })?;
        self.schema = None;
        self.refresh()
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

    fn enter(&mut self, spec: &TableSpec) -> Result<()> {
        let shape = Shape::named(&mut self.link, &spec.table)?;
        let mut spec = TableSpec { table: shape.name.clone(), ..spec.clone() };
        if spec.resource.is_empty() {
            spec.resource.clone_from(&shape.name);
        }
        let known: Vec<Entry> = self.entries()?;
        if let Some(entry) = known.iter().find(|entry| entry.shape.oid == shape.oid) {
            let before = entry.spec.identity.clone().unwrap_or_else(|| super::layout::propose(&shape));
            if spec.identity.as_ref().is_some_and(|identity| *identity != before) || spec.resource != entry.spec.resource {
                let message = format!("table {:?} is attached as {:?} with identity {before}", shape.name, entry.spec.resource);
                return Err(Error::new(Kind::Exists, message).hint("Uids never change: detach with --drop-journal first."));
            }
            spec.identity = entry.spec.identity.clone();
        } else if known.iter().any(|entry| entry.spec.resource == spec.resource) {
            return Err(Error::new(Kind::Exists, format!("another table of this database is already attached as {:?}", spec.resource)));
        }
        // What is proposed today is what the journal's uids are made of from now on.
        spec.identity = Some(spec.identity.unwrap_or_else(|| super::layout::propose(&shape)));
        let text = serde_json::to_string(&spec).map_err(|e| Error::internal("a table's settings could not be written").because(e))?;
        let sql = "INSERT INTO entente.tab (nsp, rel, resource, spec) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (nsp, rel) DO UPDATE SET spec = excluded.spec, ready = false";
        let args = [shape.nsp.into(), shape.rel.into(), spec.resource.into(), text.into()];
        self.link.run(sql, &args, "install the journal").map(drop)
    }

    /// Removes the triggers, and with `everything` the journal.
    pub(super) fn uninstall(&mut self, everything: bool) -> Result<()> {
        self.require_journal()?;
        self.transaction(|db| {
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

    /// Journals the rows that are there: new ones, ones that changed while no trigger watched, and those that went.
    pub(super) fn journal_rows(&mut self, now: Time, progress: Progress<'_>) -> Result<()> {
        self.refresh()?;
        let mut order: Vec<Arc<Layout>> = Vec::new();
        for layout in self.layouts.clone() {
            for table in self.with_parents(&layout) {
                if !order.iter().any(|known| known.table.id == table.table.id) {
                    order.push(table);
                }
            }
        }
        order.retain(|layout| !layout.table.ready);
        for layout in &order {
            let total = self.rows_of(layout)?;
            progress(&layout.table.resource, 0, total);
            let known = self.max_arrival(layout)?;
            let (mut after, mut done) = (None, 0);
            loop {
                let (last, some) = self.transaction(|db| db.journal_some(layout, after.as_deref(), now))?;
                done += some.rows;
                progress(&layout.table.resource, done.min(total), total);
                match last {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
            if known > 0 {
                self.bury_vanished(layout, known, now)?;
            }
            let sql = "UPDATE entente.tab SET ready = true WHERE id = $1::bigint";
            self.transaction(|db| db.link.run(sql, &[layout.table.id.into()], "write the journal"))?;
            progress(&layout.table.resource, total, total);
        }
        for layout in order.iter().filter(|layout| !layout.references.is_empty()) {
            self.complete_journalled(layout)?;
        }
        self.schema = None;
        self.refresh()
    }

    /// How many rows a table has.
    pub(super) fn rows_of(&mut self, layout: &Layout) -> Result<u64> {
        let count = self.link.one(&format!("SELECT count(*) FROM {}", layout.rel), &[], "count the rows")?.int(0)?;
        Ok(u64::try_from(count.unwrap_or(0)).unwrap_or(0))
    }

    /// Notes the digests of rows that were journalled before what they refer to.
    fn complete_journalled(&mut self, layout: &Layout) -> Result<()> {
        let sql = format!("SELECT arrival FROM {} WHERE digest IS NULL AND own IS NULL AND NOT deleted", layout.state());
        let rows = self.link.query(&sql, &[], "read the journal")?;
        let open: Vec<i64> = rows.iter().map(|row| row.int(0).map(|arrival| arrival.unwrap_or(0))).collect::<Result<_>>()?;
        open.chunks(STEP as usize).try_for_each(|arrivals| self.transaction(|db| db.complete(layout, arrivals)))
    }

    /// Journals some rows after a key. Returns the last key, `None` when the table is through.
    pub(super) fn journal_some(&mut self, layout: &Layout, after: Option<&[KeyPart]>, now: Time) -> Result<(Option<Vec<KeyPart>>, Swept)> {
        // What the triggers have noted needs nothing more.
        self.gather(&self.with_parents(layout))?;
        let me = self.me()?;
        let from = format!("{} t LEFT JOIN {} s ON {}", layout.rel, layout.state(), layout.on_key("t", "s"));
        let keys: Vec<String> = layout.key.iter().map(|key| format!("t.{}", quoted(&key.name))).collect();
        let keys = keys.join(", ");
        let marks: Vec<String> = (1..=after.map_or(0, <[KeyPart]>::len)).map(|at| format!("${at}")).collect();
        let beyond = if marks.is_empty() { String::new() } else { format!("AND ({keys}) > ({})", marks.join(", ")) };
        let sql = format!("{} WHERE s.own IS NULL {beyond} ORDER BY {keys} LIMIT {STEP}", layout.select(&from));
        let args: Vec<Arg<'_>> = after.unwrap_or(&[]).iter().map(Arg::of_key).collect();
        let (mut page, mut found, mut last) = (Page::default(), Vec::new(), None);
        let names = layout.prepare(&mut page)?;
        for row in self.link.query(&sql, &args, "read the table")? {
            let seen = layout.read(&row, &names, &self.sites, me.site, &mut page)?;
            let key = layout.key_at(&row)?;
            let record = &page.records[page.records.len() - 1];
            let uid = if seen.arrival == 0 { Some(layout.new_uid(page.view(record), &row, &self.uuids)?) } else { None };
            last = Some(key.clone());
            found.push((seen, key, uid));
        }
        let swept = self.journal_found(layout, &found, &page, now)?;
        Ok((last.filter(|_| found.len() as i64 == STEP), swept))
    }

    fn journal_found(&mut self, layout: &Layout, found: &[Found], page: &Page, now: Time) -> Result<Swept> {
        let claimed: Vec<&str> = found.iter().filter_map(|(_, _, uid)| uid.as_deref()).collect();
        let sql = format!("SELECT uid FROM {} WHERE uid = ANY($1::text[])", layout.state());
        let taken = self.link.query(&sql, &[Arg::texts(&claimed)], "read the journal")?;
        let mut taken: std::collections::HashSet<String> = taken.iter().map(|row| row.owned(0)).collect::<Result<_>>()?;
        let me = self.me()?;
        let (mut arrival, mut added, mut changed) = (self.max_arrival(layout)?, Vec::new(), Vec::new());
        let mut swept = Swept { rows: found.len() as u64, ..Swept::default() };
        for ((seen, key, uid), record) in found.iter().zip(page.views()) {
            // A row stands where the journal has a tombstone: it was put back. One whose digest is unknown still refers to nothing.
            let put_back = record.record.deleted;
            let differs = put_back || seen.digest != seen.whole().then(|| record.digest());
            swept.added += u64::from(uid.is_some() || put_back);
            swept.changed += u64::from(uid.is_none() && differs && !put_back);
            if uid.is_none() && !differs {
                continue;
            }
            arrival += 1;
            let Some(uid) = uid else {
                changed.push(vec![Arg::Int(seen.arrival), Arg::Int(arrival)]);
                continue;
            };
            let mut state = vec![Arg::Int(arrival)];
            if taken.insert(uid.clone()) {
                let version = self.sites.write_version(&mut self.link, &Version::of(me, u64::try_from(arrival).unwrap_or(1)))?;
                let digest = seen.whole().then(|| Arg::Bytes(record.digest().0.to_vec().into()));
                state.extend([uid.clone().into(), version.into(), digest.unwrap_or(Arg::Null), Arg::Null, now.0.into()]);
            } else {
                // A tombstone, or another row under the same uid: folding decides, with both in view.
                state.extend([Arg::Null, Arg::Null, Arg::Null, now.0.into(), Arg::Int(0)]);
            }
            state.extend(key.iter().map(Arg::of_key));
            added.push(state);
        }
        self.add_states(layout, added)?;
        if !changed.is_empty() {
            let sql = format!(
                "UPDATE {} s SET arrival = w.next, own = $3::bigint, deleted = false FROM unnest($1::bigint[], $2::bigint[]) w(arrival, next)
                 WHERE s.arrival = w.arrival",
                layout.state()
            );
            let mut args = columns(changed);
            args.push(now.0.into());
            self.link.run(&sql, &args, "write the journal")?;
        }
        Ok(swept)
    }

    fn add_states(&mut self, layout: &Layout, added: Vec<Vec<Arg<'_>>>) -> Result<()> {
        if added.is_empty() {
            return Ok(());
        }
        let me = self.me()?.site;
        let site = self.sites.id(&mut self.link, me)?;
        let ks = layout.ks("");
        let arrays: String = layout.key.iter().enumerate().map(|(at, key)| format!(", ${}::{}[]", at + 7, key.bare())).collect();
        let sql = format!(
            "INSERT INTO {} (arrival, uid, version, digest, own, modified_on, {ks}, origin, author)
             SELECT arrival, uid, version, digest, own, modified_on, {ks}, CASE WHEN uid IS NOT NULL THEN {site} END, CASE WHEN uid IS NOT NULL THEN {site} END
             FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[]{arrays})
               w(arrival, uid, version, digest, own, modified_on, {ks})
             RETURNING NULL::text, NULL::text, NULL::bytea, uid, version, digest",
            layout.state()
        );
        self.change(layout, &sql, &columns(added))
    }

    /// Records up to an arrival whose rows went while no trigger watched become local deletions.
    pub(super) fn bury_vanished(&mut self, layout: &Layout, upto: i64, now: Time) -> Result<u64> {
        const WINDOW: i64 = 50_000;
        let sql = format!(
            "SELECT s.arrival FROM {} WHERE NOT s.deleted AND t.{} IS NULL AND s.arrival BETWEEN $1::bigint AND $2::bigint",
            layout.state_and_row(),
            quoted(&layout.key[0].name)
        );
        let mut buried = 0;
        for first in (0..=upto).step_by(WINDOW as usize) {
            let rows = self.link.query(&sql, &[first.into(), (first + WINDOW - 1).into()], "read the journal")?;
            let gone: Vec<i64> = rows.iter().map(|row| row.int(0).map(|arrival| arrival.unwrap_or(0))).collect::<Result<_>>()?;
            if !gone.is_empty() {
                buried += self.transaction(|db| db.bury(layout, &gone, now))?;
            }
        }
        Ok(buried)
    }

    /// Notes local deletions of the records with these arrivals. Returns how many there were.
    pub(super) fn bury(&mut self, layout: &Layout, arrivals: &[i64], now: Time) -> Result<u64> {
        let state = layout.state();
        let sql = format!(
            "UPDATE {state} s SET arrival = w.next, own = GREATEST($2::bigint, COALESCE(s.own, 0)), deleted = true
             FROM (SELECT arrival, (SELECT MAX(arrival) FROM {state}) + row_number() OVER (ORDER BY arrival) AS next FROM {state}
                   WHERE arrival = ANY($1::bigint[]) AND NOT deleted) w WHERE s.arrival = w.arrival"
        );
        self.link.run(&sql, &[Arg::ints(arrivals), now.0.into()], "write the journal")
    }
}

/// What was read of a row that is to be journalled: its state, its key and the uid it would get, where it has none.
type Found = (Seen, Vec<KeyPart>, Option<String>);
