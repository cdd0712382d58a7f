//! What the journal keeps so that nothing is lost: conflicts, the history, agreed contents, what a run did.

use std::rc::Rc;

use rusqlite::{OptionalExtension, Row, ToSql, params, types::Value as Native};

use super::{
    Sqlite,
    failure::Told,
    layout::Layout,
    values::{push_uid, stored_uid},
};
use crate::{
    connector::{Clash, ConflictEntry, Conflicts, Effected, Effects, HistoryEntry, Table, Trouble, Verdict, stored, waiting::troubles},
    error::{Error, Result},
    model::{Page, RecordView, SiteId, Time, Version},
};

/// Records whose agreed contents are noted in one transaction.
const STEP: usize = 500;

impl Sqlite {
    /// See [`crate::connector::Connector::conflicts`].
    pub(super) fn read_conflicts(&mut self, which: Conflicts<'_>) -> Result<Vec<ConflictEntry>> {
        match which {
            Conflicts::All { open, site, before, limit } => {
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                self.sites.learn(&self.conn)?;
                let site = site.map(|site| self.sites.known(site).unwrap_or(-1));
                let condition = "(?1 = 0 OR c.open = 1) AND c.site = COALESCE(?2, c.site) AND c.id < ?3 ORDER BY c.id DESC LIMIT ?4";
                self.select_conflicts(condition, params![open, site, before.unwrap_or(i64::MAX), limit])
            }
            Conflicts::One(id) => self.select_conflicts("c.id = ?1", params![id]),
            Conflicts::Of(table, uid) => {
                self.select_conflicts("c.tab = ?1 AND c.uid = ?2 AND c.open = 1 ORDER BY c.id DESC", params![table.id, stored_uid(uid)])
            }
        }
    }

    /// See [`crate::connector::Connector::troubles`].
    pub(super) fn count_troubles(&mut self) -> Result<Vec<Trouble>> {
        self.sites.learn(&self.conn)?;
        let (mut waiting, mut open) = (Vec::new(), Vec::new());
        let sql = "SELECT site, kind, count(*) FROM entente_waiting GROUP BY site, kind
                   UNION ALL SELECT site, '', count(*) FROM entente_conflict WHERE open = 1 GROUP BY site";
        let mut statement = self.conn.prepare_cached(sql).told("count what waits")?;
        let mut rows = statement.query([]).told("count what waits")?;
        while let Some(row) = rows.next().told("count what waits")? {
            let (site, kind, count) = (self.site_of(get(row, 0)?)?, get::<String>(row, 1)?, get::<i64>(row, 2)?.unsigned_abs());
            match kind.as_str() {
                "" => open.push((site, count)),
                _ => waiting.push((site, kind, count)),
            }
        }
        Ok(troubles(waiting, open))
    }

    fn select_conflicts(&mut self, condition: &str, values: &[&dyn ToSql]) -> Result<Vec<ConflictEntry>> {
        self.sites.learn(&self.conn)?;
        let sql = format!(
            "SELECT c.id, t.resource, c.uid, c.at, c.site, c.run, c.rule, c.open, c.choice, c.decided, c.after, c.ours, c.theirs
             FROM entente_conflict c JOIN entente_table t ON t.id = c.tab WHERE {condition}"
        );
        let mut statement = self.conn.prepare_cached(&sql).told("read the conflicts")?;
        let mut rows = statement.query(values).told("read the conflicts")?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().told("read the conflicts")? {
            let resource: String = get(row, 1)?;
            let after: Option<String> = get(row, 10)?;
            found.push(ConflictEntry {
                id: get(row, 0)?,
                uid: uid_at(row, 2)?,
                at: Time(get(row, 3)?),
                site: self.site_of(get(row, 4)?)?,
                run: u64::try_from(get::<i64>(row, 5)?).unwrap_or(0),
                rule: get(row, 6)?,
                open: get(row, 7)?,
                choice: get(row, 8)?,
                decided: get::<Option<i64>>(row, 9)?.map(Time),
                after: after.map(|text| text.parse::<Version>()).transpose()?,
                ours: record_at(row, 11, &resource)?,
                theirs: record_at(row, 12, &resource)?,
                resource,
            });
        }
        Ok(found)
    }

    fn site_of(&self, id: i64) -> Result<SiteId> {
        self.sites.site(id).ok_or_else(|| Error::internal("the journal names a site that it does not know"))
    }

    /// See [`crate::connector::Connector::history`].
    pub(super) fn read_history(&mut self, table: &Table, uid: &str) -> Result<Vec<HistoryEntry>> {
        self.select_history("h.tab = ?1 AND h.uid = ?2 ORDER BY h.id DESC", params![table.id, stored_uid(uid)])
    }

    /// See [`crate::connector::Apply::past`].
    pub(super) fn read_past(&mut self, id: i64) -> Result<Option<HistoryEntry>> {
        Ok(self.select_history("h.id = ?1", params![id])?.pop())
    }

    fn select_history(&mut self, condition: &str, values: &[&dyn ToSql]) -> Result<Vec<HistoryEntry>> {
        self.sites.learn(&self.conn)?;
        let sql = format!(
            "SELECT h.id, t.resource, h.uid, h.at, h.site, h.run, h.side, h.rule, h.record
             FROM entente_history h JOIN entente_table t ON t.id = h.tab WHERE {condition}"
        );
        let mut statement = self.conn.prepare_cached(&sql).told("read the history")?;
        let mut rows = statement.query(values).told("read the history")?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().told("read the history")? {
            let resource: String = get(row, 1)?;
            found.push(HistoryEntry {
                id: get(row, 0)?,
                uid: uid_at(row, 2)?,
                at: Time(get(row, 3)?),
                site: self.site_of(get(row, 4)?)?,
                run: u64::try_from(get::<i64>(row, 5)?).unwrap_or(0),
                side: get(row, 6)?,
                rule: get(row, 7)?,
                page: record_at(row, 8, &resource)?,
                resource,
            });
        }
        Ok(found)
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
        let stored = stored_uid(uid);
        let mut replaced = Vec::new();
        if clash.open {
            let Some(places) = clash.replaces(self.read_conflicts(Conflicts::Of(&layout.table, uid))?) else { return Ok(false) };
            replaced = places;
        }
        let site = self.sites.id(&self.conn, peer)?;
        let (ours, theirs) = (stored::write(clash.ours)?, stored::write(clash.theirs)?);
        let run = i64::try_from(run).unwrap_or(i64::MAX);
        let after = if clash.open { None } else { self.version_of(layout, uid)?.map(|version| version.to_string()) };
        let id = match replaced.first() {
            Some(first) => {
                let sql = "UPDATE entente_conflict SET at = ?2, site = ?3, run = ?4, ours = ?5, theirs = ?6 WHERE id = ?1";
                let mut statement = self.conn.prepare_cached(sql).told("write the conflict")?;
                statement.execute(params![first, now.0, site, run, ours, theirs]).told("write the conflict")?;
                for other in &replaced[1..] {
                    self.conn.execute("DELETE FROM entente_conflict WHERE id = ?1", [other]).told("write the conflict")?;
                }
                *first
            }
            None => {
                let sql = "INSERT INTO entente_conflict (tab, uid, at, site, run, rule, open, ours, theirs, after)
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
                let values = params![layout.table.id, stored, now.0, site, run, clash.rule, clash.open, ours, theirs, after];
                self.conn.prepare_cached(sql).and_then(|mut s| s.insert(values)).told("write the conflict")?
            }
        };
        if clash.open {
            self.hold(layout, &stored, Some(id))?;
        }
        Ok(true)
    }

    fn hold(&mut self, layout: &Layout, uid: &Native, conflict: Option<i64>) -> Result<()> {
        let sql = format!("UPDATE {} SET held = ?2 WHERE uid = ?1", layout.state());
        self.conn.prepare_cached(&sql).and_then(|mut s| s.execute(params![uid, conflict])).told("write the conflict").map(|_| ())
    }

    fn version_of(&self, layout: &Layout, uid: &str) -> Result<Option<Version>> {
        let sql = format!("SELECT version FROM {} WHERE uid = ?1", layout.state());
        let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
        let text: Option<Option<String>> = statement.query_row([stored_uid(uid)], |row| row.get(0)).optional().told("read the journal")?;
        text.flatten().map(|text| self.sites.read_version(&text)).transpose()
    }

    /// Closes the open conflicts whose other version the record's new one has seen; those that are left hold it on.
    pub(super) fn release(&mut self, layout: &Layout, uid: &str, version: &Version) -> Result<()> {
        let mut left = None;
        for conflict in self.read_conflicts(Conflicts::Of(&layout.table, uid))? {
            if conflict.ends_with(version) {
                let sql = "UPDATE entente_conflict SET open = 0, after = ?2 WHERE id = ?1";
                let mut statement = self.conn.prepare_cached(sql).told("write the conflict")?;
                statement.execute(params![conflict.id, version.to_string()]).told("write the conflict")?;
            } else {
                left = Some(conflict.id);
            }
        }
        self.hold(layout, &stored_uid(uid), left)
    }

    /// See [`crate::connector::Apply::judge`].
    pub(super) fn judge_conflict(&mut self, layout: &Layout, id: i64, verdict: Verdict<'_>, ours: RecordView<'_>, now: Time) -> Result<()> {
        let (open, choice, decided) = verdict.kept(now);
        let after = self.version_of(layout, ours.uid())?.map(|version| version.to_string());
        let sql = "UPDATE entente_conflict SET open = ?2, choice = ?3, decided = ?4, after = ?5, ours = ?6 WHERE id = ?1";
        let values = params![id, open, choice, decided, after, stored::write(ours)?];
        self.conn.prepare_cached(sql).and_then(|mut s| s.execute(values)).told("write the conflict")?;
        let left = self.read_conflicts(Conflicts::Of(&layout.table, ours.uid()))?.first().map(|conflict| conflict.id);
        self.hold(layout, &stored_uid(ours.uid()), left)
    }

    /// See [`crate::connector::Apply::effects`].
    pub(super) fn read_effects(&mut self, layout: &Layout, run: u64, effects: Effects, after: i64, limit: usize) -> Result<Vec<Effected>> {
        let state = layout.state();
        let sql = match effects {
            Effects::Made => {
                format!("SELECT arrival, uid, run IS NOT ?1 OR own IS NOT NULL, NULL FROM {state} WHERE made = ?1 AND arrival > ?3 ORDER BY arrival LIMIT ?4")
            }
            Effects::Replaced => format!(
                "SELECT h.id, h.uid, s.run IS NOT ?1 OR s.own IS NOT NULL, h.record FROM entente_history h LEFT JOIN {state} s ON s.uid = h.uid
                 WHERE h.run = ?1 AND h.tab = ?2 AND h.side = 'local' AND h.id > ?3 AND s.made IS NOT ?1
                   AND NOT EXISTS (SELECT 1 FROM entente_history e WHERE e.tab = h.tab AND e.uid = h.uid AND e.run = ?1 AND e.side = 'local' AND e.id < h.id)
                 ORDER BY h.id LIMIT ?4"
            ),
        };
        let mut statement = self.conn.prepare_cached(&sql).told("read what the run did")?;
        let values = params![i64::try_from(run).unwrap_or(i64::MAX), layout.table.id, after, i64::try_from(limit).unwrap_or(i64::MAX)];
        let mut rows = statement.query(values).told("read what the run did")?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().told("read what the run did")? {
            let before = match effects {
                Effects::Made => None,
                Effects::Replaced => Some(record_at(row, 3, &layout.table.resource)?),
            };
            found.push(Effected { place: get(row, 0)?, uid: uid_at(row, 1)?, since: get(row, 2)?, before });
        }
        Ok(found)
    }

    /// See [`crate::connector::Apply::set_bases`].
    pub(super) fn note_bases(&mut self, layout: &Layout, page: &Page) -> Result<()> {
        if !layout.table.bases {
            return Ok(());
        }
        let bases = base_of(layout.table.id);
        let put = format!("INSERT INTO {bases} (uid, record) VALUES (?1, ?2) ON CONFLICT (uid) DO UPDATE SET record = ?2");
        let delete = format!("DELETE FROM {bases} WHERE uid = ?1");
        for view in page.views().filter(|view| !view.record.retracted) {
            let uid = stored_uid(view.uid());
            let done = match view.record.deleted {
                true => self.conn.prepare_cached(&delete).and_then(|mut s| s.execute([uid])),
                false => {
                    let record = stored::write(view)?;
                    self.conn.prepare_cached(&put).and_then(|mut s| s.execute(params![uid, record]))
                }
            };
            done.told("write the journal")?;
        }
        Ok(())
    }

    /// What records were when they were last exchanged.
    pub(super) fn read_bases(&self, layout: &Layout, uids: &[Native], page: &mut Page) -> Result<()> {
        let sql = format!("SELECT b.record FROM rarray(?1) w CROSS JOIN {} b ON b.uid = w.value", base_of(layout.table.id));
        let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
        let mut rows = statement.query([Rc::new(uids.to_vec())]).told("read the journal")?;
        while let Some(row) = rows.next().told("read the journal")? {
            stored::read(&get::<String>(row, 0)?, page)?;
        }
        Ok(())
    }

    /// See [`crate::connector::Connector::keep_bases`].
    pub(super) fn begin_bases(&mut self, layout: &Layout) -> Result<()> {
        let make = format!(
            "CREATE TABLE IF NOT EXISTS {} (uid PRIMARY KEY NOT NULL, record TEXT NOT NULL) WITHOUT ROWID",
            base_of(layout.table.id)
        );
        self.transaction(|db| db.conn.execute_batch(&make).told("write the journal"))?;
        self.fold_gently(layout)?;
        self.refresh()?;
        let layout = &*self.layout(&layout.table)?;
        let sql = format!(
            "SELECT arrival, uid FROM {} WHERE arrival > ?1 AND deleted = 0 AND uid IS NOT NULL ORDER BY arrival LIMIT ?2",
            layout.state()
        );
        let mut after = 0;
        loop {
            let some: Vec<(i64, Native)> = {
                let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
                let rows = statement.query_map([after, STEP as i64], |row| Ok((row.get(0)?, row.get(1)?)));
                rows.and_then(Iterator::collect).told("read the journal")?
            };
            let Some((last, _)) = some.last() else { return Ok(()) };
            after = *last;
            self.transaction(|db| {
                let mut page = Page::default();
                let seen = db.read_each(layout, some.into_iter().map(|(_, uid)| uid).collect(), &mut page)?;
                // What was edited meanwhile is not known as it was.
                let left: Vec<usize> = (0..seen.len()).filter(|at| seen[*at].own.is_some() || seen[*at].dangling.is_some()).collect();
                page.remove(&left);
                db.note_bases(layout, &page)
            })?;
            self.breathe();
        }
    }
}

/// The name of the table of agreed contents.
pub(super) fn base_of(id: i64) -> String {
    format!("entente_base_{id}")
}

fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, at: usize) -> Result<T> {
    row.get(at).told("read the journal")
}

fn uid_at(row: &Row<'_>, at: usize) -> Result<String> {
    let mut page = Page::default();
    let span = push_uid(row.get_ref(at).told("read the journal")?, &mut page);
    Ok(page.text(span).to_owned())
}

fn record_at(row: &Row<'_>, at: usize, resource: &str) -> Result<Page> {
    let mut page = Page::new(resource);
    stored::read(&get::<String>(row, at)?, &mut page)?;
    Ok(page)
}
