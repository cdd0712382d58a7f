//! What is compared with another site, and the tombstones that nobody needs any longer (SYNC.md 9).

use std::rc::Rc;

use rusqlite::{params, types::Value as Native};

use super::{
    Sqlite,
    failure::Told,
    layout::Layout,
    values::{push_uid, stored_uid},
};
use crate::{
    connector::{Living, Named, Overdue, Place, Purged, Standing, known::read_version},
    error::Result,
    model::{Digest, Page, SiteId, Time},
};

/// Arrivals looked at in one query.
const WINDOW: i64 = 10_000;

/// Arrivals purged in one transaction.
const PURGE: i64 = 5_000;

impl Sqlite {
    /// See [`crate::connector::Connector::living`].
    pub(super) fn read_living(&mut self, layout: &Layout, take: &mut dyn FnMut(Living<'_>) -> Result<()>) -> Result<()> {
        self.fold_gently(layout)?;
        self.sites.learn(&self.conn)?;
        let known = self.sites.shared();
        let sql = format!(
            "SELECT arrival, uid, version, digest FROM {} WHERE arrival BETWEEN ?1 AND ?2 AND deleted = 0 AND uid IS NOT NULL AND digest IS NOT NULL",
            layout.state()
        );
        let (mut first, last) = (0, self.max_arrival(layout)?);
        let mut page = Page::default();
        while first <= last {
            let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
            let mut rows = statement.query([first, first + WINDOW - 1]).told("read the journal")?;
            while let Some(row) = rows.next().told("read the journal")? {
                page.clear();
                let uid = push_uid(row.get_ref(1).told("read the journal")?, &mut page);
                let version = row.get_ref(2).told("read the journal")?.as_str_or_null().unwrap_or(None).unwrap_or("");
                let version = read_version(version, |id| known.get(id))?;
                let digest = Digest(row.get(3).told("read the journal")?);
                let arrival = row.get(0).told("read the journal")?;
                take(Living { arrival, uid: page.text(uid), version: &version, digest })?;
            }
            first += WINDOW;
        }
        Ok(())
    }

    /// See [`crate::connector::Connector::standings`].
    pub(super) fn read_standings(&mut self, layout: &Layout, peer: SiteId, named: Named<'_>) -> Result<Vec<Standing>> {
        self.fold_gently(layout)?;
        self.sites.learn(&self.conn)?;
        let peer = self.sites.known(peer);
        let (column, values): (&str, Vec<Native>) = match named {
            Named::Uids(uids) => ("uid", uids.iter().map(|uid| stored_uid(uid)).collect()),
            Named::Arrivals(arrivals) => ("arrival", arrivals.iter().map(|arrival| Native::Integer(*arrival)).collect()),
        };
        let sql = format!(
            "SELECT s.uid, s.arrival, s.deleted, s.held, s.received_from FROM rarray(?1) w CROSS JOIN {} s ON s.{column} = w.value WHERE s.uid IS NOT NULL",
            layout.state()
        );
        let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
        let mut rows = statement.query([Rc::new(values)]).told("read the journal")?;
        let (mut standings, mut page) = (Vec::new(), Page::default());
        while let Some(row) = rows.next().told("read the journal")? {
            let uid = push_uid(row.get_ref(0).told("read the journal")?, &mut page);
            let held: Option<i64> = row.get(3).told("read the journal")?;
            let from: Option<i64> = row.get(4).told("read the journal")?;
            let place = Place::of(held, row.get(2).told("read the journal")?);
            standings.push(Standing {
                uid: page.text(uid).to_owned(),
                arrival: row.get(1).told("read the journal")?,
                place,
                given: from.is_some() && from == peer,
            });
        }
        Ok(standings)
    }

    /// See [`crate::connector::Connector::purge`].
    pub(super) fn purge_tombstones(&mut self, layout: &Layout, now: Time, before: Time) -> Result<Purged> {
        let (id, head) = (layout.table.id, self.max_arrival(layout)?);
        // The last arrival stays: peers' cursors stand there, and the next one is counted from it.
        let reached = "SELECT MAX(arrival) FROM entente_mark WHERE tab = ?1 AND at <= ?2";
        let upto: Option<i64> = self.conn.query_row(reached, params![id, before.0], |row| row.get(0)).told("read the journal")?;
        let upto = upto.unwrap_or(0).min(head - 1);
        let (mut purged, mut last, mut first) = (Purged::default(), 0, 0);
        while first <= upto {
            let end = (first + PURGE - 1).min(upto);
            let (some, latest) = self.transaction(|db| db.purge_some(layout, first, end))?;
            purged.tombstones += some;
            last = last.max(latest);
            first = end + 1;
            self.breathe();
        }
        self.transaction(|db| {
            if last > 0 {
                purged.behind = db.leave_behind(id, last)?;
            }
            let used = "DELETE FROM entente_mark WHERE tab = ?1 AND at < (SELECT MAX(at) FROM entente_mark WHERE tab = ?1 AND at <= ?2)";
            db.conn.execute(used, params![id, before.0]).told("write the journal")?;
            let mark = "INSERT INTO entente_mark (tab, at, arrival) VALUES (?1, ?2, ?3) ON CONFLICT (tab, at) DO UPDATE SET arrival = ?3";
            db.conn.execute(mark, params![id, now.0, head]).told("write the journal").map(|_| ())
        })?;
        Ok(purged)
    }

    /// How many tombstones went, and the last arrival of one.
    fn purge_some(&mut self, layout: &Layout, first: i64, last: i64) -> Result<(u64, i64)> {
        let state = layout.state();
        let dead = "arrival BETWEEN ?1 AND ?2 AND deleted = 1 AND held IS NULL AND heir IS NULL AND own IS NULL AND uid IS NOT NULL";
        let sql = format!("SELECT COALESCE(MAX(arrival), 0) FROM {state} WHERE {dead}");
        let latest =
            self.conn.prepare_cached(&sql).and_then(|mut s| s.query_row([first, last], |row| row.get(0))).told("read the journal")?;
        if latest == 0 {
            return Ok((0, 0));
        }
        if layout.table.bases {
            let sql = format!("DELETE FROM entente_base_{} WHERE uid IN (SELECT uid FROM {state} WHERE {dead})", layout.table.id);
            self.conn.execute(&sql, [first, last]).told("write the journal")?;
        }
        let gone = self.conn.execute(&format!("DELETE FROM {state} WHERE {dead}"), [first, last]).told("write the journal")?;
        Ok((gone as u64, latest))
    }

    /// The peers that had not acknowledged everything up to an arrival have to compare.
    fn leave_behind(&mut self, table: i64, upto: i64) -> Result<Vec<SiteId>> {
        self.sites.learn(&self.conn)?;
        let behind = "SELECT site FROM entente_share WHERE tab = ?1 GROUP BY site HAVING MAX(push) < ?2 AND MAX(told) + MAX(heard) > 0";
        let sites: Vec<i64> = {
            let mut statement = self.conn.prepare_cached(behind).told("read the journal")?;
            let rows = statement.query_map([table, upto], |row| row.get(0));
            rows.and_then(Iterator::collect).told("read the journal")?
        };
        for site in &sites {
            let sql = "UPDATE entente_share SET compare = (compare | ?3) + 8 WHERE tab = ?1 AND site = ?2";
            let due = Overdue { due: true, ..Overdue::default() };
            self.conn.execute(sql, params![table, site, due.bits()]).told("write the journal")?;
        }
        Ok(sites.into_iter().filter_map(|site| self.sites.site(site)).collect())
    }
}
