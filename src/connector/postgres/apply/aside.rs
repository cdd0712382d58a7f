//! Values that were kept aside, moved into columns that came since.

use std::collections::HashSet;

use super::Transaction;
use crate::{
    connector::{
        Key, Targets, Write,
        aside::{self, Aside, TakeIn},
        postgres::{
            args::{Arg, Columns},
            drift::BATCH,
            failure::quoted,
            layout::Layout,
            shape::Shape,
        },
    },
    error::Result,
    model::{Page, RecordView},
};

impl TakeIn for Transaction<'_> {
    type Shape = Shape;
    type Layout = Layout;

    fn aside(&mut self, layout: &Layout, after: i64) -> Result<Vec<Aside>> {
        self.catch_up(layout)?;
        let sql = format!(
            "SELECT arrival, uid, extra FROM {} WHERE extra IS NOT NULL AND NOT deleted AND arrival > $1::bigint ORDER BY arrival LIMIT {BATCH}",
            layout.state()
        );
        let read = |row: &postgres::Row| {
            let mut page = Page::new(&layout.table.resource);
            let uid = page.put(row.text(1)?.unwrap_or_default());
            Ok(Aside { arrival: row.int(0)?.unwrap_or(0), page: aside::read(row.text(2)?, page, uid, |_| false)? })
        };
        self.db.link.query(&sql, &[after.into()], "read the journal")?.iter().map(read).collect()
    }

    fn written_since(&mut self, layout: &Layout, arrival: i64, view: RecordView<'_>) -> Result<HashSet<String>> {
        let mut written = HashSet::new();
        for data in layout.data.iter().filter(|data| view.get(&data.field).is_some()) {
            let column = format!("t.{}", quoted(&data.column));
            let default = data.default.as_deref().unwrap_or("NULL");
            let sql = format!(
                "SELECT s.own IS NOT NULL AND {column} IS NOT NULL AND {column}::text IS DISTINCT FROM ({default})::text FROM {} WHERE s.arrival = $1::bigint",
                layout.state_and_row()
            );
            if self.db.link.one(&sql, &[Arg::Int(arrival)], "read the table")?.flag(0)? {
                written.insert(data.field.clone());
            }
        }
        Ok(written)
    }

    fn put_row(&mut self, layout: &Layout, write: &Write<'_>, targets: &Targets) -> Result<Option<Key>> {
        self.write_row(layout, write, targets)
    }

    fn keep_aside(&mut self, layout: &Layout, uid: &str, rest: Option<String>) -> Result<()> {
        let sql = format!("UPDATE {} SET extra = $2 WHERE uid = $1", layout.state());
        self.db.link.run(&sql, &[uid.into(), rest.into()], "write the journal").map(drop)
    }
}
