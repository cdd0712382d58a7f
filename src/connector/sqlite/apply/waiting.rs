//! Records that came and wait.

use std::{collections::HashMap, rc::Rc};

use rusqlite::{params, types::Value as Native};

use super::Transaction;
use crate::{
    connector::{
        Table, Wait, Waiter, Waiting, Which,
        sqlite::{failure::Told, values::stored_uid},
        stored,
    },
    error::{Error, Result},
    model::{Page, RecordView},
};

impl Transaction<'_> {
    pub(super) fn find_waiters(&mut self, which: Which<'_>, limit: usize) -> Result<Vec<Waiter>> {
        let limit = Native::Integer(i64::try_from(limit).unwrap_or(i64::MAX));
        match which {
            Which::Kinds(kinds, after) => {
                let kinds: Vec<Native> = kinds.iter().map(|kind| Native::Text(kind.word().to_owned())).collect();
                self.read_waiters("w.id > ?2 AND w.kind IN (SELECT value FROM rarray(?3))", params![limit, after, Rc::new(kinds)])
            }
            Which::Of(table, uid) => {
                self.read_waiters("w.tab = ?2 AND w.uid = ?3 AND w.kind <> 'outgoing'", params![limit, table.id, stored_uid(uid)])
            }
            Which::One(id) => self.read_waiters("w.id = ?2 AND w.kind <> 'outgoing'", params![limit, id]),
            Which::For(arrived) => {
                let mut by_resource: HashMap<&str, Vec<Native>> = HashMap::new();
                for (resource, uid) in arrived {
                    by_resource.entry(resource).or_default().push(stored_uid(uid));
                }
                let condition = "w.id IN (SELECT waiting FROM entente_missing WHERE tab = ?2 AND uid IN (SELECT value FROM rarray(?3)))";
                let mut found = Vec::new();
                for (resource, uids) in by_resource {
                    let id = self.db.layouts.iter().find(|layout| layout.table.resource == resource).map_or(-1, |layout| layout.table.id);
                    found.extend(self.read_waiters(condition, params![limit, id, Rc::new(uids)])?);
                }
                found.sort_by_key(|waiter| waiter.id);
                found.dedup_by_key(|waiter| waiter.id);
                Ok(found)
            }
        }
    }

    fn read_waiters(&self, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<Waiter>> {
        let sql = format!(
            "SELECT w.id, t.resource, w.record, w.run, w.kind, w.site, w.reason FROM entente_waiting w JOIN entente_table t ON t.id = w.tab
             WHERE {condition} ORDER BY w.id LIMIT ?1"
        );
        let mut statement = self.db.conn.prepare_cached(&sql).told("read the journal")?;
        let mut rows = statement.query(values).told("read the journal")?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().told("read the journal")? {
            let resource: String = row.get(1).told("read the journal")?;
            let mut page = Page::new(&resource);
            stored::read(&row.get::<_, String>(2).told("read the journal")?, &mut page)?;
            let run: i64 = row.get(3).told("read the journal")?;
            let kind = Waiting::from_word(&row.get::<_, String>(4).told("read the journal")?).unwrap_or(Waiting::Quarantined);
            let site = self.db.sites.site(row.get(5).told("read the journal")?);
            let site = site.ok_or_else(|| Error::internal("the journal names a site that it does not know"))?;
            found.push(Waiter {
                id: row.get(0).told("read the journal")?,
                resource,
                page,
                run: u64::try_from(run).unwrap_or(0),
                kind,
                site,
                reason: row.get(6).told("read the journal")?,
            });
        }
        Ok(found)
    }

    pub(super) fn insert_waiting(&mut self, table: &Table, record: RecordView<'_>, waits: &Wait<'_>) -> Result<()> {
        let uid = stored_uid(record.uid());
        let site = self.db.sites.id(&self.db.conn, waits.peer)?;
        let text = stored::write(record)?;
        let sql = "INSERT INTO entente_waiting (tab, uid, site, run, at, kind, reason, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let run = i64::try_from(waits.run).unwrap_or(i64::MAX);
        let values = params![table.id, uid, site, run, waits.now.0, waits.kind.word(), waits.reason, text];
        let id = self.db.conn.prepare_cached(sql).and_then(|mut s| s.insert(values)).told("write the journal")?;
        for (resource, uid) in waits.missing {
            let tab = self.db.layouts.iter().find(|layout| layout.table.resource == *resource).map_or(-1, |layout| layout.table.id);
            let sql = "INSERT OR IGNORE INTO entente_missing (waiting, tab, uid) VALUES (?1, ?2, ?3)";
            self.db.conn.prepare_cached(sql).and_then(|mut s| s.execute(params![id, tab, stored_uid(uid)])).told("write the journal")?;
        }
        Ok(())
    }
}
