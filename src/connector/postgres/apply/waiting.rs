//! Records that came and wait.

use std::collections::HashMap;

use super::Transaction;
use crate::{
    connector::{
        Table, Wait, Waiter, Waiting, Which,
        known::broken,
        postgres::args::{Arg, Columns},
        stored,
    },
    error::Result,
    model::{Page, RecordView},
};

impl Transaction<'_> {
    /// See [`crate::connector::Apply::waiters`].
    pub(super) fn find_waiters(&mut self, which: Which<'_>, limit: usize) -> Result<Vec<Waiter>> {
        let limit = Arg::Int(i64::try_from(limit).unwrap_or(i64::MAX));
        match which {
            Which::Kinds(kinds, after) => {
                let kinds = Arg::List(kinds.iter().map(|kind| Arg::text(kind.word())).collect());
                self.read_waiters("w.id > $2::bigint AND w.kind = ANY($3::text[])", &[limit, after.into(), kinds])
            }
            Which::Of(table, uid) => {
                let args = [limit, table.id.into(), Arg::text(uid)];
                self.read_waiters("w.tab = $2::bigint AND w.uid = $3 AND w.kind <> 'outgoing'", &args)
            }
            Which::One(id) => self.read_waiters("w.id = $2::bigint AND w.kind <> 'outgoing'", &[limit, id.into()]),
            Which::For(arrived) => {
                let mut by_resource: HashMap<&str, Vec<&str>> = HashMap::new();
                for (resource, uid) in arrived {
                    by_resource.entry(resource).or_default().push(uid);
                }
                let condition = "w.id IN (SELECT waiting FROM entente.missing WHERE tab = $2::bigint AND uid = ANY($3::text[]))";
                let mut found = Vec::new();
                for (resource, uids) in by_resource {
                    let args = [limit.clone(), self.number_of(resource).into(), Arg::texts(&uids)];
                    found.extend(self.read_waiters(condition, &args)?);
                }
                found.sort_by_key(|waiter| waiter.id);
                found.dedup_by_key(|waiter| waiter.id);
                Ok(found)
            }
        }
    }

    fn number_of(&self, resource: &str) -> i64 {
        self.db.layouts.iter().find(|layout| layout.table.resource == resource).map_or(-1, |layout| layout.table.id)
    }

    fn read_waiters(&mut self, condition: &str, args: &[Arg<'_>]) -> Result<Vec<Waiter>> {
        let sql = format!(
            "SELECT w.id, t.resource, w.record, w.run, w.kind, w.site, w.reason FROM entente.waiting w JOIN entente.tab t ON t.id = w.tab
             WHERE {condition} ORDER BY w.id LIMIT $1::bigint"
        );
        let rows = self.db.link.query(&sql, args, "read the journal")?;
        let waiter = |row: &postgres::Row| {
            let resource = row.owned(1)?;
            let mut page = Page::new(&resource);
            stored::read(row.text(2)?.unwrap_or_default(), &mut page)?;
            Ok(Waiter {
                id: row.int(0)?.unwrap_or(0),
                resource,
                page,
                run: row.int(3)?.and_then(|run| u64::try_from(run).ok()).unwrap_or(0),
                kind: row.text(4)?.and_then(Waiting::from_word).unwrap_or(Waiting::Quarantined),
                site: row.int(5)?.and_then(|id| self.db.sites.site(id)).ok_or_else(broken)?,
                reason: row.owned(6)?,
            })
        };
        rows.iter().map(waiter).collect()
    }

    pub(super) fn insert_waiting(&mut self, table: &Table, record: RecordView<'_>, waits: &Wait<'_>) -> Result<()> {
        let site = self.db.sites.id(&mut self.db.link, waits.peer)?;
        let sql = "INSERT INTO entente.waiting (tab, uid, site, run, at, kind, reason, record) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id";
        let args = [
            table.id.into(),
            record.uid().into(),
            site.into(),
            i64::try_from(waits.run).unwrap_or(i64::MAX).into(),
            waits.now.0.into(),
            waits.kind.word().into(),
            waits.reason.into(),
            stored::write(record)?.into(),
        ];
        let id = self.db.link.one(sql, &args, "write the journal")?.int(0)?;
        for (resource, uid) in waits.missing {
            let sql = "INSERT INTO entente.missing (waiting, tab, uid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            let args = [id.into(), self.number_of(resource).into(), uid.into()];
            self.db.link.run(sql, &args, "write the journal")?;
        }
        Ok(())
    }
}
