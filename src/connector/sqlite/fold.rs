//! Local edits, as the triggers noted them, become versions (SYNC.md 2 and 3).

use std::rc::Rc;

use rusqlite::{
    OptionalExtension, params,
    types::{Value as Native, ValueRef},
};

use super::{
    Sqlite,
    failure::{Told, quoted},
    layout::Layout,
    values::stored_uid,
};
use crate::{
    connector::{outline::LET_GO, seen::Seen},
    error::Result,
    model::{Actor, Digest, Page, RecordView, Time, Uid, Version},
};

/// Rows folded in one transaction: few enough that an application which writes at the same time hardly waits.
const BATCH: usize = 500;

impl Sqlite {
    /// Whether local edits of a table wait to be folded.
    pub(super) fn unfolded(&self, layout: &Layout) -> Result<bool> {
        let sql = format!(
            "SELECT COALESCE(MAX(arrival), 0) > (SELECT folded FROM entente_table WHERE id = ?1) OR EXISTS (SELECT 1 FROM entente_suspect WHERE tab = ?1)
             FROM {}",
            layout.state()
        );
        let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
        statement.query_row([layout.table.id], |row| row.get(0)).told("read the journal")
    }

    /// Folds all local edits of a table and, first, of those it refers to. Within a transaction.
    pub(super) fn fold_all(&mut self, layout: &Layout) -> Result<()> {
        let mut open = Vec::new();
        for table in self.with_parents(layout) {
            while self.unfolded(&table)? {
                open.push((table.clone(), self.fold_batch(&table)?));
            }
        }
        open.iter().try_for_each(|(table, arrivals)| self.complete(table, arrivals))
    }

    /// Folds in short transactions until nothing is left.
    pub(super) fn fold_gently(&mut self, layout: &Layout) -> Result<()> {
        let mut open = Vec::new();
        for table in self.with_parents(layout) {
            while self.unfolded(&table)? {
                if !open.is_empty() {
                    self.breathe();
                }
                open.push((table.clone(), self.transaction(|db| db.fold_batch(&table))?));
            }
        }
        for (table, arrivals) in open.iter().filter(|(_, arrivals)| !arrivals.is_empty()) {
            self.breathe();
            self.transaction(|db| db.complete(table, arrivals))?;
        }
        Ok(())
    }

    /// Notes the digests of records that were folded while records which they refer to had no uid yet: rows of one table, or of tables
    /// in a circle, refer to each other. Until then, or where they refer to nothing, the digest is unknown, and no edit is taken for none.
    pub(super) fn complete(&mut self, layout: &Layout, arrivals: &[i64]) -> Result<()> {
        let me = self.me()?.site;
        let sql = format!("{} WHERE s.arrival IN rarray(?1) AND s.own IS NULL", layout.select(&layout.state_and_row()));
        let mut page = Page::default();
        let names = layout.prepare(&mut page)?;
        let mut seen = Vec::new();
        {
            let arrivals: Vec<Native> = arrivals.iter().map(|arrival| Native::Integer(*arrival)).collect();
            let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
            let mut rows = statement.query([Rc::new(arrivals)]).told("read the journal")?;
            while let Some(row) = rows.next().told("read the journal")? {
                seen.push(layout.read(row, &names, &self.sites, me, &mut page)?);
            }
        }
        let known = seen.iter().zip(page.views()).filter(|(noted, _)| noted.whole());
        let known: Vec<(i64, Digest)> = known.map(|(noted, record)| (noted.arrival, record.digest())).collect();
        self.note_digests(layout, &known, "own IS NULL")
    }

    /// Notes the digests of versions that `still` fit: what their rows held in a snapshot in which no edit of them was noted.
    pub(super) fn note_digests(&mut self, layout: &Layout, known: &[(i64, Digest)], still: &str) -> Result<()> {
        let sql = format!("UPDATE {} SET digest = ?2 WHERE arrival = ?1 AND {still}", layout.state());
        for (arrival, digest) in known {
            let mut statement = self.conn.prepare_cached(&sql).told("write the journal")?;
            statement.execute(params![arrival, digest.0.as_slice()]).told("write the journal")?;
        }
        Ok(())
    }

    /// Records whose rows an OR REPLACE removed become local deletions.
    fn clear_suspects(&mut self, layout: &Layout) -> Result<()> {
        if layout.unique.is_empty() {
            return Ok(());
        }
        let pairs: Vec<String> = (1..=layout.key.len()).map(|at| format!("u.k{at} = s.k{at}")).collect();
        let sql = format!(
            "SELECT s.arrival FROM entente_suspect u JOIN {} s ON {} LEFT JOIN {} t ON {} WHERE u.tab = ?1 AND s.deleted = 0 AND t.{} IS NULL",
            layout.state(),
            pairs.join(" AND "),
            quoted(&layout.table.name),
            layout.on_key("t", "s"),
            quoted(&layout.key[0])
        );
        let gone: Vec<i64> = {
            let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
            let rows = statement.query_map([layout.table.id], |row| row.get(0));
            rows.and_then(Iterator::collect).told("read the journal")?
        };
        self.bury(layout, &gone, Time(0))?;
        let mut statement = self.conn.prepare_cached("DELETE FROM entente_suspect WHERE tab = ?1").told("write the journal")?;
        statement.execute([layout.table.id]).told("write the journal").map(|_| ())
    }

    /// Folds some edits. Returns the arrivals of records that refer to something without a uid.
    fn fold_batch(&mut self, layout: &Layout) -> Result<Vec<i64>> {
        self.clear_suspects(layout)?;
        let me = self.me()?;
        let sql = format!(
            "{} WHERE s.arrival > (SELECT folded FROM entente_table WHERE id = ?1) AND s.own IS NOT NULL ORDER BY s.arrival LIMIT ?2",
            layout.select(&layout.state_and_row())
        );
        let mut page = Page::default();
        let names = layout.prepare(&mut page)?;
        let (mut seen, mut others) = (Vec::new(), Vec::new());
        {
            let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
            let mut rows = statement.query(params![layout.table.id, BATCH as i64]).told("read the journal")?;
            while let Some(row) = rows.next().told("read the journal")? {
                let noted = layout.read(row, &names, &self.sites, me.site, &mut page)?;
                let record = &page.records[page.records.len() - 1];
                others.extend(layout.other_uid(row, &noted, page.view(record).uid())?.map(|uid| (noted.arrival, uid)));
                let uid = if noted.uid_known { None } else { Some(layout.new_uid(page.view(record), row, &self.uuids)?) };
                seen.push((noted, uid));
            }
        }
        let others = self.without_aliases(layout, others)?;
        if !others.is_empty() {
            others.iter().try_for_each(|arrival| self.part(layout, *arrival))?;
            return Ok(Vec::new());
        }
        for ((noted, uid), record) in seen.iter().zip(page.views()) {
            self.fold_one(layout, noted, uid.as_deref(), record, me)?;
        }
        let folded = match seen.len() < BATCH {
            true => self.max_arrival(layout)?,
            false => seen.last().map_or(0, |(noted, _)| noted.arrival),
        };
        let mut statement = self.conn.prepare_cached("UPDATE entente_table SET folded = ?2 WHERE id = ?1").told("write the journal")?;
        statement.execute(params![layout.table.id, folded]).told("write the journal")?;
        Ok(seen.iter().filter(|(noted, _)| noted.dangling.is_some()).map(|(noted, _)| noted.arrival).collect())
    }

    /// Of rows with other uids than their records those whose uid is no alias: an adopted record keeps in its row the uid that it had.
    pub(super) fn without_aliases(&self, layout: &Layout, others: Vec<(i64, String)>) -> Result<Vec<i64>> {
        let sql = format!("SELECT 1 FROM {} WHERE uid = ?1 AND heir IS NOT NULL", layout.state());
        let mut left = Vec::new();
        for (arrival, uid) in others {
            let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
            if !statement.exists([stored_uid(&uid)]).told("read the journal")? {
                left.push(arrival);
            }
        }
        Ok(left)
    }

    /// A row that has become that of another record gets a state of its own; what was known under its key is gone.
    fn part(&mut self, layout: &Layout, arrival: i64) -> Result<()> {
        let (state, count) = (layout.state(), layout.key.len());
        let ks: Vec<String> = (1..=count).map(|at| format!("k{at}")).collect();
        let none: Vec<String> = ks.iter().map(|key| format!("{key} = NULL")).collect();
        let marks: Vec<String> = (1..=count).map(|at| format!("?{}", at + 1)).collect();
        let key: rusqlite::Result<Vec<Native>> =
            self.conn.query_row(&layout.sql.key_of, [arrival], |row| (0..count).map(|at| row.get(at)).collect());
        let values = std::iter::once(Native::Integer(arrival)).chain(key.told("read the journal")?);
        let free = format!("UPDATE {state} SET deleted = 1, {} WHERE arrival = ?1", none.join(", "));
        self.conn.execute(&free, [arrival]).told("write the journal")?;
        let add = format!(
            "INSERT INTO {state} (arrival, own, {}) VALUES ((SELECT MAX(arrival) + 1 FROM {state}), (SELECT own FROM {state} WHERE arrival = ?1), {})",
            ks.join(", "),
            marks.join(", ")
        );
        self.conn.execute(&add, rusqlite::params_from_iter(values)).told("write the journal").map(|_| ())
    }

    fn fold_one(&mut self, layout: &Layout, noted: &Seen, uid: Option<&str>, record: RecordView<'_>, me: Actor) -> Result<()> {
        let state = layout.state();
        let digest = noted.whole().then(|| record.digest());
        if noted.uid_known && digest.is_some() && noted.digest == digest && !record.record.version.is_empty() {
            // The edit changed nothing. A version of it could beat a real edit made elsewhere.
            let sql = format!("UPDATE {state} SET own = NULL, deleted = ?2 WHERE arrival = ?1");
            let mut statement = self.conn.prepare_cached(&sql).told("write the journal")?;
            statement.execute(params![noted.arrival, record.record.deleted]).told("write the journal")?;
            return Ok(());
        }
        let mut version = record.record.version.clone();
        let mut uid = uid.map(str::to_owned);
        if let Some(known) = uid.as_deref().map(stored_uid) {
            match self.former(layout, &known, noted.arrival)? {
                Former::None => {}
                Former::Gone(arrival, before) => {
                    version = version.join(&before);
                    let sql = format!(
                        "UPDATE {state} SET (modified_on, origin, held) =
                         (SELECT modified_on, origin, NULLIF(held, {LET_GO}) FROM {state} WHERE arrival = ?2) WHERE arrival = ?1"
                    );
                    self.conn.execute(&sql, [noted.arrival, arrival]).told("write the journal")?;
                    self.conn.execute(&format!("DELETE FROM {state} WHERE arrival = ?1"), [arrival]).told("write the journal")?;
                }
                Former::Lives => uid = Some(Uid::of(self.uuids.next()).to_string()),
            }
        }
        let created = version.is_empty();
        version.set(me, u64::try_from(noted.arrival).unwrap_or(0));
        let version = self.sites.write_version(&self.conn, &version)?;
        let site = self.sites.id(&self.conn, me.site)?;
        let sql = format!(
            "UPDATE {state} SET uid = COALESCE(?2, uid), version = ?3, author = ?4, origin = CASE WHEN ?5 OR origin IS NULL THEN ?4 ELSE origin END,
             modified_on = MAX(?6, modified_on + 1), settled = NULL, received_from = NULL, own = NULL, deleted = ?7, heir = NULL, digest = ?8, run = NULL,
             extra = CASE WHEN ?7 THEN NULL ELSE extra END
             WHERE arrival = ?1"
        );
        let mut statement = self.conn.prepare_cached(&sql).told("write the journal")?;
        let stored = uid.as_deref().map(stored_uid);
        let edited = noted.own.unwrap_or(0);
        let values = params![noted.arrival, stored, version, site, created, edited, record.record.deleted, digest.map(|digest| digest.0)];
        statement.execute(values).told("write the journal")?;
        Ok(())
    }

    /// What the journal knows under a uid that a new local row claims.
    fn former(&self, layout: &Layout, uid: &rusqlite::types::Value, not: i64) -> Result<Former> {
        let sql = format!(
            "SELECT s.arrival, s.version, t.{} FROM {} WHERE s.uid = ?1 AND s.arrival <> ?2",
            quoted(&layout.key[0]),
            layout.state_and_row()
        );
        let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
        let found = statement
            .query_row(params![uid, not], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?, row.get_ref(2)? != ValueRef::Null))
            })
            .optional()
            .told("read the journal")?;
        Ok(match found {
            None => Former::None,
            Some((_, _, true)) => Former::Lives,
            Some((arrival, version, false)) => Former::Gone(arrival, self.sites.read_version(version.as_deref().unwrap_or(""))?),
        })
    }
}

enum Former {
    None,
    /// A tombstone, or a record whose row went unnoticed: the new row is its re-creation.
    Gone(i64, Version),
    Lives,
}
