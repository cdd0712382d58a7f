//! The feed: records in the order of their arrival (SYNC.md 3).

use std::ops::ControlFlow;

use super::{
    Postgres,
    args::{Arg, Columns},
    layout::Layout,
};
use crate::{
    connector::{
        Extent, Waiting, WaitingEntry,
        feed::{Look, Window, leave_out},
        known::broken,
        seen::Seen,
        stored,
    },
    error::Result,
    model::{Page, SiteId, Time},
};

/// Rows of the first look. Later ones are as many as fit what is left of the page, going by those that were read.
const FIRST: usize = 64;

/// Arrivals looked at in one query.
const WINDOW: i64 = 50_000;

impl Postgres {
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
                        self.transaction(|db| db.note_digests(layout, &incomplete, "s.own IS NULL AND s.digest IS NULL"))?;
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
            // What was noted since the last look comes with a later page: only what has an arrival has to be a version.
            if self.edited(&table)? {
                return Ok(Window::Unfolded);
            }
        }
        let names = layout.prepare(page)?;
        let me = self.me()?.site;
        let head = self.max_arrival(layout)?;
        let peer = self.sites.known(peer).unwrap_or(0);
        let mut look = Look::after(after);
        let (first, bytes) = (page.records.len(), page.text_len());
        let (mut full, mut span) = (false, 0);
        while look.upto < head && !full {
            let read = page.records.len() - first;
            let limit = next_look(read, page.text_len() - bytes, extent);
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            // Where every arrival is a record to offer, no more are looked at than are wanted.
            span = limit.max(span).min(WINDOW);
            let end = look.upto.saturating_add(span).min(head);
            let args = [look.upto.into(), end.into(), peer.into(), limit.into()];
            let mut looked = 0;
            let sites = &self.sites;
            self.link.each(&layout.sql.feed, &args, "read the feed", |row| {
                looked += 1;
                let before = page.text_len();
                let seen = layout.read(row, &names, sites, me, page)?;
                look.take(&seen, page.text_len() - before, page);
                full = page.records.len() - first >= extent.records || page.text_len() >= extent.bytes;
                Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            if looked < limit && !full {
                look.upto = end;
                span *= 4;
            }
        }
        if let Some(arrivals) = look.incomplete() {
            let noted = self.noted_among(layout, arrivals)?;
            look.edited(&noted);
        }
        Ok(look.end(head))
    }

    /// Takes records that cannot travel out of a page; they wait until they can. Their content is in the table, so only its name is kept.
    fn withhold(&mut self, layout: &Layout, page: &mut Page, unfit: &[(usize, String)], now: Time) -> Result<()> {
        let sql = "INSERT INTO entente.waiting (tab, uid, site, run, at, kind, reason, record) VALUES ($1, $2, $3, 0, $4, $5, $6, $7)
                   ON CONFLICT (tab, uid) WHERE kind = 'outgoing' DO UPDATE SET at = excluded.at, reason = excluded.reason, record = excluded.record";
        self.transaction(|db| {
            let me = db.me()?.site;
            let me = db.sites.id(&mut db.link, me)?;
            for (at, reason) in unfit {
                let view = page.view(&page.records[*at]);
                let shown = Page::tombstone_of(view);
                let record = stored::write(shown.view(&shown.records[0]))?;
                let kind = Waiting::Outgoing.word();
                let args = [layout.table.id.into(), view.uid().into(), me.into(), now.0.into(), kind.into(), reason.into(), record.into()];
                db.link.run(sql, &args, "write the journal")?;
            }
            Ok(())
        })?;
        let gone: Vec<usize> = unfit.iter().map(|(at, _)| *at).collect();
        page.remove(&gone);
        Ok(())
    }

    /// Offers withheld records again that can travel by now.
    pub(super) fn recheck_outgoing(&mut self, layout: &Layout) -> Result<()> {
        let sql = "SELECT id, uid FROM entente.waiting WHERE tab = $1::bigint AND kind = 'outgoing'";
        let waiting = self.link.query(sql, &[layout.table.id.into()], "read the journal")?;
        if waiting.is_empty() {
            return Ok(());
        }
        self.fold_gently(layout)?;
        let state = layout.state();
        let again = format!("UPDATE {state} SET arrival = (SELECT MAX(arrival) + 1 FROM {state}) WHERE uid = $1");
        self.transaction(|db| {
            for row in &waiting {
                let (id, uid) = (row.int(0)?.unwrap_or(0), row.owned(1)?);
                let mut page = Page::default();
                let seen = db.read_each(layout, &[&uid], &mut page)?;
                if seen.iter().all(|seen| seen.unfit(page.text_len()).is_none()) {
                    db.link.run(&again, &[Arg::text(&uid)], "write the journal")?;
                    let arrival = db.max_arrival(layout)?;
                    db.complete(layout, &[arrival])?;
                    db.link.run("DELETE FROM entente.waiting WHERE id = $1::bigint", &[id.into()], "write the journal")?;
                }
            }
            Ok(())
        })
    }

    /// Appends the named records, tombstones too; those that refer to nothing are left out.
    pub(super) fn read_named(&mut self, layout: &Layout, uids: &[String], page: &mut Page) -> Result<()> {
        let first = page.records.len();
        let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
        let seen = self.snapshot(|db| db.read_each(layout, &uids, page))?;
        leave_out(&seen, first, page);
        Ok(())
    }

    /// Appends the records with these uids in one query.
    pub(super) fn read_each(&mut self, layout: &Layout, uids: &[&str], page: &mut Page) -> Result<Vec<Seen>> {
        self.read_rows(layout, &layout.sql.named, &[Arg::texts(uids)], page)
    }

    /// See [`crate::connector::Connector::waiting`].
    pub(super) fn list_waiting(&mut self) -> Result<Vec<WaitingEntry>> {
        self.sites.load(&mut self.link)?;
        let sql = "SELECT w.id, t.resource, w.uid, w.kind, w.reason, w.site, w.at FROM entente.waiting w JOIN entente.tab t ON t.id = w.tab
                   ORDER BY w.id DESC";
        let entry = |row: &postgres::Row| {
            Ok(WaitingEntry {
                id: row.int(0)?.unwrap_or(0),
                resource: row.owned(1)?,
                uid: row.owned(2)?,
                kind: row.owned(3)?,
                reason: row.owned(4)?,
                site: row.int(5)?.and_then(|id| self.sites.site(id)).ok_or_else(broken)?,
                at: Time(row.int(6)?.unwrap_or(0)),
            })
        };
        self.link.query(sql, &[], "read the journal")?.iter().map(entry).collect()
    }
}

/// How many rows to ask for: what is left of the page, going by the size of those that were read.
fn next_look(read: usize, bytes: usize, extent: Extent) -> usize {
    let left = extent.records.saturating_sub(read).max(1);
    if read == 0 {
        return left.min(FIRST);
    }
    let size = bytes / read + 1;
    left.min(extent.bytes.saturating_sub(bytes) / size + 1).min(read * 8)
}
