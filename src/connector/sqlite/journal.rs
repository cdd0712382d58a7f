//! Rows that are there become records: when a table is attached, and when a sweep finds what no trigger noticed.

use std::time::{Duration, Instant};

use rusqlite::{params, params_from_iter};

use super::{
    Sqlite,
    failure::{Told, quoted},
    layout::Layout,
    values::{Bound, key_part, stored_uid},
};
use crate::{
    connector::{KeyPart, Progress, Swept, attached::parents_first},
    error::Result,
    model::{Page, Time, Version},
};

/// How long one transaction of journalling may hold the database, and how long it leaves it to others afterwards. SQLite's
/// waiting programs look again after 1, 2, 5, 10, 15 … ms, so that one of these looks falls into a pause well before 100 ms.
const HOLD: Duration = Duration::from_millis(8);
pub(super) const PAUSE: Duration = Duration::from_millis(14);

/// Rows between two looks at the clock.
const STEP: usize = 100;

impl Sqlite {
    /// Journals the rows that are there: new ones, ones that changed while no trigger watched, and those that went.
    pub(super) fn journal_rows(&mut self, now: Time, progress: Progress<'_>) -> Result<()> {
        self.refresh()?;
        let order = parents_first(&self.layouts);
        for layout in order.iter().filter(|layout| !layout.table.ready) {
            let total = self.rows_of(layout)?;
            progress(&layout.table.resource, 0, total);
            let known = self.max_arrival(layout)?;
            let (mut after, mut done) = (None, 0);
            loop {
                let (last, some) = self.transaction(|db| db.journal_some(layout, after.as_deref(), now))?;
                std::thread::sleep(PAUSE);
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
            self.transaction(|db| {
                db.conn.execute("UPDATE entente_table SET ready = 1 WHERE id = ?1", [layout.table.id]).told("write the journal").map(|_| ())
            })?;
            progress(&layout.table.resource, total, total);
        }
        for layout in order.iter().filter(|layout| !layout.table.ready && !layout.references.is_empty()) {
            self.complete_journalled(layout)?;
        }
        self.schema = -1;
        self.refresh()
    }

    /// How many rows a table has.
    pub(super) fn rows_of(&self, layout: &Layout) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", quoted(&layout.table.name));
        let count: i64 = self.conn.query_row(&sql, [], |row| row.get(0)).told("count the rows")?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Notes the digests of rows that were journalled before what they refer to.
    fn complete_journalled(&mut self, layout: &Layout) -> Result<()> {
        let sql = format!("SELECT arrival FROM {} WHERE digest IS NULL AND own IS NULL AND deleted = 0", layout.state());
        let open: Vec<i64> = {
            let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
            let rows = statement.query_map([], |row| row.get(0));
            rows.and_then(Iterator::collect).told("read the journal")?
        };
        for arrivals in open.chunks(STEP) {
            self.transaction(|db| db.complete(layout, arrivals))?;
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Journals rows after a key until the time is up. Returns the last key, `None` when the table is through.
    pub(super) fn journal_some(&mut self, layout: &Layout, after: Option<&[KeyPart]>, now: Time) -> Result<(Option<Vec<KeyPart>>, Swept)> {
        let begun = Instant::now();
        let (mut last, mut all) = (after.map(<[KeyPart]>::to_vec), Swept::default());
        while begun.elapsed() < HOLD {
            let (next, some) = self.journal_step(layout, last.as_deref(), now)?;
            all += some;
            if some.rows < STEP as u64 {
                return Ok((None, all));
            }
            last = next;
        }
        Ok((last, all))
    }

    fn journal_step(&mut self, layout: &Layout, after: Option<&[KeyPart]>, now: Time) -> Result<(Option<Vec<KeyPart>>, Swept)> {
        let me = self.me()?;
        let from = format!("{} t LEFT JOIN {} s ON {}", quoted(&layout.table.name), layout.state(), layout.by_key("t", "s"));
        let keys: Vec<String> = layout.key.iter().map(|key| format!("t.{}", quoted(key))).collect();
        let keys = keys.join(", ");
        let beyond = match after {
            Some(parts) => {
                let marks: Vec<String> = (1..=parts.len()).map(|at| format!("?{at}")).collect();
                format!("AND ({keys}) > ({})", marks.join(", "))
            }
            None => String::new(),
        };
        // What the triggers have noted since they watch needs nothing more; else an application that adds rows faster than they are
        // journalled would be run after for ever.
        let sql = format!("{} WHERE s.own IS NULL {beyond} ORDER BY {keys} LIMIT {STEP}", layout.select(&from));
        let mut page = Page::default();
        let names = layout.prepare(&mut page)?;
        let (mut found, mut others) = (Vec::new(), Vec::new());
        let mut last = None;
        {
            let mut statement = self.conn.prepare_cached(&sql).told("read the table")?;
            let bound: Vec<Bound<'_>> = after.unwrap_or(&[]).iter().map(Bound::of_key).collect();
            let mut rows = statement.query(params_from_iter(bound)).told("read the table")?;
            while let Some(row) = rows.next().told("read the table")? {
                let seen = layout.read(row, &names, &self.sites, me.site, &mut page)?;
                let first = layout.first_key();
                let key: rusqlite::Result<Vec<KeyPart>> = (0..layout.key.len()).map(|at| row.get_ref(first + at).map(key_part)).collect();
                let key = key.told("read the table")?;
                let record = &page.records[page.records.len() - 1];
                let uid = if seen.arrival == 0 { Some(layout.new_uid(page.view(record), row, &self.uuids)?) } else { None };
                others.extend(layout.other_uid(row, &seen, page.view(record).uid())?.map(|uid| (seen.arrival, uid)));
                last = Some(key.clone());
                found.push((seen, key, uid));
            }
        }
        let others = self.without_aliases(layout, others)?;
        let mut arrival = self.max_arrival(layout)?;
        let mut swept = Swept { rows: found.len() as u64, ..Swept::default() };
        for ((seen, key, uid), record) in found.iter().zip(page.views()) {
            // A row stands where the journal has a tombstone: it was put back. One whose digest is unknown still refers to nothing.
            let put_back = record.record.deleted;
            let changed = put_back || others.contains(&seen.arrival) || seen.digest != seen.whole().then(|| record.digest());
            swept.added += u64::from(uid.is_some() || put_back);
            swept.changed += u64::from(uid.is_none() && changed && !put_back);
            match uid {
                Some(uid) => {
                    arrival += 1;
                    let digest = seen.whole().then(|| record.digest().0);
                    self.journal_row(layout, arrival, key, uid, digest, now)?;
                }
                None if changed => {
                    arrival += 1;
                    let sql = format!("UPDATE {} SET arrival = ?2, own = ?3, deleted = 0 WHERE arrival = ?1", layout.state());
                    self.conn
                        .prepare_cached(&sql)
                        .and_then(|mut statement| statement.execute(params![seen.arrival, arrival, now.0]))
                        .told("write the journal")?;
                }
                None => {}
            }
        }
        Ok((last, swept))
    }

    fn journal_row(
        &mut self,
        layout: &Layout,
        arrival: i64,
        key: &[KeyPart],
        uid: &str,
        digest: Option<[u8; 32]>,
        now: Time,
    ) -> Result<()> {
        let me = self.me()?;
        let uid = stored_uid(uid);
        let state = layout.state();
        let taken = format!("SELECT 1 FROM {state} WHERE uid = ?1");
        let taken = self.conn.prepare_cached(&taken).and_then(|mut statement| statement.exists([&uid])).told("read the journal")?;
        let keys: Vec<String> = (1..=key.len()).map(|at| format!("k{at}")).collect();
        let marks: Vec<String> = (1..=key.len()).map(|at| format!("?{}", at + 7)).collect();
        if taken {
            // A tombstone, or another row under the same uid: folding decides, with both in view.
            let marks: Vec<String> = (1..=key.len()).map(|at| format!("?{}", at + 2)).collect();
            let sql = format!("INSERT INTO {state} (arrival, own, {}) VALUES (?1, ?2, {})", keys.join(", "), marks.join(", "));
            let values = [Bound::Integer(arrival), Bound::Integer(now.0)];
            let values = values.into_iter().chain(key.iter().map(Bound::of_key));
            self.conn
                .prepare_cached(&sql)
                .and_then(|mut statement| statement.execute(params_from_iter(values)))
                .told("write the journal")?;
            return Ok(());
        }
        let site = self.sites.id(&self.conn, me.site)?;
        let version = self.sites.write_version(&self.conn, &Version::of(me, u64::try_from(arrival).unwrap_or(1)))?;
        let sql = format!(
            "INSERT INTO {state} (arrival, uid, modified_on, version, origin, author, digest, {}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, {})",
            keys.join(", "),
            marks.join(", ")
        );
        let mut statement = self.conn.prepare_cached(&sql).told("write the journal")?;
        let fixed = params![arrival, uid, now.0, version, site, site, digest];
        for (at, value) in fixed.iter().enumerate() {
            statement.raw_bind_parameter(at + 1, value).told("write the journal")?;
        }
        for (at, part) in key.iter().enumerate() {
            statement.raw_bind_parameter(at + 8, Bound::of_key(part)).told("write the journal")?;
        }
        statement.raw_execute().told("write the journal").map(|_| ())
    }

    /// Records up to an arrival whose rows went while no trigger watched become local deletions.
    pub(super) fn bury_vanished(&mut self, layout: &Layout, upto: i64, now: Time) -> Result<u64> {
        const WINDOW: i64 = 20_000;
        let sql = format!(
            "SELECT s.arrival FROM {} WHERE s.deleted = 0 AND t.{} IS NULL AND s.arrival BETWEEN ?1 AND ?2",
            layout.state_and_row(),
            quoted(&layout.key[0])
        );
        let mut buried = 0;
        for first in (0..=upto).step_by(WINDOW as usize) {
            let gone: Vec<i64> = {
                let mut statement = self.conn.prepare_cached(&sql).told("read the journal")?;
                let rows = statement.query_map([first, first + WINDOW - 1], |row| row.get(0));
                rows.and_then(Iterator::collect).told("read the journal")?
            };
            if !gone.is_empty() {
                buried += self.transaction(|db| db.bury(layout, &gone, now))?;
                std::thread::sleep(PAUSE);
            }
        }
        Ok(buried)
    }

    /// Notes local deletions of the records with these arrivals. Returns how many there were.
    pub(super) fn bury(&mut self, layout: &Layout, arrivals: &[i64], now: Time) -> Result<u64> {
        let state = layout.state();
        let sql = format!(
            "UPDATE {state} SET arrival = (SELECT MAX(arrival) + 1 FROM {state}), own = MAX(?2, COALESCE(own, 0)), deleted = 1
             WHERE arrival = ?1 AND deleted = 0"
        );
        let mut buried = 0;
        for arrival in arrivals {
            let mut statement = self.conn.prepare_cached(&sql).told("write the journal")?;
            buried += statement.execute(params![arrival, now.0]).told("write the journal")? as u64;
        }
        Ok(buried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SiteId, TableSpec, Uuids};

    #[test]
    fn the_state_of_each_row_is_found_by_an_index_whatever_the_keys_type() {
        for key in ["id INTEGER PRIMARY KEY", "id TEXT PRIMARY KEY COLLATE NOCASE", "id REAL PRIMARY KEY", "id, b INT, PRIMARY KEY (id, b)"]
        {
            let file = tempfile::NamedTempFile::new().unwrap();
            rusqlite::Connection::open(file.path()).unwrap().execute_batch(&format!("CREATE TABLE t ({key})")).unwrap();
            let mut db = Sqlite::open(file.path(), Uuids::default()).unwrap();
            let spec = TableSpec { table: "t".into(), resource: "t".into(), ..TableSpec::default() };
            crate::connector::Connector::attach(&mut db, &[spec], SiteId::random(), Time(1), &mut |_, _, _| {}).unwrap();
            db.refresh().unwrap();
            let layout = db.layouts[0].clone();
            let sql = format!("EXPLAIN QUERY PLAN SELECT s.arrival FROM t LEFT JOIN {} s ON {}", layout.state(), layout.by_key("t", "s"));
            let mut statement = db.conn.prepare(&sql).unwrap();
            let plan: Vec<String> = statement.query_map([], |row| row.get(3)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
            assert!(plan.iter().any(|step| step.starts_with("SEARCH s USING")), "{key}: {plan:?}");
        }
    }

    #[test]
    fn what_a_reference_leads_to_is_found_by_an_index() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tables = "CREATE TABLE org (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
                      CREATE TABLE office (id INTEGER PRIMARY KEY, org INTEGER REFERENCES org(id), code TEXT REFERENCES org(code))";
        rusqlite::Connection::open(file.path()).unwrap().execute_batch(tables).unwrap();
        let mut db = Sqlite::open(file.path(), Uuids::default()).unwrap();
        let specs = ["org", "office"].map(|name| TableSpec { table: name.into(), resource: name.into(), ..TableSpec::default() });
        crate::connector::Connector::attach(&mut db, &specs, SiteId::random(), Time(1), &mut |_, _, _| {}).unwrap();
        db.refresh().unwrap();
        let layout = db.layouts.iter().find(|layout| layout.table.name == "office").unwrap().clone();
        let mut statement = db.conn.prepare(&format!("EXPLAIN QUERY PLAN {}", layout.sql.feed)).unwrap();
        let plan = statement.query_map(params![0, 1, 0, 1], |row| row.get(3)).unwrap();
        let plan: Vec<String> = plan.collect::<rusqlite::Result<_>>().unwrap();
        assert!(plan.iter().any(|step| step.starts_with("SEARCH p0 USING")), "{plan:?}");
        assert!(plan.iter().all(|step| step.starts_with("SEARCH ")), "{plan:?}");
    }
}
