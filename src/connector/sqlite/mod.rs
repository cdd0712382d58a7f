//! SQLite files, opened where their applications have them. Nothing of the file is changed but what carries our prefix:
//! its journal mode stays as it is.

mod apply;
mod drift;
mod export;
mod failure;
mod fold;
mod install;
mod journal;
mod kept;
mod layout;
mod lists;
mod notes;
mod rows;
mod schema;
mod shape;
mod share;
mod sql;
mod standing;
mod sums;
mod sweep;
mod triggers;
mod turn;
mod values;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{
    Connection, OpenFlags,
    functions::{Context, FunctionFlags},
    params,
};

use self::{failure::Told, layout::Layout, rows::Sites, shape::Shape, sums::Tally};
use super::{
    Apply, ConflictEntry, Conflicts, Connector, Extent, Forgotten, HistoryEntry, Journal, Living, Make, Named, Overdue, Part, Progress,
    Purged, Retention, Share, Standing, Survey, Swept, Table, Whose, attach::surveyed, eden::whose,
};
use crate::{
    error::Result,
    model::{Page, Pending, SiteId, Sum, TableSpec, Time, Uuids},
};

/// How long we wait for another program that writes.
const BUSY: Duration = Duration::from_secs(10);

/// An SQLite file.
pub struct Sqlite {
    conn: Connection,
    layouts: Vec<Arc<Layout>>,
    /// Tables that cannot be used since their schema changed, and why.
    unsettled: HashMap<i64, String>,
    /// The schema that the layouts were made for.
    schema: i64,
    sites: Sites,
    /// What the transaction that is open adds to the tables' sums.
    tally: Tally,
    /// What other connections had committed when we last looked.
    pulse: i64,
    /// Where the file is, and which file that was when it was opened.
    file: Option<(PathBuf, FileId)>,
    /// Where new uids come from.
    uuids: Uuids,
}

/// Device and inode, by which a file that replaced another is told.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn file_id(path: &Path) -> Option<FileId> {
    // An open file cannot be replaced there.
    std::fs::metadata(path).ok().map(|_| (0, 0))
}

impl Sqlite {
    /// Opens a file that exists. New uids come from `uuids`.
    pub fn open(path: &Path, uuids: Uuids) -> Result<Sqlite> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).told(&format!("open {}", path.display()))?;
        let mut db = Sqlite::ready(conn)?;
        db.file = file_id(path).map(|id| (path.to_owned(), id));
        db.uuids = uuids;
        Ok(db)
    }

    /// Lets the triggers that this connection fires read `clock` in place of the machine's, which shows milliseconds to them: for simulations.
    pub fn keep_time(&self, clock: impl Fn() -> Time + Send + Sync + 'static) -> Result<()> {
        let julian_day = move |_: &Context<'_>| Ok(clock().0 as f64 / 86_400e6 + 2_440_587.5);
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        self.conn.create_scalar_function("julianday", 1, flags, julian_day).told("set the clock")
    }

    /// A database in memory, for tests.
    pub fn memory() -> Result<Sqlite> {
        Sqlite::ready(Connection::open_in_memory().told("open a database in memory")?)
    }

    fn ready(conn: Connection) -> Result<Sqlite> {
        conn.busy_timeout(BUSY).told("open the database")?;
        conn.set_prepared_statement_cache_capacity(256);
        rusqlite::vtab::array::load_module(&conn).told("open the database")?;
        // Durable at each commit: the answer to a peer says so. Foreign keys are the user's and are kept.
        conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -6144;")
            .told("open the database")?;
        let (sites, tally) = (Sites::default(), Tally::default());
        sums::register(&conn, &tally, &sites.shared())?;
        lists::register(&conn)?;
        let mut db = Sqlite {
            conn,
            layouts: Vec::new(),
            unsettled: HashMap::new(),
            schema: -1,
            sites,
            tally,
            pulse: 0,
            file: None,
            uuids: Uuids::default(),
        };
        db.upgrade()?;
        Ok(db)
    }

    fn max_arrival(&self, layout: &Layout) -> Result<i64> {
        let mut statement = self.conn.prepare_cached(&layout.sql.last_arrival).told("read the journal")?;
        statement.query_row([], |row| row.get(0)).told("read the journal")
    }
}

impl Connector for Sqlite {
    fn stale(&mut self) -> bool {
        self.file.as_ref().is_some_and(|(path, id)| file_id(path) != Some(*id))
    }

    fn survey(&mut self) -> Result<Vec<Survey>> {
        let attached = if self.installed()? { self.entries()? } else { Vec::new() };
        Shape::names(&self.conn)?
            .iter()
            .map(|name| {
                let shape = Shape::read(&self.conn, name)?;
                let known = attached.iter().find(|entry| entry.shape.name == shape.name);
                Ok(surveyed(&shape, known))
            })
            .collect()
    }

    fn attach(&mut self, specs: &[TableSpec], site: SiteId, now: Time, progress: Progress<'_>) -> Result<()> {
        self.install(specs, site, now)?;
        self.journal_rows(now, progress)
    }

    fn detach(&mut self, drop_journal: bool) -> Result<()> {
        self.uninstall(drop_journal)
    }

    fn journal(&mut self) -> Result<Journal> {
        self.require_journal()?;
        let sql = "SELECT site, epoch, incarnation, runs FROM entente_journal";
        let mut statement = self.conn.prepare_cached(sql).told("read the journal")?;
        let (site, epoch, incarnation, runs): (String, String, u32, i64) =
            statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).told("read the journal")?;
        Ok(Journal { site: site.parse()?, epoch, incarnation, runs: u64::try_from(runs).unwrap_or(0) })
    }

    fn renew(&mut self, site: SiteId, incarnation: u32, epoch: &str) -> Result<()> {
        self.refresh()?;
        let again = self.journal()?.site != site;
        self.transaction(|db| {
            db.conn
                .execute(
                    "UPDATE entente_journal SET site = ?1, incarnation = ?2, epoch = ?3",
                    params![site.0.to_string(), incarnation, epoch],
                )
                .told("write the journal")?;
            let doubt = Overdue { due: true, we_went_back: true, ..Overdue::default() };
            let met = "UPDATE entente_share SET compare = (compare | ?1) + 8 WHERE told + heard + push > 0 OR pull <> ''";
            db.conn.execute(met, [doubt.bits()]).told("write the journal")?;
            if again {
                db.conn.execute_batch("UPDATE entente_share SET told = 0, heard = 0").told("write the journal")?;
            }
            Ok(())
        })
    }

    fn tables(&mut self) -> Result<Vec<Table>> {
        self.refresh()?;
        Ok(self.layouts.iter().map(|layout| layout.table.clone()).collect())
    }

    fn share(&mut self, table: &Table, peer: SiteId, part: Part) -> Result<Share> {
        self.refresh()?;
        self.sites.load(&self.conn)?;
        self.read_share(table.id, peer, part)
    }

    fn set_share(&mut self, table: &Table, peer: SiteId, part: Part, share: &Share, added_runs: u64) -> Result<()> {
        self.refresh()?;
        self.transaction(|db| {
            db.sites.load(&db.conn)?;
            db.write_share(table.id, peer, part, share)?;
            let added = i64::try_from(added_runs).unwrap_or(0);
            db.conn.execute("UPDATE entente_journal SET runs = runs + ?1", [added]).told("write the journal").map(|_| ())
        })
    }

    fn forget_shared(&mut self, table: &Table, peer: SiteId) -> Result<()> {
        let layout = self.layout(table)?;
        self.sites.learn(&self.conn)?;
        match self.sites.known(peer) {
            Some(site) => self.forget_senders(&layout, site),
            None => Ok(()),
        }
    }

    fn head(&mut self, table: &Table) -> Result<i64> {
        let layout = self.layout(table)?;
        self.max_arrival(&layout)
    }

    fn living(&mut self, table: &Table, take: &mut dyn FnMut(Living<'_>) -> Result<()>) -> Result<()> {
        let layout = self.layout(table)?;
        self.read_living(&layout, take)
    }

    fn standings(&mut self, table: &Table, peer: SiteId, named: Named<'_>) -> Result<Vec<Standing>> {
        let layout = self.layout(table)?;
        self.read_standings(&layout, peer, named)
    }

    fn purge(&mut self, table: &Table, now: Time, before: Time) -> Result<Purged> {
        let layout = self.layout(table)?;
        self.purge_tombstones(&layout, now, before)
    }

    fn pending(&mut self, table: &Table, after: i64, peer: SiteId, most: u32) -> Result<Pending> {
        let layout = self.layout(table)?;
        self.sites.learn(&self.conn)?;
        let peer = self.sites.known(peer).unwrap_or(0);
        let sql = format!(
            "SELECT count(*), count(CASE WHEN held IS NULL AND (received_from IS NULL OR received_from <> ?2) THEN 1 END)
             FROM (SELECT held, received_from FROM {} WHERE arrival > ?1 LIMIT ?3)",
            layout.state()
        );
        let mut statement = self.conn.prepare_cached(&sql).told("count the records")?;
        let (seen, records): (i64, i64) =
            statement.query_row(params![after, peer, most], |row| Ok((row.get(0)?, row.get(1)?))).told("count the records")?;
        Ok(Pending { records: u64::try_from(records).unwrap_or(0), more: seen >= i64::from(most) })
    }

    fn count(&mut self, table: &Table) -> Result<u64> {
        let layout = self.layout(table)?;
        let sql = format!("SELECT count(*) FROM {} WHERE deleted = 0", layout.state());
        let count: i64 = self.conn.query_row(&sql, [], |row| row.get(0)).told("count the records")?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn sweep(&mut self, table: &Table, now: Time, progress: Progress<'_>) -> Result<Swept> {
        let layout = self.layout(table)?;
        self.sweep_table(&layout, now, progress)
    }

    fn forget(&mut self, keep: Retention) -> Result<Forgotten> {
        self.forget_old(keep)
    }

    fn sum(&mut self, table: &Table) -> Result<Option<Sum>> {
        let layout = self.layout(table)?;
        self.folded_sum(&layout)
    }

    fn fold(&mut self, table: &Table) -> Result<()> {
        let layout = self.layout(table)?;
        self.fold_gently(&layout)
    }

    fn recheck(&mut self, table: &Table) -> Result<()> {
        let layout = self.layout(table)?;
        self.recheck_outgoing(&layout)
    }

    fn export(&mut self, table: &Table, after: i64, peer: SiteId, extent: Extent, now: Time, page: &mut Page) -> Result<(i64, bool)> {
        let layout = self.layout(table)?;
        self.read_feed(&layout, after, peer, extent, now, page)
    }

    fn lookup(&mut self, table: &Table, uids: &[String], page: &mut Page) -> Result<()> {
        let layout = self.layout(table)?;
        self.fold_gently(&layout)?;
        self.read_named(&layout, uids, page)
    }

    fn since(&mut self, table: &Table, since: Time) -> Result<Vec<String>> {
        let layout = self.layout(table)?;
        self.fold_gently(&layout)?;
        self.uids_since(&layout, since)
    }

    fn whose(&mut self, table: &Table, uids: &[String]) -> Result<Vec<Whose>> {
        let layout = self.layout(table)?;
        match table.form.make {
            Make::Eden if layout.own_key => whose(self, &table.name, &layout.state_and_row(), uids),
            _ => Ok(Vec::new()),
        }
    }

    fn belonging(&mut self, table: &Table, field: &str, uids: &[String]) -> Result<Vec<String>> {
        let layout = self.layout(table)?;
        self.fold_gently(&layout)?;
        self.uids_belonging(&layout, field, uids)
    }

    fn notes(&mut self, table: &Table, peer: SiteId, uids: Option<&[String]>) -> Result<HashMap<String, String>> {
        self.read_notes(table.id, peer, uids)
    }

    fn sample(&mut self, table: &Table, limit: usize) -> Result<Vec<String>> {
        let layout = self.layout(table)?;
        self.fold_gently(&layout)?;
        let sql = format!("SELECT uid FROM {} WHERE deleted = 0 AND uid IS NOT NULL LIMIT ?1", layout.state());
        let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
        let mut rows = statement.query([i64::try_from(limit).unwrap_or(i64::MAX)]).told("read the journal")?;
        let (mut uids, mut page) = (Vec::new(), Page::default());
        while let Some(row) = rows.next().told("read the journal")? {
            let span = values::push_uid(row.get_ref(0).told("read the journal")?, &mut page);
            uids.push(page.text(span).to_owned());
        }
        Ok(uids)
    }

    fn waits(&mut self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM entente_waiting WHERE kind <> 'outgoing')";
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.query_row([], |row| row.get(0))).told("read the journal")
    }

    fn unsettled(&mut self, table: &Table) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM entente_waiting WHERE tab = ?1) OR EXISTS (SELECT 1 FROM entente_conflict WHERE tab = ?1 AND open = 1)";
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.query_row([table.id], |row| row.get(0))).told("read the journal")
    }

    fn waiting(&mut self) -> Result<Vec<super::WaitingEntry>> {
        self.refresh()?;
        self.list_waiting()
    }

    fn troubles(&mut self) -> Result<Vec<super::Trouble>> {
        self.refresh()?;
        self.count_troubles()
    }

    fn keep_bases(&mut self, table: &Table) -> Result<()> {
        let layout = self.layout(table)?;
        self.begin_bases(&layout)
    }

    fn conflicts(&mut self, which: Conflicts<'_>) -> Result<Vec<ConflictEntry>> {
        self.read_conflicts(which)
    }

    fn history(&mut self, table: &Table, uid: &str) -> Result<Vec<HistoryEntry>> {
        self.read_history(table, uid)
    }

    fn pulse(&mut self) -> Result<i64> {
        self.data_version()
    }

    fn begin(&mut self) -> Result<Box<dyn Apply + '_>> {
        self.refresh()?;
        Ok(Box::new(apply::Transaction::begin(self)?))
    }
}
