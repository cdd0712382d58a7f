//! Values that were kept aside, moved into columns that came since.

use std::collections::HashSet;

use rusqlite::params;

use super::Transaction;
use crate::{
    connector::{
        Key, Targets, Write,
        aside::{self, Aside, TakeIn},
        sqlite::{
            drift::BATCH,
            failure::{Told, quoted},
            layout::Layout,
            shape::Shape,
            values::{push_uid, stored_uid},
        },
    },
    error::Result,
    model::{Page, RecordView},
};

impl TakeIn for Transaction<'_> {
    type Shape = Shape;
    type Layout = Layout;

    fn aside(&mut self, layout: &Layout, after: i64) -> Result<Vec<Aside>> {
        let sql = format!(
            "SELECT arrival, uid, extra FROM {} WHERE extra IS NOT NULL AND deleted = 0 AND arrival > ?1 ORDER BY arrival LIMIT {BATCH}",
            layout.state()
        );
        let mut statement = self.db.conn.prepare_cached(&sql).told("read the journal")?;
        let mut rows = statement.query([after]).told("read the journal")?;
        let mut some = Vec::new();
        while let Some(row) = rows.next().told("read the journal")? {
            let mut page = Page::new(&layout.table.resource);
            let uid = push_uid(row.get_ref(1).told("read the journal")?, &mut page);
            let text: String = row.get(2).told("read the journal")?;
            some.push(Aside { arrival: row.get(0).told("read the journal")?, page: aside::read(Some(&text), page, uid, |_| false)? });
        }
        Ok(some)
    }

    fn written_since(&mut self, layout: &Layout, arrival: i64, view: RecordView<'_>) -> Result<HashSet<String>> {
        let mut written = HashSet::new();
        for data in layout.data.iter().filter(|data| view.get(&data.field).is_some()) {
            let sql = format!(
                "SELECT s.own IS NOT NULL AND t.{0} IS NOT NULL AND t.{0} IS NOT ({1}) FROM {2} WHERE s.arrival = ?1",
                quoted(&data.column),
                data.default.as_deref().unwrap_or("NULL"),
                layout.state_and_row()
            );
            let mut statement = self.db.conn.prepare_cached(&sql).told("read the table")?;
            if statement.query_row([arrival], |row| row.get(0)).told("read the table")? {
                written.insert(data.field.clone());
            }
        }
        Ok(written)
    }

    fn put_row(&mut self, layout: &Layout, write: &Write<'_>, targets: &Targets) -> Result<Option<Key>> {
        self.write_row(layout, write, targets)
    }

    fn keep_aside(&mut self, layout: &Layout, uid: &str, rest: Option<String>) -> Result<()> {
        let sql = format!("UPDATE {} SET extra = ?2 WHERE uid = ?1", layout.state());
        let values = params![stored_uid(uid), rest];
        self.db.conn.prepare_cached(&sql).and_then(|mut s| s.execute(values)).told("write the journal").map(|_| ())
    }
}
