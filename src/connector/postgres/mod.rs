//! PostgreSQL databases, attached by a plain role: no superuser, no replication slot, constraints and the user's triggers stay on. Nothing outside the
//! schema `entente` is changed but the triggers that note what applications write.

mod apply;
mod args;
mod drift;
mod export;
mod failure;
mod fold;
mod form;
mod install;
mod journal;
mod kept;
mod layout;
mod link;
mod notes;
mod rows;
mod schema;
mod shape;
mod share;
mod sql;
mod standing;
mod sums;
mod sweep;
#[cfg(test)]
mod tests;
mod triggers;
mod turn;

use std::{collections::HashMap, sync::Arc};

use self::{
    args::{Arg, Columns},
    layout::{Entry, Layout},
    link::Link,
    rows::Sites,
    shape::Shape,
};
use super::{
    Apply, ConflictEntry, Conflicts, Connector, Extent, Forgotten, HistoryEntry, Journal, Living, Make, Named, Overdue, Part, Progress,
    Purged, Retention, Share, Standing, Survey, Swept, Table, WaitingEntry, Whose, attach::surveyed, eden::whose, seen::Seen,
};
use crate::{
    error::Result,
    model::{Page, Pending, SiteId, Sum, TableSpec, Time, Uuids},
};

/// A PostgreSQL database.
pub struct Postgres {
    link: Link,
    layouts: Vec<Arc<Layout>>,
    /// Tables that cannot be used since their schema changed, and why.
    unsettled: HashMap<i64, String>,
    /// The schema that the layouts were made for.
    schema: Option<String>,
    /// The schema was looked at since this connection was taken to be used.
    looked: bool,
    sites: Sites,
    /// What the transaction that is open adds to the tables' sums.
    tally: HashMap<i64, Sum>,
    /// Keys that sequences gave us and no row has yet, by table.
    spare_keys: HashMap<i64, Vec<i64>>,
    /// Where new uids come from.
    uuids: Uuids,
}

impl Postgres {
    /// Opens the database at `postgres://USER:PASSWORD@HOST/DATABASE`. New uids come from `uuids`. Blocks, and must not be called on a thread that
    /// runs asynchronous tasks.
    pub fn open(url: &str, uuids: Uuids) -> Result<Postgres> {
        let link = Link::open(url)?;
        let (sites, tally) = (Sites::default(), HashMap::new());
        let mut db = Postgres {
            link,
            layouts: Vec::new(),
            unsettled: HashMap::new(),
            schema: None,
            looked: false,
            sites,
            tally,
            spare_keys: HashMap::new(),
            uuids,
        };
        db.upgrade()?;
        Ok(db)
    }

    fn max_arrival(&mut self, layout: &Layout) -> Result<i64> {
        Ok(self.link.one(&layout.sql.last_arrival, &[], "read the journal")?.int(0)?.unwrap_or(0))
    }

    /// Appends the records of a query of [`Layout::select`].
    fn read_rows(&mut self, layout: &Layout, sql: &str, args: &[Arg<'_>], page: &mut Page) -> Result<Vec<Seen>> {
        let names = layout.prepare(page)?;
        let me = self.me()?.site;
        let rows = self.link.query(sql, args, "read the records")?;
        rows.iter().map(|row| layout.read(row, &names, &self.sites, me, page)).collect()
    }

    fn surveyed(&mut self, name: &str, attached: &[Entry]) -> Result<Survey> {
        let shape = Shape::named(&mut self.link, name)?;
        let known = attached.iter().find(|entry| entry.shape.oid == shape.oid);
        Ok(surveyed(&shape, known))
    }
}

impl Connector for Postgres {
    fn stale(&mut self) -> bool {
        self.looked = false;
        self.link.lost()
    }

    fn survey(&mut self) -> Result<Vec<Survey>> {
        let attached = if self.installed()? { self.entries()? } else { Vec::new() };
        let names = Shape::names(&mut self.link)?;
        names.iter().map(|name| self.surveyed(name, &attached)).collect()
    }

    fn attach(&mut self, specs: &[TableSpec], site: SiteId, now: Time, progress: Progress<'_>) -> Result<()> {
        self.install(specs, site, now)?;
        self.journal_rows(now, progress)
    }

    fn detach(&mut self, drop_journal: bool) -> Result<()> {
        self.uninstall(drop_journal)
    }

    fn journal(&mut self) -> Result<Journal> {
        let sql = "SELECT epoch, runs, site, incarnation FROM entente.journal";
        let row = match self.link.one(sql, &[], "read the journal") {
            Ok(row) => row,
            // It is asked about where it is needed, since it mostly is there.
            Err(error) => return self.require_journal().and(Err(error)),
        };
        let runs = row.int(1)?.and_then(|runs| u64::try_from(runs).ok()).unwrap_or(0);
        let incarnation = row.int(3)?.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        Ok(Journal { site: row.owned(2)?.parse()?, epoch: row.owned(0)?, incarnation, runs })
    }

    fn renew(&mut self, site: SiteId, incarnation: u32, epoch: &str) -> Result<()> {
        self.refresh()?;
        let again = self.journal()?.site != site;
        self.transaction(|db| {
            let sql = "UPDATE entente.journal SET site = $1, epoch = $2, incarnation = $3::bigint";
            db.link.run(sql, &[site.0.to_string().into(), epoch.into(), i64::from(incarnation).into()], "write the journal")?;
            let doubt = Overdue { due: true, we_went_back: true, ..Overdue::default() };
            let met = "UPDATE entente.share SET compare = (compare | $1::bigint) + 8 WHERE told + heard + push > 0 OR pull <> ''";
            db.link.run(met, &[doubt.bits().into()], "write the journal")?;
            if again {
                db.link.batch("UPDATE entente.share SET told = 0, heard = 0", "write the journal")?;
            }
            Ok(())
        })
    }

    fn tables(&mut self) -> Result<Vec<Table>> {
        self.refresh()?;
        Ok(self.layouts.iter().map(|layout| layout.table.clone()).collect())
    }

    fn share(&mut self, table: &Table, peer: SiteId, part: Part) -> Result<Share> {
        self.look()?;
        self.sites.load(&mut self.link)?;
        self.read_share(table.id, peer, part)
    }

    fn set_share(&mut self, table: &Table, peer: SiteId, part: Part, share: &Share, added_runs: u64) -> Result<()> {
        self.look()?;
        self.transaction(|db| {
            db.write_share(table.id, peer, part, share)?;
            let added = i64::try_from(added_runs).unwrap_or(0);
            db.link.run("UPDATE entente.journal SET runs = runs + $1::bigint", &[added.into()], "write the journal").map(drop)
        })
    }

    fn forget_shared(&mut self, table: &Table, peer: SiteId) -> Result<()> {
        let layout = self.layout(table)?;
        self.sites.load(&mut self.link)?;
        match self.sites.known(peer) {
            Some(site) => self.forget_senders(&layout, site),
            None => Ok(()),
        }
    }

    fn head(&mut self, table: &Table) -> Result<i64> {
        let layout = self.layout(table)?;
        self.gather_gently(&layout)?;
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
        let peer = self.sites.known(peer).unwrap_or(0);
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE held IS NULL AND received_from IS DISTINCT FROM $3::bigint) FROM (
               (SELECT held::bigint AS held, received_from FROM {} WHERE arrival > $1::bigint LIMIT $2::bigint)
               UNION ALL (SELECT NULL::bigint, NULL::bigint FROM {} n WHERE {} LIMIT $2::bigint)) pending",
            layout.state(),
            layout.note(),
            layout.ungathered()
        );
        let row = self.link.one(&sql, &[after.into(), i64::from(most).into(), peer.into()], "count the records")?;
        let (seen, records) = (row.int(0)?.unwrap_or(0), row.int(1)?.unwrap_or(0));
        Ok(Pending { records: u64::try_from(records).unwrap_or(0), more: seen >= i64::from(most) })
    }

    fn count(&mut self, table: &Table) -> Result<u64> {
        let layout = self.layout(table)?;
        self.gather_gently(&layout)?;
        let sql = format!("SELECT count(*) FROM {} WHERE NOT deleted", layout.state());
        let count = self.link.one(&sql, &[], "count the records")?.int(0)?.unwrap_or(0);
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn sweep(&mut self, table: &Table, now: Time, progress: Progress<'_>) -> Result<Swept> {
        self.refresh()?;
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
        self.refresh()?;
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
        let sql = format!("SELECT uid FROM {} WHERE NOT deleted AND uid IS NOT NULL LIMIT $1::bigint", layout.state());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.link.query(&sql, &[limit.into()], "read the journal")?.iter().map(|row| row.owned(0)).collect()
    }

    fn waits(&mut self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM entente.waiting WHERE kind <> 'outgoing')";
        self.link.one(sql, &[], "read the journal")?.flag(0)
    }

    fn unsettled(&mut self, table: &Table) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM entente.waiting WHERE tab = $1::bigint)
                   OR EXISTS (SELECT 1 FROM entente.conflict WHERE tab = $1::bigint AND open)";
        self.link.one(sql, &[table.id.into()], "read the journal")?.flag(0)
    }

    fn waiting(&mut self) -> Result<Vec<WaitingEntry>> {
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
        self.read_pulse()
    }

    fn begin(&mut self) -> Result<Box<dyn Apply + '_>> {
        self.refresh()?;
        Ok(Box::new(apply::Transaction::begin(self)?))
    }
}
