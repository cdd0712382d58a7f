//! What the journal keeps so that nothing is lost: conflicts, the history, agreed contents, what a run did.

use std::collections::BTreeMap;

use postgres::Row;

use super::{
    Postgres,
    args::{Arg, Columns},
    layout::Layout,
};
use crate::{
    connector::{
        Clash, ConflictEntry, Conflicts, Effected, Effects, HistoryEntry, Table, Trouble, Verdict, known::broken, seen::Seen, stored,
        waiting::troubles,
    },
    error::Result,
    model::{Page, RecordView, SiteId, Time, Version},
};

/// Records whose agreed contents are noted in one transaction.
const STEP: i64 = 1_000;

impl Postgres {
    /// See [`crate::connector::Connector::conflicts`].
    pub(super) fn read_conflicts(&mut self, which: Conflicts<'_>) -> Result<Vec<ConflictEntry>> {
        match which {
            Conflicts::All { open, site, before, limit } => {
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                self.sites.load(&mut self.link)?;
                let site = site.map(|site| self.sites.known(site).unwrap_or(-1));
                let condition = "(NOT $1::boolean OR c.open) AND c.site = COALESCE($2::bigint, c.site) AND c.id < $3::bigint ORDER BY c.id DESC LIMIT $4::bigint";
                self.select_conflicts(condition, &[open.into(), site.into(), before.unwrap_or(i64::MAX).into(), limit.into()])
            }
            Conflicts::One(id) => self.select_conflicts("c.id = $1::bigint", &[id.into()]),
            Conflicts::Of(table, uid) => {
                self.select_conflicts("c.tab = $1::bigint AND c.uid = $2 AND c.open ORDER BY c.id DESC", &[table.id.into(), Arg::text(uid)])
            }
        }
    }

    /// See [`crate::connector::Connector::troubles`].
    pub(super) fn count_troubles(&mut self) -> Result<Vec<Trouble>> {
        self.learn()?;
        let (mut waiting, mut open) = (Vec::new(), Vec::new());
        let sql = "SELECT site, kind, count(*) FROM entente.waiting GROUP BY site, kind
                   UNION ALL SELECT site, '', count(*) FROM entente.conflict WHERE open GROUP BY site";
        for row in self.link.query(sql, &[], "count what waits")? {
            let (site, kind, count) = (self.site_at(&row, 0)?, row.owned(1)?, count_at(&row, 2)?);
            match kind.as_str() {
                "" => open.push((site, count)),
                _ => waiting.push((site, kind, count)),
            }
        }
        Ok(troubles(waiting, open))
    }

    fn select_conflicts(&mut self, condition: &str, args: &[Arg<'_>]) -> Result<Vec<ConflictEntry>> {
        self.learn()?;
        let sql = format!(
            "SELECT c.id, t.resource, c.uid, c.at, c.site, c.run, c.rule, c.open, c.choice, c.decided, c.after, c.ours, c.theirs
             FROM entente.conflict c JOIN entente.tab t ON t.id = c.tab WHERE {condition}"
        );
        let rows = self.link.query(&sql, args, "read the conflicts")?;
        let entry = |row: &Row| {
            let resource = row.owned(1)?;
            Ok(ConflictEntry {
                id: row.int(0)?.unwrap_or(0),
                uid: row.owned(2)?,
                at: Time(row.int(3)?.unwrap_or(0)),
                site: self.site_at(row, 4)?,
                run: count_at(row, 5)?,
                rule: row.owned(6)?,
                open: row.flag(7)?,
                choice: row.text(8)?.map(str::to_owned),
                decided: row.int(9)?.map(Time),
                after: row.text(10)?.map(str::parse::<Version>).transpose()?,
                ours: record_at(row, 11, &resource)?,
                theirs: record_at(row, 12, &resource)?,
                resource,
            })
        };
        rows.iter().map(entry).collect()
    }

    /// Reads the sites anew where another connection may have added some.
    fn learn(&mut self) -> Result<()> {
        self.sites.load(&mut self.link)
    }

    fn site_at(&self, row: &Row, at: usize) -> Result<SiteId> {
        row.int(at)?.and_then(|id| self.sites.site(id)).ok_or_else(broken)
    }

    /// See [`crate::connector::Connector::history`].
    pub(super) fn read_history(&mut self, table: &Table, uid: &str) -> Result<Vec<HistoryEntry>> {
        self.select_history("h.tab = $1::bigint AND h.uid = $2 ORDER BY h.id DESC", &[table.id.into(), Arg::text(uid)])
    }

    /// See [`crate::connector::Apply::past`].
    pub(super) fn read_past(&mut self, id: i64) -> Result<Option<HistoryEntry>> {
        Ok(self.select_history("h.id = $1::bigint", &[id.into()])?.pop())
    }

    fn select_history(&mut self, condition: &str, args: &[Arg<'_>]) -> Result<Vec<HistoryEntry>> {
        self.learn()?;
        let sql = format!(
            "SELECT h.id, t.resource, h.uid, h.at, h.site, h.run, h.side, h.rule, h.record
             FROM entente.history h JOIN entente.tab t ON t.id = h.tab WHERE {condition}"
        );
        let rows = self.link.query(&sql, args, "read the history")?;
        let entry = |row: &Row| {
            let resource = row.owned(1)?;
            Ok(HistoryEntry {
                id: row.int(0)?.unwrap_or(0),
                uid: row.owned(2)?,
                at: Time(row.int(3)?.unwrap_or(0)),
                site: self.site_at(row, 4)?,
                run: count_at(row, 5)?,
                side: row.owned(6)?,
                rule: row.owned(7)?,
                page: record_at(row, 8, &resource)?,
                resource,
            })
        };
        rows.iter().map(entry).collect()
    }

    /// See [`crate::connector::Apply::conflict`].
    pub(super) fn list_conflict(
        &mut self,
        layout: &Layout,
        uid: &str,
        peer: SiteId,
        run: u64,
        now: Time,
        clash: &Clash<'_>,
    ) -> Result<bool> {
        let mut replaced = Vec::new();
        if clash.open {
            let Some(places) = clash.replaces(self.read_conflicts(Conflicts::Of(&layout.table, uid))?) else { return Ok(false) };
            replaced = places;
        }
        let site = self.sites.id(&mut self.link, peer)?;
        let (ours, theirs) = (stored::write(clash.ours)?, stored::write(clash.theirs)?);
        let run = i64::try_from(run).unwrap_or(i64::MAX);
        let after = if clash.open { None } else { self.version_of(layout, uid)?.map(|version| version.to_string()) };
        let id = match replaced.first() {
            Some(first) => {
                let sql = "UPDATE entente.conflict SET at = $2, site = $3, run = $4, ours = $5, theirs = $6 WHERE id = $1";
                let args = [(*first).into(), now.0.into(), site.into(), run.into(), ours.into(), theirs.into()];
                self.link.run(sql, &args, "write the conflict")?;
                let sql = "DELETE FROM entente.conflict WHERE id = ANY($1::bigint[])";
                self.link.run(sql, &[Arg::ints(&replaced[1..])], "write the conflict")?;
                *first
            }
            None => {
                let sql = "INSERT INTO entente.conflict (tab, uid, at, site, run, rule, open, ours, theirs, after)
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id";
                let args = [
                    layout.table.id.into(),
                    Arg::text(uid),
                    now.0.into(),
                    site.into(),
                    run.into(),
                    clash.rule.into(),
                    clash.open.into(),
                    ours.into(),
                    theirs.into(),
                    after.into(),
                ];
                self.link.one(sql, &args, "write the conflict")?.int(0)?.unwrap_or(0)
            }
        };
        if clash.open {
            self.hold(layout, uid, Some(id))?;
        }
        Ok(true)
    }

    fn hold(&mut self, layout: &Layout, uid: &str, conflict: Option<i64>) -> Result<()> {
        let sql = format!("UPDATE {} SET held = $2::bigint WHERE uid = $1", layout.state());
        self.link.run(&sql, &[Arg::text(uid), conflict.into()], "write the conflict").map(drop)
    }

    fn version_of(&mut self, layout: &Layout, uid: &str) -> Result<Option<Version>> {
        let sql = format!("SELECT version FROM {} WHERE uid = $1", layout.state());
        let row = self.link.maybe(&sql, &[Arg::text(uid)], "read the journal")?;
        let text = row.map(|row| row.text(0).map(|text| text.map(str::to_owned))).transpose()?.flatten();
        text.map(|text| self.sites.read_version(&text)).transpose()
    }

    /// Closes the open conflicts whose other version the record's new one has seen; those that are left hold it on.
    pub(super) fn release(&mut self, layout: &Layout, uid: &str, version: &Version) -> Result<()> {
        let mut left = None;
        for conflict in self.read_conflicts(Conflicts::Of(&layout.table, uid))? {
            if conflict.ends_with(version) {
                let sql = "UPDATE entente.conflict SET open = false, after = $2 WHERE id = $1::bigint";
                self.link.run(sql, &[conflict.id.into(), version.to_string().into()], "write the conflict")?;
            } else {
                left = Some(conflict.id);
            }
        }
        self.hold(layout, uid, left)
    }

    /// See [`crate::connector::Apply::judge`].
    pub(super) fn judge_conflict(&mut self, layout: &Layout, id: i64, verdict: Verdict<'_>, ours: RecordView<'_>, now: Time) -> Result<()> {
        let (open, choice, decided) = verdict.kept(now);
        let after = self.version_of(layout, ours.uid())?.map(|version| version.to_string());
        let sql = "UPDATE entente.conflict SET open = $2, choice = $3, decided = $4, after = $5, ours = $6 WHERE id = $1";
        let args = [id.into(), open.into(), choice.into(), decided.into(), after.into(), stored::write(ours)?.into()];
        self.link.run(sql, &args, "write the conflict")?;
        let left = self.read_conflicts(Conflicts::Of(&layout.table, ours.uid()))?.first().map(|conflict| conflict.id);
        self.hold(layout, ours.uid(), left)
    }

    /// See [`crate::connector::Apply::effects`].
    pub(super) fn read_effects(&mut self, layout: &Layout, run: u64, effects: Effects, after: i64, limit: usize) -> Result<Vec<Effected>> {
        let state = layout.state();
        let sql = match effects {
            Effects::Made => format!(
                "SELECT arrival, uid, run IS DISTINCT FROM $1 OR own IS NOT NULL, NULL::text FROM {state}
                 WHERE made = $1::bigint AND arrival > $2::bigint AND $3::bigint IS NOT NULL ORDER BY arrival LIMIT $4::bigint"
            ),
            Effects::Replaced => format!(
                "SELECT h.id, h.uid, s.run IS DISTINCT FROM $1 OR s.own IS NOT NULL, h.record
                 FROM entente.history h LEFT JOIN {state} s ON s.uid = h.uid
                 WHERE h.run = $1::bigint AND h.tab = $3::bigint AND h.side = 'local' AND h.id > $2::bigint AND s.made IS DISTINCT FROM $1
                   AND NOT EXISTS (SELECT 1 FROM entente.history e
                     WHERE e.tab = h.tab AND e.uid = h.uid AND e.run = $1 AND e.side = 'local' AND e.id < h.id)
                 ORDER BY h.id LIMIT $4::bigint"
            ),
        };
        let whole = |number: u64| Arg::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let rows =
            self.link.query(&sql, &[whole(run), after.into(), layout.table.id.into(), whole(limit as u64)], "read what the run did")?;
        let effected = |row: &Row| {
            let before = (effects == Effects::Replaced).then(|| record_at(row, 3, &layout.table.resource)).transpose()?;
            Ok(Effected { place: row.int(0)?.unwrap_or(0), uid: row.owned(1)?, since: row.flag(2)?, before })
        };
        rows.iter().map(effected).collect()
    }

    /// See [`crate::connector::Apply::set_bases`].
    pub(super) fn note_bases(&mut self, layout: &Layout, page: &Page) -> Result<()> {
        if !layout.table.bases {
            return Ok(());
        }
        let bases = base_of(layout.table.id);
        // Where a record comes twice, as its own and under another's uid, the last holds.
        let last: BTreeMap<&str, RecordView<'_>> =
            page.views().filter(|view| !view.record.retracted).map(|view| (view.uid(), view)).collect();
        let (gone, living): (Vec<RecordView<'_>>, Vec<RecordView<'_>>) = last.into_values().partition(|view| view.record.deleted);
        let gone: Vec<&str> = gone.iter().map(|view| view.uid()).collect();
        self.link.run(&format!("DELETE FROM {bases} WHERE uid = ANY($1::text[])"), &[Arg::texts(&gone)], "write the journal")?;
        let uids: Vec<&str> = living.iter().map(|view| view.uid()).collect();
        let records: Vec<String> = living.iter().map(|view| stored::write(*view)).collect::<Result<_>>()?;
        let sql = format!(
            "INSERT INTO {bases} (uid, record) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT (uid) DO UPDATE SET record = excluded.record"
        );
        self.link.run(&sql, &[Arg::texts(&uids), Arg::texts(&records)], "write the journal").map(drop)
    }

    /// What records were when they were last exchanged.
    pub(super) fn read_bases(&mut self, layout: &Layout, uids: &[&str], page: &mut Page) -> Result<()> {
        let sql = format!("SELECT record FROM {} WHERE uid = ANY($1::text[])", base_of(layout.table.id));
        for row in self.link.query(&sql, &[Arg::texts(uids)], "read the journal")? {
            stored::read(row.text(0)?.unwrap_or_default(), page)?;
        }
        Ok(())
    }

    /// See [`crate::connector::Connector::keep_bases`].
    pub(super) fn begin_bases(&mut self, layout: &Layout) -> Result<()> {
        let make =
            format!("CREATE TABLE IF NOT EXISTS {} (uid text COLLATE \"C\" PRIMARY KEY, record text NOT NULL)", base_of(layout.table.id));
        self.transaction(|db| db.link.batch(&make, "write the journal"))?;
        self.refresh()?;
        self.fold_gently(layout)?;
        let layout = &*self.layout(&layout.table)?;
        let sql = format!(
            "SELECT arrival, uid FROM {} WHERE arrival > $1::bigint AND NOT deleted AND uid IS NOT NULL ORDER BY arrival LIMIT {STEP}",
            layout.state()
        );
        let mut after = 0;
        loop {
            let some = self.link.query(&sql, &[after.into()], "read the journal")?;
            let Some(last) = some.last() else { return Ok(()) };
            after = last.int(0)?.unwrap_or(i64::MAX);
            let uids: Vec<String> = some.iter().map(|row| row.owned(1)).collect::<Result<_>>()?;
            let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
            self.transaction(|db| {
                // What was edited meanwhile is not known as it was.
                db.gather(&db.with_parents(layout))?;
                let mut page = Page::default();
                let seen = db.read_each(layout, &uids, &mut page)?;
                let noted = db.noted_among(layout, seen.iter().map(|seen| seen.arrival).collect())?;
                let known = |seen: &Seen| seen.own.is_none() && seen.whole() && !noted.contains(&seen.arrival);
                let left: Vec<usize> = (0..seen.len()).filter(|at| !known(&seen[*at])).collect();
                page.remove(&left);
                db.note_bases(layout, &page)
            })?;
        }
    }
}

/// The name of the table of agreed contents.
fn base_of(id: i64) -> String {
    format!("entente.base_{id}")
}

fn count_at(row: &Row, at: usize) -> Result<u64> {
    Ok(row.int(at)?.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

fn record_at(row: &Row, at: usize, resource: &str) -> Result<Page> {
    let mut page = Page::new(resource);
    stored::read(row.text(at)?.unwrap_or_default(), &mut page)?;
    Ok(page)
}
