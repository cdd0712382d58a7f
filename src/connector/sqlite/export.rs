//! The feed: records in the order of their arrival (SYNC.md 3).

use std::rc::Rc;

use rusqlite::{params, types::Value as Native};

use super::{
    Sqlite,
    failure::Told,
    layout::Layout,
    values::{push_uid, stored_uid},
};
use crate::{
    connector::{
        Extent, Waiting, WaitingEntry,
        feed::{Look, Window, leave_out},
        seen::Seen,
        stored,
    },
    error::{Error, Result},
    model::{Page, SiteId, Time},
};

/// Arrivals looked at in one query, so that a long stretch of records that the peer sent itself holds no lock for long.
const WINDOW: i64 = 50_000;

impl Sqlite {
    /// See [`crate::connector::Connector::export`].
    pub(super) fn read_feed(
        &mut self,
        layout: &Layout,
        after: i64,
        peer: SiteId,
        extent: Extent,
        now: Time,
        page: &mut Page,
    ) -> Result<(i64, bool)> {
        let before = page.records.len();
        loop {
            self.fold_gently(layout)?;
            let done = self.snapshot(|db| db.read_window(layout, after, peer, extent, page))?;
            match done {
                Window::Read { upto, more, withheld, incomplete } => {
                    if !incomplete.is_empty() {
                        self.transaction(|db| db.note_digests(layout, &incomplete, "own IS NULL AND digest IS NULL"))?;
                    }
                    if !withheld.is_empty() {
                        self.withhold(layout, page, &withheld, now)?;
                    }
                    return Ok((upto, more));
                }
                Window::Unfolded => {}
                Window::Vanished(arrivals) => {
                    self.transaction(|db| db.bury(layout, &arrivals, now))?;
                }
            }
            page.truncate(before);
        }
    }

    fn read_window(&mut self, layout: &Layout, after: i64, peer: SiteId, extent: Extent, page: &mut Page) -> Result<Window> {
        for table in self.with_parents(layout) {
            if self.unfolded(&table)? {
                return Ok(Window::Unfolded);
            }
        }
        self.sites.learn(&self.conn)?;
        let names = layout.prepare(page)?;
        let me = self.me()?.site;
        let head = self.max_arrival(layout)?;
        let peer = self.sites.known(peer).unwrap_or(0);
        let mut look = Look::after(after);
        let first = page.records.len();
        while look.upto < head {
            let end = look.upto.saturating_add(WINDOW).min(head);
            let room = extent.records.saturating_sub(page.records.len() - first);
            let mut statement = self.conn.prepare_cached(&layout.sql.feed).told("read the feed")?;
            let mut rows = statement.query(params![look.upto, end, peer, i64::try_from(room).unwrap_or(i64::MAX)]).told("read the feed")?;
            let mut full = false;
            while let Some(row) = rows.next().told("read the feed")? {
                let before = page.text_len();
                let seen = layout.read(row, &names, &self.sites, me, page)?;
                look.take(&seen, page.text_len() - before, page);
                full = page.records.len() - first >= extent.records || page.text_len() >= extent.bytes;
                if full {
                    break;
                }
            }
            drop(rows);
            if full {
                break;
            }
            look.upto = end;
        }
        Ok(look.end(head))
    }

    /// Takes records that cannot travel out of a page; they wait until they can. Their content is in the table, so only its name is kept.
    fn withhold(&mut self, layout: &Layout, page: &mut Page, unfit: &[(usize, String)], now: Time) -> Result<()> {
        let texts: Vec<(Native, String, String)> = unfit
            .iter()
            .map(|(at, reason)| {
                let view = page.view(&page.records[*at]);
                let shown = Page::tombstone_of(view);
                Ok((stored_uid(view.uid()), reason.clone(), stored::write(shown.view(&shown.records[0]))?))
            })
            .collect::<Result<_>>()?;
        self.transaction(|db| {
            let me = db.me()?.site;
            let me = db.sites.id(&db.conn, me)?;
            for (uid, reason, record) in texts {
                let sql =
                    "INSERT INTO entente_waiting (tab, uid, site, run, at, kind, reason, record) VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7)
                           ON CONFLICT (tab, uid) WHERE kind = 'outgoing' DO UPDATE SET at = ?4, reason = ?6, record = ?7";
                let values = params![layout.table.id, uid, me, now.0, Waiting::Outgoing.word(), reason, record];
                db.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).told("write the journal")?;
            }
            Ok(())
        })?;
        let gone: Vec<usize> = unfit.iter().map(|(at, _)| *at).collect();
        page.remove(&gone);
        Ok(())
    }

    /// Offers withheld records again whose references lead somewhere by now.
    pub(super) fn recheck_outgoing(&mut self, layout: &Layout) -> Result<()> {
        let sql = "SELECT id, uid FROM entente_waiting WHERE tab = ?1 AND kind = 'outgoing'";
        let waiting: Vec<(i64, Native)> = {
            let mut statement = self.conn.prepare_cached(sql).told("read the journal")?;
            let rows = statement.query_map([layout.table.id], |row| Ok((row.get(0)?, row.get(1)?)));
            rows.and_then(Iterator::collect).told("read the journal")?
        };
        if waiting.is_empty() {
            return Ok(());
        }
        self.fold_gently(layout)?;
        let state = layout.state();
        let again = format!("UPDATE {state} SET arrival = (SELECT MAX(arrival) + 1 FROM {state}) WHERE uid = ?1");
        self.transaction(|db| {
            for (id, uid) in waiting {
                let mut page = Page::default();
                let seen = db.read_each(layout, vec![uid.clone()], &mut page)?;
                if seen.iter().all(|seen| seen.unfit(page.text_len()).is_none()) {
                    db.conn.execute(&again, [&uid]).told("write the journal")?;
                    let arrival = db.max_arrival(layout)?;
                    db.complete(layout, &[arrival])?;
                    db.conn.execute("DELETE FROM entente_waiting WHERE id = ?1", [id]).told("write the journal")?;
                }
            }
            Ok(())
        })
    }

    /// Appends the named records, tombstones too; those that refer to nothing are left out.
    pub(super) fn read_named(&mut self, layout: &Layout, uids: &[String], page: &mut Page) -> Result<()> {
        let stored = uids.iter().map(|uid| stored_uid(uid)).collect();
        let first = page.records.len();
        let seen = self.snapshot(|db| {
            db.sites.learn(&db.conn)?;
            db.read_each(layout, stored, page)
        })?;
        leave_out(&seen, first, page);
        Ok(())
    }

    /// Appends the records with these uids in one query.
    pub(super) fn read_each(&mut self, layout: &Layout, uids: Vec<Native>, page: &mut Page) -> Result<Vec<Seen>> {
        let names = layout.prepare(page)?;
        let me = self.me()?.site;
        let mut statement = self.conn.prepare_cached(&layout.sql.named).told("read the records")?;
        let mut rows = statement.query([Rc::new(uids)]).told("read the records")?;
        let mut seen = Vec::new();
        while let Some(row) = rows.next().told("read the records")? {
            seen.push(layout.read(row, &names, &self.sites, me, page)?);
        }
        Ok(seen)
    }

    /// See [`crate::connector::Connector::waiting`].
    pub(super) fn list_waiting(&mut self) -> Result<Vec<WaitingEntry>> {
        self.sites.learn(&self.conn)?;
        let sql =
            "SELECT w.id, t.resource, w.uid, w.kind, w.reason, w.site, w.at FROM entente_waiting w JOIN entente_table t ON t.id = w.tab
                   ORDER BY w.id DESC";
        let mut statement = self.conn.prepare_cached(sql).told("read the journal")?;
        let mut rows = statement.query([]).told("read the journal")?;
        let (mut entries, mut page) = (Vec::new(), Page::default());
        while let Some(row) = rows.next().told("read the journal")? {
            let uid = push_uid(row.get_ref(2).told("read the journal")?, &mut page);
            let get = |at: usize| row.get::<_, String>(at).told("read the journal");
            let site: i64 = row.get(5).told("read the journal")?;
            entries.push(WaitingEntry {
                id: row.get(0).told("read the journal")?,
                resource: get(1)?,
                uid: page.text(uid).to_owned(),
                kind: get(3)?,
                reason: get(4)?,
                site: self.sites.site(site).ok_or_else(|| Error::internal("the journal names a site that it does not know"))?,
                at: Time(row.get(6).told("read the journal")?),
            });
        }
        Ok(entries)
    }
}
